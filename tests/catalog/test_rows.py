"""Types of rows say what the tables hold: by their columns, and by what comes back."""

from __future__ import annotations

from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

import pytest
import sqlalchemy as sa
from test_catalog import RUN, file, photo

from facekit.catalog import Catalog, people_tables, rows, tables
from facekit.catalog.people import now
from facekit.catalog.rows import FaceRow, FileRow, PhotoRow, RunRow, fetch, select
from facekit.types.people import ClusterRun, Entry, Proposal

if TYPE_CHECKING:
    from collections.abc import Iterable

TABLES = [
    (rows.FileRow, tables.files),
    (rows.PhotoRow, tables.photos),
    (rows.FaceRow, tables.faces),
    (rows.RunRow, tables.runs),
    (rows.MemberRow, people_tables.members),
    (rows.RejectionRow, people_tables.rejections),
    (rows.ClusterRunRow, people_tables.cluster_runs),
    (rows.JournalRow, people_tables.journal),
]


def types_of(kind: type[Any]) -> dict[str, Any]:
    return get_type_hints(kind, vars(rows), {})  # in no class: a field is called "bytes"


def parts(hint: Any) -> set[type]:
    """The plain types that a value of an annotation may have."""
    if get_origin(hint) is Literal:
        return {type(value) for value in get_args(hint)}
    if isinstance(hint, UnionType):
        return {part for one in get_args(hint) for part in parts(one)}
    return {get_origin(hint) or hint}


def check(found: Iterable[Any], kind: type[Any]) -> None:
    """Whether what was read has the types that its fields have."""
    found = list(found)
    assert found
    for row in found:
        assert type(row) is kind
        for name, hint in types_of(kind).items():
            assert isinstance(getattr(row, name), tuple(parts(hint))), (name, getattr(row, name), hint)


@pytest.mark.parametrize(("kind", "table"), TABLES, ids=lambda one: getattr(one, "__name__", str(one)))
def test_fields_have_the_types_of_their_columns(kind: type[Any], table: sa.Table) -> None:
    for name, hint in types_of(kind).items():
        column = table.c[name]
        assert (NoneType in parts(hint)) == column.nullable, name
        stored = column.type.impl_instance if isinstance(column.type, sa.TypeDecorator) else column.type
        if not isinstance(stored, sa.JSON):
            assert parts(hint) - {NoneType} == {stored.python_type}, name


@pytest.mark.parametrize(("kind", "table"), TABLES, ids=lambda one: getattr(one, "__name__", str(one)))
def test_only_what_is_large_is_left_out_of_a_row(kind: type[Any], table: sa.Table) -> None:
    assert set(table.c.keys()) - set(kind._fields) <= {"embedding", "labels"}


def test_rows_come_back_with_the_types_of_their_fields(catalog: Catalog) -> None:
    catalog.save([photo("p", 3), photo("q", 0)], [file(b"/a/\xff", "p"), file("/b/1", "q")], **RUN)
    catalog.mark_missing("local", [b"/b/1"], missing=True)
    catalog.finish_run(catalog.start_run(["/a"], "yunet", "sface", "cpu"), {"new": 2})
    check(catalog.rows(FileRow), FileRow)
    check(catalog.rows(PhotoRow), PhotoRow)
    check(catalog.rows(FaceRow), FaceRow)
    check(catalog.faces_by_id(face_id for face_id in catalog.people.photo_of()).values(), FaceRow)
    check([catalog.last_run()], RunRow)
    assert catalog.rows(FileRow, ["p"])[0].path == b"/a/\xff"
    assert catalog.rows(FaceRow, ["p"])[2].landmarks == [[0.5, 0.5]] * 5


def test_what_is_drawn_comes_with_the_place_to_draw_it_from_first(catalog: Catalog) -> None:
    key = "a" * 32
    catalog.save([photo(key, 3)], [file("/a/long/1", key), file("/b/1", key)], **RUN)
    check(catalog.pages.picture(key), rows.PictureRow)
    assert [row.display for row in catalog.pages.picture(key)] == ["/b/1", "/a/long/1"]
    for face_id, face in catalog.faces_by_id(catalog.people.photo_of()).items():
        check(catalog.pages.face_picture(face_id), rows.FacePictureRow)
        assert [rows.box_of(row) for row in catalog.pages.face_picture(face_id)] == [rows.box_of(face)] * 2
        assert catalog.pages.face(face_id).box == rows.box_of(face)
        assert catalog.pages.face(face_id).quality == rows.quality_of(face)


def test_rows_about_people_come_back_as_they_were_put(catalog: Catalog) -> None:
    catalog.save([photo("p", 2)], [file("/a/1", "p")], **RUN)
    first, second = sorted(catalog.people.photo_of())
    run = ClusterRun("r" * 32, "average", {"eps": 0.5}, "yunet", 2, 1, 1, ("two names",), 0.25, now(), "proposed")
    with catalog.people.work("new", "ann") as work:
        person = {"person_id": "a" * 32, "name": "Ann", "cover": None, "hidden": False, "created_at": now()}
        work.put(people_tables.persons, [person])
        work.put(people_tables.members, [{"face_id": first, "person_id": "a" * 32, "origin": "user", "run_id": None}])
        work.put(people_tables.rejections, [{"face_id": second, "person_id": "a" * 32}])
        work.words = "somebody new"
    catalog.people.add_run(run, Proposal({first: 0}, {}))
    assert catalog.people.runs() == [run]
    check(catalog.people.members(), rows.MembershipRow)
    assert [(one.face_id, one.photo_id) for one in catalog.people.members(["a" * 32])] == [(first, "p")]
    assert [(one.name, one.faces, one.settled) for one in catalog.people.all().values()] == [("Ann", 1, True)]
    (entry,) = catalog.people.entries(5)
    assert entry == Entry(1, entry.at, "ann", "new", "somebody new", undone=False, faces=2)
    assert (catalog.people.undo(None, "ben"), catalog.people.members()) == (2, [])


def test_columns_that_are_no_fields_are_refused(catalog: Catalog) -> None:
    with catalog._engine.connect() as connection:
        assert fetch(connection, select(FileRow, tables.files), FileRow) == []
        for columns in ([tables.files.c.path], [tables.files.c[name] for name in reversed(FileRow._fields)]):
            with pytest.raises(TypeError, match="FileRow has the fields"):
                fetch(connection, sa.select(*columns), FileRow)
