"""A Redis server for a test: a private one, which keeps nothing on the disk, as an emptied one does."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


class RedisServer:
    """``redis-server`` at a port of this machine, which is the same after a restart."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.url = f"redis://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        """Run, until it answers."""
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(
            ["redis-server", *options], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd="/"
        )
        for _ in range(600):
            if self.ask("PING") == "PONG":
                return
            time.sleep(0.05)
        message = f"redis-server does not answer at {self.url}"
        raise TimeoutError(message)

    def ask(self, *words: str) -> str:
        """What Redis answers to a command; empty where it does not."""
        asked = ["redis-cli", "-p", str(self.port), *words]
        return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()

    def kill(self) -> None:
        """End it as ``kill -9`` does."""
        self._process.kill()
        self._process.wait()


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    from conftest import need  # which imports this module

    need(shutil.which("redis-server"), "redis-server is not installed (apt-get install redis-server)")
    server = RedisServer()
    yield server
    server.kill()
