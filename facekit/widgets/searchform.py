"""What to search for: similarity, filters, and the result as a file."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import traitlets

from facekit.errors import FacekitError
from facekit.text.spreadsheets import csv_bytes
from facekit.widgets.base import Widget, handler, script, style
from facekit.widgets.places import Places

if TYPE_CHECKING:
    from collections.abc import Callable

    from facekit.library.base import Library
    from facekit.search.hits import Hits

_CHOSEN = ("similarity", "source", "folder", "after", "before", "include_poor", "top_k")


class SearchForm(Places):
    """Threshold, filters, the search button, and export buttons for the hits.

    The form does not search: it calls what `on_search` was given, and is told the result by `show`.

    Parameters
    ----------
    library : Library
        Where the form's folders, sources and the threshold come from.

    Attributes
    ----------
    similarity : float
        The threshold; ``default_similarity`` is the library's.
    source, folder, after, before : str
        The filters, "" where all is wanted; ``before`` is the last day that counts.
    include_poor : bool
        Also faces that are small, blurred or turned away.
    top_k : int
        The most photos to find.
    ready : bool
        Whether there is something to search for.
    found : int
        How many photos the last search found, -1 before the first.
    """

    _esm = script("searchform")
    _css = style("searchform")

    default_similarity = traitlets.Float().tag(sync=True)
    similarity = traitlets.Float().tag(sync=True)
    after = traitlets.Unicode("").tag(sync=True)
    before = traitlets.Unicode("").tag(sync=True)
    include_poor = traitlets.Bool(default_value=False).tag(sync=True)
    top_k = traitlets.Int(50).tag(sync=True)
    ready = traitlets.Bool(default_value=False).tag(sync=True)
    busy = traitlets.Bool(default_value=False).tag(sync=True)
    found = traitlets.Int(-1).tag(sync=True)
    notes = traitlets.List(traitlets.Dict()).tag(sync=True)

    def __init__(self, library: Library, **traits: Any) -> None:  # noqa: ANN401 - whatever a trait takes
        self._library = library
        self._hits: Hits | None = None
        self._callbacks: list[Callable[[], None]] = []
        default = library.search_similarity
        super().__init__(default_similarity=default, **({"similarity": default} | traits))
        self.refresh()
        self.on_msg(self._message)

    def refresh(self) -> None:
        """Read the library's folders and its threshold again; one that somebody chose here stays."""
        default = self._library.search_similarity
        with self.hold_sync():
            if self.similarity == self.default_similarity:
                self.similarity = default
            self.default_similarity = default
            self.read_folders(self._library)

    def on_search(self, callback: Callable[[], None]) -> None:
        """Call this when somebody wants to search."""
        self._callbacks.append(callback)

    def filters(self) -> dict[str, Any]:
        """What was chosen, as the arguments of `Library.search`."""
        return {
            "top_k": self.top_k,
            "min_similarity": self.similarity,
            "source": self.source or None,
            "folder": self.folder or None,
            "after": self.after or None,
            # the search takes photos from before that moment; a person means "up to and with that day"
            "before": _day_after(self.before) if self.before else None,
            "include_poor": self.include_poor,
        }

    def search(self) -> None:
        """Do what the search button does."""
        self.busy = True
        try:
            for callback in self._callbacks:
                callback()
        finally:
            self.busy = False

    def show(self, hits: Hits | None) -> None:
        """Say what was found and offer it as a file; None forgets the last search."""
        self._hits = hits
        with self.hold_sync():
            self.notes = [] if hits is None else _notes(hits)
            self.found = -1 if hits is None else len(hits)

    @handler
    def _message(self, _widget: Widget, content: dict[str, Any], _buffers: list[memoryview]) -> None:
        if content.get("kind") == "search":
            # what was chosen comes along: a front end may hold changed traits back while the kernel is busy
            self.set_state({name: value for name, value in content["values"].items() if name in _CHOSEN})
            self.search()
        elif content.get("kind") == "export":
            self._export(content.get("format"))

    def _export(self, form: object) -> None:
        if self._hits is None:
            message = "There is nothing to export."
            raise FacekitError(message, "Search first.")
        if form == "csv":
            content, kind = csv_bytes(self._hits.to_frame()), "text/csv;charset=utf-8"
        else:
            content, kind = json.dumps(self._hits.to_dict(), ensure_ascii=False, indent=1).encode(), "application/json"
        name = f"facekit-hits.{'csv' if form == 'csv' else 'json'}"
        self.send({"kind": "file", "name": name, "type": kind}, buffers=[content])


def _notes(hits: Hits) -> list[dict[str, Any]]:
    """What to know when reading the result, as keys of texts."""
    notes: list[dict[str, Any]] = []
    if any(probe.quality.reason for probe in hits.probes):
        notes.append({"key": "searchform.poor_probe", "values": {}})
    if hits and len(hits) == hits.top_k:
        notes.append({"key": "searchform.limited", "values": {"count": hits.top_k}})
    return notes


def _day_after(text: str) -> date:
    day = _day(text)
    return day if day == date.max else day + timedelta(days=1)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        message = f"{text!r} is not a date."
        raise FacekitError(message, "Write it as 2019-12-31.") from error
