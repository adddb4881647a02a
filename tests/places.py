"""Where a test's libraries are: each in a folder of its own, or on servers, where its folder leads.

The tests of the files in `SUITES` take the fixture `places`, or one that is made of it, and run on both.
"""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
import sqlalchemy as sa
from postgres import without_password

import facekit as fk
from facekit.index.opening import index_names
from facekit.library.migration import migrate_library
from facekit.storage.servers import INDEX_IN_CATALOG
from facekit.storage.settings import FILE
from facekit.storage.shared import Shared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import TypeAlias

    from facekit.library.local import LocalLibrary

PGVECTOR, MILVUS = "pgvector", "milvus"
"""The servers of a test's library: PostgreSQL that also has the vectors, or PostgreSQL and Milvus."""

SUITES = {
    "test_ingest": MILVUS,
    "test_kill": MILVUS,
    "test_library": MILVUS,
    "test_meanwhile": PGVECTOR,
    "test_people": PGVECTOR,
    "test_people_files": PGVECTOR,
    "test_people_library": PGVECTOR,
    "test_people_service": PGVECTOR,
    "test_people_state": PGVECTOR,
    "test_reembed": PGVECTOR,
    "test_service": PGVECTOR,
    "test_source_filters": PGVECTOR,
}
"""The files whose tests run on both, and on which servers: pgvector where the index is not what they are about."""

ON_MILVUS = {
    "test_reembed": {
        "test_there_and_back_again_loses_no_photo_and_no_face",
        "test_searches_see_the_old_faces_or_the_new_ones_and_never_fail",
        "test_what_is_done_before_a_stop_is_not_done_again",
        "test_nothing_else_changes_the_library_meanwhile",
        "test_photos_that_can_not_be_read_may_be_left_without_faces",
        "test_ctrl_c_does_not_cut_the_switch_in_two",
        "test_an_index_that_a_kill_left_goes_with_the_next_change",
    },
}
"""Tests of the others that are about it: how one takes the place of another."""

IN_FOLDER = {
    "test_library": {
        "test_a_second_process_is_told_at_once_who_has_the_library": "any number of processes have one on servers",
        "test_a_damaged_settings_file_says_so": "is about what such a file says of a library in its folder",
        "test_a_folder_of_something_else_is_left_alone": "is about a folder that was named without servers",
        "test_the_date_of_a_library_stays_and_what_is_no_date_is_left_out": "is about the file that a catalog replaces",
        "test_a_damaged_vector_index_is_rebuilt_from_the_catalog": "is about Milvus Lite's files",
        "test_a_damaged_catalog_is_an_error_that_names_it": "is about DuckDB's file",
    },
    "test_people_files": {
        "test_a_name_becomes_a_folder_on_any_system": "is about a name alone",
        "test_no_name_leads_out_of_the_folder": "is about a name alone",
        "test_two_people_never_share_a_folder": "is about names alone",
    },
    "test_people_library": {
        "test_a_library_made_before_there_were_people_is_opened": "was in a folder: servers came later",
    },
    "test_reembed": {
        "test_a_document_holds_the_first_of_very_many_faces_and_their_number": "is about a report alone",
        "test_a_database_of_jobs_from_before_there_were_kinds_opens": "was in a folder: servers came later",
        "test_a_notebook_follows_the_service_that_does_it": "on servers a notebook opens the library itself",
        "test_a_killed_service_goes_on_where_it_was": "on servers another one takes its job: test_shared_jobs.py",
    },
    "test_source_filters": {
        "test_only_pages_over_https_or_of_a_named_service_are_linked": "is about links alone",
        "test_the_command_line_chooses_by_source_and_album": "is about the command line",
        "test_hits_link_to_their_pages_and_nowhere_else": "is about pages",
        "test_tables_name_album_and_link": "is about files",
        "test_what_a_sync_brings_is_chosen_by_album_and_links_to_its_page": "is about what a sync writes",
        "test_a_viewer_of_a_service_sees_albums_and_chooses_by_them": "is about what a service shows",
        "test_a_service_and_its_client_choose_alike": "is about what travels",
    },
    "test_service": {
        "test_a_picture_of_a_large_photo_takes_no_memory_here": "is about drawing alone, and takes seconds to do so",
    },
}
"""Tests of these files that don't run on servers, and why."""


def check_one_index(library: LocalLibrary) -> None:
    """No vectors of other models lie about."""
    backend, name = library._storage.backend, library._storage.models.now.name
    if not isinstance(backend, Shared):
        assert [path.name for path in library.folder.glob("vectors*")] == [name]
        return
    wanted = backend._collection(name)
    mine = wanted[: wanted.index("_vectors")]
    there = index_names(backend._address_of(), **backend._index_options)
    assert [one for one in there if one.startswith(mine)] == [wanted]


class Folders:
    """Libraries in their folders."""

    on_servers = False

    def options(self) -> dict[str, str]:
        """What `facekit.open` makes a library with."""
        return {}

    def new(self, folder: Path) -> Path:
        """Where `facekit.open` makes a library."""
        return folder

    def copy(self, library: Path, folder: Path) -> Path:
        """Make a library that is the same as a closed one in its folder."""
        return shutil.copytree(library, folder)


FOLDERS = Folders()


class OnServers:
    """Libraries on servers.

    The first copy of a library is migrated; PostgreSQL itself copies that one for the next, and a new library likewise.
    It takes Milvus seconds to make a collection, so libraries that are gone leave theirs, emptied, to the next; that of
    a copy is filled when it is opened.
    """

    on_servers = True

    def __init__(self, catalog: str, milvus: str | None, folder: Path) -> None:
        from pymilvus import MilvusClient

        self._catalog = sa.create_engine(sa.make_url(catalog).set(drivername="postgresql+psycopg"))
        self._address = without_password(catalog)
        self._index = milvus or INDEX_IN_CATALOG
        self._milvus = MilvusClient(milvus) if milvus else None
        self._folder = folder
        self._made: dict[Path | None, str] = {}
        self._used: list[str] = []
        self._free: list[str] = []

    def new(self, folder: Path) -> Path:
        """The folder of a new library, with the usual models."""
        return self._make(None, folder, lambda servers: fk.open(folder, **servers).close())

    def copy(self, library: Path, folder: Path) -> Path:
        """Make a library that is the same as a closed one in its folder, which does not change any more."""
        return self._make(library, folder, lambda to: migrate_library(library, folder, **to, progress=False))

    def options(self) -> dict[str, str]:
        """What `facekit.open` makes a library with."""
        return self._servers(self._name())

    def _make(self, library: Path | None, folder: Path, make: Callable[[dict[str, str]], object]) -> Path:
        name, kept = self._name(), self._made.get(library)
        if kept is None:
            make(self._servers(name))
            kept = self._made[library] = f"k{uuid4().hex[:12]}"
            self._copy(f"facekit_{name}", name, folder, f"kept_{kept}", kept, self._folder / kept)
        else:
            self._copy(f"kept_{kept}", kept, self._folder / kept, f"facekit_{name}", name, folder)
        return folder

    def _copy(self, schema: str, name: str, source: Path, target: str, new: str, folder: Path) -> None:
        shutil.copytree(source, folder, ignore=shutil.ignore_patterns("logs"))
        settings = folder / FILE
        settings.write_text(settings.read_text(encoding="utf-8").replace(name, new), encoding="utf-8")
        with self._catalog.begin() as connection:
            connection.execute(sa.schema.CreateSchema(target))
            for table in sa.inspect(connection).get_table_names(schema):
                copied = f"{target}.{table.replace(name, new)}"
                connection.exec_driver_sql(f"CREATE TABLE {copied} (LIKE {schema}.{table} INCLUDING ALL)")
                connection.exec_driver_sql(f"INSERT INTO {copied} SELECT * FROM {schema}.{table}")
            said = sa.table("meta", sa.column("key"), sa.column("value"), schema=target)
            document = connection.scalar(sa.select(said.c.value).where(said.c.key == "library"))
            document = document.replace(json.dumps(str(source)), json.dumps(str(folder))).replace(name, new)
            connection.execute(sa.update(said).where(said.c.key == "library").values(value=document))

    def _name(self) -> str:
        self._used.append(self._free.pop() if self._free else f"p{uuid4().hex[:12]}")
        return self._used[-1]

    def _servers(self, name: str) -> dict[str, str]:
        return {"catalog": f"{self._address}?library={name}", "index": self._index}

    def _drop(self, schema: str) -> None:
        with self._catalog.begin() as connection:
            connection.execute(sa.schema.DropSchema(schema, cascade=True, if_exists=True))

    def empty(self) -> None:
        """Take all libraries away."""
        collections = self._milvus.list_collections() if self._milvus else []
        while self._used:
            name = self._used.pop()
            self._drop(f"facekit_{name}")
            for collection in collections:
                if collection == f"facekit_{name}_vectors":
                    self._milvus.delete(collection, filter='face_id != ""')
                    self._free.append(name)
                elif collection.startswith(f"facekit_{name}_"):
                    self._milvus.drop_collection(collection)

    def close(self) -> None:
        """Leave nothing on the servers."""
        self.empty()
        for name in self._made.values():
            self._drop(f"kept_{name}")
        if self._milvus:
            for name in self._free:
                self._milvus.drop_collection(f"facekit_{name}_vectors")
            self._milvus.close()
        self._catalog.dispose()


if TYPE_CHECKING:
    Places: TypeAlias = Folders | OnServers


@pytest.fixture(scope="session")
def on_milvus(postgres_url: str, milvus_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnServers]:
    """Servers for libraries, see `places`."""
    with closing(OnServers(postgres_url, milvus_url, tmp_path_factory.mktemp("on_milvus"))) as servers:
        yield servers


@pytest.fixture(scope="session")
def on_pgvector(pgvector_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnServers]:
    """One server for libraries, see `places`."""
    with closing(OnServers(pgvector_url, None, tmp_path_factory.mktemp("on_pgvector"))) as servers:
        yield servers


@pytest.fixture
def places(request: pytest.FixtureRequest) -> Iterator[Places]:
    """Makes the libraries of a test: in folders, and on servers where the test is of one of `SUITES`."""
    where = getattr(request, "param", "embedded")
    if where == "embedded":
        yield FOLDERS
        return
    servers: OnServers = request.getfixturevalue(f"on_{where}")
    yield servers
    servers.empty()


def choose_places(metafunc: pytest.Metafunc) -> None:
    """Let a test run on both, if it is of one of those files; there, each does, or a reason is given."""
    module, test = metafunc.module.__name__.rpartition(".")[2], metafunc.function.__name__
    if module not in SUITES:
        return
    alone, on_milvus = IN_FOLDER.get(module, {}), ON_MILVUS.get(module, set())
    if unknown := [name for name in (*alone, *on_milvus) if not hasattr(metafunc.module, name)]:
        pytest.fail(f"places.py names tests that {module} has not: {', '.join(unknown)}", pytrace=False)
    if test in alone:
        return
    if "places" not in metafunc.fixturenames:
        pytest.fail(f"{test} runs in folders only: take `places`, or say why in places.IN_FOLDER", pytrace=False)
    servers = MILVUS if test in on_milvus else SUITES[module]
    metafunc.parametrize("places", ["embedded", servers], indirect=True)
