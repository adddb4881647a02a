"""Processes that are ready at once: forks of one that has imported what takes long, and has opened nothing.

A process that is started anew takes two or three seconds of a core until it has imported all that it needs.
"""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
import tempfile
import time
from multiprocessing import Pipe, get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facekit.system import workers

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Mapping
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

_IMPORTED = ["cv2", "duckdb_sqlalchemy", "milvus_lite", "onnxruntime", "openvino", "pymilvus", "typer"]
_IMPORTED += [
    "facekit.images.preparation",
    "facekit.ingest.reembed",
    "facekit.library.local",
    "facekit.server.app",
    "uvicorn",
]


def start(function: Callable[..., None], *arguments: Any) -> BaseProcess:
    """A process that calls a function of a module; everything it opens is its own, as in any other process."""
    process = _context().Process(target=function, args=arguments)
    process.start()
    return process


def _context() -> Any:
    context = get_context("spawn" if os.name == "nt" else "forkserver")  # Windows has no forks
    context.set_forkserver_preload(_IMPORTED)
    return context


def start_decoder() -> tuple[BaseProcess, Connection]:
    """What a pool of `facekit.system.workers` starts for its work, which then is ready at once, too."""
    ours, theirs = Pipe()
    process = _context().Process(target=_decode, args=(theirs,), daemon=True)
    try:
        process.start()
    finally:
        theirs.close()  # as the pool's own start does
    return process, ours


def _decode(pipe: Connection) -> None:
    import cv2

    cv2.setNumThreads(1)
    workers._serve(pipe)


class Command:
    """``python -m facekit`` with these arguments, away from the keyboard, and what it says."""

    def __init__(self, *arguments: str | Path, environment: Mapping[str, str]) -> None:
        self._kept = tempfile.TemporaryDirectory()
        self._files = [Path(self._kept.name, name) for name in ("stdout", "stderr")]
        for file in self._files:
            file.touch()
        os.umask(umask := os.umask(0))
        self._process = start(_main, list(map(str, arguments)), dict(environment), umask, self._files)

    def poll(self) -> int | None:
        """Its exit status, or None while it runs."""
        return self._process.exitcode

    @property
    def pid(self) -> int:
        return int(self._process.pid or 0)

    def send_signal(self, how: signal.Signals) -> None:
        os.kill(self.pid, how)

    def said(self) -> tuple[str, str]:
        """What it has written by now on stdout and stderr."""
        out, errors = (file.read_bytes().decode() for file in self._files)
        return out, errors

    def first_line(self) -> str:
        """What it says first; empty where it ends without a word."""
        while True:
            ended = self.poll() is not None
            line, end, _ = self.said()[0].partition("\n")
            if end or ended:
                return line + end
            time.sleep(0.02)

    def wait(self, timeout: float = 300) -> tuple[str, str]:
        """What it has written when it is over. It is killed after ``timeout`` seconds."""
        self._process.join(timeout)
        if self.poll() is None:
            self._process.kill()
            message = f"facekit did not end in {timeout:g} s: {self.said()}"
            raise TimeoutError(message)
        return self.said()


def facekit(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run ``python -m facekit`` to its end."""
    command = Command(*arguments, environment=os.environ | environment)
    said = command.wait()
    return subprocess.CompletedProcess(["facekit", *arguments], command.poll(), *said)


def document(*arguments: str | Path, **environment: str) -> Any:
    """What ``python -m facekit`` prints as JSON."""
    done = facekit(*arguments, **environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _main(arguments: list[str], environment: dict[str, str], umask: int, files: list[Path]) -> None:
    """What the process does."""
    if hasattr(os, "setsid"):
        os.setsid()
    os.umask(umask)
    os.environ.clear()
    os.environ.update(environment)
    for number, file in enumerate(files, 1):
        written = os.open(file, os.O_WRONLY | os.O_APPEND)
        os.dup2(written, number)
        os.close(written)
    sys.stdout, sys.stderr = (open(number, "w", buffering=1, closefd=False) for number in (1, 2))  # noqa: SIM115
    sys.argv = ["facekit", *arguments]
    runpy.run_module("facekit", run_name="__main__", alter_sys=True)
