"""People all over the library: in searches and tables, and through ingests, edits, other models and accidents."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from threading import Barrier, Thread
from typing import TYPE_CHECKING

import other_models
import pandas as pd
import PIL.Image
import pytest
import sqlalchemy as sa
from family import face, faces, state, whose

import facekit as fk
from facekit.catalog.migrations import SCHEMA
from facekit.catalog.people_tables import members
from facekit.catalog.tables import metadata
from facekit.errors import LibraryBusyError, RefusedError, UnknownIdError
from facekit.ingest.report import IngestReport
from facekit.library.local import LocalLibrary
from facekit.models import registry

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from family import Family

    from facekit.people.base import People

ALL_LATER = ("lagos6.jpg", "lagos7.jpg", "wolf6.jpg", "lopez4.jpg")


@pytest.fixture
def library(grouped_library: LocalLibrary) -> LocalLibrary:
    """Ricardo, Paul and Jennifer have their names."""
    for name, photo in (("Ricardo", "lagos1.jpg"), ("Paul", "wolf1.jpg"), ("Jennifer", "lopez1.jpg")):
        tables = grouped_library._storage.catalog.people
        grouped_library.people.name(tables.owners()[face(grouped_library, photo)], name)
    return grouped_library


@pytest.fixture
def people(library: LocalLibrary) -> People:
    return library.people


@pytest.fixture
def more_models(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, info in other_models.models().items():
        monkeypatch.setitem(registry.MODELS, name, info)


def names(frame: pd.DataFrame, column: str = "path") -> set[str]:
    return {path.rpartition("/")[2] for path in frame[column]}


# -- searches, tables, files -------------------------------------------------------------------------------------


def test_hits_say_who_it_is_and_can_be_of_photos_of_somebody(library: LocalLibrary, family: Family) -> None:
    probe = family.later / "lagos6.jpg"
    hits = library.search(probe)
    assert {hit.person for hit in hits} == {"Ricardo"}
    assert {hit.person_id for hit in hits} == {library.people.get("Ricardo").person_id}
    beside = library.search(probe, person="paul")
    assert [hit.photo.rpartition("/")[2] for hit in beside] == ["together.png"]
    assert [hit.person for hit in beside] == ["Ricardo"]  # the face that was found; Paul is beside it
    assert len(library.search(probe, person="Jennifer")) == 0
    with pytest.raises(UnknownIdError):
        library.search(probe, person="Nobody")


def test_photos_are_listed_by_who_is_on_them(library: LocalLibrary, people: People, family: Family) -> None:
    assert names(library.photos(person="Paul")) == {*(f"wolf{n}.jpg" for n in range(1, 5)), "together.png"}
    assert names(library.photos(person="Ricardo", together_with="Paul")) == {"together.png"}
    assert names(library.photos(person=people["Ricardo"], together_with=["Paul", people["Ricardo"]])) == {
        "together.png"
    }
    assert names(library.photos(together_with=["Paul", "Jennifer"])) == set()
    source = library.photos()["source"].iloc[0]
    assert len(library.photos(person="Paul", source=source)) == 5
    with pytest.raises(RefusedError, match="elsewhere"):
        library.photos(person="Paul", source="elsewhere")
    assert len(library.photos(person="Paul", year=2019)) == 0
    page = library.photo_page(person="Paul", limit=2)
    assert (page.total, len(page.photos)) == (5, 2)
    with PIL.Image.open(family.later / "wolf6.jpg") as image:
        exif = image.getexif()
        exif.get_ifd(0x8769)[0x9003] = "2019:05:04 12:00:00"
        image.save(family.photos / "dated.jpg", exif=exif, quality=95)
    library.ingest(family.photos, progress=False)
    assert names(library.photos(person="Paul", year=2019)) == {"dated.jpg"}


def test_faces_bear_names_on_every_page(library: LocalLibrary) -> None:
    photos = {photo.path.rpartition("/")[2]: photo for photo in library.photo_page().photos}
    assert sorted(str(one.person) for one in photos["together.png"].faces) == ["None", "None", "Paul", "Ricardo"]
    paul = library.people.hide("Paul")
    shown = library.photo(photos["wolf1.jpg"].photo_id).faces
    assert [(one.person, one.person_id) for one in shown] == [("Paul", paul.person_id)]
    assert {one.person for one in library.face_page().faces} == {"Ricardo", "Paul", "Jennifer", None}
    page = library.people.faces("Paul", limit=2)
    assert (page.total, len(page.members), len(page.photos)) == (5, 2, 2)
    assert page.members[0].similarity >= page.members[1].similarity > 0.8
    assert library.stats()["people"] == library.stats()["named_people"] == 3


@pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
def test_people_are_exported(library: LocalLibrary, tmp_path: Path, kind: str) -> None:
    path = library.export("people", tmp_path / f"people.{kind}")
    frame = getattr(pd, f"read_{kind}")(path)
    assert list(frame.columns) == ["face_id", "photo", "person_id", "person", "run", "similarity_to_centre"]
    assert frame["person"].value_counts().to_dict() == {"Paul": 5, "Ricardo": 5, "Jennifer": 3}
    assert set(frame["run"]) == {library.people.runs()[0].run_id}
    assert frame["similarity_to_centre"].between(0.7, 1).all()
    with fk.open(tmp_path / "empty") as empty:
        assert empty.export("people", tmp_path / f"none.{kind}").exists()
        assert len(empty.people.to_frame()) == len(empty.people) == 0
        assert (empty.people.review(), empty.people.conflicts(), empty.people.duplicates()) == ((), (), ())
        assert empty.people.cluster().people == 0


# -- new photos --------------------------------------------------------------------------------------------------


def test_new_photos_go_to_whom_they_clearly_resemble(library: LocalLibrary, family: Family) -> None:
    family.bring(*ALL_LATER)
    report = library.ingest(family.photos, progress=False)
    assert report.assigned == 4
    assert "4 faces are people that the library knows" in repr(report)
    assert report.to_dict().keys() == IngestReport().to_dict().keys()
    assert "assigned" not in report.to_dict()
    found = whose(library)
    assert {"lagos6.jpg", "lagos7.jpg"} <= found["Ricardo"]
    assert "wolf6.jpg" in found["Paul"]
    assert "lopez4.jpg" in found["Jennifer"]
    library.people.undo(library.people.journal()[0].number)
    assert "lopez4.jpg" not in whose(library)["Jennifer"]


def test_who_might_be_two_waits_and_is_asked_about(library: LocalLibrary, people: People, family: Family) -> None:
    people.split("Ricardo", faces(library, "lagos2.jpg", "lagos3.jpg"), "Twin")
    family.bring("lagos6.jpg")
    report = library.ingest(family.photos, progress=False)
    new = face(library, "lagos6.jpg")
    frame = people.to_frame()
    assert (report.assigned, new in set(frame["face_id"])) == (0, False)
    (asked,) = [one for one in people.review() if one.kind == "face"]
    assert asked.face is not None
    assert (asked.face.face_id, asked.photo.rpartition("/")[2]) == (new, "lagos6.jpg")
    assert {one.person.name for one in asked.candidates} == {"Ricardo", "Twin"}
    people.not_this_person(new, asked.candidates[0].person)
    people.assign()
    assert whose(library).get(str(asked.candidates[1].person.name), set()) >= {"lagos6.jpg"}


def test_a_face_that_was_refused_is_never_given_back(library: LocalLibrary, people: People, family: Family) -> None:
    family.bring("lagos6.jpg")
    library.ingest(family.photos, progress=False)
    people.not_this_person(face(library, "lagos6.jpg"))
    for _ in range(2):
        library.remove(family.photos / "lagos6.jpg")
        assert library.ingest(family.photos, progress=False).assigned == 0
    people.cluster()
    assert "lagos6.jpg" not in whose(library)["Ricardo"]


def test_a_photo_that_shows_somebody_twice(library: LocalLibrary, people: People, family: Family) -> None:
    family.bring("twice.png")
    assert library.ingest(family.photos, progress=False).assigned == 1
    assert people.assign().assigned == 0
    people.cluster()
    assert people["Ricardo"].faces == 6
    photo = next(one for one in library.photo_page().photos if one.path.endswith("twice.png"))
    people.allow_twice(photo.photo_id)
    assert people.assign().assigned == 1
    assert (people["Ricardo"].faces, people["Ricardo"].photos) == (7, 6)
    people.undo(people.journal()[0].number)
    people.cluster()
    assert people["Ricardo"].faces == 7
    assert people.conflicts() == ()


# -- files that change -------------------------------------------------------------------------------------------


def edit(
    path: Path, *, to: Path | None = None, box: tuple[int, int, int, int] | None = None, grey: bool = False
) -> None:
    with PIL.Image.open(path) as image:
        changed = (image.crop(box) if box else image).convert("L" if grey else "RGB")
    changed.save(to or path, quality=60)
    os.utime(to or path, (1_700_000_000, 1_700_000_000))


def test_an_edited_photo_keeps_all_that_was_said_of_it(library: LocalLibrary, people: People, family: Family) -> None:
    paul, photo = people["Paul"].person_id, library.photo_page().photos
    people.move(face(library, "lopez1.jpg"), "Paul")
    people.not_this_person(faces(library, "lagos1.jpg"))
    together = next(one.photo_id for one in photo if one.path.endswith("together.png"))
    people.allow_twice(together)
    people.cover("Paul", face(library, "lopez1.jpg"))
    before = whose(library)
    for name in ("lopez1.jpg", "lagos1.jpg"):
        edit(family.photos / name, box=(20, 20, 240, 245))
    with PIL.Image.open(family.photos / "together.png") as image:
        image.crop((10, 10, 490, 250)).save(family.photos / "together.png")
    run = people.cluster(accept=False)
    report = library.ingest(family.photos, progress=False)
    assert report.ingested == 3
    assert whose(library) == before
    assert people["Paul"].cover == face(library, "lopez1.jpg")
    assert whose(library)["Paul"] >= {"lopez1.jpg"}
    assert "lagos1.jpg" not in whose(library)["Ricardo"]
    here = {one.path.rpartition("/")[2]: one.photo_id for one in library.photo_page().photos}
    assert here["together.png"] in people._tables.allowed_twice()
    people.accept(run)  # which knew the faces by other ids
    assert {name: photos for name, photos in whose(library).items() if name in before} == before
    moved = next(one.number for one in people.journal() if one.verb == "move")
    people.undo(next(one.number for one in people.journal() if one.verb == "cover"))
    people.undo(moved)
    assert people._tables.owners()[face(library, "lopez1.jpg")] != paul


def test_an_original_that_is_kept_beside_its_edit(
    library: LocalLibrary, people: People, family: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facekit.ingest.run._STORE_SECONDS", 0)  # each is stored by itself
    monkeypatch.setattr("facekit.ingest.pipeline._BATCH_PHOTOS", 1)
    old = face(library, "lopez1.jpg")
    people.move(old, "Paul")
    people.not_this_person(old, "Jennifer")
    shutil.copy2(family.photos / "lopez1.jpg", family.photos / "original.jpg")
    edit(family.photos / "lopez1.jpg", grey=True)
    library.ingest(family.photos, progress=False)
    assert face(library, "original.jpg") == old != face(library, "lopez1.jpg")
    assert whose(library)["Paul"] >= {"original.jpg", "lopez1.jpg"}
    said = people.constraints()
    refused = said[said["kind"] == "is_not"]
    assert set(refused["face_id"]) == {old, face(library, "lopez1.jpg")}
    people.undo(people.journal()[0].number)  # the edited photo is nobody's again, the original still Paul's
    assert "original.jpg" in whose(library)["Paul"]
    assert "lopez1.jpg" not in whose(library)["Paul"]


def test_what_was_said_before_an_edit_is_undone_of_the_edited_photo(
    library: LocalLibrary, people: People, family: Family
) -> None:
    people.new(face(library, "lopez1.jpg"), "Twin")
    said = people.journal()[0].number
    kept = shutil.copy2(family.photos / "lopez1.jpg", family.later / "kept.jpg")
    edit(family.photos / "lopez1.jpg", grey=True)
    library.ingest(family.photos, progress=False)
    assert whose(library)["Twin"] == {"lopez1.jpg"}
    shutil.move(kept, family.photos / "restored.jpg")  # the old photo comes back, and its face is another matter
    library.ingest(family.photos, progress=False)
    people.move(face(library, "restored.jpg"), "Paul")
    people.undo()
    people.move(face(library, "restored.jpg"), "Ricardo")
    people.undo(said)
    assert whose(library)["Jennifer"] >= {"lopez1.jpg"}
    assert "restored.jpg" in whose(library)["Ricardo"]


def test_two_copies_edited_in_two_ways_are_both_whose_they_were(
    library: LocalLibrary, people: People, family: Family
) -> None:
    shutil.copy2(family.photos / "lopez1.jpg", family.photos / "the other.jpg")
    library.ingest(family.photos, progress=False)
    people.move(face(library, "lopez1.jpg"), "Paul")
    edit(family.photos / "lopez1.jpg", box=(20, 20, 240, 245))
    edit(family.photos / "the other.jpg", grey=True)
    library.ingest(family.photos, progress=False)
    assert whose(library)["Paul"] >= {"lopez1.jpg", "the other.jpg"}
    assert {"lopez1.jpg", "the other.jpg"}.isdisjoint(whose(library)["Jennifer"])


def test_photos_that_are_numbered_anew_stay_whose_they_are(
    library: LocalLibrary, people: People, family: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facekit.ingest.run._STORE_SECONDS", 0)  # each is stored by itself
    monkeypatch.setattr("facekit.ingest.pipeline._BATCH_PHOTOS", 1)
    people.move(face(library, "lagos2.jpg"), "Jennifer")
    for number in (4, 3, 2, 1):
        (family.photos / f"lagos{number}.jpg").rename(family.photos / f"lagos{number + 1}.jpg")
    progress: list[tuple[int, int]] = []
    report = library.ingest(family.photos, progress=lambda done, total: progress.append((done, total)))
    assert progress[-1] == (4, 4)
    assert report.found == report.ingested + report.unchanged + report.duplicates == 12
    assert len(library.photos("ok")) == 12
    assert whose(library)["Ricardo"] == {"lagos2.jpg", "lagos4.jpg", "lagos5.jpg", "together.png"}
    assert "lagos3.jpg" in whose(library)["Jennifer"]
    assert library.ingest(family.photos, progress=False).unchanged == 12


def test_a_moved_file_is_still_of_the_same_people(library: LocalLibrary, people: People, family: Family) -> None:
    before = state(library)[0]
    (family.photos / "wolf1.jpg").rename(family.photos / "elsewhere.jpg")
    library.ingest(family.photos, progress=False)
    assert state(library)[0] == before
    assert "elsewhere.jpg" in whose(library)["Paul"]


# -- other models ------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("more_models")
def test_people_are_carried_to_other_models_and_back(library: LocalLibrary, people: People) -> None:
    people.not_this_person(faces(library, "lagos1.jpg"))
    people.move(face(library, "together.png", 1), "Jennifer")
    moved = people.journal()[0].number
    people.cover("Paul", face(library, "wolf3.jpg"))
    proposal = people.cluster("dbscan", accept=False)
    before = whose(library)
    counts = [(one.name, one.faces) for one in people]
    for detector, embedder in (("fine", "turned"), ("yunet", "turned"), ("yunet", "sface")):
        library.reembed(detector, embedder, progress=False)
        assert whose(library) == before
        assert people["Paul"].cover == face(library, "wolf3.jpg")
        assert [(one.name, one.faces) for one in people] == counts
        undone = people.undo(moved)
        assert "together.png" not in whose(library)["Jennifer"]
        people.undo(undone.number)
        moved = people.journal()[0].number
        assert whose(library) == before
    people.accept(proposal)
    assert {name: found for name, found in whose(library).items() if name in before} == before


@pytest.mark.usefixtures("more_models")
def test_faces_that_other_models_do_not_find_wait_for_those_that_do(library: LocalLibrary, people: People) -> None:
    before = whose(library)
    report = library.reembed("choosy", progress=False)  # of together.png it takes one face
    assert report.unmatched_old > 0
    lost = [name for name in ("Paul", "Ricardo") if "together.png" not in whose(library)[name]]
    assert len(lost) == 1
    people.cluster()
    people.merge(lost[0], "Jennifer")
    library.reembed("yunet", progress=False)
    assert "together.png" in whose(library)[lost[0]]
    people.undo()
    assert whose(library) == before


# -- accidents ---------------------------------------------------------------------------------------------------


def test_a_library_made_before_there_were_people_is_opened(family: Family, tmp_path: Path) -> None:
    with family.opened(tmp_path / "old") as library, library._storage.catalog._engine.begin() as connection:
        for table in metadata.sorted_tables:
            if table.name in {*NEW_TABLES}:
                table.drop(connection)
        connection.execute(sa.text("UPDATE meta SET value = '1' WHERE key = 'schema'"))
    with fk.open(tmp_path / "old") as library:
        assert isinstance(library, LocalLibrary)
        assert len(library.people) == 0
        assert library.people.cluster().people == 3
        with library._storage.catalog._engine.connect() as connection:
            assert connection.scalar(sa.text("SELECT value FROM meta WHERE key = 'schema'")) == str(SCHEMA.version)
    assert SCHEMA.version > 1  # a facekit of before refuses it: it would change models without carrying people over


NEW_TABLES = ["persons", "members", "rejections", "differences", "allowed_twice", "cluster_runs", "people_journal"]
NEW_TABLES += ["face_aliases"]

# Dies in the middle of taking a run over: what it changed is written, but not yet for good.
DIE = """
import os, sys
import facekit as fk
from facekit.catalog.journal import UnitOfWork
with fk.open(sys.argv[1]) as library:
    run = library.people.runs()[0]
    UnitOfWork.write_down = lambda self, at: os.kill(os.getpid(), 9)
    library.people.accept(run)
"""


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows")
def test_a_kill_while_a_run_is_accepted_leaves_all_or_nothing(library: LocalLibrary, people: People) -> None:
    run = people.cluster("kmeans", people=2, accept=False)
    before = state(library)
    library.close()
    done = subprocess.run([sys.executable, "-c", DIE, library.folder], check=False, capture_output=True, timeout=120)
    assert done.returncode == -9
    with fk.open(library.folder) as again:
        assert isinstance(again, LocalLibrary)
        assert state(again) == before
        assert again.people.accept(run.run_id).state == "accepted"


def look_at_all(people: People) -> None:
    people.review()
    people.duplicates()
    people.conflicts()
    people.constraints()
    assert people.to_frame()["face_id"].is_unique
    for one in people:
        people.faces(one)
        people.quality(one)


def many_times(work: Callable[[], object], times: int, start: Barrier, wrong: list[BaseException]) -> None:
    start.wait()
    for _ in range(times):
        try:
            work()
        except (LibraryBusyError, UnknownIdError):  # a clustering beside an ingest; somebody who is no more
            pass
        except BaseException as error:  # noqa: BLE001 - that is what is looked for
            if "can't be undone" not in str(error):
                wrong.append(error)


def test_many_at_once_see_and_leave_whole_people(library: LocalLibrary, people: People, family: Family) -> None:
    family.bring(*ALL_LATER)
    mine = faces(library, "wolf1.jpg", "wolf2.jpg")

    def comes_and_goes() -> None:
        library.ingest(family.photos, progress=False)
        library.remove(family.photos / "lagos7.jpg")

    works: list[tuple[Callable[[], object], int]] = [
        (lambda: people.new(mine[0]), 12),
        (lambda: people.move(mine, "Paul"), 12),
        (lambda: (people.hide("Ricardo"), people.undo()), 8),
        (lambda: look_at_all(people), 5),
        (people.cluster, 4),
        (comes_and_goes, 1),
    ]
    wrong: list[BaseException] = []
    start = Barrier(len(works))
    threads = [Thread(target=many_times, args=(*work, start, wrong)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert {one.name for one in people._tables.all().values() if one.name} == {"Ricardo", "Paul", "Jennifer"}
    numbers = [one.number for one in people.journal(1000)]
    assert numbers == list(range(len(numbers), 0, -1))
    with library._storage.catalog._engine.connect() as connection:
        owners = connection.execute(sa.select(members.c.person_id)).scalars().all()
    assert set(owners) <= people._tables.person_ids()
    assert len(people.cluster().to_dict()) == 7
