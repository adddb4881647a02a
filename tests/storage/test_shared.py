"""A library on servers: PostgreSQL and a Milvus server, both real, used by several processes at once."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import TYPE_CHECKING, Any

import other_models
import pytest
import service
import sqlalchemy as sa
from cable import Cable
from loguru import logger
from postgres import without_password
from typer.testing import CliRunner

import facekit as fk
from facekit.cli.main import app
from facekit.library.local import LocalLibrary
from facekit.models import registry
from facekit.storage.repair import repair
from facekit.storage.servers import Servers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from redis_server import RedisServer

    from facekit.demo.photos import DemoPhotos


@pytest.fixture(scope="module")
def address(postgres_url: str) -> str:
    """Where a catalog is."""
    return without_password(postgres_url)


@pytest.fixture(scope="module")
def folder(
    address: str, milvus_url: str, demo_photos: DemoPhotos, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """The folder of a library on servers, with the demo's photos and their people; nobody has it open."""
    folder = tmp_path_factory.mktemp("shared") / "faces"
    servers = {"catalog": f"{address}?library=family", "index": milvus_url}
    with fk.open(folder, detector="yunet", embedder="sface", **servers) as library:
        report = library.ingest(demo_photos.folder, progress=False)
        assert (report.ingested, report.faces) == (25, 24)
        library.people.cluster()
    return folder


@pytest.fixture
def here(folder: Path) -> Iterator[LocalLibrary]:
    """The library, opened by its folder."""
    with LocalLibrary(folder) as library:
        yield library


@pytest.fixture
def there(address: str, folder: Path) -> Iterator[LocalLibrary]:
    """The same library as another process has it: opened by its catalog's address."""
    assert folder.exists()
    with LocalLibrary(f"{address}?library=family") as library:
        yield library


def shell(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(one) for one in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def python(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Another process; what it prints says how far it is."""
    command = [sys.executable, "-c", f"import sys\nimport facekit as fk\n{code}", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)


# -- making and opening it -------------------------------------------------------------------------------------------


def test_verbs_work_by_folder_and_by_address(folder: Path, address: str, demo_photos: DemoPhotos) -> None:
    by_folder, by_address = (
        json.loads(shell("--library", place, "search", demo_photos.probe, "--json"))
        for place in (folder, f"{address}?library=family")
    )
    assert by_folder == by_address
    assert len(by_folder["hits"]) == 14


def test_the_file_names_servers_and_no_models(folder: Path, address: str, milvus_url: str) -> None:
    said = (folder / "library.toml").read_text(encoding="utf-8")
    assert "[storage]" in said
    assert f'catalog = "{address}?library=family"' in said
    assert f'index = "{milvus_url}"' in said
    assert "yunet" not in said
    assert not list(folder.glob("*.duckdb")) + list(folder.glob("vectors*"))


def test_init_leads_another_machine_to_the_library(folder: Path, address: str, tmp_path: Path) -> None:
    shell("init", tmp_path / "again", "--catalog", f"{address}?library=family")
    with fk.open(folder) as one, fk.open(tmp_path / "again") as other:
        assert other.embeddings()[0] == one.embeddings()[0]


def test_each_folder_has_mounts_of_its_own(folder: Path, address: str, demo_photos: DemoPhotos, tmp_path: Path) -> None:
    with fk.open(tmp_path / "again", catalog=f"{address}?library=family") as library:
        assert library.settings.mounts == {}
    with (tmp_path / "again" / "library.toml").open("a", encoding="utf-8") as file:
        file.write(f"[mounts]\nalbum = {json.dumps(str(demo_photos.folder))}\n")
    with fk.open(tmp_path / "again") as library, fk.open(folder) as other:
        assert library.settings.mounts == {"album": str(demo_photos.folder)}
        assert other.settings.mounts == {}


def test_an_upgrade_needs_no_package_of_the_service(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "facekit.server.stores", raising=False)
    monkeypatch.setitem(sys.modules, "limits", None)  # as where it is not installed
    monkeypatch.delitem(sys.modules, "facekit.server.limits", raising=False)
    result = CliRunner().invoke(app, ["--library", str(folder), "upgrade"], catch_exceptions=False)
    assert result.exit_code == 0
    assert "is of the newest schema. The service's packages are not here" in result.stderr


def test_libraries_on_one_server_know_nothing_of_each_other(
    here: LocalLibrary, address: str, milvus_url: str, demo_photos: DemoPhotos, tmp_path: Path
) -> None:
    shell("init", tmp_path / "other", "--catalog", f"{address}?library=other", "--index", milvus_url)
    with fk.open(tmp_path / "other") as other:
        other.ingest(demo_photos.folder / "cat.png", demo_photos.folder / "IMG_0001.jpg", progress=False)
        assert len(other.photos()) == 2
        assert len(other.search(demo_photos.probe, top_k=50)) == 1
        other.remove(demo_photos.folder)
        assert not len(other.photos())
    assert len(here.photos()) == 25
    assert len(here.search(demo_photos.probe)) == 14
    assert here.index_lag() == 0


@pytest.mark.parametrize(
    ("servers", "said"),
    [
        ({"catalog": "postgresql://me:hunter2@127.0.0.1/x", "index": "http://127.0.0.1:1"}, "PGPASSWORD"),
        ({"catalog": "postgresql://me@127.0.0.1/x?password=hunter2", "index": "http://127.0.0.1:1"}, "PGPASSWORD"),
        ({"catalog": "postgresql://127.0.0.1/x", "index": "http://root:hunter2@127.0.0.1:1"}, "FACEKIT_INDEX_TOKEN"),
        (
            {"catalog": "postgresql://127.0.0.1/x", "index": "http://h:1", "broker": "redis://:hunter2@h:1"},
            "environment",
        ),
        ({"catalog": "postgresql://me@h/x?sslpassword=hunter2", "index": "http://127.0.0.1:1"}, "PGPASSWORD"),
        ({"catalog": "postgresql://h/x", "index": "http://h:1/?token=hunter2"}, "FACEKIT_INDEX_TOKEN"),
        (
            {"catalog": "postgresql://h/x", "index": "http://h:1", "broker": "redis://h:1?password=hunter2"},
            "environment",
        ),
        ({"catalog": "postgresql://h/x", "index": "http://h:1", "blobs": "s3://b/faces?secret=hunter2"}, "environment"),
        ({"catalog": "postgresql://h/x", "index": "root:hunter2@h:1"}, "http://"),
        ({"catalog": "postgresql://h?password=hunter2", "index": "http://h:1"}, "postgresql://USER@HOST"),
        ({"catalog": "mysql://127.0.0.1/x", "index": "http://127.0.0.1:1"}, "postgresql://USER@HOST"),
        ({"catalog": "postgresql://127.0.0.1", "index": "http://127.0.0.1:1"}, "postgresql://USER@HOST"),
        ({"catalog": "postgresql://127.0.0.1/x?library=A-b", "index": "http://127.0.0.1:1"}, "small letters"),
        ({"catalog": "postgresql://127.0.0.1/x", "index": "faces.db"}, "http://"),
        ({"index": "http://127.0.0.1:1"}, "catalog="),
    ],
)
def test_addresses_that_are_none_or_hold_secrets_are_refused(
    servers: dict[str, str], said: str, tmp_path: Path
) -> None:
    with pytest.raises(fk.LibraryError) as refused:
        fk.open(tmp_path / "faces", **servers)
    assert said in str(refused.value)
    assert "hunter2" not in str(refused.value)
    assert not (tmp_path / "faces" / "library.toml").exists()


@pytest.mark.parametrize("address", ["mysql://me:hunter2@h/x", "PostgreSQL://me:hunter2@h/x"])
def test_an_address_of_something_else_is_not_taken_for_a_folder(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(fk.LibraryError, match="postgresql://USER@HOST") as refused:
        fk.open(address)
    assert "hunter2" not in str(refused.value)
    assert not list(tmp_path.iterdir())


def test_no_library_is_made_at_an_address_without_an_index(address: str, tmp_path: Path) -> None:
    with pytest.raises(fk.LibraryError, match=r"There is no library at .*facekit init"):
        fk.open(f"{address}?library=nobodys")


def test_a_folder_that_leads_to_a_library_that_is_gone_does_not_make_an_empty_one(
    postgres_url: str, address: str, milvus_url: str, tmp_path: Path
) -> None:
    servers = {"catalog": f"{address}?library=lost", "index": milvus_url}
    fk.open(tmp_path / "faces", **servers).close()
    engine = sa.create_engine(postgres_url)
    with engine.begin() as connection:
        connection.execute(sa.schema.DropSchema("facekit_lost", cascade=True))
    with pytest.raises(fk.LibraryError, match=r"no library at .*library=lost, to which .*faces leads"):
        fk.open(tmp_path / "faces")
    with engine.connect() as connection:
        assert "facekit_lost" not in sa.inspect(connection).get_schema_names()
    engine.dispose()
    with fk.open(tmp_path / "faces", **servers) as again:
        assert again.stats()["faces"] == 0


def test_a_folder_with_a_library_is_not_moved_to_servers(
    demo_library: fk.Library, address: str, milvus_url: str
) -> None:
    with pytest.raises(fk.LibraryError, match="is in its folder, and not on servers"):
        LocalLibrary(Path(demo_library.place), servers=Servers(address, milvus_url))


def test_no_secret_is_written_or_shown(
    folder: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FACEKIT_CACHE", str(tmp_path))
    assert "secret" in postgres_url
    with LocalLibrary(f"{postgres_url}?library=family") as library:
        shown = f"{library!r} {library.place} {library.doctor()!r} {library.stats()}"
        logs = "".join(path.read_text() for path in library.folder.rglob("*.log"))
        assert "secret" not in shown + logs
        assert logs


# -- several processes -----------------------------------------------------------------------------------------------


def test_what_another_process_sets_counts_here_too(here: LocalLibrary, there: LocalLibrary, tmp_path: Path) -> None:
    usual = here.search_similarity
    there.set_search_similarity(0.91)
    assert here.search_similarity == 0.91
    here.set_search_similarity(None)
    assert there.search_similarity == usual
    (person, *_) = there.people
    there.people.name(person, "Айлин")
    assert here.people["Айлин"].person_id == person.person_id
    here.people.undo()


_CHANGING = """
library = fk.open(sys.argv[1])
with library._storage.changing("An ingest"):
    print(library.place, flush=True)
    sys.stdin.read()
"""


def test_one_change_at_a_time_and_a_killed_process_keeps_none(folder: Path, here: LocalLibrary) -> None:
    with python(_CHANGING, folder) as other:
        assert other.stdout is not None
        assert other.stdout.readline().strip() == str(folder)
        with pytest.raises(fk.LibraryBusyError, match=rf"Removing photos can't start.*:{other.pid}: An ingest\)"):
            here.remove(here.photos()["path"].iloc[0])
        assert len(here.photos()) == 25  # who looks waits for nobody
        other.kill()
    for _ in range(100):
        try:
            with here._storage.changing("A change"):
                return
        except fk.LibraryBusyError:
            pass
    pytest.fail("the lock outlived its process")


@pytest.mark.parametrize("embedder", ["turned", "short"])
def test_models_that_another_process_changes_are_used_here_from_then_on(
    here: LocalLibrary,
    there: LocalLibrary,
    address: str,
    demo_photos: DemoPhotos,
    embedder: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, info in other_models.models().items():
        monkeypatch.setitem(registry.MODELS, name, info)
    before = {hit.photo for hit in here.search(demo_photos.probe, min_similarity=0.42)}
    people = {one.person_id: one.faces for one in here.people}
    assert there.reembed(embedder=embedder, progress=False).switched
    try:
        assert {hit.photo for hit in here.search(demo_photos.probe, min_similarity=0.42)} == before
        assert here.settings.embedder == embedder
        assert {one.person_id: one.faces for one in here.people} == people
        assert here.ingest(demo_photos.folder, progress=False).unchanged == 26
        with LocalLibrary(f"{address}?library=family") as third:  # whoever comes later learns it, too
            assert third.settings.embedder == embedder
            assert third.index_lag() == there.index_lag() == here.index_lag() == 0
    finally:
        here.reembed(embedder="sface", progress=False)
    assert {hit.photo for hit in there.search(demo_photos.probe, min_similarity=0.42)} == before


def test_a_change_of_models_waits_for_searches_of_other_processes(
    here: LocalLibrary, there: LocalLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    with here._storage.models.shared() as models, monkeypatch.context() as patch:
        assert models.index.count() == 24
        patch.setenv("FACEKIT_GIVE_UP_AFTER", "0.3")  # of the lock only: a busy index takes longer
        with pytest.raises(fk.StalledError, match="searches"), there._storage.models.alone():
            pytest.fail("nobody waited")
    with there._storage.models.alone(), monkeypatch.context() as patch:
        patch.setenv("FACEKIT_GIVE_UP_AFTER", "0.3")
        with pytest.raises(fk.StalledError, match="a change of the library's models"):  # noqa: SIM117
            with here._storage.models.shared():
                pytest.fail("nobody waited")
    with here._storage.models.shared(), there._storage.models.shared():
        assert here.index_lag() == 0


def test_more_may_search_at_once_than_there_are_connections(
    here: LocalLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    face_ids = list(here.faces()["face_id"])
    monkeypatch.setenv("FACEKIT_GIVE_UP_AFTER", "60")
    together = Barrier(40)

    def search(number: int) -> int:
        together.wait()
        return len(here.search(face_ids[number % len(face_ids)], include_poor=True))

    with ThreadPoolExecutor(40) as pool:
        assert all(pool.map(search, range(40)))


def test_a_search_waits_for_nobody_where_nothing_was_written(
    here: LocalLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    face_id = next(iter(here.faces()["face_id"]))
    client, levels = here._storage.index._client, list[str]()
    for name in ("query", "search"):
        real = getattr(client, name)

        def ask(*said: Any, real: Callable[..., Any] = real, **named: Any) -> Any:
            levels.append(named["consistency_level"])
            return real(*said, **named)

        monkeypatch.setattr(client, name, ask)
    assert here.search(face_id, include_poor=True).searched == 24
    assert set(levels) == {"Bounded"}  # Milvus answers Strong ones every 0.2 s only


def test_doctor_says_whether_redis_answers(
    address: str, milvus_url: str, redis_server: RedisServer, tmp_path: Path
) -> None:
    servers = {"catalog": f"{address}?library=rung", "index": milvus_url, "broker": redis_server.url}
    with fk.open(tmp_path / "faces", **servers) as library:
        checks = {check.name: check for check in library.doctor().checks}
        assert checks["broker"].ok
        redis_server.kill()
        checks = {check.name: check for check in library.doctor().checks}
        assert not checks["broker"].ok
        assert redis_server.url in checks["broker"].detail


def test_doctor_looks_at_the_servers(here: LocalLibrary) -> None:
    checks = {check.name: check for check in here.doctor().checks}
    assert checks["catalog's server"].ok
    assert "PostgreSQL" in checks["catalog's server"].detail
    assert checks["clocks"].ok
    assert checks["vector index"].detail == "24 vectors, as the catalog says"


def test_what_only_a_folder_has_is_refused_in_words(here: LocalLibrary, tmp_path: Path) -> None:
    with pytest.raises(fk.LibraryError, match="pg_dump"):
        here.backup(tmp_path / "backup")
    with pytest.raises(fk.LibraryError, match="is on servers"):
        repair(here.folder)


# -- a service and a notebook ----------------------------------------------------------------------------------------


def test_a_service_and_a_notebook_have_it_open_at_once(folder: Path, address: str, demo_photos: DemoPhotos) -> None:
    with service.process(folder) as serving, service.process(f"{address}?library=family") as second:
        assert str(folder) in serving.said
        assert f"{address}?library=family" in second.said
        with fk.open(folder) as here:  # itself: it need not ask the service
            assert isinstance(here, LocalLibrary)
            (person, *_) = here.people
            here.people.name(person, "Айлин")
            for one in (serving, second):
                with fk.open(one.url) as remote:
                    assert remote.people["Айлин"].person_id == person.person_id
                    assert len(remote.search(demo_photos.probe)) == 14
                    photo = remote.photo_page(limit=1).photos[0]
                    assert remote.thumbnail(photo.photo_id)
            here.people.undo()
            shown = here.show()  # as a notebook shows it
            assert shown.gallery.gallery.total == 25
    assert not (folder / "service.json").exists()


# -- servers that are down -------------------------------------------------------------------------------------------


@pytest.fixture
def cables(folder: Path, address: str, milvus_url: str, tmp_path: Path) -> tuple[Path, Cable, Cable]:
    """A folder that leads to the library through cables: to the catalog's server, and to the index's."""
    catalog, index = Cable(address), Cable(milvus_url)
    servers = {"catalog": f"{catalog.address}?library=family", "index": index.address}
    with fk.open(tmp_path / "cut", **servers) as library:
        assert library.index_lag() == 0
    return tmp_path / "cut", catalog, index


def one_line(error: BaseException) -> str:
    assert "\n" not in str(error)
    assert "Traceback" not in str(error)
    return str(error)


def test_without_the_index_the_gallery_goes_on_and_search_says_so(
    cables: tuple[Path, Cable, Cable], demo_photos: DemoPhotos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, _, cable = cables
    (tmp_path / "new").mkdir()
    photo = tmp_path / "new" / "portrait again.png"
    photo.write_bytes((demo_photos.folder / "portrait.png").read_bytes() + b"\0")  # another content, the same picture
    with LocalLibrary(place) as library:
        hits = len(library.search(demo_photos.probe))
        cable.cut()
        with monkeypatch.context() as hurried:
            hurried.setattr("facekit.index.client._PATIENCE", {})  # it waits for a server that is starting
            with pytest.raises(fk.VectorIndexError) as refused:
                library.search(demo_photos.probe)
            assert cable.address in one_line(refused.value)
            assert library.photo_page(limit=5).total == 25
            assert len(library.people) > 0
            assert not {check.name: check.ok for check in library.doctor().checks}["vector index"]
            assert library.ingest(photo, progress=False).ingested == 1  # the index follows later
            assert library.index_lag() == 1
        cable.mend()
        assert library.ingest(photo, progress=False).unchanged == 1
        assert len(library.search(demo_photos.probe)) == hits + 1
        library.remove(photo)
        assert library.index_lag() == 0
    cable.cut()
    warned: list[str] = []
    sink = logger.add(
        lambda message: warned.append(message.record["message"]), level="WARNING", filter="facekit.storage"
    )
    with LocalLibrary(place) as library:  # opened while it is down
        library.set_search_similarity(None)
        library.set_search_similarity(None)
        logger.remove(sink)
        assert len(warned) == 1  # and not once for each change
        assert library.photo_page(limit=5).total == 25
        cable.mend()
        assert len(library.search(demo_photos.probe)) == hits


def test_without_the_catalog_every_verb_says_so_and_goes_on_when_it_is_back(
    cables: tuple[Path, Cable, Cable], demo_photos: DemoPhotos
) -> None:
    place, cable, _ = cables
    with LocalLibrary(place) as library:
        verbs = (
            lambda: library.search(demo_photos.probe),
            lambda: library.photo_page(limit=5),
            lambda: library.ingest(demo_photos.folder, progress=False),
            library.people.cluster,
        )
        cable.cut()
        for verb in verbs:
            with pytest.raises(fk.LibraryError) as refused:
                verb()
            assert "127.0.0.1" in one_line(refused.value)
        checks = {check.name: check for check in library.doctor().checks}
        assert not checks["catalog"].ok
        assert not checks["catalog's server"].ok
        cable.mend()
        for verb in verbs:
            verb()
        assert library.doctor()
    cable.cut()
    with pytest.raises(fk.LibraryError) as refused:
        LocalLibrary(place)
    one_line(refused.value)
