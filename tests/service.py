"""A service in this process, and one in a process of its own."""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import ready
import uvicorn
from fastapi.testclient import TestClient

import facekit as fk
from facekit.library.remote import RemoteLibrary
from facekit.server.access import Access
from facekit.server.accounts import Accounts
from facekit.server.app import create_app
from facekit.server.service import Service

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

OWNER_KEY = "a key that is new at every start"
HERE = "http://127.0.0.1:8000"
PASSWORD = "a wall of seven bricks"
WORK_METRICS = {"facekit_work_files", "facekit_workers", "facekit_work_oldest_seconds", "facekit_index_due_faces"}
USERS = {"ada": "admin", "ed": "editor", "vi": "viewer"}


@contextmanager
def served(folder: Path, roots: Sequence[Path] = (), *, accounts: bool = False) -> Iterator[TestClient]:
    """A library as a service; with accounts there are ada, ed and vi."""
    with fk.open(folder) as library:
        service = Service(library, roots)
        access = Access(Accounts(service.store), OWNER_KEY)
        if accounts:
            for name, role in USERS.items():
                access.accounts.add(name, PASSWORD, role)
        with TestClient(create_app(service, access), HERE) as client:
            yield client


@contextmanager
def remote(folder: Path, roots: Sequence[Path] = ()) -> Iterator[RemoteLibrary]:
    """A library behind a service that listens in this process, which has the models already."""
    with fk.open(folder) as library, socket.socket(proto=socket.IPPROTO_TCP) as listener:
        service = Service(library, roots)
        app = create_app(service, Access(Accounts(service.store), OWNER_KEY))
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            while not server.started and thread.is_alive():
                time.sleep(0.02)
            with RemoteLibrary(f"http://127.0.0.1:{listener.getsockname()[1]}") as connected:
                yield connected
        finally:
            server.should_exit = True
            thread.join()


def sign_in(client: TestClient, name: str) -> dict[str, str]:
    """The headers of somebody who has signed in."""
    form = {"grant_type": "password", "username": name, "password": PASSWORD}
    pair = client.post("/api/v1/auth/token", data=form).json()
    return {"Authorization": f"Bearer {pair['access_token']}"}


def wait_for(client: TestClient, job_id: str, headers: dict[str, str] | None = None) -> dict:
    """A job that has ended."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        job = client.get(f"/api/v1/jobs/{job_id}", headers=headers).json()
        if job["finished_at"]:
            return job
        time.sleep(0.1)
    message = f"the job did not end: {job}"
    raise AssertionError(message)


class Process:
    """``facekit serve`` as a user starts it; ``url`` is what it printed."""

    def __init__(self, folder: Path | str, *options: str) -> None:
        if "--port" not in options:
            options = (*options, "--port", "0")
        self.command = ready.Command("--library", folder, "serve", *options, environment=os.environ)
        self.said = self.command.first_line()
        found = re.search(r"https?://\S+?(?=[/ ]|$)", self.said)
        self.url = found.group() if found else ""

    def stop(self, how: signal.Signals = signal.SIGINT) -> tuple[int | None, str]:
        """End it; its exit status and what it wrote on stderr."""
        if self.command.poll() is None:
            self.command.send_signal(how)
        _, errors = self.command.wait(60)
        return self.command.poll(), errors


@contextmanager
def process(folder: Path | str, *options: str) -> Iterator[Process]:
    """A service process that is gone at the end."""
    started = Process(folder, *options)
    try:
        yield started
    finally:
        if started.command.poll() is None:
            started.stop()
