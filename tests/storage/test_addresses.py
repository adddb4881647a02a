"""The addresses of a library on servers: named by ``facekit init``, and changed by it."""

from __future__ import annotations

import re
import shutil
import socket
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from cable import Cable
from postgres import without_password
from typer.testing import CliRunner

import facekit as fk
from facekit.cli.main import app
from facekit.index.milvus import MilvusIndex
from facekit.index.opening import index_names
from facekit.library.local import LocalLibrary
from facekit.server.stores import rate_limits
from facekit.storage.logs import quiet_console
from facekit.storage.servers import broker_address, read_servers
from facekit.storage.settings import read_mounts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from redis_server import RedisServer


@pytest.fixture(scope="module")
def server(postgres_url: str) -> str:
    """Where catalogs are."""
    return without_password(postgres_url)


@pytest.fixture(scope="module")
def filled(
    server: str, milvus_url: str, grace_hopper: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """The folder of a library with one photo, which nobody has open."""
    folder = tmp_path_factory.mktemp("addresses") / "faces"
    photos = folder.parent / "photos"
    photos.mkdir()
    shutil.copy(grace_hopper, photos)
    quiet_console()  # with this process's stderr
    said = init(folder, catalog=f"{server}?library=a{uuid4().hex[:8]}", index=milvus_url, models=True)
    assert "leads to a library with 0 photos" in said
    with LocalLibrary(folder) as library:
        assert library.ingest(photos, progress=False).faces == 1
    yield folder
    with LocalLibrary(folder) as library:
        models = library.storage.models.now
        models.index.close()
        library.storage.backend.drop_index(models.name)


def init(folder: Path, *, models: bool = False, **servers: str) -> str:
    """What ``facekit init`` says; an error is raised."""
    options = [word for name, value in servers.items() for word in (f"--{name}", value)]
    options += ["--detector", "yunet", "--embedder", "sface"] if models else []
    result = CliRunner().invoke(app, ["init", str(folder), *options], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def refused(folder: Path, **servers: str) -> str:
    with pytest.raises(fk.FacekitError) as error:
        init(folder, **servers)
    assert "\n" not in str(error.value)
    return str(error.value)


def catalog_of(folder: Path) -> str:
    servers = read_servers(folder)
    assert servers is not None
    return servers.catalog


def nobody() -> str:
    """An address at which nothing answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def test_init_again_gives_a_library_another_index_that_everybody_uses(
    filled: Path, milvus_url: str, grace_hopper: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog, cable = catalog_of(filled), Cable(milvus_url)
    (filled / "library.toml").write_text((filled / "library.toml").read_text() + '[mounts]\nalbum = "/mnt/album"\n')
    with LocalLibrary(catalog) as elsewhere:
        schema = elsewhere.storage.catalog.schema
        before = {name for name in index_names(milvus_url) if name.startswith(f"{schema}_")}
        assert len(elsewhere.search(grace_hopper)) == 1
        said = init(filled, catalog=catalog, index=cable.address)
        assert "leads to a library with 1 photos" in said
        after = {name for name in index_names(milvus_url) if name.startswith(f"{schema}_")}
        assert len(after) == 1
        assert not after & before
        cable.cut()  # whoever has it open asks at the new address
        with monkeypatch.context() as hurried:
            hurried.setattr("facekit.index.client._PATIENCE", {})
            with pytest.raises(fk.VectorIndexError, match=re.escape(cable.address)):
                elsewhere.search(grace_hopper)
        cable.mend()
        assert len(elsewhere.search(grace_hopper)) == 1
    text = (filled / "library.toml").read_text()
    assert f'index = "{cable.address}"' in text
    init(filled, catalog=catalog, index=cable.address)  # once more changes nothing
    assert {name for name in index_names(milvus_url) if name.startswith(f"{schema}_")} == after
    assert read_mounts(filled) == {"album": "/mnt/album"}
    init(filled, catalog=catalog, index=milvus_url)
    with LocalLibrary(catalog) as library:
        assert len(library.search(grace_hopper)) == 1
        checks = {check.name: check for check in library.doctor().checks}
        assert checks["vector index"].ok
        assert checks["index's server"].detail.startswith(f"{milvus_url}: Milvus 2.")


def test_an_index_that_was_mistyped_is_put_right_by_init(server: str, milvus_url: str, tmp_path: Path) -> None:
    catalog, wrong = f"{server}?library=a{uuid4().hex[:8]}", nobody()
    init(tmp_path / "faces", catalog=catalog, index=wrong, models=True)
    with pytest.raises(fk.LibraryError, match=r"another index: .*facekit init"):
        fk.open(tmp_path / "faces", catalog=catalog, index=milvus_url)
    init(tmp_path / "faces", catalog=catalog, index=milvus_url)
    with LocalLibrary(catalog) as library:
        assert library.storage.index.count() == 0
        models = library.storage.models.now
        models.index.close()
        library.storage.backend.drop_index(models.name)


def test_an_index_that_does_not_answer_changes_nothing(filled: Path, grace_hopper: Path, tmp_path: Path) -> None:
    catalog, wrong, text = catalog_of(filled), nobody(), (filled / "library.toml").read_text()
    assert wrong in refused(filled, catalog=catalog, index=wrong)
    assert (filled / "library.toml").read_text() == text
    assert wrong in refused(tmp_path / "new", catalog=catalog, index=wrong)
    assert not (tmp_path / "new").exists()
    with LocalLibrary(catalog) as library:
        assert len(library.search(grace_hopper)) == 1


def test_thumbnails_have_to_be_where_init_says(filled: Path, tmp_path: Path) -> None:
    catalog, elsewhere = catalog_of(filled), tmp_path / "thumbs"
    for folder in (filled, tmp_path / "new"):
        said = refused(folder, catalog=catalog, blobs=str(elsewhere))
        assert f"1 of 1 thumbnails are not in {elsewhere}" in said
        assert "Copy" in said
    assert not (tmp_path / "new").exists()
    assert not elsewhere.exists()
    shutil.copytree(filled / "thumbnails", elsewhere / "thumbnails")
    init(tmp_path / "new", catalog=catalog, blobs=str(elsewhere))  # as this machine sees them
    with LocalLibrary(tmp_path / "new") as here, LocalLibrary(catalog) as library:
        assert Path(here.storage.blobs.place).parent == elsewhere
        assert Path(library.storage.blobs.place).parent == filled
    init(filled, catalog=catalog, blobs=str(elsewhere))
    elsewhere.rename(tmp_path / "away")
    with LocalLibrary(catalog) as library:
        checks = {check.name: check for check in library.doctor().checks}
        assert f"{elsewhere / 'thumbnails'} is not there on this machine: mount it" in checks["thumbnails"].detail
        elsewhere.mkdir()  # where a disk is to be mounted
        checks = {check.name: check for check in library.doctor().checks}
        assert f"0 of 1 in {elsewhere / 'thumbnails'}: is its disk not mounted" in checks["thumbnails"].detail
        elsewhere.rmdir()
        (tmp_path / "away").rename(elsewhere)
    init(filled, catalog=catalog, blobs=str(filled))
    with LocalLibrary(catalog) as library:
        assert Path(library.storage.blobs.place).parent == filled


def test_a_broker_may_be_named_later_and_is_everybodys(filled: Path, tmp_path: Path) -> None:
    catalog = catalog_of(filled)
    init(tmp_path / "new", catalog=catalog, broker="redis://127.0.0.1:1")
    assert backend_broker(catalog) == "redis://127.0.0.1:1"  # there was none
    init(tmp_path / "other", catalog=catalog, broker="redis://127.0.0.1:2")  # as that machine reaches it
    assert backend_broker(catalog) == "redis://127.0.0.1:1"
    init(tmp_path / "new", catalog=catalog, broker="redis://127.0.0.1:3")
    assert backend_broker(catalog) == "redis://127.0.0.1:3"


def backend_broker(catalog: str) -> str:
    with LocalLibrary(catalog) as library:
        return library.storage.backend.broker


def test_another_catalog_is_refused(filled: Path) -> None:
    assert "another catalog" in refused(filled, catalog=catalog_of(filled) + "x")


@pytest.mark.parametrize("there", [True, False])
def test_an_init_that_fails_leaves_the_folder_as_it_was(*, there: bool, tmp_path: Path) -> None:
    folder = tmp_path / "faces"
    if there:
        folder.mkdir()
    refused(folder, catalog=f"postgresql://{nobody().removeprefix('http://')}/photos", index=nobody())
    assert folder.exists() is there
    assert not there or not list(folder.iterdir())


def test_repair_makes_an_index_right_that_is_wrong_with_the_right_count(filled: Path, grace_hopper: Path) -> None:
    with LocalLibrary(filled) as library:
        index = library.storage.index
        (row,) = library.storage.catalog.index_rows()
        assert isinstance(index, MilvusIndex)
        index.delete([row.face_id])
        index.upsert([replace(row, face_id="f" * 32)])
        assert index.count() == 1
    with LocalLibrary(filled) as library:
        assert not len(library.search(grace_hopper))
        (wrong,) = [check for check in library.doctor().checks if check.name == "vector index"]
        assert not wrong.ok
        verb = re.search(r"facekit (--library .* doctor --repair)", wrong.detail)
        assert verb is not None
    result = CliRunner().invoke(app, verb[1].split(), catch_exceptions=False)
    assert "1 faces written, 1 others taken out" in result.output
    with LocalLibrary(filled) as library:
        assert len(library.search(grace_hopper)) == 1


def test_vectors_under_the_wrong_face_are_put_right_by_repair(filled: Path, grace_hopper: Path) -> None:
    with LocalLibrary(filled) as library:
        (row,) = library.storage.catalog.index_rows()
        library.storage.index.upsert([replace(row, vector=-row.vector)])  # which no count and no field tells
        assert not len(library.search(grace_hopper))
    CliRunner().invoke(app, ["--library", str(filled), "doctor", "--repair"], catch_exceptions=False)
    with LocalLibrary(filled) as library:
        assert len(library.search(grace_hopper)) == 1


def test_the_password_of_redis_counts_for_every_verb_and_is_not_shown(
    filled: Path, redis_server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert redis_server.ask("CONFIG", "SET", "requirepass", "hunter2") == "OK"
    (tmp_path / "secret").write_text(redis_server.url.replace("//", "//:hunter2@") + "\n")
    monkeypatch.setenv("FACEKIT_BROKER_FILE", str(tmp_path / "secret"))
    with LocalLibrary(filled) as library:
        limits = rate_limits(library.storage.backend)
        assert limits.try_password({("tester",): 1}) == 0
        assert limits.try_password({("tester",): 1}) > 0
        keys = redis_server.ask("-a", "hunter2", "KEYS", "*")
        assert library.storage.catalog.schema in keys  # counted there, and not in this process
        checks = {check.name: check for check in library.doctor().checks}
        assert checks["broker"].ok
        assert redis_server.url.removeprefix("redis://") in checks["broker"].detail
        assert "hunter2" not in repr(checks)
        redis_server.kill()
        assert "hunter2" not in repr(library.doctor())


@pytest.mark.parametrize("said", ["hunter2", "http://h", "redis://", "redis://[hunter2"])
def test_a_broker_of_the_environment_that_is_none_is_refused(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEKIT_BROKER", said)
    with pytest.raises(fk.LibraryError, match="FACEKIT_BROKER") as error:
        broker_address("redis://h:1")
    assert "hunter2" not in str(error.value)
