"""Connected places as a library sees them, by a place in memory: what is listed again, renamed, replaced, removed."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, BinaryIO

import other_models
import pytest
from fake_service import jpeg
from statements import statements

import facekit as fk
from facekit.errors import FacekitError, LibraryError, PhotoError, RefusedError, SourceError
from facekit.models import registry
from facekit.sources import kinds
from facekit.sources.item import Check, Cursor, ItemPage, SourceItem, SourceKind, Tools
from facekit.sources.signing_in import vault
from facekit.storage.job_rows import Names
from facekit.types.photos import Status
from facekit.types.sources import SyncReport

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path


@dataclass
class Shelf:
    """A place in memory: its items with their bytes, what was fetched, and whether it can be reached."""

    items: dict[str, tuple[SourceItem, bytes]] = field(default_factory=dict)
    fetched: list[str] = field(default_factory=list)
    away: bool = False
    asked: int = 0
    unreadable: set[str] = field(default_factory=set)
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
        self._shelf.asked += self._shelf.away
        if self._shelf.away:
            message = "The shelf can't be reached."
            raise SourceError(message, "Wait.")

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

    def fetch(self, item: SourceItem, target: BinaryIO, limit: int) -> None:
        self._reach()
        if item.key not in self._shelf.items:
            raise PhotoError(Status.MISSING, f"{item.name} is gone")
        if item.key in self._shelf.unreadable:
            raise PhotoError(Status.IO_ERROR, f"{item.name} is locked")
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


def test_names_that_no_database_can_hold_cost_their_own_photo_at_most(library: fk.Library, shelf: Shelf) -> None:
    shelf.put("a", 1, name="a\0\ud83d.jpg", album="/x\0//../ y /.", link="https://x/\ud83d")
    shelf.put("b\0", 2)
    shelf.put("c\ud83d", 3)
    shelf.put("d" * 5000, 4, name="d" * 5000 + ".jpg")
    add(library)
    [done] = library.sources.sync(progress=False).places
    assert (done.found, done.ingested, done.problem) == (2, 2, None)
    assert dict(done.left_out) == {"unnamable": 2}
    assert places(library)[1] == "shelf:/x/_/y/_/a?.jpg"
    assert library.photos()["link"].dropna().tolist() == ["https://x/?"]


def test_models_can_be_changed_while_a_place_is_away_and_its_photos_are_named(
    library: fk.Library, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, info in other_models.models().items():
        monkeypatch.setitem(registry.MODELS, name, info)
    for number in range(6):
        shelf.put(f"{number}", number)
    add(library)
    add(library, "here", name="kept")
    SHELVES["here"].put("a", 7)
    library.sources.sync(progress=False)
    shutil.rmtree(library.folder / "originals")
    shelf.away = True
    report = library.reembed(embedder="short", progress=False)
    assert not report.switched
    assert [one.path for one in report.unreadable] == [f"shelf:/{number}.jpg" for number in range(6)]
    assert "can't be reached" in report.unreadable[0].reason
    assert shelf.asked <= 3, "it is not asked for each photo, which would be minutes of waits each"
    shelf.away = False
    library.close()
    with fk.open(library.folder) as again:
        assert again.reembed(embedder="short", progress=False).switched


def test_what_is_called_otherwise_there_is_called_so_here_and_not_fetched_again(
    library: fk.Library, shelf: Shelf
) -> None:
    shelf.put("a", 1, album="Old", link="https://x/1")
    shelf.put("b", 2, album="Old")
    add(library)
    library.sources.sync(progress=False)
    shelf.put("a", 1, album="New", name="n.jpg", link="https://x/2")
    [done] = library.sources.sync(progress=False).places
    assert (done.new, sorted(shelf.fetched)) == (0, ["a", "b"])
    assert places(library) == ["shelf:/New/n.jpg", "shelf:/Old/b.jpg"]
    [photo] = library.photo_page(album="New").photos
    assert (photo.path, photo.album, photo.link) == ("shelf:/New/n.jpg", "New", "https://x/2")
    assert library.remove("shelf:/New") == 1


def test_what_was_disconnected_leaves_no_address_behind(library: fk.Library, shelf: Shelf) -> None:
    secret = "known-to-few"
    SHELVES[secret] = shelf
    shelf.put(f"key-{secret}", 1, name=f"name-{secret}.jpg", album=f"album-{secret}", link=f"https://x/{secret}")
    add(library, secret)
    library.sources.sync(progress=False)
    library.sources.remove("shelf", photos="forget")
    library.close()
    holding = [path for path in library.folder.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
    assert holding == []


def test_a_place_whose_token_is_lost_can_be_disconnected(library: fk.Library) -> None:
    add(library, token="t")
    (library.folder / vault.FILE).write_text("damaged")
    library.sources.remove("shelf")
    assert list(library.sources.list()) == []


def test_what_is_known_is_asked_of_the_catalog_for_many_at_once(library: fk.Library, shelf: Shelf) -> None:
    for number in range(40):
        shelf.put(f"{number:02}", number % 4, content=f"sha256:{number % 4}", size=100)
    add(library)
    with statements() as asked:
        [dry] = library.sources.sync(dry_run=True, progress=False).places
    assert (dry.new, dry.bytes) == (40, 400)
    assert len(asked) < 25
    library.sources.sync(progress=False)
    assert len(shelf.fetched) == 4
    add(library, name="twin")
    [dry] = library.sources.sync("twin", dry_run=True, progress=False).places
    assert (dry.new, dry.bytes) == (40, 0)
    library.sources.sync("twin", progress=False)
    assert len(shelf.fetched) == 4


def test_a_mount_that_got_the_name_of_a_place_takes_nothing_from_it(
    library: fk.Library, shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.put("a", 1)
    shelf.put("x.jpg", 2)
    add(library, name="family")
    library.sources.sync(progress=False)
    library.close()
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "x.jpg").write_bytes(jpeg(3))
    monkeypatch.setenv("FACEKIT_MOUNTS", f"family={tmp_path / 'disk'}")
    with fk.open(library.folder) as again:
        with pytest.raises(LibraryError, match="connected place and of a mount"):
            again.ingest(tmp_path / "disk", progress=False)
        assert set(again.photos()["status"]) == {"no_face"}
        again.sources.sync(progress=False)
        assert places(again) == ["family:/a.jpg", "family:/x.jpg.jpg"]


def test_what_was_fetched_before_a_sync_had_to_stop_is_in_the_library(library: fk.Library, shelf: Shelf) -> None:
    for number in range(6):
        shelf.put(f"{number}", number, size=len(jpeg(number, 64, 64)))
    add(library)
    most = sum(len(jpeg(number, 64, 64)) for number in range(3))
    [done] = library.sources.sync(most_bytes=most, progress=False).places
    assert "of at most" in str(done.problem)
    assert (done.fetched, done.ingested) == (3, 3)
    assert len(places(library)) == 3
    [done] = library.sources.sync(progress=False).places
    assert (done.problem, done.fetched, done.ingested, len(shelf.fetched)) == (None, 3, 3, 6)


def test_a_name_that_two_photos_have_forgets_neither_and_an_id_forgets_one(library: fk.Library, shelf: Shelf) -> None:
    for number in range(3):
        shelf.put(f"{number}", number, name="IMG.jpg" if number else "other.jpg", album="A")
    add(library)
    library.sources.sync(progress=False)
    with pytest.raises(FacekitError, match="2 photos are called shelf:/A/IMG"):
        library.remove("shelf:/A/IMG.jpg")
    photos = library.photos()
    assert library.remove(photos.loc[photos["path"] == "shelf:/A/IMG.jpg", "photo_id"].iloc[0]) == 1
    assert places(library) == ["shelf:/A/IMG.jpg", "shelf:/A/other.jpg"]
    assert library.remove("shelf:/A") == 2


@pytest.mark.parametrize(
    ("verb", "given", "how"),
    [
        ("add", (5,), {}),
        ("add", ("vk",), {"settings": "owner=1"}),
        ("add", ("vk",), {"settings": {5: "1"}}),
        ("add", ("vk",), {"settings": {"owner": "1"}, "token": 12345}),
        ("sync", (["home"],), {}),
        ("sync", ("home",), {"album": 5}),
        ("sync", ("home",), {"album": " / "}),
        ("sync", ("home",), {"most_bytes": "5GB"}),
        ("sync", ("home",), {"most_bytes": -1}),
        ("sync", ("home",), {"since": 5}),
    ],
)
def test_what_is_no_argument_is_refused_before_anything_happens(
    library: fk.Library, verb: str, given: tuple[object, ...], how: dict[str, object]
) -> None:
    add(library)
    with pytest.raises(RefusedError) as refused:
        getattr(library.sources, verb)(*given, **how)
    assert refused.value.remedy
    assert "12345" not in str(refused.value)
    assert library.sources.list()[0].state == "new"


def test_what_failed_is_named_so_that_it_is_forgotten_with_its_photo(library: fk.Library, shelf: Shelf) -> None:
    shelf.put("a", 1, name="secret.jpg", album="A")
    shelf.put("b", 2, name="other.jpg", album="B")
    shelf.unreadable |= {"a", "b"}
    add(library)
    [done] = library.sources.sync(progress=False).places
    assert done.failed == ("shelf:/A/secret.jpg: secret.jpg is locked", "shelf:/B/other.jpg: other.jpg is locked")
    report = SyncReport((done,)).to_dict()
    assert "secret.jpg" not in repr(Names(["shelf:/A/secret.jpg"]).without(report))
    assert Names(["shelf:/A/secret2.jpg"]).without(report) == report
