"""What is no photo of the user's is left out: facekit's own pictures, other programs' previews, what is excluded."""

from __future__ import annotations

import shutil
import unicodedata
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from odd_images import encode, marker
from service import remote, served, wait_for

import facekit as fk
from facekit.sources import LocalSource
from facekit.sources.left_out import Exclusion

if TYPE_CHECKING:
    from pathlib import Path

JPEG = encode(marker(), "JPEG")


def put(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(JPEG)


def listed(source: LocalSource) -> list[str]:
    return [file.display.removeprefix(source.root + "/") for file in source.scan()]


def test_a_library_in_the_photo_folder_does_not_eat_its_own_thumbnails(astronaut: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    shutil.copy(astronaut, photos)
    put(photos, "a.jpg")
    found = []
    for _ in range(3):
        with fk.open(photos / "faces") as library:
            report = library.ingest(photos, progress=False)
            found.append(report.found)
            assert report.skipped == {"facekit library": 1}
            assert "1 facekit library" in repr(report)
    assert found == [2, 2, 2]


def test_thumbnails_that_a_library_ate_before_are_forgotten_and_photos_stay(astronaut: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    shutil.copy(astronaut, photos)
    with fk.open(photos / "faces") as library:
        library.ingest(photos, progress=False)
        (photos / "faces" / "library.toml").rename(tmp_path / "aside")  # then its pictures look like any others
        assert library.ingest(photos, progress=False).found == 2
        (tmp_path / "aside").rename(photos / "faces" / "library.toml")
        library.people.cluster(min_faces=1)
        eaten = library.people.to_frame().query("photo.str.contains('thumbnails')")
        library.people.name(eaten["person_id"].iloc[0], "Eileen")
        report = library.ingest(photos, progress=False)
        assert list(library.photos()["path"]) == [str(photos / "astronaut.png")]
        assert (report.found, report.missing, library.stats()["files"]) == (1, 0, 1)
        assert [(lost.name, lost.faces) for lost in report.names_lost] == [("Eileen", 1)]


def test_other_libraries_are_left_out_wherever_they_lie(tmp_path: Path) -> None:
    put(tmp_path / "photos", "a.jpg", "deep/er/b.jpg")
    for place in ("photos/faces", "photos/deep/er/library"):
        fk.open(tmp_path / place).close()
        put(tmp_path / place, "thumbnails/00/x.jpg")
    (tmp_path / "outside").mkdir()
    fk.open(tmp_path / "outside" / "one").close()
    put(tmp_path / "outside" / "one", "thumbnails/00/x.jpg")
    (tmp_path / "photos" / "linked").symlink_to(tmp_path / "outside" / "one")
    for follow in (False, True):
        source = LocalSource(tmp_path / "photos", follow_links=follow)
        assert listed(source) == ["a.jpg", "deep/er/b.jpg"]
    assert len(source.skipped) == 3


@pytest.mark.parametrize("place", ["", "thumbnails", "thumbnails/00", "../link"])
def test_a_library_is_refused_as_a_root(tmp_path: Path, place: str) -> None:
    fk.open(tmp_path / "faces").close()
    put(tmp_path / "faces", "thumbnails/00/x.jpg")
    (tmp_path / "link").symlink_to(tmp_path / "faces")
    with pytest.raises(fk.FacekitError, match="is a facekit library"):
        LocalSource(tmp_path / "faces" / place)


PREVIEWS = {
    "Photos.photoslibrary/resources/derivatives/a.jpg": "Apple Photos previews",
    "Old.photolibrary/Thumbnails/a.jpg": "iPhoto and Aperture previews",
    "Catalog Previews.lrdata/0/a.jpg": "Lightroom previews",
    "Catalog Smart Previews.lrdata/0/a.jpg": "Lightroom previews",
    "immich/thumbs/u/a.jpg": "Immich previews",
    "immich/encoded-video/u/a.jpg": "Immich previews",
    "immich/profile/u/a.jpg": "Immich previews",
    "nextcloud/appdata_oc1/preview/a/1-1-max.jpg": "Nextcloud previews",
    "photoprism/storage/cache/a.jpg": "PhotoPrism previews",
    "phone/hidden/deep/a.jpg": ".nomedia",
    "nas/@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg": "system folders",
}
PHOTOS = [
    "Old.photolibrary/Masters/a.jpg",
    "Photos.photoslibrary/Masters/a.jpg",
    "Photos.photoslibrary/originals/0/a.jpg",
    "immich/library/u/a.jpg",
    "immich/upload/u/a.jpg",
    "my/preview/a.jpg",
    "my/profile/a.jpg",
    "my/resources/a.jpg",
    "my/thumbs/a.jpg",
    "nextcloud/anna/files/a.jpg",
    "phone/DCIM/a.jpg",
]


def test_previews_of_other_programs_are_left_out_and_counted_and_their_photos_are_not(tmp_path: Path) -> None:
    put(tmp_path, *PREVIEWS, *PHOTOS)
    for folder in ("thumbs", "encoded-video", "profile", "library", "upload"):
        (tmp_path / "immich" / folder / ".immich").touch()
    (tmp_path / "photoprism/storage/.ppstorage").touch()
    (tmp_path / "phone/hidden/.nomedia").touch()
    source = LocalSource(tmp_path)
    assert listed(source) == PHOTOS
    assert sorted(source.skipped.values()) == sorted(PREVIEWS.values())
    # The user's word for one of them counts.
    assert listed(LocalSource(tmp_path / "phone/hidden")) == ["deep/a.jpg"]


# -- what the user excludes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "left"),
    [
        ("Screenshots", ["2019/a.png", "2019/b.jpg", "c.jpg"]),
        ("screenshots/", ["2019/a.png", "2019/b.jpg", "c.jpg"]),
        ("*/Screenshots/*", ["2019/a.png", "2019/b.jpg", "c.jpg"]),
        ("*.PNG", ["2019/Screenshots/e.jpg", "2019/b.jpg", "Screenshots/d.jpg", "c.jpg"]),
        ("2019/*", ["Screenshots/d.jpg", "c.jpg"]),
        ("/2019", ["Screenshots/d.jpg", "c.jpg"]),
        ("2019/?.jpg", ["2019/Screenshots/e.jpg", "2019/a.png", "Screenshots/d.jpg", "c.jpg"]),
        ("nothing", ["2019/Screenshots/e.jpg", "2019/a.png", "2019/b.jpg", "Screenshots/d.jpg", "c.jpg"]),
    ],
)
def test_patterns(tmp_path: Path, pattern: str, left: list[str]) -> None:
    root = tmp_path / "photos"
    put(root, "2019/a.png", "2019/b.jpg", "c.jpg", "Screenshots/d.jpg", "2019/Screenshots/e.jpg")
    assert listed(LocalSource(root, exclude=[pattern])) == left
    whole = f"{root}/2019"
    assert listed(LocalSource(root, exclude=[whole])) == ["Screenshots/d.jpg", "c.jpg"]


@pytest.mark.parametrize("pattern", ["[", "a[b", "[!]", "[]", "[a][b", "2019/[ab"])
def test_a_bracket_that_is_never_closed_is_no_pattern(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(fk.FacekitError, match=r"is no pattern.*\[\[\]"):
        LocalSource(tmp_path, exclude=["*.png", pattern])


@pytest.mark.parametrize(
    ("pattern", "name"), [("[[]x", "[x"), ("[]a]", "]"), ("[!]]", "x"), ("a]", "a]"), ("[ab]", "b")]
)
def test_brackets_stand_for_sets(tmp_path: Path, pattern: str, name: str) -> None:
    put(tmp_path / "photos", f"{name}/a.jpg", "kept.jpg")
    assert listed(LocalSource(tmp_path / "photos", exclude=[pattern])) == ["kept.jpg"]


@given(st.text(st.characters(exclude_characters="/\0*?[]", exclude_categories=["C"]), min_size=1, max_size=20))
def test_a_name_means_itself_however_its_letters_are_written(name: str) -> None:
    if not name.strip() or name in {".", ".."}:
        return
    root = b"/photos"
    for form in ("NFC", "NFD"):
        path = root + b"/a/" + unicodedata.normalize(form, name).encode() + b"/b.jpg"
        for written in ("NFC", "NFD"):
            assert Exclusion([unicodedata.normalize(written, name)]).means(path, root)
        assert not Exclusion([name + "x"]).means(path, root)


@pytest.mark.parametrize("bad", ["", "/", " ", "a\nb", "x" * 1001, 3])
def test_what_is_no_pattern_is_refused(bad: object) -> None:
    with pytest.raises(fk.FacekitError, match="no pattern"):
        Exclusion([bad])  # type: ignore[list-item]


def test_what_is_excluded_stays_excluded_and_known_photos_stay(astronaut: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    put(photos, "a.jpg", "b.jpg")
    shutil.copy(astronaut, photos / "c.png")
    with fk.open(tmp_path / "library") as library:
        library.ingest(photos, progress=False)
        report = library.ingest(photos, exclude=["*.png"], progress=False)
        assert (report.found, report.missing, report.kept_out) == (2, 0, 1)
        assert report.to_dict()["skipped"] == {"excluded": 1}
        assert len(library.search(astronaut)) == 1
    with fk.open(tmp_path / "library") as library:
        assert library.ingest(photos, progress=False).found == 2
        library.set_search_similarity(0.5)  # writes the settings anew
        assert library.ingest(photos, progress=False).found == 2
        assert library.ingest(photos, exclude=[], progress=False).found == 3
        assert library.ingest(photos, progress=False).skipped == {}


def test_exclusion_and_its_report_travel_through_the_service(astronaut: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    put(photos, "a.jpg", "Screenshots/b.jpg")
    shutil.copy(astronaut, photos)
    fk.open(tmp_path / "library").close()
    with remote(tmp_path / "library", [photos]) as library:
        report = library.ingest(photos, exclude=["Screenshots"], progress=False)
        assert (report.found, report.skipped) == (2, {"excluded": 1})
        with pytest.raises(fk.FacekitError, match="no pattern"):
            library.ingest(photos, exclude=[""], progress=False)
    with served(tmp_path / "library", [photos]) as client:
        body = {"path": str(photos), "exclude": ["*.png"]}
        job = client.post("/api/v1/upload/local", json=body).json()
        report = wait_for(client, job["job_id"])["report"]
        assert (report["skipped"], report["kept_out"], report["names_lost"]) == ({"excluded": 1}, 1, [])
        assert client.post("/api/v1/upload/local", json=body | {"exclude": ["a\nb"]}).status_code == 422
