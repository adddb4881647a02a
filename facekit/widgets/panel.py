"""A panel: widgets one below the other, and what is done with all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ipywidgets import Layout, VBox

from facekit.widgets.base import Widget

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ipywidgets import DOMWidget

    from facekit.library.base import Library

GAP = "8px"


class Panel(VBox):  # type: ignore[misc]  # ipywidgets has no types
    """Widgets one below the other; without a front end, the library in words."""

    children: tuple[DOMWidget, ...]

    def __init__(self, library: Library, parts: Sequence[DOMWidget]) -> None:
        super().__init__(children=tuple(parts), layout=Layout(grid_gap=GAP))
        self.library = library

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any] | None:  # noqa: ANN401 - Jupyter's own
        bundle: dict[str, Any] | None = super()._repr_mimebundle_(**options)
        return bundle and {**bundle, "text/html": self._html()}

    def refresh(self) -> None:
        """Take in what changed in the library."""

    def _html(self) -> str:
        return self.library._repr_html_()


def parts(box: DOMWidget) -> Iterator[Widget]:
    """The widgets of facekit in a box, however deep."""
    for child in getattr(box, "children", ()):
        if isinstance(child, Widget):
            yield child
        yield from parts(child)


def close_all(box: DOMWidget) -> None:
    """Close a widget and all in it."""
    for child in getattr(box, "children", ()):
        close_all(child)
    box.layout.close()
    box.close()
