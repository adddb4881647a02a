"""Fixtures: real photos, from FACEKIT_TEST_DATA or from installed packages, and where facekit keeps its files."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import ready
from browser import chromium, show  # noqa: F401 - fixtures
from family import Family, build_family
from generated_weights import STEMS, made
from milvus_server import milvus_name, milvus_programs, milvus_url  # noqa: F401 - fixtures
from places import choose_places, on_milvus, on_pgvector, places  # noqa: F401 - fixtures
from postgres import catalog, catalog_opener, pgvector_url, postgres_schema, postgres_url  # noqa: F401 - fixtures
from redis_server import redis_server  # noqa: F401 - a fixture
from service_stores import shared_store_opener, store, store_opener  # noqa: F401 - fixtures
from shared_library import few_photos, shared_folder, shared_library  # noqa: F401 - fixtures

import facekit as fk
from facekit.demo.photos import DemoPhotos, build_demo_photos
from facekit.measure.lfw_accuracy import central_faces
from facekit.models import registry
from facekit.models.facts import EMBEDDED, MODELS
from facekit.models.weights import fetch
from facekit.server.accounts import Accounts
from facekit.system import workers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from places import Places

    from facekit.library.base import Library
    from facekit.library.local import LocalLibrary
    from facekit.types.arrays import FloatArray

# A shell lets what it starts in the background ignore Ctrl-C, and so would all that tests start; some press it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


# What takes a browser, a server, TensorFlow, a killed process or long; `.ci/run quick` leaves it out.
_SLOW_ROOMS = {"server", "webapp", "widgets"}
_SLOW_FILES = {
    "test_backup",
    "test_bench",
    "test_calibration",
    "test_contract",
    "test_cli",
    "test_damage",
    "test_evaluate",
    "test_evaluate_people",
    "test_examples",
    "test_forks",
    "test_kill",
    "test_logs",
    "test_migrations",
    "test_model_sets",
    "test_open_files",
    "test_packages",
    "test_plots",
    "test_people_cli",
    "test_people_library",
    "test_people_state",
    "test_private",
    "test_reembed",
    "test_servers",
    "test_source_filters",
    "test_storage_urls",
    "test_sync_kills",
    "test_texts",
    "test_turns",
    "test_waiting",
    "test_ways",
}
_SLOW_FIXTURES = {
    "all_weights",
    "chromium",
    "generated_weights",
    "milvus_programs",
    "milvus_url",
    "redis_server",
    "weights_of_all",
}


# Those that take longest, in this order: what is begun last must not keep one core waiting for the other.
_LONGEST = [
    *("test_chaos", "test_worker_kills"),
    *("test_evaluate", "test_reembed", "test_kill", "test_bench", "test_packages", "test_people_panel", "test_damage"),
    *("test_engines", "test_model_sets", "test_webapp", "test_serve", "test_forks", "test_waiting", "03_gpu"),
    *("test_people_library", "test_shared", "test_ingest", "test_library", "test_worker", "test_shared_service"),
    *("test_people_state", "test_app", "test_service", "test_forms", "test_gallery", "test_calibration", "test_cli"),
    *("test_people_service", "test_backup", "test_people", "test_people_files", "test_images", "05_people"),
    *("04_thresholds", "test_lab", "test_people_app", "02_publish", "01_quickstart"),
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, and mark what `.ci/run quick` runs."""
    order = {name: place for place, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))
    for item in items:
        slow = item.path.parent.name in _SLOW_ROOMS or item.path.stem in _SLOW_FILES
        params = getattr(getattr(item, "callspec", None), "params", {}).values()
        slow |= any(one in ("milvus", "pgvector") for one in params if isinstance(one, str))
        if not slow and not _SLOW_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("quick")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    choose_places(metafunc)


def need(condition: object, reason: str) -> None:
    """Skip on a user's machine, fail in CI: there nothing may be skipped."""
    if condition:
        return
    if os.environ.get("CI"):
        pytest.fail(f"needed in CI: {reason}")
    pytest.skip(reason)


def data_folder(name: str) -> Path:
    root = os.environ.get("FACEKIT_TEST_DATA")
    need(root, f"set FACEKIT_TEST_DATA to the folder that holds {name}/")
    folder = Path(str(root)).resolve() / name
    need(folder.is_dir(), f"{folder} does not exist")
    return folder


@pytest.fixture(scope="session")
def lfw() -> Path:
    """Labeled Faces in the Wild, development set: one folder a person and the pairs files."""
    return data_folder("lfw")


@pytest.fixture(scope="session")
def lfw_faces(lfw: Path) -> tuple[FloatArray, list[str]]:
    """Vectors (sface) of 130 central faces of LFW, and whose they are: 30 people with three, 40 with one."""
    photos: list[Path] = []
    for shown, people in ((3, 30), (1, 40)):
        folders = (sorted(folder.glob("*.jpg")) for folder in sorted(lfw.iterdir()) if folder.is_dir())
        photos += [photo for files in islice((f for f in folders if len(f) == shown), people) for photo in files]
    faces = central_faces(photos, registry.load_detector("yunet"), registry.load_embedder("sface"), progress=False)
    assert faces.found.all()
    return faces.vectors, [photo.parent.name for photo in photos]


@pytest.fixture(scope="session")
def ordinary_photos() -> Path:
    """34 ordinary photos up to 14 Mpx, with same_person.csv."""
    return data_folder("photos")


@pytest.fixture(scope="session")
def astronaut() -> Path:
    """Eileen Collins, 512 x 512 PNG, one face; comes with scikit-image."""
    skimage = pytest.importorskip("skimage")
    return Path(skimage.__file__).parent / "data" / "astronaut.png"


@pytest.fixture(scope="session")
def grace_hopper() -> Path:
    """Grace Hopper, 512 x 600 JPEG, one face; comes with matplotlib."""
    matplotlib = pytest.importorskip("matplotlib")
    return Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"


@pytest.fixture(scope="session")
def generated_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with made-up weights of RetinaFace, FaceNet512, FaceNet and ArcFace, see `generated_weights.py`.

    Making them takes a minute or two; FACEKIT_GENERATED_WEIGHTS names a folder where they are kept. Another process may
    be making them there: they are waited for.
    """
    for package in ("tensorflow", "tf2onnx", "deepface", "skimage", "matplotlib"):
        need(find_spec(package), f"the package {package} is not installed")
    kept = os.environ.get("FACEKIT_GENERATED_WEIGHTS")
    folder = Path(kept) if kept else tmp_path_factory.mktemp("weights")
    if not all(made(stem, folder) for stem in STEMS):
        program = Path(__file__).with_name("generated_weights.py")
        pairs = (["retinaface", "arcface_weights"], ["facenet512_weights", "facenet_weights"])  # one for each core
        running = [subprocess.Popen([sys.executable, program, folder, *stems]) for stems in pairs]
        assert [process.wait() for process in running] == [0, 0]
    return folder


@pytest.fixture(scope="session", autouse=True)
def light_passwords() -> Iterator[Any]:
    """Passwords are hashed with little work: with as much as the service does, each costs a fifth of a second."""
    from argon2 import PasswordHasher

    kept = Accounts._hasher
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Accounts, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
        yield kept


@pytest.fixture(scope="session", autouse=True)
def own_token_key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests write nothing into the keyring, or the configuration, of whoever runs them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACEKIT_TOKEN_KEY_FILE", str(tmp_path_factory.mktemp("key") / "token.key"))
        yield


@pytest.fixture
def real_passwords(light_passwords: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are hashed as the service does it."""
    monkeypatch.setattr(Accounts, "_hasher", light_passwords)


@pytest.fixture(scope="session", autouse=True)
def ready_decoders() -> Iterator[Any]:
    """Photos are decoded in processes that are ready at once: each ingest would start two anew, for half a second."""
    kept = workers._start
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers, "_start", ready.start_decoder)
        yield kept


@pytest.fixture(autouse=True)
def real_decoders(request: pytest.FixtureRequest, ready_decoders: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests of the processes themselves start them as facekit does."""
    if request.path.parent.name == "system":
        monkeypatch.setattr(workers, "_start", ready_decoders)


@pytest.fixture
def own_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test opens of models is opened anew, and no other test gets it; what was open stays for the others."""
    monkeypatch.setattr(registry, "_cached_model", cache(registry._cached_model.__wrapped__))


@contextmanager
def weights_found(generated: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The made-up weights and the embedded models' are what facekit finds, in a world of its own."""
    folder = tmp_path_factory.mktemp("all-weights")
    embedded = [fetch(MODELS[name].file("auto")) for name in EMBEDDED]
    for file in [*generated.iterdir(), *embedded]:
        (folder / file.name).symlink_to(file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACEKIT_WEIGHTS", str(folder))
        patch.setenv("FACEKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(registry, "_cached_model", cache(registry._cached_model.__wrapped__))
        yield folder


@pytest.fixture
def all_weights(generated_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The made-up weights and the embedded models' are what facekit finds in this test; it opens its models anew."""
    with weights_found(generated_weights, tmp_path_factory) as folder:
        yield folder


@pytest.fixture(scope="module")
def weights_of_all(generated_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The same for all tests of a file, which have the models that it opens in common."""
    with weights_found(generated_weights, tmp_path_factory) as folder:
        yield folder


@pytest.fixture(scope="session")
def demo_photos(tmp_path_factory: pytest.TempPathFactory) -> DemoPhotos:
    """The demo's photos of two people, with a probe and what a search must find."""
    pytest.importorskip("skimage")
    return build_demo_photos(tmp_path_factory.mktemp("demo") / "photos")


@pytest.fixture(scope="session")
def demo_folder(demo_photos: DemoPhotos, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A closed library of the demo's photos, to be copied; who opens it as it is leaves it as it was."""
    folder = tmp_path_factory.mktemp("library") / "faces"
    with fk.open(folder) as library:
        library.ingest(demo_photos.folder, progress=False)
    names = {path.name for path in folder.iterdir()}
    yield folder
    assert {path.name for path in folder.iterdir()} == names, "a test left files in the library that all tests copy"


@pytest.fixture
def demo_copy(demo_folder: Path, places: Places, tmp_path: Path) -> Path:  # noqa: F811 - a fixture
    """A closed library of the demo's photos; each test has a copy of its own."""
    return places.copy(demo_folder, tmp_path / "faces")


@pytest.fixture
def demo_library(demo_copy: Path) -> Iterator[Library]:
    """The same, open."""
    with fk.open(demo_copy) as library:
        yield library


CROWD = ("Alvaro_Uribe", "Amelie_Mauresmo", "Andy_Roddick", "Angelina_Jolie", "Ali_Naimi")


@pytest.fixture(scope="session")
def crowd_folder(lfw: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed library of four to six photos of each of five people, none of whom is known yet."""
    album = tmp_path_factory.mktemp("crowd") / "album"
    album.mkdir()
    for name in CROWD:
        for photo in sorted((lfw / name).glob("*.jpg"))[:6]:
            shutil.copy(photo, album)
    folder = album.parent / "faces"
    with fk.open(folder) as library:
        library.ingest(album, progress=False)
    return folder


@pytest.fixture
def crowd_library(crowd_folder: Path, tmp_path: Path) -> Iterator[Library]:
    """An open library of five people's photos; each test has a copy of its own."""
    with fk.open(shutil.copytree(crowd_folder, tmp_path / "crowd")) as library:
        yield library


@pytest.fixture(scope="session")
def built_family(lfw: Path, tmp_path_factory: pytest.TempPathFactory) -> Family:
    """Photos of three people and a library of them."""
    return build_family(lfw, tmp_path_factory.mktemp("family"))


@pytest.fixture
def family(built_family: Family) -> Family:
    """The same, the photos as they were at first."""
    built_family.restore()
    return built_family


@pytest.fixture
def family_library(family: Family, places: Places, tmp_path: Path) -> Iterator[LocalLibrary]:  # noqa: F811 - a fixture
    """An open library of the family; each test has a copy of its own. Nobody has been grouped yet."""
    with family.opened(tmp_path / "family", places) as library:
        yield library


@pytest.fixture
def grouped_library(family: Family, places: Places, tmp_path: Path) -> Iterator[LocalLibrary]:  # noqa: F811 - a fixture
    """The same, after a first clustering: three people, two strangers who are nobody, and a poor face."""
    with family.opened(tmp_path / "family", places, grouped=True) as library:
        yield library
