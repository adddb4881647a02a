"""A library whose thumbnails lie elsewhere than in its folder works as others do."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING
from uuid import uuid4

import duckdb
import pytest
from service import served
from stores import s3_endpoint, s3_store  # noqa: F401 - fixtures

import facekit as fk
from facekit.images.blobs import open_blobs
from facekit.images.decode import read_image
from facekit.storage import embedded

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(params=["memory", "s3"])
def address(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where libraries keep their thumbnails."""
    store = request.getfixturevalue("s3_store") if request.param == "s3" else f"memory://{uuid4().hex}/family"
    monkeypatch.setattr(embedded, "FolderBlobs", lambda _folder: open_blobs(str(store)))
    return str(store)


def test_photos_come_and_go(address: str, astronaut: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    shutil.copy(astronaut, photos / "a.png")
    blobs = open_blobs(address)
    with fk.open(tmp_path / "library") as library:
        library.ingest(photos, progress=False)
        (photo,) = library.photo_page().photos
        assert not (tmp_path / "library" / "thumbnails").exists()
        assert list(blobs.kept()) == [photo.photo_id]
        assert library.thumbnail(photo.photo_id) == blobs.get(photo.photo_id)
        assert max(read_image(library.thumbnail(photo.photo_id) or b"").shape) == 512
        assert library.search(astronaut)._repr_html_()
        (photos / "a.png").rename(tmp_path / "away.png")
        assert library.face_thumbnail(photo.faces[0].face_id)  # from the thumbnail
        shutil.move(tmp_path / "away.png", photos / "a.png")
        checks = {one.name: one for one in library.doctor().checks}
        assert (checks["thumbnails"].ok, checks["thumbnails"].detail) == (True, "1 of 1")
        assert library.backup(tmp_path / "backup") == 1
        assert library.backup(tmp_path / "backup") == 0
        kept = tmp_path / "backup" / "thumbnails" / photo.photo_id[:2] / f"{photo.photo_id}.jpg"
        assert kept.read_bytes() == blobs.get(photo.photo_id)
        blobs.delete([photo.photo_id])
        assert library.thumbnail(photo.photo_id) is None
        assert not {one.name: one for one in library.doctor().checks}["thumbnails"].ok
        assert library.remove(photos) == 1
        library.ingest(photos, progress=False)
        assert list(blobs.kept()) == [photo.photo_id]
        library.remove(photos)
        assert blobs.kept() == {}


def test_a_service_hands_them_out(address: str, astronaut: Path, tmp_path: Path) -> None:
    with fk.open(tmp_path / "library") as library:
        library.ingest(astronaut, progress=False)
        (photo,) = library.photo_page().photos
    path = f"/api/v1/photos/{photo.photo_id}/thumbnail"
    with served(tmp_path / "library") as client:
        answer = client.get(path)
        assert answer.headers["content-type"] == "image/jpeg"
        assert answer.content == open_blobs(address).get(photo.photo_id)
        again = {"If-None-Match": answer.headers["etag"]}
        assert client.get(path, headers=again).status_code == 304
        open_blobs(address).delete([photo.photo_id])
        assert client.get(path, headers=again).status_code == client.get(path).status_code == 404


def test_a_turned_photo_is_turned_there(address: str, astronaut: Path, tmp_path: Path) -> None:
    from PIL import Image

    on_its_head = tmp_path / "photo.png"
    Image.open(astronaut).rotate(180).save(on_its_head)
    with fk.open(tmp_path / "library", detector="yunet", embedder="sface") as library:
        library.ingest(on_its_head, progress=False)
        (photo,) = library.photo_page().photos
        assert photo.turn == 180
        upright = open_blobs(address).get(photo.photo_id)
    # As a release left it that turned no photo.
    with duckdb.connect(tmp_path / "library" / "catalog.duckdb") as catalog:
        catalog.execute("UPDATE photos SET turn = 0")
        catalog.execute("DELETE FROM meta WHERE key = 'looks'")
    open_blobs(address).put({photo.photo_id: small_picture(on_its_head)})
    with fk.open(tmp_path / "library") as library:
        assert library.reembed(progress=False).switched
        assert library.photo(photo.photo_id).turn == 180
        turned = read_image(open_blobs(address).get(photo.photo_id) or b"").astype(int)
    assert abs(turned - read_image(upright or b"").astype(int)).mean() < 3  # it was encoded once more


def small_picture(path: Path) -> bytes:
    from facekit.images.decode import thumbnail

    return thumbnail(read_image(path))
