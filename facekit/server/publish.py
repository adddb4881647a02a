"""Start ``facekit serve`` from a notebook, and stop it again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from facekit.errors import LibraryError
from facekit.storage.lock import SERVICE
from facekit.storage.place import folder_of_place, named_place, whole_place

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import IO, Self

_START_SECONDS = 90  # models and Voila load in some ten seconds on two cores; a busy machine takes longer
_STOP_SECONDS = 20


@dataclass(frozen=True, slots=True, eq=False)
class Published:
    """A service that this process has started; it ends with `stop`, or with this process.

    ``url`` is the service's address, which `facekit.open` takes, and ``app_url`` the page's, or None.
    """

    url: str
    app_url: str | None
    folder: Path
    process: subprocess.Popen[bytes]

    def stop(self) -> None:
        """End the service and the page; the library is free again."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _repr_html_(self) -> str:
        if self.process.poll() is not None:
            return f"<p>The library {escape(str(self.folder))} is not published any more.</p>"
        link = escape(self.app_url or f"{self.url}/docs")
        return f'<p>The library {escape(str(self.folder))} is at <a href="{link}" target="_blank">{link}</a></p>'


def publish(
    folder: str | os.PathLike[str],
    *,
    roots: Sequence[str | os.PathLike[str]] = (),
    app: bool = True,
    port: int = 0,
    app_port: int = 0,
) -> Published:
    """Serve a library to this machine from a process of its own: ``facekit serve``, started from Python.

    The library must not be open in this process; afterwards `facekit.open` on the folder goes through the service.

    Parameters
    ----------
    folder : path
        The library's folder, or the address of its catalog.
    roots : sequence of path
        Folders from which photos may be brought in through the page; by default your home folder.
    app : bool
        Show the web app too.
    port, app_port : int
        Where the service and the app listen; 0 takes free ones.

    Raises
    ------
    LibraryError
        If the service does not start; the message says why.

    Examples
    --------
    >>> lib.close()
    >>> with fk.publish("faces", app=False) as service:
    ...     len(fk.open("faces").search(demo.probe))  # goes through the service
    14
    """
    place = whole_place(named_place(os.fspath(folder)))
    folder = folder_of_place(place)
    command = [sys.executable, "-m", "facekit", "--library", str(place), "serve", "--port", str(port), "--stop-at-eof"]
    command += [f"--root={os.fspath(root)}" for root in roots]
    command += ["--app", "--app-port", str(app_port)] if app else []
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(  # noqa: S603 - our own command
            command,
            stdin=subprocess.PIPE,  # it ends with this process, and with it the service
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,  # a notebook's interrupted cell must not stop the page
        )
        try:
            address = _address(folder, process, errors, app=app)
        except BaseException:
            Published("", None, folder, process).stop()
            raise
    return Published(*address, folder, process)


def _address(
    folder: Path,
    process: subprocess.Popen[bytes],
    errors: IO[bytes],
    *,
    app: bool,
) -> tuple[str, str | None]:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            service = json.loads((folder / SERVICE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            service = {}
        if service.get("pid") == process.pid and (not app or service["app_url"]):
            return service["url"], service["app_url"]
        time.sleep(0.1)
    if process.poll() is None:
        message = f"The service of {folder} did not start within {_START_SECONDS} seconds."
        raise LibraryError(message, f"See {folder / 'logs'}.")
    errors.seek(0)
    said = errors.read().decode("utf-8", "replace").strip().removeprefix("facekit: ")
    raise LibraryError(said or f"The service of {folder} ended at once.")
