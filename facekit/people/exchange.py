"""Names that travel to and from other programs: XMP sidecar files beside the photos, and a folder of links a person."""

# Paths are bytes here, because a name need not be valid UTF-8, and pathlib takes no bytes.
# ruff: noqa: PTH116

from __future__ import annotations

import errno
import os
from collections import Counter, defaultdict
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from loguru import logger

from facekit.catalog.names import clean_name
from facekit.catalog.rows import FaceRow
from facekit.errors import FacekitError, LibraryBusyError, UnknownIdError
from facekit.images.boxes import match_faces, overlaps
from facekit.images.files import display_name
from facekit.images.stored_orientation import turned_sideways, upright_box
from facekit.people.folders import folder_names, link
from facekit.sources.mounts import lacking
from facekit.system.files import not_written, user_path
from facekit.types.people import XmpReport
from facekit.xmp.sidecars import regions_of, stems_of, write_beside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import pandas as pd

    from facekit.catalog import Catalog
    from facekit.images.stored_orientation import StoredPhoto
    from facekit.people.base import People
    from facekit.sources.mounts import Mounts
    from facekit.types.people import Person
    from facekit.types.photos import Box
    from facekit.xmp.regions import FaceRegions

_HOPELESS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}  # what holds for all other photos, too

Where = str | os.PathLike[str] | None


def write_xmp(
    people: People,
    catalog: Catalog,
    mounts: Mounts,
    folder: Where = None,
    writable: Callable[[bytes], bool] | None = None,
) -> XmpReport:
    """See `People.write_xmp`. Hidden people are left out; a photo that lies in several places has a sidecar at each.

    A name that stands in a file for a face is taken out of it where the user said that the face is not this person, or
    put it with somebody who is another: a split says so. Other names of faces that have none here stay: facekit can't
    know whether it wrote them, or a program whose names were never read.
    """
    from tqdm.auto import tqdm

    named = _named(people)
    names = dict(zip(named["face_id"], named["person"], strict=True))
    wrong = _names_denied(people)
    spoken_of = {row.photo_id for row in catalog.faces_by_id({*names, *wrong}).values()}
    faces: dict[str, list[tuple[str, Box]]] = defaultdict(list)
    others: dict[str, list[tuple[Box, set[str]]]] = defaultdict(list)
    for photo_id, inside in _faces(catalog).items():
        for row in inside:
            if row.face_id in names:
                faces[photo_id].append((names[row.face_id], _box(row)))
            else:
                others[photo_id].append((_box(row), wrong.get(row.face_id, set())))
    photos = written = 0
    files, failed = _files(catalog, mounts, spoken_of, folder)
    stems = lru_cache(maxsize=1)(stems_of)
    for photo_id, path in tqdm(files, desc="write XMP", unit="photo", delay=1):
        if writable and not writable(os.path.split(path)[0]):
            failed.append((display_name(path), "it lies where you may not have files written"))
            continue
        try:
            number = write_beside(path, faces[photo_id], others[photo_id], stems)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one photo, the others are written
            failed.append((display_name(path), _words(error)))
            continue
        photos += number > 0
        written += number
    return XmpReport(photos, written, 0, (), tuple(failed))


def read_xmp(people: People, catalog: Catalog, mounts: Mounts, folder: Where = None) -> XmpReport:
    """See `People.read_xmp`.

    A region is the face that it overlaps by `facekit.images.boxes.MIN_OVERLAP` or more. Of a box around the same centre
    that means sides of up to 1.8 times the detector's, as boxes that are drawn by hand or hold the whole head have
    them; the boxes of two different faces were never found to overlap as much.

    Where a photo has several sidecars, or XMP inside as well, each face has the name that the first of them gives it.

    What the user has said stays: a face that is with somebody of another name, that the user put with somebody, or of
    which it was said that it is not this person, is reported and left. A person without a name whose named faces all
    have one name takes it; of others only the faces that are named in the files are moved.
    """
    from tqdm.auto import tqdm

    faces = _faces(catalog)
    said: dict[str, tuple[str, str]] = {}  # by face: the name in the file, and the file
    unmatched: list[tuple[str, str]] = []
    files, failed = _files(catalog, mounts, faces, folder)
    for photo_id, path in tqdm(files, desc="read XMP", unit="photo", delay=1):
        display = display_name(path)
        try:
            names, left, problems = _names_on(path, [_box(row) for row in faces[photo_id]])
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one photo, the others are read
            failed.append((display, _words(error)))
            continue
        failed += [(display, problem) for problem in problems]
        unmatched += [(display, name) for name in left]
        for face, name in names.items():
            said.setdefault(faces[photo_id][face].face_id, (name, display))
    taken = _Taken(people, said)
    return XmpReport(len(taken.photos), taken.faces, taken.new, tuple(unmatched), (*failed, *taken.failed))


def links(
    people: People, catalog: Catalog, mounts: Mounts, folder: str | os.PathLike[str], *, copy: bool = False
) -> int:
    """See `People.links`. Hidden people are left out, and so are photos whose files are gone."""
    named = _named(people)
    rows = catalog.faces_by_id(named["face_id"])
    photos: dict[str, set[str]] = defaultdict(set)
    for face_id, person_id in zip(named["face_id"], named["person_id"], strict=True):
        if face_id in rows:
            photos[person_id].add(rows[face_id].photo_id)
    names = dict(zip(named["person_id"], named["person"], strict=True))
    first: dict[str, bytes] = {}
    for photo_id, path in _files(catalog, mounts, {one for some in photos.values() for one in some}, None)[0]:
        first.setdefault(photo_id, path)
    made = there = 0
    failed: list[tuple[str, Exception]] = []
    where = user_path(folder)
    for person_id, name in folder_names(names).items():
        place = where / name
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise not_written(place, error) from error
        for path in sorted(first[photo_id] for photo_id in photos[person_id] if photo_id in first):
            try:
                new = link(Path(os.fsdecode(path)), place, copy=copy)
            except (OSError, FacekitError) as error:
                if getattr(error, "errno", None) in _HOPELESS:
                    message = f"The folder {display_name(folder)} can't be filled: {_words(error)}."
                    raise FacekitError(message, "What was made stays; run it again to go on.") from error
                failed.append((display_name(path), error))
                continue
            made += new
            there += not new
    _report(failed, where, made + there)
    return made


def _report(failed: Sequence[tuple[str, Exception]], where: Path, done: int) -> None:
    """Say which photos have no link. Raises FacekitError where none has one."""
    if not failed:
        return
    (path, error), number = failed[0], len(failed)
    message = f"{number} of {number + done} photos have no link in {where}, the first {path}: {_words(error)}"
    if not done:
        raise FacekitError(message.rstrip(".") + ".", getattr(error, "remedy", "")) from error
    logger.bind(console=message).warning(
        "{} of {} photos have no link: {}", number, number + done, type(error).__name__
    )


# -- what there is -------------------------------------------------------------------------------------------------


def _named(people: People) -> pd.DataFrame:
    frame = people.to_frame()
    return frame[frame["person"].notna() & ~frame["hidden"].astype(bool)]


def _names_denied(people: People) -> dict[str, set[str]]:
    """By face, the names of people whom the user said that it does not show; of people who are not hidden."""
    called = {one.person_id: one.name for one in people if one.name}
    denied: dict[str, set[str]] = defaultdict(set)
    ruled_out, different = _rejections(people)
    for face_id, person_id in ruled_out:
        if person_id in called:
            denied[face_id].add(called[person_id])
    frame = people.to_frame()
    for face_id, owner in zip(frame["face_id"], frame["person_id"], strict=True):
        for other in different.get(owner, ()):
            if other in called:
                denied[face_id].add(called[other])
    return denied


def _rejections(people: People) -> tuple[set[tuple[str, str]], dict[str, set[str]]]:
    """Which face the user said is not which person, and by person, who is another."""
    ruled = people.constraints()
    is_not = ruled[ruled["kind"] == "is_not"]
    differ = ruled[ruled["kind"] == "different"]
    different: dict[str, set[str]] = defaultdict(set)
    for one, other in zip(differ["person_id"], differ["other_person_id"], strict=True):
        different[one].add(other)
        different[other].add(one)
    return set(zip(is_not["face_id"], is_not["person_id"], strict=True)), different


def _faces(catalog: Catalog) -> dict[str, list[FaceRow]]:
    """The faces of each photo, from left to right."""
    found: dict[str, list[FaceRow]] = {}
    for row in sorted(catalog.rows(FaceRow), key=lambda row: (row.x, row.y)):
        found.setdefault(row.photo_id, []).append(row)
    return found


def _box(row: FaceRow) -> Box:
    """A face's box, cut at the edges of the photo: a detector's may reach beyond them."""
    left, top = max(row.x, 0.0), max(row.y, 0.0)
    right, bottom = min(row.x + row.w, 1.0), min(row.y + row.h, 1.0)
    return left, top, right - left, bottom - top


def _files(
    catalog: Catalog, mounts: Mounts, photo_ids: Iterable[str], folder: Where
) -> tuple[list[tuple[str, bytes]], list[tuple[str, str]]]:
    """Where photos lie, ordered by path, and what hinders: files that have changed, so that their faces have too."""
    if folder is not None:
        mounts.place(folder)  # it has to exist
    asked = [] if folder is None else mounts.all_at(folder)
    found, changed = [], []
    away: Counter[str] = Counter()
    for photo_id, places in catalog.places(photo_ids).items():
        for row in places:
            if asked and not any(place.name == row.source and place.holds(row.path) for place in asked):
                continue
            if row.version is not None:  # of a connected place: no file of it is anybody's to write
                continue
            path = mounts.file(row.source, row.path)
            if path is None:
                away[row.source] += 1
                continue
            with suppress(OSError):
                now = os.stat(path)
                if (now.st_size, now.st_mtime_ns) == (row.bytes, row.mtime_ns):
                    found.append((photo_id, path))
                else:
                    changed.append((row.display, "it was changed since it was ingested; ingest it again"))
    changed += [(f"{name}:/", f"{lacking(name)} {number} files in it were left.") for name, number in away.items()]
    return sorted(found, key=lambda one: one[1]), sorted(changed)


# -- names in files ------------------------------------------------------------------------------------------------


def _names_on(path: bytes, boxes: Sequence[Box]) -> tuple[dict[int, str], list[str], list[str]]:
    """The names that a photo's files give its faces, names where there is no face, and what could not be read."""
    photo, sources, problems = regions_of(path)
    names: dict[int, str] = {}
    left: list[str] = []
    if photo is None:
        return names, left, problems
    spoken_of: set[int] = set()  # by a file that counts for more, also where it gives no name
    for found in sources:
        pairs = _pairs(boxes, found, photo)
        matched = {region for _, region in pairs}
        left += [one.name for number, one in enumerate(found.faces) if one.name and number not in matched]
        for face, region in pairs:
            if face in spoken_of:
                continue
            spoken_of.add(face)
            try:
                name = clean_name(found.faces[region].name)
            except FacekitError as error:
                problems.append(str(error))
                continue
            if name:
                names[face] = name
    return names, list(dict.fromkeys(left)), problems


def _pairs(boxes: Sequence[Box], found: FaceRegions, photo: StoredPhoto) -> list[tuple[int, int]]:
    """Which face is which region."""
    stored, size = (photo.width, photo.height), found.size
    as_stored = [upright_box(one.box, photo.orientation) for one in found.faces]
    as_shown = [one.box for one in found.faces]
    # Older digiKams wrote regions of the photo as it is shown, at first without the size that they are about (KDE bugs
    # 372340, 395243 and 429219). Where the file leaves that open, the reading that fits the faces better is taken.
    turned = turned_sideways(photo.orientation) and stored[0] != stored[1]
    is_open = size is None or (turned and (size[0] < size[1]) != (stored[0] < stored[1]))
    readings = [as_stored, as_shown] if is_open else [as_stored]
    fits = [(match_faces(boxes, reading), overlaps(boxes, reading)) for reading in readings]
    pairs, _ = max(fits, key=lambda fit: sum(fit[1][face, region] for face, region in fit[0]))
    return pairs


def _words(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else getattr(error, "message", None)) or str(error)


# -- names taken over ----------------------------------------------------------------------------------------------


class _Taken:
    """Turns what files say of faces into few operations on people: of each name one or two."""

    def __init__(self, people: People, said: dict[str, tuple[str, str]]) -> None:
        self.photos: set[str] = set()
        self.faces = 0
        self.new = 0
        self.failed: list[tuple[str, str]] = []
        self._people = people
        self._said = said
        frame = people.to_frame()
        self._person = dict(zip(frame["face_id"], frame["person_id"], strict=True))
        self._by_user = set(frame.loc[frame["origin"] == "user", "face_id"])
        self._ruled_out, self._different = _rejections(people)
        groups: dict[str, list[str]] = defaultdict(list)  # faces without a name here, by the name in the files
        names = dict(zip(frame["face_id"], frame["person"], strict=True))
        for face_id, (name, path) in said.items():
            now = names.get(face_id)
            if not isinstance(now, str):
                groups[name.casefold()].append(face_id)
            elif now.casefold() != name.casefold():
                self.failed.append((path, f"the face that is {name} there is {now} here, and stays so"))
        called: dict[str, set[str]] = defaultdict(set)
        for key, faces in groups.items():
            for face_id in faces:
                called[self._person.get(face_id, "")].add(key)
        self._of_one_name = {person_id for person_id, keys in called.items() if person_id and len(keys) == 1}
        for faces in groups.values():
            self._take(faces)

    def _take(self, faces: list[str]) -> None:
        """These faces are of one name."""
        name = Counter(self._said[face_id][0] for face_id in faces).most_common(1)[0][0]
        try:
            person = _of_that_name(self._people, name) or self._make(faces, name)
            faces = [face_id for face_id in faces if not self._refused(face_id, person)]
            left = [face_id for face_id in faces if self._person.get(face_id) != person.person_id]
            if left:
                self._people.move(left, person)
        except LibraryBusyError:
            raise
        except FacekitError as error:
            self.failed.append((self._said[faces[0]][1], f"{name}: {error}"))
            return
        self.faces += len(faces)
        self.photos |= {self._said[face_id][1] for face_id in faces}

    def _make(self, faces: list[str], name: str) -> Person:
        """Make a person of a new name: of somebody without one, or else of those faces that the user put nowhere."""
        people = Counter(self._person[face_id] for face_id in faces if self._person.get(face_id) in self._of_one_name)
        if people:
            person = self._people.name(people.most_common(1)[0][0], name)
        else:
            free = [face_id for face_id in faces if face_id not in self._by_user]
            if not free:
                message = (
                    "the faces that have this name there are with somebody without a name here, where you put them"
                )
                raise FacekitError(message)
            person = self._people.new(free, name)
            self._person |= dict.fromkeys(free, person.person_id)
        self.new += 1
        return person

    def _refused(self, face_id: str, person: Person) -> bool:
        """Whether the user has said that a face is not this person's; then it is reported."""
        owner = self._person.get(face_id)
        name, path = self._said[face_id]
        if owner == person.person_id:
            return False
        if (face_id, person.person_id) in self._ruled_out:
            words = f"you said of the face that is {name} there that it is not"
        elif person.person_id in self._different.get(owner or "", ()):
            words = f"the face that is {name} there is with somebody here of whom you said that it is not {name}"
        elif face_id in self._by_user:
            words = f"the face that is {name} there is with somebody without a name here, where you put it"
        else:
            return False
        self.failed.append((path, words))
        return True


def _of_that_name(people: People, name: str) -> Person | None:
    try:
        person = people.get(name)
    except UnknownIdError:
        return None
    return person if (person.name or "").casefold() == name.casefold() else None  # not by the beginning of an id
