"""Where one is and where one can go: a row of choices, and the bar above the app."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import traitlets

from facekit.widgets.base import Widget, handler, script, style

if TYPE_CHECKING:
    from collections.abc import Callable


class Choice(Widget):
    """A row of buttons of which one is chosen.

    Attributes
    ----------
    names : list of str
        What can be chosen; ``appbar.NAME`` is the text of each.
    chosen : str
        The one that is.
    counts : dict
        Numbers to show beside names.
    """

    _esm = script("appbar")
    _css = style("appbar")

    names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    chosen = traitlets.Unicode("").tag(sync=True)
    counts = traitlets.Dict().tag(sync=True)
    label = traitlets.Unicode("appbar.pages").tag(sync=True)
    full = traitlets.Bool(default_value=False).tag(sync=True)


class AppBar(Choice):
    """The bar above the app: title, pages, language, theme, and who is signed in.

    Attributes
    ----------
    user, role : str
        Who is signed in; "" where the service has no accounts.
    """

    full = traitlets.Bool(default_value=True).tag(sync=True)
    user = traitlets.Unicode("").tag(sync=True)
    role = traitlets.Unicode("").tag(sync=True)

    def __init__(self, **traits: Any) -> None:  # noqa: ANN401 - whatever a trait takes
        super().__init__(**traits)
        self._callbacks: dict[str, list[Callable[[], None]]] = {"sign_out": [], "shown": []}
        self.on_msg(self._message)

    def on_sign_out(self, callback: Callable[[], None]) -> None:
        """Call this when somebody wants to leave."""
        self._callbacks["sign_out"].append(callback)

    def on_shown(self, callback: Callable[[], None]) -> None:
        """Call this when somebody sees the bar."""
        self._callbacks["shown"].append(callback)

    @handler
    def _message(self, _widget: Widget, content: dict[str, Any], _buffers: list[memoryview]) -> None:
        for callback in self._callbacks.get(str(content.get("kind")), ()):
            callback()
