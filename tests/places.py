"""Where a test's libraries are: each in a folder of its own, or on servers, where its folder leads.

The tests of `SUITES` that take the fixture `places`, or one that is made of it, run on both.
"""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
import sqlalchemy as sa

import facekit as fk
from facekit.library.migration import migrate_library
from facekit.storage.shared import Shared

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import TypeAlias

    from facekit.library.local import LocalLibrary

ALL = ("all",)

SUITES: dict[str, tuple[str, ...]] = {
    "test_ingest": ALL,
    "test_kill": ALL,
    "test_library": ALL,
    "test_people_files": (
        "test_names_come_back_from_what_was_written",
        "test_what_has_not_changed_is_not_written_again",
        "test_a_name_that_is_known_takes_the_faces",
        "test_a_split_stays_though_the_sidecars_said_otherwise",
    ),
    "test_meanwhile": (
        "test_what_is_said_while_faces_are_assigned_counts",
        "test_photos_that_come_while_faces_are_assigned_are_due",
    ),
    "test_people_library": ALL,
    "test_people_state": ALL,
    "test_reembed": (
        "test_there_and_back_again_loses_no_photo_and_no_face",
        "test_searches_see_the_old_faces_or_the_new_ones_and_never_fail",
        "test_what_is_done_before_a_stop_is_not_done_again",
        "test_nothing_else_changes_the_library_meanwhile",
        "test_photos_that_can_not_be_read_may_be_left_without_faces",
        "test_ctrl_c_does_not_cut_the_switch_in_two",
        "test_a_kill_leaves_all_old_or_all_new",
    ),
    "test_service": (
        "test_a_role_may_do_what_it_is_for_and_no_more",
        "test_a_search_answers_with_the_document_of_the_command_line",
        "test_pictures_are_asked_for_by_id_and_may_be_kept_by_the_browser",
        "test_what_was_removed_is_gone_for_a_browser_that_kept_it_too",
        "test_a_viewer_sees_no_path_of_the_machine",
        "test_an_ingest_is_a_job_that_can_be_watched",
        "test_jobs_wait_their_turn_and_can_be_cancelled",
        "test_a_job_that_can_not_be_written_down_ends_and_the_next_one_runs",
        "test_any_request_that_the_document_allows_is_answered",
    ),
}
"""What runs on both: all tests of a file, or those that keep what others don't, where the file takes long."""

IN_FOLDER: dict[str, str] = {}
"""Tests of these files that don't, and why."""


def check_one_index(library: LocalLibrary) -> None:
    """No vectors of other models lie about."""
    backend, name = library._storage.backend, library._storage.models.now.name
    if not isinstance(backend, Shared):
        assert [path.name for path in library.folder.glob("vectors*")] == [name]
        return
    from pymilvus import MilvusClient

    client = MilvusClient(backend._index_address)
    wanted = backend._collection(name)
    mine = wanted[: wanted.index("_vectors")]
    assert [one for one in client.list_collections() if one.startswith(mine)] == [wanted]
    client.close()


class Folders:
    """Libraries in their folders."""

    on_servers = False

    def new(self, folder: Path) -> Path:
        """Where `facekit.open` makes a library."""
        return folder

    def copy(self, library: Path, folder: Path) -> Path:
        """Make a library that is the same as a closed one in its folder."""
        return shutil.copytree(library, folder)


FOLDERS = Folders()


class OnServers:
    """Libraries on a PostgreSQL and a Milvus server.

    It takes Milvus four seconds to make a collection. So libraries that are gone leave theirs, emptied, to the next.
    """

    on_servers = True

    def __init__(self, catalog: str, index: str) -> None:
        from pymilvus import MilvusClient

        self._catalog, self._index = sa.create_engine(catalog), index
        self._address = re.sub(r":[^:@/]*@", "@", catalog)  # without the password: the server asks nobody for one
        self._milvus = MilvusClient(index)
        self._used: list[str] = []
        self._free: list[str] = []

    def new(self, folder: Path) -> Path:
        """The folder of a new library, with the usual models."""
        fk.open(folder, **self._servers()).close()
        return folder

    def copy(self, library: Path, folder: Path) -> Path:
        """Make a library that is the same as a closed one in its folder."""
        migrate_library(library, folder, **self._servers(), progress=False)
        return folder

    def _servers(self) -> dict[str, str]:
        name = self._free.pop() if self._free else f"p{uuid4().hex[:12]}"
        self._used.append(name)
        return {"catalog": f"{self._address}?library={name}", "index": self._index}

    def empty(self) -> None:
        """Take all libraries away."""
        collections = self._milvus.list_collections()
        while self._used:
            name = self._used.pop()
            with self._catalog.begin() as connection:
                connection.execute(sa.schema.DropSchema(f"facekit_{name}", cascade=True, if_exists=True))
            for collection in collections:
                if collection == f"facekit_{name}_vectors":
                    self._milvus.delete(collection, filter='face_id != ""')
                    self._free.append(name)
                elif collection.startswith(f"facekit_{name}_"):
                    self._milvus.drop_collection(collection)

    def close(self) -> None:
        """Leave nothing on the servers."""
        self.empty()
        for name in self._free:
            self._milvus.drop_collection(f"facekit_{name}_vectors")
        self._milvus.close()
        self._catalog.dispose()


if TYPE_CHECKING:
    Places: TypeAlias = Folders | OnServers


@pytest.fixture(scope="session")
def on_servers(postgres_url: str, milvus_url: str) -> Iterator[OnServers]:
    """Servers for libraries, see `places`."""
    servers = OnServers(postgres_url, milvus_url)
    yield servers
    servers.close()


@pytest.fixture
def places(request: pytest.FixtureRequest) -> Iterator[Places]:
    """Makes the libraries of a test: in folders, and on servers where the test is of one of `SUITES`."""
    if getattr(request, "param", "embedded") == "embedded":
        yield FOLDERS
        return
    servers: OnServers = request.getfixturevalue("on_servers")
    yield servers
    servers.empty()


def choose_places(metafunc: pytest.Metafunc) -> None:
    """Let a test run on both, if it is one of those."""
    test = metafunc.function.__name__
    chosen = SUITES.get(metafunc.module.__name__.rpartition(".")[2], ())
    if "places" in metafunc.fixturenames and test not in IN_FOLDER and (chosen == ALL or test in chosen):
        metafunc.parametrize("places", ["embedded", "shared"], indirect=True)
