"""A library of three people, and photos to come: real faces, some of them pasted side by side into one photo."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import PIL.Image
from places import FOLDERS

import facekit as fk
from facekit.library.local import LocalLibrary

if TYPE_CHECKING:
    from pathlib import Path

    from places import Places

    from facekit.types.people import Person

PEOPLE = {"lagos": "Ricardo_Lagos", "wolf": "Paul_Wolfowitz", "lopez": "Jennifer_Lopez"}
SINGLE = [("lagos", 1), ("lagos", 2), ("lagos", 3), ("lagos", 4), ("wolf", 1), ("wolf", 2), ("wolf", 3), ("wolf", 4)]
SINGLE += [("lopez", 1), ("lopez", 2), ("lopez", 3)]
LATER = [("lagos", 6), ("lagos", 7), ("wolf", 6), ("lopez", 4)]


@dataclass(frozen=True)
class Family:
    """The photos lie in ``photos``, those to come in ``later``; the other folders stay as they are."""

    pristine: Path
    photos: Path
    later: Path
    made: Path
    grouped: Path

    def restore(self) -> None:
        """Bring the photos back as they were, with their times."""
        shutil.rmtree(self.photos, ignore_errors=True)
        shutil.copytree(self.pristine, self.photos)

    def opened(self, folder: Path, places: Places = FOLDERS, *, grouped: bool = False) -> LocalLibrary:
        """A copy of the library; grouped, a run found its people."""
        library = fk.open(places.copy(self.grouped if grouped else self.made, folder))
        assert isinstance(library, LocalLibrary)
        return library

    def bring(self, *names: str) -> None:
        """Let some of the photos to come arrive."""
        for name in names:
            shutil.copy(self.later / name, self.photos / name)


def build_family(lfw: Path, folder: Path) -> Family:
    """Make the photos, and a library of them."""
    family = Family(folder / "pristine", folder / "photos", folder / "later", folder / "made", folder / "grouped")

    def one(who: str, number: int) -> Path:
        return sorted((lfw / PEOPLE[who]).glob("*.jpg"))[number - 1]

    for where, some in ((family.pristine, SINGLE), (family.later, LATER)):
        where.mkdir(parents=True)
        for who, number in some:
            shutil.copy(one(who, number), where / f"{who}{number}.jpg")
    side_by_side(one("lagos", 5), one("wolf", 5), family.pristine / "together.png")
    side_by_side(one("lagos", 5), one("lagos", 8), family.later / "twice.png")
    family.restore()
    with fk.open(family.made) as library:
        library.ingest(family.photos, progress=False)
    with family.opened(family.grouped) as library:
        library.people.cluster()
    return family


def side_by_side(left: Path, right: Path, path: Path) -> None:
    """Paste two photos into one."""
    with PIL.Image.open(left) as first, PIL.Image.open(right) as second:
        both = PIL.Image.new("RGB", (first.width + second.width, max(first.height, second.height)))
        both.paste(first, (0, 0))
        both.paste(second, (first.width, 0))
        both.save(path)


def face(library: LocalLibrary, photo: str, number: int = 0) -> str:
    """A face of a photo, by the photo's name and the face's number from the left."""
    frame = library.faces()
    mine = frame[frame["photo"].str.endswith(f"/{photo}")].sort_values("x")
    return str(mine["face_id"].iloc[number])


def faces(library: LocalLibrary, *photos: str) -> list[str]:
    """The leftmost face of each photo."""
    return [face(library, photo) for photo in photos]


def whose(library: LocalLibrary) -> dict[str, set[str]]:
    """The names of the photos of each person, by name or id."""
    found: dict[str, set[str]] = {}
    frame = library.people.to_frame()
    for person, key, photo in zip(frame["person"], frame["person_id"], frame["photo"], strict=True):
        found.setdefault(person if isinstance(person, str) else key, set()).add(photo.rpartition("/")[2])
    return found


def state(library: LocalLibrary) -> tuple[object, ...]:
    """All that the library knows about people but for the journal, to be compared."""
    people = sorted((one for hidden in (False, True) for one in everybody(library, hidden=hidden)), key=str)
    members = [tuple(row) for row in library.people.to_frame().astype(object).fillna("").itertuples(index=False)]
    said = [tuple(row) for row in library.people.constraints().astype(object).fillna("").itertuples(index=False)]
    return people, sorted(members), sorted(said), [(run.run_id, run.state) for run in library.people.runs()]


def everybody(library: LocalLibrary, *, hidden: bool = False) -> tuple[Person, ...]:
    """The people in a library; there are few."""
    return library.people.page(hidden=hidden, limit=200).people
