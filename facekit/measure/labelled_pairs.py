"""Who is on which photo of a library, and how alike the faces of the same person and of different people are."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from facekit.errors import FacekitError
from facekit.text.spreadsheets import unguarded

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

    from facekit.library.base import Library
    from facekit.types.arrays import FloatArray

    Integers: TypeAlias = npt.NDArray[np.int64]

Table: TypeAlias = "pd.DataFrame | str | os.PathLike[str]"
"""A table, or the path of a CSV file that holds it."""

PhotoLabels: TypeAlias = "Table | Mapping[str, str]"
"""Who is on which photo, see `facekit.calibrate`."""

MOST_PAIRS = 2_000_000
"""Of either kind: at a false accept rate of 1e-5 these still are 20 pairs, and their similarities take 8 MB."""

_AT_ONCE = 1 << 14  # pairs of vectors in memory together: 67 MB where a vector has 512 numbers
_ROUNDING = 1e-4  # a product of float32 vectors of length 1 may be a little more than 1
_SAME = {"true": True, "yes": True, "1": True, "1.0": True, "false": False, "no": False, "0": False, "0.0": False}


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """Similarities of pairs of the same person and of different people, float32, and what was left out, in words."""

    same: FloatArray
    different: FloatArray
    remarks: tuple[str, ...] = ()


def measured_pairs(table: Table) -> Compared:
    """Pairs that were compared already: the columns ``similarity`` and ``same``."""
    import pandas as pd

    frame = _read(table, ["similarity", "same"])
    same = _booleans(frame["same"])
    similarity = pd.to_numeric(frame["similarity"], errors="coerce").to_numpy(np.float32)
    bad = np.flatnonzero(~(np.abs(similarity) <= 1 + _ROUNDING))
    if len(bad):
        message = f"Row {bad[0] + 1} of the pairs has no similarity ({frame['similarity'].iloc[bad[0]]!r})."
        raise FacekitError(message, "Give each pair a cosine similarity, -1 to 1, or take the pair out.")
    similarity = np.clip(similarity, -1, 1)
    return Compared(similarity[same], similarity[~same])


def compare_photos(library: Library, people: PhotoLabels) -> Compared:
    """Compare the photos of a library that ``people`` labels, see `facekit.calibrate`."""
    photos = _Photos(library)
    if isinstance(people, str) and people == "folder":
        return _compare_people(photos, ((photo, PurePath(path).parent.name) for path, photo in photos.ids.items()))
    if isinstance(people, Mapping):
        return _compare_people(photos, zip(photos.find(people), _names(people.values()), strict=True))
    frame = _read(people, ["photo", "person"], ["first", "second", "same"])
    if {"photo", "person"} <= set(frame.columns):
        return _compare_people(photos, zip(photos.find(frame["photo"]), _names(frame["person"]), strict=True))
    return _compare_pairs(photos, frame)


class _Photos:
    """The photos of a library by their paths, and the vector of each that has one.

    A photo has one when it shows exactly one face that a search would find: of several, nobody says whose the label
    is. Measured on LFW's development set, where the person named is in the centre: with these photos alone the
    thresholds are the same as with the central face of every photo, to within 0.001 at each rate from 1e-2 to 1e-5.
    """

    def __init__(self, library: Library) -> None:
        photos, faces = library.photos(), library.faces()
        face_ids, self._vectors = library.embeddings()
        self.ids = {
            path: photo_id
            for photo_id, paths in zip(photos["photo_id"], photos["paths"], strict=True)
            for path in paths
        }
        self._by_name: dict[str, list[str]] = defaultdict(list)
        for path in self.ids:
            self._by_name[PurePath(path).name].append(path)
        photo_of = dict(zip(faces["face_id"], faces["photo_id"], strict=True))
        self._rows: dict[str, list[int]] = defaultdict(list)
        for row, face_id in enumerate(face_ids):
            if face_id in photo_of:  # not a face that came in between the three questions
                self._rows[photo_of[face_id]].append(row)

    def find(self, names: Iterable[Any]) -> list[str]:
        """The ids of photos that are named by their paths, or by the ends of these.

        Raises
        ------
        FacekitError
            If one is not in the library, or a name is the end of several photos' paths.
        """
        found: list[str] = []
        unknown: list[str] = []
        for name in map(str, names):
            end = f"/{PurePath(name).as_posix()}"
            ends = [path for path in self._by_name.get(PurePath(name).name, ()) if _posix(path).endswith(end)]
            ids = {self.ids[name]} if name in self.ids else {self.ids[path] for path in ends}
            if len(ids) > 1:
                message = f"{name!r} may be {ends[0]} or {ends[1]}."
                raise FacekitError(message, "Name the photo by its whole path, as lib.photos() has it.")
            found += ids
            unknown += [name] * (not ids)
        if unknown:
            message = f"{len(unknown)} of the photos named are not in the library, the first is {unknown[0]!r}."
            raise FacekitError(message, "Ingest them, or take them out; lib.photos() lists what the library has.")
        return found

    def usable(self, photo_ids: Iterable[str], left_out: Counter[str]) -> dict[str, int]:
        """The rows of the vectors of photos; those that have none, or several, are counted."""
        rows = {}
        for photo_id in photo_ids:
            found = self._rows.get(photo_id, [])
            if len(found) == 1:
                rows[photo_id] = found[0]
            else:
                left_out["photos with several faces" if found else "photos without a usable face"] += 1
        return rows

    def similarities(self, first: Integers, second: Integers) -> FloatArray:
        """Cosine of each pair of rows, float32 (len(first),)."""
        result = np.empty(len(first), np.float32)
        for start in range(0, len(first), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            np.einsum("ij,ij->i", self._vectors[first[part]], self._vectors[second[part]], out=result[part])
        return result


def _compare_people(photos: _Photos, labels: Iterable[tuple[str, str]]) -> Compared:
    """Each photo with each other one."""
    people: dict[str, set[str]] = defaultdict(set)
    for photo_id, person in labels:
        people[photo_id].add(person)
    left_out: Counter[str] = Counter()
    rows = photos.usable(people, left_out)
    known = {photo_id: row for photo_id, row in rows.items() if len(people[photo_id]) == 1}
    left_out["photos that are labelled with several people"] += len(rows) - len(known)
    names = np.array([min(people[photo_id]) for photo_id in known], str)
    order = np.argsort(names, kind="stable")
    names, row = names[order], np.array(list(known.values()), np.int64)[order]
    # Those behind a photo, in order of people, are first the others of its person, and then the different ones.
    behind = np.arange(1, len(row) + 1)
    end = np.searchsorted(names, names, side="right").astype(np.int64)
    remarks = [f"{len(row):,} photos of {len(set(names)):,} people were compared.", *_words(left_out)]
    kinds = {"the same person": (behind, end), "different people": (end, np.full_like(end, len(row)))}
    compared = {}
    for kind, (low, high) in kinds.items():
        compared[kind], total = _sampled(photos, row, low, high)
        if len(compared[kind]) < total:
            remarks.append(f"Of {total:,} pairs of {kind}, {len(compared[kind]):,} drawn at random were compared.")
    return Compared(compared["the same person"], compared["different people"], tuple(remarks))


def _sampled(photos: _Photos, row: Integers, low: Integers, high: Integers) -> tuple[FloatArray, int]:
    """Similarities of each row to those from ``low`` to before ``high``, and how many pairs these are.

    Of more than `MOST_PAIRS` pairs as many are drawn, less some that are drawn twice.
    """
    ends = np.cumsum(high - low)
    total = int(ends[-1]) if len(ends) else 0
    if total <= MOST_PAIRS:
        chosen = np.arange(total)
    else:  # always the same ones, so that two calibrations can be compared
        chosen = np.unique(np.random.default_rng(0).integers(total, size=MOST_PAIRS))
    first = np.searchsorted(ends, chosen, side="right")  # pairs are numbered through, row by row
    second = high[first] - (ends[first] - chosen)
    return photos.similarities(row[first], row[second]), total


def _compare_pairs(photos: _Photos, frame: pd.DataFrame) -> Compared:
    """The pairs that a table names."""
    first, second, same = photos.find(frame["first"]), photos.find(frame["second"]), _booleans(frame["same"])
    left_out: Counter[str] = Counter()
    rows = photos.usable(dict.fromkeys([*first, *second]), left_out)
    kept = np.array([a in rows and b in rows for a, b in zip(first, second, strict=True)], bool)
    left_out["pairs that such a photo is in"] += int(np.sum(~kept))
    itself = np.array([a == b for a, b in zip(first, second, strict=True)], bool) & kept
    left_out["pairs of a photo with itself"] += int(np.sum(itself))
    kept &= ~itself
    numbers = [np.array([rows.get(photo, 0) for photo in side], np.int64)[kept] for side in (first, second)]
    similarity = photos.similarities(*numbers)
    return Compared(similarity[same[kept]], similarity[~same[kept]], tuple(_words(left_out)))


def _posix(path: str) -> str:
    return "/" + PurePath(path).as_posix()  # of an absolute path two slashes, so that it ends in no other one


def _words(left_out: Counter[str]) -> list[str]:
    counted = [f"{what} ({count:,})" for what, count in left_out.items() if count]
    return [f"Left out: {', '.join(counted)}."] if counted else []


def _read(table: Table, *allowed: list[str]) -> pd.DataFrame:
    """A table that has all of one of the sets of columns.

    Raises
    ------
    FacekitError
        If it can't be read, or has other columns.
    """
    import pandas as pd

    if not isinstance(table, pd.DataFrame | str | os.PathLike):
        message = f"{type(table).__name__} is no table."
        raise FacekitError(message, "Give a pandas.DataFrame, or the path of a CSV file.")
    name = "The table" if isinstance(table, pd.DataFrame) else os.fspath(table)
    choice = ", or ".join(" and ".join(columns) for columns in allowed)
    remedy = f"Give a table, or a CSV file, with the columns {choice}."
    if isinstance(table, pd.DataFrame):
        frame = table
    else:
        try:
            # As text: 007 and 7 are two names, and so is NA.
            frame = pd.read_csv(table, encoding="utf-8-sig", dtype=str, keep_default_na=False).map(unguarded)
        except (OSError, ValueError) as error:  # pandas' and Unicode's errors are ValueErrors
            message = f"{name} can't be read: {str(error).splitlines()[0]}."
            raise FacekitError(message, remedy) from error
    if not any(set(columns) <= set(frame.columns) for columns in allowed):
        message = f"{name} has the columns {', '.join(map(str, frame.columns))}."
        raise FacekitError(message, remedy)
    return frame


def _names(people: Iterable[Any]) -> list[str]:
    import pandas as pd

    names = ["" if pd.isna(person) else str(person).strip() for person in people]
    if "" in names:
        message = f"Row {names.index('') + 1} names nobody."
        raise FacekitError(message, "Give each photo a person, or take it out.")
    return names


def _booleans(column: pd.Series[Any]) -> npt.NDArray[np.bool_]:
    read = [_SAME.get(str(value).strip().lower()) for value in column]
    if None in read:
        row = read.index(None)
        message = f"Row {row + 1} says {column.iloc[row]!r} for same."
        raise FacekitError(message, "Say true or false, yes or no, or 1 or 0.")
    return np.array(read, bool)
