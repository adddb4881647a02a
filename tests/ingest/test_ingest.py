"""Ingest: nothing is done twice, nothing good is lost, and every bad file is reported."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from odd_images import write_corpus

import facekit as fk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from places import Places

    from facekit.library.base import Library


@pytest.fixture
def photos(astronaut: Path, grace_hopper: Path, tmp_path: Path) -> Path:
    """Two photos of faces and one of a texture, in a folder with a Cyrillic name."""
    folder = tmp_path / "Фото"
    folder.mkdir()
    shutil.copy(astronaut, folder / "Айлин 🚀.png")
    shutil.copy(grace_hopper, folder / "grace.jpg")
    shutil.copy(astronaut.parent / "grass.png", folder / "трава.png")
    return folder


@pytest.fixture
def library(places: Places, tmp_path: Path) -> Iterator[Library]:
    with fk.open(places.new(tmp_path / "library")) as library:
        yield library


def numbers(report: fk.IngestReport) -> dict[str, int]:
    names = ("found", "ingested", "unchanged", "duplicates", "missing", "faces", "no_face")
    document = report.to_dict()
    return {name: document[name] for name in names} | {"failed": len(report.failed)}


def index_ids(library: Library) -> set[str]:
    return set(library._storage.index.rows())


def check_consistent(library: Library) -> None:
    """The index holds just the catalog's faces, and every face belongs to a photo with a place."""
    face_ids = set(library.embeddings(include_poor=True)[0])
    assert index_ids(library) == face_ids
    frame = library.faces()
    assert len(frame) == len(set(frame["face_id"])) == library.stats()["faces"]
    assert library.photos()["faces"].sum() == len(frame)


def test_first_run_second_run_and_reopening(library: Library, photos: Path) -> None:
    first = library.ingest(photos, progress=False)
    expected = {"found": 3, "ingested": 3, "unchanged": 0, "duplicates": 0, "missing": 0, "faces": 2, "no_face": 1}
    assert numbers(first) == expected | {"failed": 0}
    second = library.ingest(photos, progress=False)
    assert numbers(second) == dict.fromkeys(expected, 0) | {"found": 3, "unchanged": 3, "failed": 0}
    library.close()
    with fk.open(library.folder) as again:
        assert numbers(again.ingest(photos, progress=False))["unchanged"] == 3
        hits = again.search(photos / "Айлин 🚀.png")
        assert [Path(hit.photo).name for hit in hits] == ["Айлин 🚀.png"]
        check_consistent(again)


def test_unchanged_files_are_not_read_again(library: Library, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library.ingest(photos, progress=False)
    read: list[str] = []
    from facekit.sources import LocalSource

    original = LocalSource.read
    monkeypatch.setattr(
        LocalSource,
        "read",
        lambda self, file, limits: (read.append(file.display), original(self, file, limits))[1],
    )
    library.ingest(photos, progress=False)
    assert read == []
    os.utime(photos / "grace.jpg", (1, 1))
    library.ingest(photos, progress=False)
    assert [Path(name).name for name in read] == ["grace.jpg"]


def test_a_touched_file_with_the_same_content_keeps_its_faces(library: Library, photos: Path) -> None:
    library.ingest(photos, progress=False)
    before = set(library.faces()["face_id"])
    os.utime(photos / "grace.jpg", (1, 1))
    report = library.ingest(photos, progress=False)
    assert (report.unchanged, report.duplicates, report.ingested) == (2, 1, 0)
    assert set(library.faces()["face_id"]) == before
    assert library.ingest(photos, progress=False).unchanged == 3


def test_a_changed_file_replaces_its_faces(library: Library, photos: Path, astronaut: Path) -> None:
    library.ingest(photos, progress=False)
    shutil.copy(photos / "трава.png", photos / "Айлин 🚀.png")
    report = library.ingest(photos, progress=False)
    assert (report.duplicates, report.missing) == (1, 0)
    assert len(library.search(astronaut)) == 0
    check_consistent(library)
    assert len(library.photos()) == 2  # the grass lies at two paths now


def test_a_copy_shares_the_faces_and_all_paths_are_known(library: Library, photos: Path) -> None:
    library.ingest(photos, progress=False)
    (photos / "copies").mkdir()
    shutil.copy(photos / "grace.jpg", photos / "copies" / "again.jpg")
    report = library.ingest(photos, progress=False)
    assert (report.ingested, report.duplicates, report.faces) == (0, 1, 0)
    frame = library.photos().set_index("path")
    names = [Path(path).name for path in frame.loc[str(photos / "grace.jpg"), "paths"]]
    assert sorted(names) == ["again.jpg", "grace.jpg"]
    for folder in (photos, photos / "copies"):  # a filter finds it in either place, and once
        assert len(library.search(photos / "grace.jpg", folder=folder)) == 1
    check_consistent(library)


def test_copies_within_one_run_are_done_once(library: Library, photos: Path) -> None:
    for number in range(5):
        shutil.copy(photos / "grace.jpg", photos / f"copy{number}.jpg")
    report = library.ingest(photos, progress=False)
    assert (report.ingested, report.duplicates, report.faces) == (3, 5, 2)
    check_consistent(library)


def test_a_moved_file_is_found_at_its_new_place(library: Library, photos: Path) -> None:
    library.ingest(photos, progress=False)
    (photos / "moved").mkdir()
    probe = (photos / "grace.jpg").rename(photos / "moved" / "grace hopper.jpg")
    report = library.ingest(photos, progress=False)
    assert (report.duplicates, report.missing, report.ingested) == (1, 1, 0)
    hits = library.search(probe, folder=photos / "moved")
    assert [Path(hit.photo).name for hit in hits] == ["grace hopper.jpg"]
    check_consistent(library)


def test_a_vanished_file_is_marked_and_may_come_back(library: Library, photos: Path, tmp_path: Path) -> None:
    library.ingest(photos, progress=False)
    aside = (photos / "grace.jpg").rename(tmp_path / "aside.jpg")
    assert library.ingest(photos, progress=False).missing == 1
    assert list(library.photos("missing")["path"]) == [str(photos / "grace.jpg")]
    assert library.ingest(photos, progress=False).missing == 0  # once is enough
    assert len(library.search(aside)) == 1  # what is known of it stays
    aside.rename(photos / "grace.jpg")
    report = library.ingest(photos, progress=False)
    assert (report.unchanged, report.missing) == (3, 0)
    assert len(library.photos("missing")) == 0


def test_a_vanished_root_changes_nothing(library: Library, photos: Path, tmp_path: Path) -> None:
    library.ingest(photos, progress=False)
    before = library.photos()
    photos.rename(tmp_path / "elsewhere")
    with pytest.raises(fk.FacekitError, match="Фото"):
        library.ingest(photos, progress=False)
    photos.mkdir()  # the mount point of a disk that is not there
    report = library.ingest(photos, progress=False)
    assert report.missing == 0
    assert "not mounted" in report.warnings[0]
    assert library.photos().equals(before)


def test_two_roots_one_inside_the_other(library: Library, photos: Path) -> None:
    (photos / "sub").mkdir()
    shutil.copy(photos / "grace.jpg", photos / "sub" / "grace.jpg")
    report = library.ingest(photos / "sub", photos, progress=False)
    assert (report.found, report.ingested, report.duplicates) == (4, 3, 1)


def test_removing_a_folder_forgets_its_photos_and_only_those(library: Library, photos: Path, astronaut: Path) -> None:
    (photos / "sub").mkdir()
    shutil.copy(photos / "grace.jpg", photos / "sub" / "copy.jpg")
    shutil.move(photos / "Айлин 🚀.png", photos / "sub" / "a.png")
    library.ingest(photos, progress=False)
    thumbnails = len(list(library.folder.glob("thumbnails/*/*.jpg")))
    assert library.remove(photos / "sub") == 2
    assert len(library.search(astronaut)) == 0
    assert len(library.search(photos / "grace.jpg")) == 1  # its other path is still there
    assert len(list(library.folder.glob("thumbnails/*/*.jpg"))) == thumbnails - 1
    assert (photos / "sub" / "a.png").exists()
    check_consistent(library)
    with pytest.raises(fk.FacekitError, match="no photo"):
        library.remove(photos / "sub")


def test_a_broken_file_that_is_mended_leaves_no_trace(library: Library, photos: Path) -> None:
    good = (photos / "grace.jpg").read_bytes()
    (photos / "grace.jpg").write_bytes(good[:2000])
    report = library.ingest(photos, progress=False)
    assert [(one.status, Path(one.path).name) for one in report.failed] == [("corrupt", "grace.jpg")]
    assert library.ingest(photos, progress=False).failed == []  # known, unchanged
    (photos / "grace.jpg").write_bytes(good)
    assert library.ingest(photos, progress=False).ingested == 1
    assert set(library.photos()["status"]) == {"ok", "no_face"}


def test_a_refused_size_is_tried_again_with_other_limits(library: Library, photos: Path) -> None:
    limits = fk.Limits(max_bytes=100_000)
    report = library.ingest(photos, progress=False, limits=limits)
    assert {one.status for one in report.failed} == {"too_large"}
    count = len(report.failed)
    assert library.ingest(photos, progress=False).unchanged == 3
    again = library.ingest(photos, progress=False, limits=fk.Limits())
    assert (again.ingested, again.failed) == (count, [])


def test_ctrl_c_keeps_what_is_done_and_the_next_run_finishes(
    library: Library, places: Places, lfw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = 200
    if places.on_servers:
        many = 80
        monkeypatch.setattr("facekit.ingest.run._STORE_FILES", 16)
    folder = tmp_path / "some"
    folder.mkdir()
    for path in sorted(lfw.glob("*/*.jpg"))[:many]:
        shutil.copy(path, folder / path.name)
    seen: list[int] = []

    def stop_half_way(done: int, total: int) -> None:
        seen.append(done)
        if len(seen) == 2:
            raise KeyboardInterrupt

    report = library.ingest(folder, progress=stop_half_way)
    assert report.stopped
    assert 0 < report.ingested < many
    check_consistent(library)
    assert len(library.photos()) == report.ingested
    rest = library.ingest(folder, progress=False)
    assert not rest.stopped
    assert report.ingested + rest.ingested == many
    assert rest.unchanged == report.ingested
    check_consistent(library)


def test_progress_counts_up_to_the_files_to_do(library: Library, photos: Path) -> None:
    calls: list[tuple[int, int]] = []
    library.ingest(photos, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (3, 3)


def test_every_odd_image_gets_its_status_and_none_stops_the_run(library: Library, tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    expected = write_corpus(folder)
    assert len(expected) >= 40
    report = library.ingest(folder, progress=False)
    known = {state_path: state.status for state_path, state in library._storage.catalog.file_states("local").items()}
    for path, status in expected.items():
        found = known[os.fsencode(path)]
        if status == "ok":
            assert found in {"ok", "no_face"}, path
        else:
            assert found == status, path
    assert report.found == len(known)
    assert report.found == report.ingested + report.unchanged + report.duplicates + len(report.failed)
    for failure in report.failed:
        assert failure.reason
        assert Path(failure.path).name[:20] in failure.reason
    check_consistent(library)


def test_a_decoder_that_crashes_costs_one_photo(
    library: Library, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import facekit.ingest.pipeline

    monkeypatch.setattr(facekit.ingest.pipeline, "prepare", crash_on_grace)
    report = library.ingest(photos, progress=False)
    assert [(one.status, Path(one.path).name) for one in report.failed] == [("corrupt", "grace.jpg")]
    assert report.ingested == 2
    assert len(library.search(photos / "Айлин 🚀.png")) == 1


def crash_on_grace(data: bytes, name: str, max_side: int | None, limits: fk.Limits) -> object:
    """What a decoder with a bug does: the process is gone. Runs in a worker."""
    from facekit.images.preparation import prepare

    if name.endswith("grace.jpg"):
        os._exit(139)
    return prepare(data, name, max_side, limits)
