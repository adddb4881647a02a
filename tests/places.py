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

from facekit.library.migration import migrate_library
from facekit.storage.servers import Servers, write_servers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import TypeAlias

ALL = ("all",)

SUITES: dict[str, tuple[str, ...]] = {"test_ingest": ALL, "test_library": ALL}
"""What runs on both: all tests of a file, or those that keep what others don't, where the file takes long."""

IN_FOLDER: dict[str, str] = {}
"""Tests of these files that don't, and why."""


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
        """Where `facekit.open` makes a library."""
        folder.mkdir()
        write_servers(folder, Servers(**self._servers()))
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
