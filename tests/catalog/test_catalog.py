"""The catalog: replaying is harmless, what is replaced goes, and a crash between catalog and index is seen."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import sqlalchemy as sa

from facekit.catalog import FaceRecord, FileRecord, PhotoRecord
from facekit.catalog.records import FileMove, Within, face_id
from facekit.catalog.rows import FaceRow, PhotoRow
from facekit.catalog.staging import Bound
from facekit.catalog.times import now
from facekit.errors import LibraryBusyError, LibraryError
from facekit.types.arrays import Quality
from facekit.types.photos import FoundFile, PhotoFacts, Status

if TYPE_CHECKING:
    from postgres import Opener

    from facekit.catalog import Catalog

PHOTO_P = face_id("p", "yunet", (0.0, 0.1, 0.2, 0.3))  # the first face of photo("p", ...)
RUN = {"run_id": "r", "detector": "yunet", "embedder": "sface"}


def photo(photo_id: str, faces: int) -> PhotoRecord:
    records = []
    for number in range(faces):
        box = (number / 10, 0.1, 0.2, 0.3)
        vector = np.eye(8, dtype=np.float32)[number]
        quality = Quality(0.9, 50, 100, 1, 2, 3, "too small: 9 px" if number == 2 else None)
        key = face_id(photo_id, "yunet", box)
        records.append(FaceRecord(key, box, np.full((5, 2), 0.5, np.float32), quality, 0.7, vector))
    status = Status.OK if faces else Status.NO_FACE
    return PhotoRecord(photo_id, status, None, 123, PhotoFacts(40, 30, "jpeg"), tuple(records))


def file(path: str | bytes, photo_id: str) -> FileRecord:
    raw = path.encode() if isinstance(path, str) else path
    return FileRecord(FoundFile("local", raw, raw.decode(errors="replace"), 123, 456), photo_id)


def face_ids(catalog: Catalog) -> set[str]:
    return {row.face_id for row in catalog.index_rows()}


def test_saving_the_same_thing_twice_changes_nothing(catalog: Catalog) -> None:
    for _ in range(2):
        catalog.save([photo("p", 3)], [file("/a/1", "p")], **RUN)
    assert catalog.counts() == {
        "photos": {"ok": 1},
        "files": 1,
        "missing_files": 0,
        "faces": 3,
        "usable_faces": 2,
        "indexable_faces": 3,
        "bytes": 123,
    }


def test_a_changed_file_takes_the_old_photo_and_its_faces_with_it(catalog: Catalog) -> None:
    catalog.save([photo("old", 2)], [file("/a/1", "old")], **RUN)
    old = face_ids(catalog)
    change = catalog.save([photo("new", 1)], [file("/a/1", "new")], **RUN)
    assert set(change.faces) == old
    assert change.photos == ["old"]
    assert change.touched == ["new"]
    assert len(face_ids(catalog)) == 1
    assert [row.photo_id for row in catalog.rows(PhotoRow)] == ["new"]


def test_a_changed_copy_leaves_the_photo_to_its_other_path(catalog: Catalog) -> None:
    catalog.save([photo("p", 2)], [file("/a/1", "p"), file("/b/1", "p")], **RUN)
    change = catalog.save([photo("q", 0)], [file("/a/1", "q")], **RUN)
    assert (change.faces, change.photos) == ([], [])
    assert set(change.touched) == {"p", "q"}  # p's first place is another now
    assert {row.folder for row in catalog.index_rows(["p"])} == {"/b/"}


def test_faces_that_are_gone_from_a_photo_leave_the_index(catalog: Catalog) -> None:
    catalog.save([photo("p", 3)], [file("/a/1", "p")], **RUN)
    before = face_ids(catalog)
    change = catalog.save([photo("p", 1)], [file("/a/1", "p")], **RUN)
    assert set(change.faces) == before - face_ids(catalog)
    assert len(change.faces) == 2


def test_a_name_that_is_not_utf8_comes_back_as_it_was(catalog: Catalog) -> None:
    raw = b"/\xd4\xee\xf2\xee/\xff.jpg"
    catalog.save([photo("p", 0)], [file(raw, "p")], **RUN)
    assert set(catalog.file_states("local")) == {raw}
    assert "\ufffd" in catalog.places()["p"][0].display


def test_missing_files_come_after_those_that_are_there_and_can_come_back(catalog: Catalog) -> None:
    catalog.save([photo("p", 1)], [file("/a/1", "p"), file("/b/1", "p")], **RUN)
    assert catalog.mark_missing("local", [b"/a/1"], missing=True).touched == ["p"]
    assert [row.display for row in catalog.places()["p"]] == ["/b/1", "/a/1"]
    assert catalog.counts()["missing_files"] == 1
    catalog.mark_missing("local", [b"/a/1"], missing=False)
    assert [row.display for row in catalog.places()["p"]] == ["/a/1", "/b/1"]


def test_a_folder_is_a_prefix_without_wildcards(catalog: Catalog) -> None:
    catalog.save([photo("p", 1)], [file("/a_b%/1", "p"), file("/z/1", "p")], **RUN)
    catalog.save([photo("q", 1)], [file("/aXbY/1", "q"), file("/z/2", "q")], **RUN)
    assert set(catalog.faces_at_second_places(Within(folders=("/a_b%/",)))) == {
        row.face_id for row in catalog.index_rows(["p"])
    }
    assert catalog.faces_at_second_places(Within(("elsewhere",))) == []


def test_poor_faces_are_kept_apart(catalog: Catalog) -> None:
    catalog.save([photo("p", 3)], [file("/a/1", "p")], **RUN)
    usable, vectors = catalog.embeddings(include_poor=False)
    everything, _ = catalog.embeddings(include_poor=True)
    assert len(usable) == 2
    assert len(everything) == 3
    assert vectors.dtype == np.float32
    assert vectors.shape == (2, 8)


def due(catalog: Catalog) -> set[str]:
    """The faces that the index must look at again; they are struck out."""
    found = catalog.outbox.next(100)
    assert catalog.outbox.balance().due == len({one.face_id for one in found})
    catalog.outbox.strike(found)
    assert catalog.outbox.balance().due == 0
    return {one.face_id for one in found}


def test_every_change_says_which_faces_the_index_must_look_at(catalog: Catalog) -> None:
    assert due(catalog) == set()
    catalog.save([photo("other", 2)], [file("/b/1", "other")], **RUN)
    due(catalog)
    moved = FileMove(b"/a/1", b"/c/1", "/c/1", there=True, now=now(), source="local")
    for change in (
        lambda: catalog.save([photo("p", 1)], [file("/a/1", "p")], **RUN),
        lambda: catalog.save([], [file("/a/2", "p")], **RUN),  # the first place may be another
        lambda: catalog.mark_missing("local", [b"/a/1"], missing=True),
        lambda: catalog.mark_missing("local", [b"/a/1"], missing=False),
        lambda: catalog.relocate("local", [moved], ("/a", "/c")),
        lambda: catalog.remove_files("local", [b"/a/2", b"/c/1"]),
    ):
        before = catalog.faces_by_id([PHOTO_P]).keys()
        change()
        assert due(catalog) == before | catalog.faces_by_id([PHOTO_P]).keys() == {PHOTO_P}


def test_files_move_to_another_source_with_what_is_known_of_them(catalog: Catalog) -> None:
    catalog.save([photo("p", 1), photo("q", 1)], [file("/a/1", "p"), file("/a/2", "q")], **RUN)
    known = FileRecord(FoundFile("family", b"2", "family:/2", 123, 456), "q")  # the other one stays as it is known
    catalog.save([], [known], **RUN)
    moves = [FileMove(f"/a/{n}".encode(), b"%d" % n, f"family:/{n}", n == 1, now(), "family") for n in (1, 2)]
    due(catalog)
    catalog.relocate("local", moves, ("/a", "family:"))
    assert due(catalog) >= {PHOTO_P}
    assert catalog.file_states("local") == {}
    assert {path: (state.photo_id, state.missing) for path, state in catalog.file_states("family").items()} == {
        b"1": ("p", False),
        b"2": ("q", False),
    }
    assert {(row.source, row.folder) for row in catalog.index_rows()} == {("family", "family:/")}
    assert catalog.has_file("family", b"1")


def test_what_is_due_of_a_change_that_came_meanwhile_stays_due(catalog: Catalog) -> None:
    catalog.save([photo("p", 1)], [file("/a/1", "p")], **RUN)
    seen = catalog.outbox.next(100)
    catalog.mark_missing("local", [b"/a/1"], missing=True)
    catalog.outbox.strike(seen)
    assert due(catalog) == {PHOTO_P}


def test_a_failed_write_makes_nothing_due(catalog: Catalog) -> None:
    broken = photo("q", 1)
    with pytest.raises(sa.exc.SQLAlchemyError):
        catalog.save([broken, broken], [file("/a/1", "q")], **RUN)
    assert due(catalog) == set()


def test_a_face_without_a_vector_is_due_only_where_it_had_one(catalog: Catalog) -> None:
    blind = photo("p", 1)
    blind = replace(blind, faces=(replace(blind.faces[0], embedding=None),))
    catalog.save([blind], [file("/a/1", "p")], **RUN)
    assert due(catalog) == set()
    catalog.save([photo("p", 1)], [file("/a/1", "p")], **RUN)
    due(catalog)
    catalog.save([blind], [file("/a/1", "p")], **RUN)
    assert due(catalog) == {PHOTO_P}


def test_a_file_whose_photo_is_not_there_any_more_is_not_written_and_is_said(catalog: Catalog) -> None:
    catalog.save([photo("p", 1)], [file("/a/1", "p")], **RUN)
    catalog.remove_files("local", [b"/a/1"])  # while somebody has read a copy of it, and takes it to be known
    catalog.save([photo("q", 1)], [file("/a/2", "q")], **RUN)
    said: list[FileRecord] = []
    copy, changed = file("/b/1", "p"), file("/a/2", "p")
    new = [copy, file("/b/2", "r"), changed]
    change = catalog.save([photo("r", 1)], new, **RUN, also=lambda _, lost, __: said.extend(lost))
    assert change.lost == said == [copy, changed]
    states = catalog.file_states("local")
    assert {path: state.photo_id for path, state in states.items()} == {b"/a/2": "q", b"/b/2": "r"}


def test_what_else_is_to_be_written_is_written_with_the_photos_or_not_at_all(catalog: Catalog) -> None:
    def refuse(connection: sa.Connection, lost: object, twice: object) -> None:
        raise KeyError

    with pytest.raises(KeyError):
        catalog.save([photo("p", 1)], [file("/a/1", "p")], **RUN, also=refuse)
    assert catalog.counts()["files"] == 0


def test_what_a_run_stores_once_more_is_said(catalog: Catalog) -> None:
    said: list[str] = []
    run, other = RUN, RUN | {"run_id": "another"}
    catalog.save([photo("p", 1)], [file("/a/1", "p")], **run, also=lambda _, __, twice: said.extend(twice))
    catalog.save([photo("p", 1)], [file("/b/1", "p")], **other, also=lambda _, __, twice: said.extend(twice))
    assert said == []
    both = [photo("p", 1), photo("q", 1)]
    catalog.save(both, [file("/c/1", "p")], **other, also=lambda _, __, twice: said.extend(twice))
    assert said == ["p"]


def test_a_failed_write_leaves_nothing_behind(catalog: Catalog) -> None:
    catalog.save([photo("p", 1)], [file("/a/1", "p")], **RUN)
    broken = photo("q", 1)
    doubled = PhotoRecord("q", Status.OK, None, 1, None, (broken.faces[0], broken.faces[0]))
    with pytest.raises(sa.exc.SQLAlchemyError):
        catalog.save([doubled], [file("/a/1", "q")], **RUN)
    assert [row.photo_id for row in catalog.rows(PhotoRow)] == ["p"]
    assert catalog.file_states("local")[b"/a/1"].photo_id == "p"


def test_a_catalog_of_a_newer_facekit_is_refused(catalog_opener: Opener) -> None:
    catalog = catalog_opener()
    with catalog._engine.begin() as connection:
        connection.execute(sa.text("UPDATE meta SET value = '99' WHERE key = 'schema'"))
    catalog.close()
    with pytest.raises(LibraryError, match="newer facekit"):
        catalog_opener()


def test_a_photo_that_came_in_beside_a_change_of_models_keeps_its_faces(catalog: Catalog) -> None:
    models = {"detector": "yunet", "embedder": "arcface"}
    catalog.save([photo("p", 2)], [file("/a/1", "p")], **RUN)
    catalog.staging.begin(models)
    catalog.staging.save([photo("p", 2)], **models)
    catalog.save([photo("q", 1)], [file("/a/2", "q")], **RUN)
    before = face_ids(catalog)
    with pytest.raises(LibraryBusyError, match="1 photos came in"):
        catalog.staging.switch(Bound(models, "other"), {})
    assert (face_ids(catalog), catalog.staging.bound) == (before, None)
    assert catalog.staging.begin(models) == ({"p"}, 0)
    catalog.staging.save([photo("q", 1)], **models)
    catalog.staging.switch(Bound(models, "other"), {})
    assert {row.embedder for row in catalog.rows(FaceRow)} == {"arcface"}
    assert len(catalog.rows(FaceRow)) == 3
    with pytest.raises(LibraryBusyError, match="models of the library were changed"):
        catalog.save([photo("r", 1)], [file("/a/3", "r")], vectors="vectors", **RUN)
    assert len(catalog.rows(FaceRow)) == 3
    catalog.save([photo("r", 1)], [file("/a/3", "r")], run_id="r", vectors="other", **models)
    assert len(catalog.rows(FaceRow)) == 4
