"""A catalog on a PostgreSQL server: what others write is seen, what can't be kept is refused, and it may be away."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from old_catalogs import take_back_to_schema_4
from postgres import Server
from test_catalog import RUN, file, photo

from facekit.catalog import Catalog, PhotoRecord
from facekit.catalog.migrations import SCHEMA
from facekit.catalog.people_tables import members, persons
from facekit.catalog.records import EVERYWHERE, Within
from facekit.catalog.rows import PhotoRow
from facekit.catalog.staging import Bound
from facekit.catalog.tables import staged_faces, staged_photos
from facekit.catalog.times import now
from facekit.errors import LibraryBusyError, LibraryError, RefusedError, UnknownIdError
from facekit.people.corrections import change, find
from facekit.storage.face_arrays import FacesInMemory
from facekit.types.photos import PhotoFacts, Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    Both = tuple[Catalog, Catalog]

MODELS = {"detector": "yunet", "embedder": "arcface"}


@pytest.fixture
def both(postgres_url: str, postgres_schema: str) -> Iterator[Both]:
    """One catalog, opened twice: each has its own connections, as two processes have."""
    opened = tuple(Catalog(postgres_url, schema=postgres_schema) for _ in range(2))
    yield opened[0], opened[1]
    for catalog in opened:
        catalog.close()


def add_person(catalog: Catalog, name: str, face: str | None = None) -> None:
    with catalog.people.work("new", name) as work:
        key = f"{len(catalog.people.person_ids()):032x}"
        work.put(persons, [{"person_id": key, "name": name, "cover": None, "hidden": False, "created_at": now()}])
        if face:
            work.put(members, [{"face_id": face, "person_id": key, "origin": "user", "run_id": None}])
        work.words = name


def waits(catalog: Catalog) -> bool:
    """Whether anybody waits for a lock in the catalog's schema or database."""
    with catalog._engine.connect() as connection:
        return bool(connection.scalar(sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")))


def test_libraries_in_two_schemas_know_nothing_of_each_other(both: Both, postgres_url: str) -> None:
    one, _ = both
    one.save([photo("p", 1)], [file("/a/1", "p")], **RUN)
    other = Catalog(postgres_url, schema=f"{one._engine.schema}_2")
    try:
        assert other.rows(PhotoRow) == []
    finally:
        with other._engine.begin() as connection:
            connection.execute(sa.schema.DropSchema(f"{one._engine.schema}_2", cascade=True))
        other.close()


def test_what_is_read_together_is_of_one_moment(both: Both) -> None:
    one, other = both
    with one.people.reading():
        assert one.people.counts()["people"] == 0
        add_person(other, "Ann")
        assert one.people.counts()["people"] == 0
    assert one.people.counts()["people"] == 1


def test_verbs_have_one_order(both: Both) -> None:
    one, other = both
    with one.people.work("new", "ann") as work:
        second = threading.Thread(target=add_person, args=(other, "second"))
        second.start()
        while second.is_alive() and not waits(one):
            second.join(0.01)
        assert one.people.counts()["people"] == 0  # the other's is not there yet
        row = {"person_id": "f" * 32, "name": "first", "cover": None, "hidden": False, "created_at": now()}
        work.put(persons, [row])
        work.words = "first"
    second.join()
    assert [(entry.number, entry.words) for entry in one.people.entries(9)] == [(2, "second"), (1, "first")]


def test_what_others_change_is_read_again_and_nothing_else(both: Both) -> None:
    one, other = both
    one.save([photo("p", 1)], [file("/a/1", "p")], **RUN)
    faces = FacesInMemory(one.people)
    first = faces.arrays()
    assert faces.arrays() is first
    other.mark_missing("local", [b"/a/1"], missing=True)
    assert faces.arrays() is first
    other.save([photo("q", 1)], [file("/a/2", "q")], **RUN)
    second = faces.arrays()
    assert sorted(second.photo_ids) == ["p", "q"]
    assert second.owners == [None, None]
    add_person(other, "Ann", second.face_ids[1])
    third = faces.arrays()
    assert third.owners == [None, third.people[0]]
    assert third.vectors is second.vectors  # only whose they are was read again
    with one.people.work("new", "ann"):  # a verb sees what others wrote since it began
        other.save([photo("r", 1)], [file("/a/3", "r")], **RUN)
        assert len(faces.arrays()) == 3


def test_several_processes_collect_what_other_models_make(both: Both) -> None:
    one, other = both
    one.save([photo("p", 1), photo("q", 1)], [file("/a/1", "p"), file("/a/2", "q")], **RUN)
    assert one.staging.begin(MODELS) == (set(), 0)
    assert other.staging.begin(MODELS) == (set(), 0)
    for staging in (one.staging, other.staging, one.staging):
        staging.save([photo("p", 2)], detector="yunet", embedder="arcface")
    other.staging.save([photo("q", 1)], detector="yunet", embedder="arcface")
    with one._engine.connect() as connection:
        assert sorted(connection.scalars(sa.select(staged_photos.c.photo_id))) == ["p", "q"]
        assert sorted(connection.scalars(sa.select(staged_faces.c.photo_id))) == ["p", "p", "q"]
    other.staging.begin(MODELS | {"embedder": "sface"})
    with pytest.raises(LibraryBusyError, match="Another process"):
        one.staging.save([photo("q", 1)], detector="yunet", embedder="arcface")
    other.staging.save([photo("q", 3)], detector="yunet", embedder="sface")
    other.staging.switch(Bound(MODELS, "vectors"), {"p": "away"})
    assert len(one.people.photo_of()) == 3


# -- versions ----------------------------------------------------------------------------------------------------


def set_version(catalog: Catalog, version: int) -> None:
    engine = catalog._engine._engine
    with engine.begin() as connection:
        connection.execute(sa.text(f"UPDATE meta SET value = '{version}' WHERE key = 'schema'"))


def test_an_older_catalog_is_upgraded_by_hand_only(both: Both, postgres_url: str, postgres_schema: str) -> None:
    one, _ = both
    one.save([photo("p", 1)], [file("/a/1", "p")], **RUN)
    with one._engine._engine.begin() as connection:
        take_back_to_schema_4(connection)
    with pytest.raises(LibraryError, match=r"An older facekit made the catalog postgresql://"):
        Catalog(postgres_url, schema=postgres_schema)
    upgraded = Catalog(postgres_url, schema=postgres_schema, upgrade=True)
    assert upgraded.upgraded
    assert upgraded.counts()["faces"] == 1
    upgraded.close()
    Catalog(postgres_url, schema=postgres_schema).close()


def test_a_process_that_is_older_than_the_catalog_writes_no_more(both: Both) -> None:
    one, other = both
    one.save([photo("p", 1)], [file("/a/1", "p")], **RUN)
    set_version(other, SCHEMA.version + 1)
    with pytest.raises(LibraryError, match="A newer facekit wrote"):
        one.save([photo("q", 1)], [file("/a/2", "q")], **RUN)
    assert [row.photo_id for row in one.rows(PhotoRow)] == ["p"]


def test_nothing_is_made_by_upgrading_what_is_not_there(postgres_url: str, postgres_schema: str) -> None:
    with pytest.raises(LibraryError, match="nothing to upgrade"):
        Catalog(postgres_url, schema=postgres_schema, upgrade=True)
    engine = sa.create_engine(postgres_url)
    assert postgres_schema not in sa.inspect(engine).get_schema_names()
    engine.dispose()


# -- text --------------------------------------------------------------------------------------------------------


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=8) | st.sampled_from(["a\0b", "\0", "Я\0", "%_\\"]))
def test_no_text_is_too_much(catalog: Catalog, text: str) -> None:
    people, pages = catalog.people, catalog.pages
    people.page(hidden=False, named=None, text=text, offset=0, limit=5)
    pages.photos(None, Within((text,), (text + "/",)), 0, 5)
    assert catalog.has_photos(text + "/") is False
    assert catalog.people.named(text) is None
    assert people.whose([text]) == catalog.faces_by_id([text]) == catalog.places([text]) == {}
    with pytest.raises(UnknownIdError):
        find(people, text or "?")
    broken = PhotoRecord("p" * 32, Status.IO_ERROR, text, 1, PhotoFacts(1, 1, "jpeg", camera=text))
    catalog.save([broken], [file("/a/1", "p" * 32)], **RUN)
    (row,) = catalog.rows(PhotoRow, ["p" * 32])
    assert row.reason == row.camera
    assert row.reason in {text, text.replace("\0", "\ufffd")}
    catalog.finish_run(catalog.start_run([text], "yunet", "sface", text), {"failed": [{"path": text, "status": "x"}]})


def test_a_name_with_a_nul_is_refused(catalog: Catalog) -> None:
    add_person(catalog, "Ann")
    with pytest.raises(RefusedError), catalog.people.work("name", "") as work:
        change(catalog.people, work, "Ann", {"name": "A\0nn"})
    assert catalog.people.find("Ann").name == "Ann"


def test_files_come_in_one_order_and_small_letters_are_known(catalog: Catalog) -> None:
    names = ["/b/Z", "/b/a", "/B/z", "/b/я", "/b/é", "/b/-a"]
    for number, name in enumerate(names):
        catalog.save([photo(f"{number}", 0)], [file(name, f"{number}")], **RUN)
    assert [one.path for one in catalog.pages.photos(None, EVERYWHERE, 0, 60).photos] == sorted(names)
    add_person(catalog, "Яна")
    assert catalog.people.find("яНА").name == "Яна"


# -- servers that are not as they should be ----------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "said"), [("'UTF8' LOCALE 'C'", "letters of all"), ("'LATIN1' LOCALE 'C'", "LATIN1")])
def test_a_database_that_does_not_know_all_letters_is_refused(postgres_url: str, kind: str, said: str) -> None:
    name = f"plain_{uuid4().hex}"
    engine = sa.create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING {kind}"))
        try:
            with pytest.raises(LibraryError, match=said) as caught:
                Catalog(sa.make_url(postgres_url).set(database=name).render_as_string(hide_password=False))
            assert "LOCALE 'C.UTF-8'" in caught.value.remedy
        finally:
            connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()


def test_a_server_that_is_away_is_said_in_one_line_and_used_again(postgres_url: str) -> None:
    server = Server()
    try:
        catalog = Catalog(server.url, schema="family")
        catalog.save([photo("p", 1)], [file("/a/1", "p")], **RUN)
        server.kill()
        for call in (catalog.counts, lambda: Catalog(server.url, schema="family"), lambda: add_person(catalog, "Ann")):
            with pytest.raises(LibraryError, match=f"127.0.0.1:{server.port}/postgres") as caught:
                call()
            assert "secret" not in str(caught.value)
            assert "\n" not in str(caught.value)
        server.start()
        assert catalog.counts()["photos"] == {"ok": 1}
        add_person(catalog, "Ann")
        assert catalog.people.find("Ann").name == "Ann"
        catalog.close()
    finally:
        server.remove()
