"""Where photos lie: a source, and a folder or an album of it, to choose from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import traitlets

from facekit.sources.links import source_words
from facekit.widgets.base import Widget, script, style

if TYPE_CHECKING:
    from collections.abc import Sequence

    from facekit.library.base import Library
    from facekit.types.photos import Folder


class Places(Widget):
    """A widget that has a source and a folder chosen in it; ``folders`` are those that there are."""

    folders = traitlets.List(traitlets.Dict()).tag(sync=True)
    source = traitlets.Unicode("").tag(sync=True)
    folder = traitlets.Unicode("").tag(sync=True)

    def read_folders(self, library: Library) -> None:
        """Read what there is to choose from again; what is chosen and there no more is forgotten."""
        with self.hold_sync():
            self.folders = choices(library.folders())
            if self.source not in {one["source"] for one in self.folders}:
                self.source = ""
            if self.folder not in {one["folder"] for one in self.folders}:
                self.folder = ""


class PlaceChoice(Places):
    """Which photos a gallery shows: those from a source, in a folder or an album. Unseen where all lie in folders.

    Parameters
    ----------
    library : Library
        Whose sources and folders.

    Attributes
    ----------
    source, folder : str
        What is chosen, "" where all is wanted. Observe them.
    """

    _esm = script("placechoice")
    _css = style("placechoice")

    def __init__(self, library: Library) -> None:
        super().__init__()
        self._library = library
        self.refresh()

    @property
    def needed(self) -> bool:
        """Whether there is more than folders of one machine."""
        return any(one["source"] != "local" for one in self.folders)

    def refresh(self) -> None:
        """Read the library's sources and folders again."""
        self.read_folders(self._library)


def choices(folders: Sequence[Folder]) -> list[dict[str, Any]]:
    """Folders named relative to the one that holds all of their source; that one stands first, with an empty name.

    Albums are named from the top of their connected place on, whose words say what kind of place it is.
    """
    tops: dict[str, str] = {}
    for one in folders:  # ordered by name, so that the folder above all others comes first
        tops.setdefault(one.source, f"{one.source}:/" if one.kind else one.folder)
    return [
        {
            "source": one.source,
            "words": source_words(one.source, one.kind),
            "folder": one.folder,
            "name": one.folder.removeprefix(tops[one.source]),
            "photos": one.photos,
        }
        for one in folders
    ]
