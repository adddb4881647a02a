"""A library made with RetinaFace and FaceNet512, from the first photo to other models and back.

With made-up weights (`generated_weights.py`): the faces found are none, but they are found, stored, searched for and
made again just as real ones are.
"""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import facekit as fk
from facekit.errors import FacekitError, ModelMismatchError

if TYPE_CHECKING:
    from facekit.demo.photos import DemoPhotos


@pytest.fixture
def some_photos(demo_photos: DemoPhotos, tmp_path: Path) -> Path:
    """Small ones: what RetinaFace costs grows with the pixels."""
    folder = tmp_path / "фото"
    folder.mkdir()
    for name in ("IMG_0002.jpg", "hopper, small.jpg", "Айлин Коллинз.jpg"):
        shutil.copy(demo_photos.folder / name, folder)
    return folder


def test_a_library_of_retinaface_and_facenet512_lives_as_any_other(
    all_weights: Path, some_photos: Path, tmp_path: Path
) -> None:
    place = tmp_path / "faces"
    with fk.open(place, detector="retinaface", embedder="facenet512", device="cpu", engine="onnxruntime") as library:
        report = library.ingest(some_photos, progress=False, detail=320)
        assert (report.ingested, len(report.failed)) == (3, 0)
        assert report.faces > 4
        assert library.embeddings(include_poor=True)[1].shape[1] == 512
        assert library.search_similarity == 0.70
        probe = some_photos / "hopper, small.jpg"
        hits = library.search(probe, include_poor=True, top_k=3)
        assert probe.name in {Path(hit.photo).name for hit in hits}  # made-up weights see no faces
        assert library.doctor().checks[3].ok
    assert tomllib.loads((place / "library.toml").read_text())["models"]["dimension"] == 512

    with pytest.raises(ModelMismatchError, match="reembed"):
        fk.open(place, embedder="sface")

    with fk.open(place, device="cpu", engine="onnxruntime") as library:
        photos = set(library.photos()["path"])
        changed = library.reembed("yunet", "sface", progress=False)
        assert changed.switched
        assert changed.faces_before == report.faces
        assert len(changed.unmatched) == changed.faces_before + changed.faces_after - 2 * changed.matched
        assert (library.stats()["detector"], library.stats()["embedder"]) == ("yunet", "sface")
        assert library.embeddings()[1].shape[1] == 128
        assert Path(library.search(probe)[0].photo).name == probe.name
        people = library.stats()["faces"]

        back = library.reembed("retinaface", "facenet512", progress=False)
        assert back.switched
        assert (back.faces_before, len(back.unreadable)) == (people, 0)
    with fk.open(place, device="cpu", engine="onnxruntime") as library:
        assert library.stats()["embedder"] == "facenet512"
        assert set(library.photos()["path"]) == photos
        assert library.photos("ok").shape[0] == 3
        assert Path(library.search(probe, include_poor=True)[0].photo).name == probe.name


def test_the_working_size_is_a_choice(all_weights: Path, astronaut: Path, tmp_path: Path) -> None:
    found = {}
    for detail in (128, "normal"):
        with fk.open(tmp_path / str(detail), detector="yunet", embedder="sface") as library:
            found[detail] = library.ingest(astronaut, progress=False, detail=detail).faces
            size = library.faces()["size"].iloc[0]
        assert size > 80  # in pixels of the photo, whatever was looked at
    assert found == {128: 1, "normal": 1}
    with (
        fk.open(tmp_path / "none", detector="yunet", embedder="sface") as library,
        pytest.raises(FacekitError, match="number of pixels"),
    ):
        library.ingest(astronaut, progress=False, detail=7)
