"""Names that travel to and from other programs: XMP sidecar files beside the photos, and a folder of links a person."""

# Paths are bytes here, because a name need not be valid UTF-8, and pathlib takes no bytes.
# ruff: noqa: PTH105, PTH108, PTH110, PTH116, PTH119, PTH122, PTH208

from __future__ import annotations

import os
import shutil
from collections import Counter, defaultdict
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facekit.errors import FacekitError, LibraryBusyError, UnknownIdError
from facekit.images import Limits, display_name, read_bytes
from facekit.matching import match_faces, overlaps
from facekit.people.folders import folder_names, link
from facekit.people.names import clean_name
from facekit.people.rdf import MAX_BYTES
from facekit.people.records import XmpReport
from facekit.people.xmp import FaceRegions, Region, read_regions, with_faces
from facekit.sources import LocalSource
from facekit.stored import StoredPhoto, stored_box, stored_photo, turned_sideways, upright_box

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import pandas as pd

    from facekit.catalog import Catalog
    from facekit.people.people import People
    from facekit.people.records import Person
    from facekit.stored import Box

Where = str | os.PathLike[str] | None


def write_xmp(people: People, catalog: Catalog, folder: Where = None) -> XmpReport:
    """See `People.write_xmp`. Hidden people are left out; a photo that lies in several places has a sidecar at each."""
    from tqdm.auto import tqdm

    named = _named(people)
    rows = catalog.faces_by_id(named["face_id"])
    faces: dict[str, list[tuple[str, Box]]] = defaultdict(list)
    for face_id, name in zip(named["face_id"], named["person"], strict=True):
        if face_id in rows:
            faces[rows[face_id]["photo_id"]].append((name, _box(rows[face_id])))
    photos = written = 0
    files, failed = _files(catalog, faces, folder)
    stems = lru_cache(maxsize=1)(_stems)
    for photo_id, path in tqdm(files, desc="write XMP", unit="photo", delay=1):
        try:
            number = _write_beside(path, faces[photo_id], stems)
        except (FacekitError, OSError) as error:
            failed.append((display_name(path), _words(error)))
            continue
        photos += number > 0
        written += number
    return XmpReport(photos, written, 0, (), tuple(failed))


def read_xmp(people: People, catalog: Catalog, folder: Where = None) -> XmpReport:
    """See `People.read_xmp`.

    A region is the face that it overlaps by `facekit.matching.MIN_OVERLAP` or more. Of a box around the same centre
    that means sides of up to 1.8 times the detector's, as boxes that are drawn by hand or hold the whole head have
    them; the boxes of two different faces were never found to overlap as much.

    What the user has said stays: a face that is with somebody of another name, or of which it was said that it is not
    this person, is reported and left. A person without a name whose named faces all have one name takes it; of others
    only the faces that are named in the files are moved.
    """
    from tqdm.auto import tqdm

    faces = {str(photo_id): part.to_dict("records") for photo_id, part in people.library.faces().groupby("photo_id")}
    said: dict[str, tuple[str, str]] = {}  # by face: the name in the file, and the file
    unmatched = []
    files, failed = _files(catalog, faces, folder)
    for photo_id, path in tqdm(files, desc="read XMP", unit="photo", delay=1):
        display = display_name(path)
        found, photo, problems = _regions_of(path)
        failed += [(display, problem) for problem in problems]
        if found is None or photo is None:
            continue
        pairs = _pairs([_box(row) for row in faces[photo_id]], found, photo)
        matched = {region for _, region in pairs}
        unmatched += [(display, one.name) for number, one in enumerate(found.faces) if number not in matched]
        for face, region in pairs:
            try:
                name = clean_name(found.faces[region].name)
            except FacekitError as error:
                failed.append((display, str(error)))
                continue
            if name:
                said.setdefault(faces[photo_id][face]["face_id"], (name, display))
    taken = _Taken(people, said)
    return XmpReport(len(taken.photos), taken.faces, taken.new, tuple(unmatched), (*failed, *taken.failed))


def links(people: People, catalog: Catalog, folder: str | os.PathLike[str], *, copy: bool = False) -> int:
    """See `People.links`. Hidden people are left out, and so are photos whose files are gone."""
    named = _named(people)
    rows = catalog.faces_by_id(named["face_id"])
    photos: dict[str, set[str]] = defaultdict(set)
    for face_id, person_id in zip(named["face_id"], named["person_id"], strict=True):
        if face_id in rows:
            photos[person_id].add(rows[face_id]["photo_id"])
    names = dict(zip(named["person_id"], named["person"], strict=True))
    first: dict[str, bytes] = {}
    for photo_id, path in _files(catalog, {one for some in photos.values() for one in some}, None)[0]:
        first.setdefault(photo_id, path)
    made = 0
    try:
        for person_id, name in folder_names(names).items():
            place = Path(folder).expanduser() / name
            place.mkdir(parents=True, exist_ok=True)
            paths = sorted(first[photo_id] for photo_id in photos[person_id] if photo_id in first)
            made += sum(link(Path(os.fsdecode(path)), place, copy=copy) for path in paths)
    except OSError as error:
        message = f"The folder {display_name(folder)} can't be filled: {_words(error)}."
        raise FacekitError(message, "What was made stays; run it again to go on.") from error
    return made


# -- what there is -------------------------------------------------------------------------------------------------


def _named(people: People) -> pd.DataFrame:
    frame = people.to_frame()
    return frame[frame["person"].notna() & ~frame["hidden"].astype(bool)]


def _box(row: dict[str, Any]) -> Box:
    """A face's box, cut at the edges of the photo: a detector's may reach beyond them."""
    left, top = max(row["x"], 0.0), max(row["y"], 0.0)
    right, bottom = min(row["x"] + row["w"], 1.0), min(row["y"] + row["h"], 1.0)
    return left, top, right - left, bottom - top


def _files(
    catalog: Catalog, photo_ids: Iterable[str], folder: Where
) -> tuple[list[tuple[str, bytes]], list[tuple[str, str]]]:
    """Where photos lie, ordered by path, and what hinders: files that have changed, so that their faces have too."""
    source = None if folder is None else LocalSource(folder)
    found, changed = [], []
    for photo_id, places in catalog.places(photo_ids).items():
        for row in places:
            path = bytes(row["path"])
            if row["source"] != LocalSource.name or (source and not source.holds(path)):
                continue
            with suppress(OSError):
                now = os.stat(path)
                if (now.st_size, now.st_mtime_ns) == (row["bytes"], row["mtime_ns"]):
                    found.append((photo_id, path))
                else:
                    changed.append((row["display"], "it was changed since it was ingested; ingest it again"))
    return sorted(found, key=lambda one: one[1]), sorted(changed)


# -- sidecar files -------------------------------------------------------------------------------------------------


def _sidecars(path: bytes) -> list[bytes]:
    """The sidecar files of a photo: digiKam's (photo.jpg.xmp), then Lightroom's (photo.xmp)."""
    names = [base + ending for base in (path, os.path.splitext(path)[0]) for ending in (b".xmp", b".XMP")]
    return [name for name in names if os.path.lexists(name)]


def _stems(folder: bytes) -> Counter[bytes]:
    """How many files of a folder, sidecars aside, have each name without its ending."""
    parts = (os.path.splitext(name) for name in os.listdir(folder))
    return Counter(stem for stem, ending in parts if ending.lower() != b".xmp")


def _write_beside(path: bytes, faces: Sequence[tuple[str, Box]], stems: Callable[[bytes], Counter[bytes]]) -> int:
    """Write faces of a photo into its sidecar. Returns how many were not in it."""
    photo = stored_photo(path)
    regions = [Region(name, stored_box(box, photo.orientation)) for name, box in faces]
    own = path + b".xmp"
    sidecar = next(iter(_sidecars(path)), own)
    folder, name = os.path.split(os.path.splitext(path)[0])
    if not sidecar.startswith(path) and stems(folder)[name] > 1:
        sidecar = own  # photo.xmp may be photo.raw's
    sidecar = os.path.realpath(sidecar)
    try:
        before = read_bytes(sidecar, Limits(max_bytes=MAX_BYTES)) if os.path.exists(sidecar) else None
        after, number = with_faces(before, regions, (photo.width, photo.height))
        if after is not before:
            _replace(sidecar, after)
    except (FacekitError, OSError) as error:
        message = f"{display_name(os.path.basename(sidecar))} was left as it is: {_words(error)}"
        raise FacekitError(message) from error
    return number


def _replace(path: bytes, data: bytes) -> None:
    """Write a file so that nobody ever finds half of it."""
    part = path + b".part"
    try:
        with open(part, "wb") as stream:  # noqa: PTH123 - bytes
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        if os.path.exists(path):
            shutil.copymode(path, part)
        os.replace(part, path)
    except BaseException:  # Ctrl-C, too
        with suppress(OSError):
            os.unlink(part)
        raise


def _regions_of(path: bytes) -> tuple[FaceRegions | None, StoredPhoto | None, list[str]]:
    """The named faces that a sidecar has, or else the photo's own XMP; the photo's header; what could not be read."""
    problems: list[str] = []
    for sidecar in _sidecars(path):
        try:
            found = read_regions(read_bytes(sidecar, Limits(max_bytes=MAX_BYTES)))
            if found.faces:
                return found, stored_photo(path), problems
        except FacekitError as error:
            problems.append(f"{display_name(os.path.basename(sidecar))}: {error}")
    try:
        photo = stored_photo(path)
        return (read_regions(photo.xmp) if photo.xmp else None), photo, problems
    except FacekitError as error:
        return None, None, [*problems, str(error)]


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


def _words(error: FacekitError | OSError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


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
        ruled = people.constraints()
        ruled = ruled[ruled["kind"] == "is_not"]
        self._ruled_out = set(zip(ruled["face_id"], ruled["person_id"], strict=True))
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
            person = _of_that_name(self._people, name)
            if person is None:
                person, left = self._make(faces, name)
                self.new += 1
            else:
                left = [face_id for face_id in faces if (face_id, person.person_id) not in self._ruled_out]
                kept = [self._said[face_id][1] for face_id in faces if face_id not in left]
                self.failed += [(path, f"you said of the face that is {name} there that it is not") for path in kept]
                faces = left
            if left:
                self._people.move(left, person)
        except LibraryBusyError:
            raise
        except FacekitError as error:
            self.failed.append((self._said[faces[0]][1], f"{name}: {error}"))
            return
        self.faces += len(faces)
        self.photos |= {self._said[face_id][1] for face_id in faces}

    def _make(self, faces: list[str], name: str) -> tuple[Person, list[str]]:
        """Make a person of a new name. Returns them and the faces that are not with them yet."""
        people = Counter(self._person[face_id] for face_id in faces if self._person.get(face_id) in self._of_one_name)
        if not people:
            return self._people.new(faces, name), []
        chosen = people.most_common(1)[0][0]
        person = self._people.name(chosen, name)
        return person, [face_id for face_id in faces if self._person.get(face_id) != chosen]


def _of_that_name(people: People, name: str) -> Person | None:
    try:
        person = people.get(name)
    except UnknownIdError:
        return None
    return person if (person.name or "").casefold() == name.casefold() else None  # not by the beginning of an id
