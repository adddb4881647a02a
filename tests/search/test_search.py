"""Search: the right photos, ranked, with the right face framed; probes of every kind; filters."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import PIL.Image
import pytest

import facekit as fk

if TYPE_CHECKING:
    from facekit.demo.photos import DemoPhotos
    from facekit.library.base import Library


def found(hits: fk.Hits, photos: DemoPhotos) -> set[str]:
    return {Path(hit.photo).relative_to(photos.folder).as_posix() for hit in hits}


def distinct(photos: DemoPhotos) -> set[str]:
    """The expected photos, one name for each content: a copy is the same photo."""
    contents: dict[bytes, str] = {}
    for name in sorted(photos.expected):
        contents.setdefault((photos.folder / name).read_bytes(), name)
    return set(contents.values())


def test_every_photo_of_the_person_and_no_other(demo_library: Library, demo_photos: DemoPhotos) -> None:
    hits = demo_library.search(demo_photos.probe)
    assert found(hits, demo_photos) == distinct(demo_photos)
    similarities = [hit.similarity for hit in hits]
    assert similarities == sorted(similarities, reverse=True)
    assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))
    assert len({hit.photo_id for hit in hits}) == len(hits)


def test_the_box_frames_the_person_also_in_a_collage(demo_library: Library, demo_photos: DemoPhotos) -> None:
    """The pixels in the box, cut from the upright photo, are the person: their own face says so."""
    probe = fk.read_image(demo_photos.probe)
    vector = fk.embed(probe)[0]
    for hit in demo_library.search(demo_photos.probe):
        image = fk.read_image(hit.photo)
        height, width = image.shape[:2]
        x, y, w, h = hit.box
        margin = 0.5
        left, top = max(0, int((x - margin * w) * width)), max(0, int((y - margin * h) * height))
        cut = image[top : int((y + (1 + margin) * h) * height), left : int((x + (1 + margin) * w) * width)]
        faces = fk.detect(np.ascontiguousarray(cut))
        centre = np.array([(x + w / 2) * width - left, (y + h / 2) * height - top])
        boxes = faces.boxes
        nearest = np.argmin(np.abs(boxes[:, :2] + boxes[:, 2:] / 2 - centre).sum(axis=1))
        similarity = fk.similarity(fk.embed(np.ascontiguousarray(cut), faces[nearest])[0], vector)
        assert similarity == pytest.approx(hit.similarity, abs=0.15), hit.photo
        assert similarity > 0.3, hit.photo


def test_a_probe_may_be_a_path_bytes_an_image_or_an_array(demo_library: Library, demo_photos: DemoPhotos) -> None:
    reference = demo_library.search(demo_photos.probe).to_dict()["hits"]
    assert reference
    with PIL.Image.open(demo_photos.probe) as picture:
        kinds = [str(demo_photos.probe), demo_photos.probe.read_bytes(), picture, fk.read_image(demo_photos.probe)]
        for probe in [*kinds, kinds]:
            hits = demo_library.search(probe).to_dict()["hits"]
            assert [hit["face_id"] for hit in hits] == [hit["face_id"] for hit in reference]


def test_the_largest_face_of_a_probe_is_used_unless_another_is_picked(
    demo_library: Library,
    demo_photos: DemoPhotos,
    astronaut: Path,
    grace_hopper: Path,
) -> None:
    collins, hopper = PIL.Image.open(astronaut).convert("RGB"), PIL.Image.open(grace_hopper).convert("RGB")
    pair = PIL.Image.new("RGB", (1000, 600))
    pair.paste(collins.resize((600, 600)), (0, 0))
    pair.paste(hopper.resize((256, 300)), (650, 0))
    large, small = demo_library.search(pair), demo_library.search(pair, face=1)
    assert [(hits.probes[0].faces, hits.probes[0].used) for hits in (large, small)] == [(2, 0), (2, 1)]
    assert any("2 faces" in note for note in large.notes)
    assert found(large, demo_photos) == distinct(demo_photos)
    assert (
        found(small, demo_photos) == found(demo_library.search(grace_hopper), demo_photos) != found(large, demo_photos)
    )
    with pytest.raises(fk.NoFaceError, match="face=2"):
        demo_library.search(pair, face=2)


def test_no_face_in_the_probe_is_an_error_that_names_it(demo_library: Library, astronaut: Path) -> None:
    with pytest.raises(fk.NoFaceError, match=r"grass\.png"):
        demo_library.search(astronaut.parent / "grass.png")
    with pytest.raises(fk.NoFaceError, match="probe 2"):
        demo_library.search([astronaut, np.zeros((200, 200, 3), np.uint8)])
    with pytest.raises(fk.PhotoError, match="nothing-here"):
        demo_library.search("nothing-here.jpg")


def test_similarity_and_number_limit_the_hits(demo_library: Library, demo_photos: DemoPhotos) -> None:
    everything = demo_library.search(demo_photos.probe, min_similarity=-1, top_k=1000)
    assert len(everything) == (demo_library.photos()["faces"] > 0).sum()
    some = demo_library.search(demo_photos.probe, min_similarity=everything[4].similarity - 1e-6)
    assert [hit.photo_id for hit in some] == [hit.photo_id for hit in everything[:5]]
    top = demo_library.search(demo_photos.probe, top_k=3)
    assert [hit.photo_id for hit in top] == [hit.photo_id for hit in everything[:3]]
    assert any("best 3" in note for note in top.notes)
    assert len(demo_library.search(demo_photos.probe, min_similarity=1)) <= 1
    with pytest.raises(fk.FacekitError, match="top_k"):
        demo_library.search(demo_photos.probe, top_k=0)


def test_filters_by_source_folder_and_date(demo_library: Library, demo_photos: DemoPhotos, grace_hopper: Path) -> None:
    probe = grace_hopper
    everything = {hit.photo_id for hit in demo_library.search(probe)}
    assert {hit.photo_id for hit in demo_library.search(probe, source="local")} == everything
    with pytest.raises(fk.FacekitError, match="no source 'vk'"):
        demo_library.search(probe, source="vk")
    paths = demo_library.photos().set_index("photo_id")["paths"]
    folders = {Path(path).parent for several in paths for path in several}
    assert len(folders) > 1
    for folder in folders:
        here = {key for key in everything if any(Path(path).is_relative_to(folder) for path in paths[key])}
        assert {hit.photo_id for hit in demo_library.search(probe, folder=folder)} == here
    with pytest.raises(fk.FacekitError, match="holds no photo"):  # a prefix is no folder
        demo_library.search(probe, folder=str(demo_photos.folder)[:-1])
    assert len(demo_library.search(probe, after="1900-01-01", before="1900-01-02")) == 0
    with pytest.raises(fk.FacekitError, match="'yesterday' is not a date"):
        demo_library.search(probe, after="yesterday")


def test_dates_come_from_the_photos(tmp_path: Path, astronaut: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    picture = PIL.Image.open(astronaut).convert("RGB")
    for year in (2001, 2005):
        exif = PIL.Image.Exif()
        exif.get_ifd(0x8769)[0x9003] = f"{year}:07:01 12:00:00"
        picture.save(photos / f"{year}.jpg", exif=exif)
    picture.save(photos / "undated.jpg", quality=60)
    with fk.open(tmp_path / "faces") as library:
        library.ingest(photos, progress=False)

        def names(**dates: str) -> list[str]:
            return sorted(Path(hit.photo).stem for hit in library.search(astronaut, **dates))

        assert names() == ["2001", "2005", "undated"]
        assert names(after="2005-07-01") == ["2005"]
        assert names(before="2005-07-01") == ["2001"]
        assert names(after="2001-07-01T12:00:00", before="2005-07-01T12:00:00") == ["2001"]


def test_poor_faces_are_left_out_unless_asked_for(tmp_path: Path, astronaut: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    picture = PIL.Image.open(astronaut).convert("RGB")
    picture.save(photos / "good.png")
    tiny = PIL.Image.new("RGB", (600, 600), "grey")
    tiny.paste(picture.resize((110, 110)), (240, 240))
    tiny.save(photos / "tiny.png")
    with fk.open(tmp_path / "faces") as library:
        library.ingest(photos, progress=False)
        reasons = library.faces().set_index("photo")["reason"]
        assert reasons[str(photos / "tiny.png")]
        assert [Path(hit.photo).name for hit in library.search(astronaut)] == ["good.png"]
        poor = library.search(astronaut, include_poor=True, min_similarity=-1)
        assert {Path(hit.photo).name for hit in poor} == {"good.png", "tiny.png"}


def test_the_table_is_tidy(demo_library: Library, demo_photos: DemoPhotos) -> None:
    frame = demo_library.search(demo_photos.probe).to_frame()
    assert frame["rank"].tolist() == list(range(1, len(frame) + 1))
    assert frame["person"].isna().all()
    assert {"photo", "face_id", "similarity", "x", "y", "w", "h", "source", "detection_score"} <= set(frame.columns)
    assert demo_library.search(demo_photos.probe, after="2099-01-01").to_frame().columns.equals(frame.columns)


def test_the_page_stands_alone(demo_library: Library, demo_photos: DemoPhotos, tmp_path: Path) -> None:
    hits = demo_library.search(demo_photos.probe)
    page = hits.save_html(tmp_path / "hits.html").read_text(encoding="utf-8")
    assert page.count('<rect class="fk-box"') == len(hits) + 1
    assert page.count("data:image/jpeg;base64,") == len(hits) + 1
    assert not re.findall(r"""(?:src|href)\s*=\s*["'](?!data:)""", page)
    assert "http" not in page.replace("http-equiv", "")
    for hit in hits:
        assert Path(hit.photo).name in page
    empty = demo_library.search(demo_photos.probe, after="2099-01-01")
    assert "No photo of this person" in empty.save_html(tmp_path / "none.html").read_text(encoding="utf-8")


def test_a_name_can_not_become_markup(tmp_path: Path, astronaut: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "<img src=x onerror=alert(1)>.png").write_bytes(astronaut.read_bytes())
    with fk.open(tmp_path / "faces") as library:
        report = library.ingest(photos, progress=False)
        hits = library.search(astronaut)
        html = hits._repr_html_() + hits.save_html(tmp_path / "hits.html").read_text() + report._repr_html_()
    assert "<img src=x" not in html
    assert "&lt;img src=x" in html


def test_results_print_well(demo_library: Library, demo_photos: DemoPhotos) -> None:
    hits = demo_library.search(demo_photos.probe)
    assert f"{len(hits)} photos" in repr(hits)
    assert hits._repr_html_().count('<rect class="fk-box"') == min(12, len(hits))
    assert len(hits._repr_html_()) < 300_000
