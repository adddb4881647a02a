"""Connected places as a library sees them, by a place in memory: what is listed again, renamed, replaced, removed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, BinaryIO

import pytest
from fake_service import jpeg

import facekit as fk
from facekit.errors import PhotoError, RefusedError, SourceError
from facekit.sources import kinds
from facekit.sources.item import Check, Cursor, ItemPage, SourceItem, SourceKind, Tools
from facekit.types.photos import Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path


@dataclass
class Shelf:
    """A place in memory: its items with their bytes, what was fetched, and whether it can be reached."""

    items: dict[str, tuple[SourceItem, bytes]] = field(default_factory=dict)
    fetched: list[str] = field(default_factory=list)
    away: bool = False
    page: int = 1000

    def put(self, key: str, number: int, **facts: object) -> None:
        """A photo; facts are an item's, and change one that is there."""
        item = SourceItem(key, f"v{number}", f"{key[-20:]}.jpg")
        self.items[key] = (replace(item, **facts), jpeg(number, 64, 64))  # type: ignore[arg-type]


SHELVES: dict[str, Shelf] = {}


class ShelfConnector:
    """Talks to a shelf."""

    def __init__(self, settings: Mapping[str, str], tools: Tools) -> None:
        self._shelf, self.whose, self._tools = SHELVES.setdefault(settings["at"], Shelf()), settings["at"], tools

    def _reach(self) -> None:
        if self._shelf.away:
            raise SourceError("The shelf can't be reached.", "Wait.")

    def pages(self, cursor: Cursor | None) -> Iterator[ItemPage]:
        self._reach()
        start = 0 if cursor is None else int(cursor["at"])
        every = [item for item, _ in self._shelf.items.values()]
        while True:
            after = start + self._shelf.page
            last = after >= len(every)
            yield ItemPage(tuple(every[start:after]), {"at": 0 if last else after}, last, begins=start == 0)
            if last:
                return
            start = after

    def gone(self, keys: Sequence[str]) -> set[str]:
        self._reach()
        return set(keys) - self._shelf.items.keys()

    def fetch(self, item: SourceItem, target: BinaryIO, limit: int) -> None:  # noqa: ARG002 - a protocol
        self._reach()
        if item.key not in self._shelf.items:
            raise PhotoError(Status.MISSING, f"{item.name} is gone")
        self._shelf.fetched.append(item.key)
        target.write(self._shelf.items[item.key][1])

    def check(self) -> Iterator[Check]:
        yield Check("reach", works=not self._shelf.away, found="it")

    def revoke(self) -> bool:
        return False


KIND = SourceKind("shelf", "Shelf", (), ShelfConnector, lambda _text: None, {"at": "Which."})


@pytest.fixture(autouse=True)
def shelf(monkeypatch: pytest.MonkeyPatch) -> Shelf:
    """A kind of place more, and one of it."""
    SHELVES.clear()
    monkeypatch.setitem(kinds.kinds(), "shelf", KIND)
    return SHELVES.setdefault("home", Shelf())


@pytest.fixture
def library(tmp_path: Path) -> Iterator[fk.Library]:
    with fk.open(tmp_path / "faces") as opened:
        yield opened


def places(library: fk.Library) -> list[str]:
    return sorted(path for paths in library.photos()["paths"] for path in paths)


def add(library: fk.Library, at: str = "home", **how: object) -> str:
    return library.sources.add("shelf", settings={"at": at}, **how).name  # type: ignore[arg-type]


def test_another_place_can_not_take_the_name_and_so_the_photos_of_one_that_was_removed(
    library: fk.Library, shelf: Shelf
) -> None:
    shelf.put("a", 1)
    shelf.put("b", 2)
    add(library)
    library.sources.sync(progress=False)
    library.sources.remove("shelf", photos="keep")
    SHELVES["other"] = Shelf()
    SHELVES["other"].put("a", 3)
    with pytest.raises(RefusedError, match="known as shelf:/"):
        add(library, "other", name="shelf")
    assert add(library, "other") == "shelf-2"
    library.sources.sync(progress=False)
    assert places(library) == ["shelf-2:/a.jpg", "shelf:/a.jpg", "shelf:/b.jpg"]
    assert set(library.photos()["status"]) == {"no_face"}
    library.remove("shelf:/")
    library.sources.remove("shelf-2", photos="forget")
    assert add(library, "other", name="shelf") == "shelf"
