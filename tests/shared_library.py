"""A library on servers for the tests of a module, empty at the beginning of each of them."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
import sqlalchemy as sa
from postgres import without_password

import facekit as fk
from facekit.catalog.batch_tables import batches, work, workers
from facekit.library.local import LocalLibrary

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def shared_folder(postgres_url: str, milvus_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a library on servers, which nobody has open."""
    folder = tmp_path_factory.mktemp("shared") / "faces"
    address = without_password(postgres_url)
    servers = {"catalog": f"{address}?library=w{uuid4().hex[:8]}", "index": milvus_url}
    fk.open(folder, detector="yunet", embedder="sface", **servers).close()
    yield folder
    with LocalLibrary(folder) as library:
        schema, models = library.storage.catalog.schema, library.storage.models.now
        models.index.close()
        library.storage.backend.drop_index(models.name)
    engine = sa.create_engine(postgres_url)
    with engine.begin() as connection:
        connection.execute(sa.schema.DropSchema(schema, cascade=True))
    engine.dispose()


@pytest.fixture
def shared_library(shared_folder: Path) -> Iterator[LocalLibrary]:
    """The same, open; what a test leaves in it goes."""
    with LocalLibrary(shared_folder) as library:
        yield library
        with library.storage.catalog.transaction() as connection:
            for table in (batches, work, workers):
                connection.execute(sa.delete(table))
        paths = [path for photo in library.photos()["paths"] for path in photo]
        if paths:
            library.remove(paths)


@pytest.fixture
def few_photos(astronaut: Path, grace_hopper: Path, tmp_path: Path) -> Path:
    """Two photos of faces, one of a texture, and one that is broken."""
    folder = tmp_path / "Фото"
    folder.mkdir()
    shutil.copy(astronaut, folder / "Айлин 🚀.png")
    shutil.copy(grace_hopper, folder / "grace.jpg")
    shutil.copy(astronaut.parent / "grass.png", folder / "трава.png")
    (folder / "broken.jpg").write_bytes(grace_hopper.read_bytes()[:2000])
    return folder


def check_consistent(library: LocalLibrary) -> None:
    """The index holds just the catalog's faces, and every face belongs to a photo with a place."""
    assert library.storage.catalog.outbox.balance().due == 0
    assert set(library.storage.index.rows()) == set(library.embeddings(include_poor=True)[0])
    frame = library.faces()
    assert len(frame) == len(set(frame["face_id"])) == library.stats()["faces"]
    photos = library.photos()
    assert photos["photo_id"].is_unique
    assert photos["faces"].sum() == len(frame)
