"""The data set Labeled Faces in the Wild: its photos, and the official pairs of them.

One folder a person with photos ``Name/Name_0001.jpg``; beside them ``pairs.txt`` (View 2, ten folds) or
``pairsDevTrain.txt`` and ``pairsDevTest.txt`` (View 1, development).
Huang, Ramesh, Berg and Learned-Miller, *Labeled Faces in the Wild*, technical report 07-49, 2007.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TypeAlias

from facekit.errors import FacekitError


@dataclass(frozen=True, slots=True)
class Pair:
    """Two photos, as paths relative to the data set's folder, and whether they show the same person."""

    first: str
    second: str
    same: bool


Round: TypeAlias = tuple[list[Pair], list[Pair]]
"""Pairs to fit a threshold on, and pairs to measure it on."""


def read_pairs(file: str | Path) -> list[list[Pair]]:
    """Read a file of pairs of Labeled Faces in the Wild.

    The first line holds the number of pairs of either kind, preceded by the number of folds if there are several.
    A line ``name i j`` is a pair of photos of one person, ``name i name j`` of two.

    Parameters
    ----------
    file : str or Path
        ``pairs.txt``, ``pairsDevTrain.txt`` or ``pairsDevTest.txt``.

    Returns
    -------
    list of list of Pair
        One list for each fold.

    Raises
    ------
    FacekitError
        If the file is missing, a line can't be read, or the number of pairs is not the one promised.
    """
    file = Path(file)
    if not file.is_file():
        message = f"{file} is missing."
        raise FacekitError(message, "Put the official pairs files of Labeled Faces in the Wild beside its photos.")
    remedy = "Use the official file, unchanged."
    header, *lines = file.read_text(encoding="utf-8").splitlines() or ["0"]
    try:
        *folds, of_each_kind = (int(number) for number in header.split())
        pairs = [_pair(line) for line in lines if line.strip()]
    except ValueError as error:
        message = f"{file} is not a pairs file of Labeled Faces in the Wild: {error}."
        raise FacekitError(message, remedy) from error
    size = 2 * of_each_kind
    if not size or len(pairs) != size * (folds[0] if folds else 1):
        message = f"{file} promises {header!r} but holds {len(pairs)} pairs."
        raise FacekitError(message, remedy)
    return [pairs[start : start + size] for start in range(0, len(pairs), size)]


def read_rounds(folder: Path) -> list[Round]:
    """Training and test pairs of each round: ten rounds with ``pairs.txt``, one with the development pairs.

    Raises
    ------
    FacekitError
        As `read_pairs`.
    """
    if (folder / "pairs.txt").exists():
        folds = read_pairs(folder / "pairs.txt")
        if len(folds) == 1:
            message = f"{folder / 'pairs.txt'} has one fold: nothing is left to fit the threshold on."
            raise FacekitError(message, "Use the official file of ten folds.")
        return [(list(chain(*folds[:i], *folds[i + 1 :])), fold) for i, fold in enumerate(folds)]
    training, testing = (read_pairs(folder / f"pairsDev{part}.txt") for part in ("Train", "Test"))
    return [(list(chain(*training)), list(chain(*testing)))]


def list_photos(folder: Path, rounds: list[Round]) -> list[str]:
    """All photos of the folder, as relative paths; an error if one that a pair names is not there."""
    photos = sorted(path.relative_to(folder).as_posix() for path in folder.glob("*/*.jpg"))
    named = {photo for pair in chain.from_iterable(chain(*rounds)) for photo in (pair.first, pair.second)}
    missing = sorted(named.difference(photos))
    if missing:
        message = f"{folder / missing[0]} is missing ({len(missing)} of {len(named)} photos that the pairs name)."
        raise FacekitError(message, "Unpack the photos of Labeled Faces in the Wild so that each person has a folder.")
    return photos


def _pair(line: str) -> Pair:
    match line.split():
        case [name, first, second]:
            return Pair(_photo(name, first), _photo(name, second), same=True)
        case [name, first, other, second]:
            return Pair(_photo(name, first), _photo(other, second), same=False)
    message = f"the line {line!r} names no pair"
    raise ValueError(message)


def _photo(name: str, number: str) -> str:
    return f"{name}/{name}_{int(number):04d}.jpg"
