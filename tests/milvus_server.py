"""A Milvus server for the tests: a private one for the whole session, and a collection of its own for each test.

FACEKIT_TEST_MILVUS_SERVER names the program `milvus-server` of the package milvus, which wants setuptools below 80 and
therefore a virtual environment of its own, where it is not on the path; FACEKIT_TEST_MILVUS names the address of a
server that runs already.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.request import urlopen
from uuid import uuid4

import psutil
import pytest
from postgres import free_port, shared_server

from facekit.index import drop_index

if TYPE_CHECKING:
    from collections.abc import Iterator

_PORTS = (
    *(
        "proxy_port",
        "proxy_internal_port",
        "root_coord_port",
        "query_coord_port",
        "query_node_port",
        "index_coord_port",
    ),
    *("index_node_port", "data_coord_port", "data_node_port", "etcd_port"),
)

# The package's own start takes another port where one is not free yet, and leaves Milvus behind when it is killed.
_PREPARE = """
import json, sys
from milvus import MilvusServerConfig
folder, ports = sys.argv[1], json.loads(sys.argv[2])
MilvusServerConfig(data_dir=folder).resolve_storage()
config = MilvusServerConfig(data_dir=folder, **ports)
for name, port in ports.items():
    config.set(name, port)
config.resolve()
"""

_UNPACK = "import sys, milvus; milvus._initialize_data_files(sys.argv[1])"

# Run by a process that ends at once: some tests look at all that the tests' own process has started.
_START = """
import subprocess, sys
log = open("server.log", "ab")
command = ["bin/milvus", "run", "standalone"]
print(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True).pid)
"""

# In ms. A search that misses nothing waits for the next tick; the others are how long it takes to make a collection.
_HURRY = {
    "PROXY_TIMETICKINTERVAL": "100",  # instead of 200; 50 take a third more of a core all the time
    "QUERYCOORD_CHECKCHANNELINTERVAL": "100",  # of 1000
    "QUERYCOORD_CHECKSEGMENTINTERVAL": "100",  # of 1000
    "QUERYCOORD_DISTPULLINTERVAL": "100",  # of 500
}

_ETCD = """
name: default
listen-client-urls: http://127.0.0.1:{client}
advertise-client-urls: http://127.0.0.1:{client}
listen-peer-urls: http://127.0.0.1:{peer}
initial-advertise-peer-urls: http://127.0.0.1:{peer}
initial-cluster: default=http://127.0.0.1:{peer}
"""


def program() -> str | None:
    """The path of `milvus-server`, or None."""
    return shutil.which(os.environ.get("FACEKIT_TEST_MILVUS_SERVER", "milvus-server"))


class Programs:
    """What the package milvus brings, unpacked once for all servers of a session: that takes five seconds of a core."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="facekit-milvus-programs-"))
        run_packaged(_UNPACK, self.folder)

    def remove(self) -> None:
        """Remove them."""
        shutil.rmtree(self.folder, ignore_errors=True)


def run_packaged(code: str, *arguments: str | Path) -> None:
    """Run Python where the package milvus is."""
    found = program()
    assert found is not None
    subprocess.run([Path(found).with_name("python"), "-c", code, *arguments], check=True)


class Milvus:
    """A private Milvus in a temporary folder, on ports of its own.

    Parameters
    ----------
    programs : Programs, optional
        Those that other servers use, too; they are to be there until it is gone. It unpacks its own without them.
    """

    def __init__(self, programs: Programs | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="facekit-milvus-"))
        if programs is None:
            run_packaged(_UNPACK, self.folder)
        else:
            (self.folder / "bin").symlink_to(programs.folder / "bin")
        ports = {name: free_port() for name in _PORTS}
        run_packaged(_PREPARE, self.folder, json.dumps(ports))
        (self.folder / "etcd.yaml").write_text(_ETCD.format(client=ports["etcd_port"], peer=free_port()))
        self.url = f"http://127.0.0.1:{ports['proxy_port']}"
        self._health = free_port()
        self.start()

    def start(self) -> None:
        """Run, until it is well. It sometimes dies when it starts, of two threads that set up its configuration."""
        environment = {
            **os.environ,
            "COMMON_SESSION_TTL": "5",  # seconds after which what was killed is taken for dead
            "DEPLOY_MODE": "STANDALONE",
            "ETCD_CONFIG_PATH": str(self.folder / "etcd.yaml"),
            "LD_LIBRARY_PATH": str(self.folder / "bin"),
            "METRICS_PORT": str(self._health),
            **_HURRY,
        }
        for _ in range(5):
            started = [sys.executable, "-c", _START]
            printed = subprocess.run(started, cwd=self.folder, env=environment, check=True, capture_output=True).stdout
            self._process = int(printed)
            until = time.monotonic() + 180
            while self._runs() and time.monotonic() < until:
                if self._well():
                    return
                time.sleep(0.2)
            self.kill()
        pytest.fail(f"Milvus does not start, see {self.folder / 'server.log'}")

    def _runs(self) -> bool:
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(self._process).status() != psutil.STATUS_ZOMBIE
        return False

    def _well(self) -> bool:
        with suppress(URLError, OSError), urlopen(f"http://127.0.0.1:{self._health}/healthz", timeout=5) as answer:
            return b"OK" in answer.read()
        return False

    def kill(self) -> None:
        """End it as a power cut would."""
        with suppress(ProcessLookupError):
            os.kill(self._process, signal.SIGKILL)
        while self._runs():
            time.sleep(0.01)

    def remove(self) -> None:
        """End it, and remove all that it wrote."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture(scope="session")
def milvus_programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Programs]:
    """For `Milvus`; with pytest-xdist, all processes have the same ones, and the last one removes them."""
    from conftest import need  # which imports this module

    need(program(), "milvus-server: pip install milvus 'setuptools<80', in an environment of its own")
    with shared_server(tmp_path_factory, "milvus-programs", Programs) as programs:
        yield programs


@pytest.fixture(scope="session")
def milvus_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Milvus; with pytest-xdist, all processes have the same one, and the last one ends it."""
    if named := os.environ.get("FACEKIT_TEST_MILVUS"):
        yield named
        return
    programs = request.getfixturevalue("milvus_programs")
    with shared_server(tmp_path_factory, "milvus", lambda: Milvus(programs)) as server:
        yield server.url


@pytest.fixture
def milvus_name(milvus_url: str) -> Iterator[str]:
    """The name of a collection that is not there yet, and is dropped after the test."""
    name = f"test_{uuid4().hex}"
    yield name
    drop_index(milvus_url, name)
