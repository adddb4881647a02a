"""Workers change a library's models together: what one process would make of it, whatever happens meanwhile."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import dying
import other_models
import pytest
import ready
import sqlalchemy as sa
from shared_library import check_consistent

import facekit as fk
from facekit.catalog.batch_tables import batches
from facekit.catalog.batches import Batches, LostClaimError
from facekit.catalog.tables import staged_photos
from facekit.ingest.reembed import Reembed
from facekit.models import registry
from facekit.system.workers import WorkerPool
from facekit.types.work import Kind, Work
from facekit.workers.asking import ingest_in_background, reembed_in_background
from facekit.workers.tasks import Tasks
from facekit.workers.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from facekit.library.local import LocalLibrary
    from facekit.types.work import Claim

SHOTS = 4
PHOTOS = SHOTS + 3  # that hold pictures; one more is broken


@pytest.fixture(scope="module", autouse=True)
def more_models() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, info in other_models.models().items():
            patch.setitem(registry.MODELS, name, info)
        yield


@pytest.fixture(scope="module")
def pool() -> Iterator[WorkerPool]:
    with WorkerPool(1) as pool:
        yield pool


@pytest.fixture
def photos(few_photos: Path, lfw: Path) -> Path:
    """A few photos, of which four show the same person."""
    for shot in sorted((lfw / "Angelina_Jolie").glob("*.jpg"))[:SHOTS]:
        shutil.copy(shot, few_photos)
    return few_photos


@pytest.fixture
def library(shared_library: LocalLibrary, photos: Path, monkeypatch: pytest.MonkeyPatch) -> LocalLibrary:
    """A library of them, on servers, made with yunet; two photos are a batch."""
    monkeypatch.setattr("facekit.workers.tasks.BATCH_FILES", 2)
    shared_library.ingest(photos, progress=False)
    return shared_library


@pytest.fixture
def old(library: LocalLibrary) -> str:
    """The embedder that made it."""
    return library.settings.embedder


@pytest.fixture
def new(old: str) -> str:
    """Another one; turning all vectors changes no angle between them."""
    return "turned" if old == "sface" else "sface"


def found(library: fk.Library, photos: Path) -> list[tuple[str, float]]:
    probe = min(photos.glob("Angelina*"))
    return sorted((hit.face_id, round(hit.similarity, 3)) for hit in library.search(probe))


def newest(library: LocalLibrary) -> Work:
    return library.storage.catalog.work.all()[0]


def check_made_with(library: LocalLibrary, embedder: str) -> None:
    assert library.settings.embedder == embedder
    assert set(library.faces()["embedder"]) == {embedder}
    check_consistent(library)


def work_off(library: LocalLibrary) -> Work:
    Worker(library).run(once=True)
    return newest(library)


class ByHand:
    """A worker whose batches are done one by one."""

    def __init__(self, library: LocalLibrary, pool: WorkerPool) -> None:
        self.library, self.pool = library, pool
        self.batches: Batches = library.storage.catalog.batches("by hand", 1000)

    def claim(self, kind: Kind) -> Claim:
        claim = self.batches.claim()
        assert claim is not None
        assert claim.kind is kind
        return claim

    def do(self, claim: Claim) -> None:
        Tasks(self.library, self.batches, self.pool).do(claim)


@pytest.fixture
def hand(library: LocalLibrary, pool: WorkerPool) -> ByHand:
    return ByHand(library, pool)


def test_there_and_back_by_two_workers(library: LocalLibrary, photos: Path, old: str) -> None:
    library.people.cluster(min_faces=2)
    largest = max(library.people, key=lambda person: person.faces)
    library.people.name(largest, "Angelina")
    named, faces, before = largest.faces, set(library.faces()["face_id"]), found(library, photos)
    for embedder in ("short", old):
        reembed_in_background(library, embedder=embedder)
        workers = [Worker(library, sweep=0.2) for _ in range(2)]
        with ThreadPoolExecutor() as threads:
            counts = list(threads.map(lambda one: one.run(once=True), workers))
        done = newest(library)
        assert (done.state, done.done, done.dead, done.problem) == ("done", PHOTOS, 0, "")
        assert sum(counts) == 1 + (PHOTOS + 1) // 2 + 1  # the listing, the photos two at a time, the switch
        report = fk.ReembedReport.from_dict(done.report)
        assert (report.switched, report.photos, report.matched) == (True, PHOTOS, len(faces))
        assert (report.faces_before, report.faces_after, report.unreadable) == (len(faces), len(faces), [])
        check_made_with(library, embedder)
        assert library.people["Angelina"].faces == named
    assert found(library, photos) == before


def test_meanwhile_the_library_is_searched_and_added_to_as_before(
    library: LocalLibrary, new: str, hand: ByHand, photos: Path, lfw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = found(library, photos)
    assert newest_words(reembed_in_background(library, embedder=new), library).endswith(f"{new} 1")
    hand.do(hand.claim(Kind.SCAN))
    hand.do(hand.claim(Kind.FILES))
    with pytest.raises(fk.LibraryBusyError, match="Workers are changing the library's models to yunet"):
        library.reembed(embedder="short", progress=False)
    with pytest.raises(fk.LibraryBusyError, match="Workers are changing"):
        reembed_in_background(library, embedder="short")
    with library.storage.changing("Something else"), pytest.raises(fk.LibraryBusyError):
        hand.do(claim := hand.claim(Kind.FILES))
    hand.batches.put_back(claim)
    assert found(library, photos) == before
    gone = sorted(photos.glob("Angelina*"))[1]
    *added, late = sorted(lfw.glob("B*/*.jpg"))[:5]
    faces = library.faces()
    faces_gone = set(faces.loc[faces["photo"] == str(gone), "face_id"])
    assert library.remove(gone) == 1
    gone.unlink()
    for shot in added:
        shutil.copy(shot, photos)
    assert library.ingest(photos, progress=False).ingested == len(added)
    monkeypatch.setattr("facekit.workers.model_change._MOST_AT_THE_END", 3)
    while (claim := hand.batches.claim()).kind is Kind.FILES:
        hand.do(claim)
    hand.do(claim)
    assert library.settings.embedder != new, "there are more photos than the end makes itself"
    while (claim := hand.batches.claim()).kind is Kind.FILES:
        hand.do(claim)
    shutil.copy(late, photos)
    ingest_in_background(library, photos, priority=1)  # the last batch makes what comes now
    for kind in (Kind.SCAN, Kind.FILES, Kind.FINISH):
        hand.do(hand.claim(kind))
    left = found(library, photos)
    hand.do(claim)
    done = library.storage.catalog.work.all()[1]
    assert (done.state, done.report["switched"]) == ("done", True)
    check_made_with(library, new)
    assert (
        left == found(library, photos) == [one for one in before if one[0] not in faces_gone]
    )  # turned, no angle changes
    assert len(library.photos()) == PHOTOS + 1 - 1 + len(added) + 1


def newest_words(work_id: str, library: LocalLibrary) -> str:
    work = newest(library)
    assert work.work_id == work_id
    return work.models


def test_a_photo_that_can_not_be_read_holds_the_switch_back_unless_that_is_allowed(
    library: LocalLibrary, old: str, new: str, photos: Path, tmp_path: Path
) -> None:
    gone = photos / "grace.jpg"
    gone.rename(tmp_path / "aside")
    work_id = reembed_in_background(library, embedder=new)
    held = work_off(library)
    assert (held.state, held.done, held.dead) == ("failed", PHOTOS - 1, 1)
    assert "1 photo could not be read" in held.problem
    assert [one["path"] for one in held.report["unreadable"]] == [str(gone)]
    work = library.storage.catalog.work
    dead = {one.kind: one for one in work.dead()}
    assert dead[Kind.FILES].paths == [str(gone)]
    assert "grace.jpg" in dead[Kind.FILES].problem
    check_made_with(library, old)
    (tmp_path / "aside").rename(gone)
    assert work.retry(work_id) == 1
    done = work_off(library)
    assert (done.state, done.done, done.dead, done.report["photos"]) == ("done", PHOTOS, 0, PHOTOS)
    check_made_with(library, new)
    assert work.dead() == []
    gone.rename(tmp_path / "aside")
    reembed_in_background(library, embedder=old, skip_unreadable=True)
    skipped = work_off(library)
    assert (skipped.state, skipped.report["switched"], len(skipped.report["unreadable"])) == ("done", True, 1)
    check_made_with(library, old)
    assert list(library.photos("io_error")["path"]) == [str(gone)]
    library.remove(gone)
    assert skipped.work_id not in {one.work_id for one in work.all()}, "its report names what was removed"
    assert work.dead() == []


def test_a_file_that_holds_another_photo_by_now_is_no_hindrance(
    library: LocalLibrary, new: str, photos: Path, lfw: Path
) -> None:
    (photos / "grace.jpg").unlink()
    reembed_in_background(library, embedder=new)
    assert work_off(library).state == "failed"
    work = library.storage.catalog.work
    (end,) = [one for one in work.dead() if one.kind is Kind.FINISH]
    shutil.copy(min(lfw.glob("C*/*.jpg")), photos / "grace.jpg")
    assert library.ingest(photos, progress=False).ingested == 1
    assert work.retry(end.batch_id) == 1
    done = work_off(library)
    assert (done.state, done.report["switched"], done.report["unreadable"]) == ("done", True, [])
    check_made_with(library, new)


def test_a_machine_that_does_not_see_the_disk_leaves_the_photos_to_others(
    library: LocalLibrary, old: str, new: str, photos: Path, tmp_path: Path
) -> None:
    photos.rename(tmp_path / "away")
    reembed_in_background(library, embedder=new)
    waiting = work_off(library)
    assert (waiting.state, waiting.queued, waiting.dead) == ("queued", PHOTOS, 0)
    assert f"{photos} is not there for" in waiting.problem
    photos.mkdir()  # the place where a disk is not mounted
    assert work_off(library).dead == 0
    photos.rmdir()
    (tmp_path / "away").rename(photos)
    assert work_off(library).state == "done"
    check_made_with(library, new)


def test_cancelled_it_leaves_everything_as_it_was_and_what_is_made_is_kept(
    library: LocalLibrary, old: str, new: str, hand: ByHand, photos: Path
) -> None:
    before = found(library, photos)
    work = library.storage.catalog.work
    cancelled = reembed_in_background(library, embedder=new)
    hand.do(hand.claim(Kind.SCAN))
    hand.do(hand.claim(Kind.FILES))
    running = hand.claim(Kind.FILES)
    assert work.cancel(cancelled) == PHOTOS - 4
    with pytest.raises(fk.LibraryBusyError, match="Workers are changing"):  # one of them still has photos in hand
        reembed_in_background(library, embedder="short")
    hand.do(running)
    assert found(library, photos) == before
    again = reembed_in_background(library, embedder=new)
    hand.do(hand.claim(Kind.FINISH))  # of the cancelled one
    check_made_with(library, old)
    done = {one.work_id: one for one in work.all()}
    assert (done[cancelled].state, done[cancelled].report["switched"]) == ("cancelled", False)
    assert library.search(min(photos.glob("Angelina*")))
    for kind in (Kind.SCAN, *[Kind.FILES] * ((PHOTOS - 4 + 1) // 2)):
        hand.do(hand.claim(kind))
    end = hand.claim(Kind.FINISH)
    work.cancel(again)  # at the last moment
    hand.do(end)
    done = {one.work_id: one for one in work.all()}
    assert (done[again].state, done[again].done, done[again].report["switched"]) == ("cancelled", PHOTOS - 4, False)
    check_made_with(library, old)
    library.remove(min(photos.glob("Angelina*")))
    with library.storage.catalog.transaction() as connection:  # nothing of it is kept there either
        assert connection.scalar(sa.select(sa.func.count()).select_from(staged_photos)) == PHOTOS - 1
    assert library.reembed(embedder=new, progress=False).photos == 0  # all of it was made
    check_made_with(library, new)


def test_who_comes_too_late_does_not_switch(
    library: LocalLibrary, old: str, new: str, hand: ByHand, monkeypatch: pytest.MonkeyPatch
) -> None:
    reembed_in_background(library, embedder=new)
    while (claim := hand.batches.claim()).kind is not Kind.FINISH:
        hand.do(claim)
    matched = Reembed._matched

    def had_by(worker: str) -> None:
        with library.storage.catalog.transaction() as connection:
            connection.execute(sa.update(batches).where(batches.c.kind == Kind.FINISH).values(worker=worker))

    def slow(run: Reembed) -> object:
        had_by("another")
        return matched(run)

    with monkeypatch.context() as patch:
        patch.setattr(Reembed, "_matched", slow)
        with pytest.raises(LostClaimError):
            hand.do(claim)
    check_made_with(library, old)
    had_by("by hand")
    hand.do(claim)
    check_made_with(library, new)


def test_kills_lose_nothing_and_switch_once(library: LocalLibrary, old: str, new: str, photos: Path) -> None:
    before, faces = found(library, photos), set(library.faces()["face_id"])
    reembed_in_background(library, embedder=new)
    for point in ("while faces are made", "in the switch", "after the switch"):
        process = ready.start(dying.change_models, library.folder, point)
        process.join(240)
        assert process.exitcode == -9, point
        if point != "after the switch":
            assert found(library, photos) == before
            assert library.settings.embedder == old
    assert library.settings.embedder == new
    assert found(library, photos) == before
    Worker(library, lease=2, sweep=0.2).run(once=True)
    done = newest(library)
    assert (done.state, done.done, done.dead) == ("done", PHOTOS, 0)
    report = fk.ReembedReport.from_dict(done.report)
    assert (report.switched, report.photos, report.matched, report.alone) == (True, PHOTOS, len(faces), [])
    check_made_with(library, new)
    assert found(library, photos) == before
