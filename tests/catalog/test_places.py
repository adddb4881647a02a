"""The place of a photo that is shown stands in its row: whatever happens to files, it is the first of them."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from test_catalog import RUN, file, photo

from facekit.catalog.records import EVERYWHERE, FileMove, Within
from facekit.catalog.rows import FileRow, PhotoRow
from facekit.catalog.times import now

if TYPE_CHECKING:
    from facekit.catalog import Catalog
    from facekit.types.photos import Photo

LONG = "/" + "long/" * 60  # longer than what an index has of a path
FOLDERS = ["/a/", "/a_/", "/a/b/", "/aXb/", LONG, LONG + "deep/", "/й/", "/z%/"]
NAMES = ["1.jpg", "two.jpg"]
PATHS = [folder + name for folder in FOLDERS for name in NAMES]
ASKED = [Within(folders=(one,)) for one in ("/", "/a/", "/a/b/", "/a_/", LONG, LONG + "deep/", "/z%/", "/nowhere/")]
ASKED += [EVERYWHERE, Within(("local",), ("/a/b/", "/z%/")), Within(("local", "vk")), Within(("vk",))]
PHOTOS = [f"{number:032x}" for number in range(9)]


def a_change(chance: random.Random, catalog: Catalog) -> None:
    """Something that happens to some files."""
    some = chance.sample(PATHS, chance.randint(1, 5))
    paths = [path.encode() for path in some]
    kind = chance.choice(["save", "save", "again", "copies", "missing", "back", "remove", "move"])
    known = [row.photo_id for row in catalog.rows(PhotoRow)]
    if kind == "save":
        ids = chance.sample(PHOTOS, len(some))
        catalog.save([photo(key, chance.randint(0, 3)) for key in ids], list(map(file, some, ids)), **RUN)
    elif kind == "again" and known:  # the same content is read again
        key = chance.choice(known)
        catalog.save([photo(key, 2)], [file(some[0], key)], **RUN)
    elif kind == "copies" and known:
        catalog.save([], [file(path, chance.choice(known)) for path in some], **RUN)
    elif kind in {"missing", "back"}:
        catalog.mark_missing("local", paths, missing=kind == "missing")
    elif kind == "remove":
        catalog.remove_files("local", paths)
    elif kind == "move":
        there = chance.random() < 0.5
        moves = [
            FileMove(path.encode(), to.encode(), to, there, now(), "local")
            for path, to in zip(some, PATHS, strict=False)
        ]
        catalog.relocate("local", moves, ("/a", "/b"))


def check(catalog: Catalog) -> None:
    places = catalog.places()
    rows = {row.photo_id: row for row in catalog.rows(PhotoRow)}
    assert rows.keys() == places.keys()
    for key, row in rows.items():
        first = places[key][0]
        here = (row.source, row.display, row.folder, row.missing, row.files)
        assert here == (first.source, first.display, first.folder, first.missing_since is not None, len(places[key]))
    photo_of = catalog.people.photo_of()
    for one in catalog.index_rows():
        first = places[photo_of[one.face_id]][0]
        assert (one.source, one.folder) == (first.source, first.folder)
    for within in ASKED:
        for status in (None, "ok", "missing"):
            wanted = shown(catalog, rows, within, status)
            page = catalog.pages.photos(status, within, 0, 60)
            assert (page.total, [(one.path, one.photo_id) for one in page.photos]) == (len(wanted), wanted)
            part = catalog.pages.photos(status, within, 2, 3)
            assert [(one.path, one.photo_id) for one in part.photos] == wanted[2:5]
    faces = [one.face_id for one in catalog.pages.faces(0, 60, include_poor=True).faces]
    assert faces == [
        face.face_id
        for one in everything(catalog)
        for face in sorted(one.faces, key=lambda face: (face.box[0], face.face_id))
    ]


def everything(catalog: Catalog) -> tuple[Photo, ...]:
    return catalog.pages.photos(None, EVERYWHERE, 0, 60).photos


def shown(catalog: Catalog, rows: dict[str, PhotoRow], within: Within, status: str | None) -> list[tuple[str, str]]:
    """What a page is to show, from all files: paths and photos."""
    found = []
    for key, files in catalog.places(within=within).items():
        first = files[0]
        state = "missing" if first.missing_since else rows[key].status
        inside = any(within.has(one.source, one.folder) for one in files)
        if inside and status in {None, state}:
            found.append((first.display, key))
    return sorted(found)


@pytest.mark.parametrize("seed", range(2))
def test_pages_show_photos_where_their_first_place_is_whatever_happened_to_their_files(
    catalog: Catalog, seed: int
) -> None:
    chance = random.Random(seed)
    for number in range(40):
        a_change(chance, catalog)
        if number % 8 == 7:
            check(catalog)
    states = [one.missing_since is not None for one in catalog.rows(FileRow)]
    assert len(set(states)) == 2
    assert any(row.files > 1 for row in catalog.rows(PhotoRow))


def test_a_path_of_any_length_can_be_shown(catalog: Catalog) -> None:
    chance = random.Random(5)
    path = "/" + "/".join("".join(chance.choices("йцукенгш", k=120)) for _ in range(17))  # 4,096 bytes, incompressible
    assert len(path.encode()) > 4000
    catalog.save([photo("p", 1)], [file(path, "p")], **RUN)
    catalog.mark_missing("local", [path.encode()], missing=True)
    for page in (
        catalog.pages.photos(None, EVERYWHERE, 0, 60),
        catalog.pages.photos("missing", Within(folders=("/",)), 0, 60),
    ):
        assert [one.path for one in page.photos] == [path]
