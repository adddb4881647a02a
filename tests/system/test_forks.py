"""A fork never hangs in what its parent opened, and never closes it under the parent."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from importlib.util import find_spec
from pathlib import Path

import pytest
from conftest import need
from service import remote

import facekit as fk

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no forks")

# What a fork does, from here to its end as any script has it; its parent waits for it.
_FORK = """
import os, sys, traceback
def in_a_fork(work):
    child = os.fork()
    if not child:
        try:
            work()
        except Exception:
            traceback.print_exc()
            os._exit(1)
        sys.exit(0)  # with all that Python does at its end
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status == 0, status
"""


def run(script: str, *arguments: object) -> list[str]:
    """The lines that a script prints; one that hangs is killed, and has failed."""
    done = subprocess.run(
        [sys.executable, "-c", _FORK + textwrap.dedent(script), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_fork_is_refused_a_library_and_leaves_it_to_its_parent(
    demo_folder: Path, astronaut: Path, tmp_path: Path
) -> None:
    script = """
    import facekit as fk
    folder, picture = sys.argv[1:]
    library = fk.open(folder)
    hits, people, parent = library.search(picture), library.people, os.getpid()
    library.set_search_similarity(0.5)
    files = lambda: sorted(os.listdir(folder))
    before = files()

    def refused(work):
        try:
            work()
        except fk.FacekitError as error:
            assert str(parent) in str(error), error
            print(type(error).__name__, flush=True)

    def work():
        assert library.closed
        for one in (lambda: library.search(picture), library.stats, lambda: library.ingest(picture), library.doctor,
                    lambda: people.page(), lambda: hits.library.photos(), lambda: fk.open(folder)):
            refused(one)
        assert hits.library.thumbnail(hits[0].photo_id)
        library.close()

    in_a_fork(work)
    in_a_fork(lambda: globals().pop("library"))  # collected
    assert files() == before
    print(open(folder + "/owner.json").read().count(str(parent)))
    assert [hit.photo for hit in library.search(picture)] == [hit.photo for hit in hits]
    library.ingest(picture, progress=False)
    library.close()
    print(fk.open(folder).doctor().to_dict()["ok"])
    """
    lines = run(script, shutil.copytree(demo_folder, tmp_path / "faces"), astronaut)
    assert lines == [*["ForkError"] * 6, "LibraryLockedError", "1", "True"]


def test_fork_that_outlives_its_parent_does_not_keep_the_library_locked(demo_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(demo_folder, tmp_path / "faces"))
    script = """if True:
    import os, sys, time
    import facekit as fk
    library = fk.open(sys.argv[1])
    child = os.fork()
    if not child:
        print(os.getpid(), flush=True)
    time.sleep(600)
    """
    with subprocess.Popen([sys.executable, "-c", script, folder], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        try:
            parent.kill()
            parent.wait()
            with fk.open(folder) as library:
                assert library.doctor().to_dict()["ok"]
        finally:
            os.kill(child, signal.SIGKILL)
    assert not list(folder.glob("*.broken-*"))  # an index that is locked was taken for a broken one


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_fork_opens_models_of_its_own(engine: str, astronaut: Path) -> None:
    script = """
    import numpy as np
    import facekit as fk
    from facekit.models.registry import load_detector, load_embedder
    engine, picture = sys.argv[1:]
    def embeddings():
        image = fk.read_image(picture)
        detector, embedder = (load(device="cpu", engine=engine) for load in (load_detector, load_embedder))
        return embedder.embed(embedder.align(image, detector.detect([image])[0]))
    here = embeddings()
    def work():
        np.testing.assert_allclose(embeddings(), here, atol=1e-6)
        print("the same", flush=True)
    in_a_fork(work)
    in_a_fork(lambda: in_a_fork(work))
    np.testing.assert_allclose(embeddings(), here, atol=1e-6)
    """
    assert run(script, engine, astronaut) == ["the same"] * 2


def test_functions_on_arrays_work_in_a_pool_of_forks(astronaut: Path) -> None:
    script = """
    import multiprocessing
    import facekit as fk
    image = fk.read_image(sys.argv[1])
    here = fk.detect(image)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        found = pool.map(fk.detect, [image] * 4)
    assert len(here) == 1
    print([len(one) for one in found])
    """
    assert run(script, astronaut) == ["[1, 1, 1, 1]"]


def test_network_of_openvino_from_before_a_fork_is_refused() -> None:
    script = """
    import numpy as np
    import facekit as fk
    from facekit.models.registry import load_embedder
    embedder, faces = load_embedder(device="cpu", engine="openvino"), np.zeros((1, 112, 112, 3), np.uint8)
    embedder.embed(faces)
    def work():
        try:
            embedder.embed(faces)
        except fk.FacekitError as error:
            print(error, flush=True)
    in_a_fork(work)
    """
    (line,) = run(script)
    assert "of which this one" in line
    assert "spawn" in line


def test_tensorflow_in_a_fork_is_refused() -> None:
    # Imported into this process, it would take the new Keras.
    need(find_spec("tensorflow"), "the package tensorflow is not installed")
    script = """
    import facekit as fk
    from facekit.models.engines.keras import prepare_tensorflow
    prepare_tensorflow()
    def work():
        try:
            prepare_tensorflow()
        except fk.FacekitError as error:
            print(type(error).__name__, flush=True)
    in_a_fork(work)
    """
    assert run(script) == ["ForkError"]


def test_pool_of_processes_from_before_a_fork_is_refused() -> None:
    script = """
    import facekit as fk
    from facekit.system.workers import WorkerPool
    with WorkerPool(1) as pool:
        assert len(list(pool.imap(abs, [(1,)], window=1))) == 1
        def work():
            try:
                list(pool.imap(abs, [(1,)], window=1))
            except fk.FacekitError as error:
                print(type(error).__name__, flush=True)
        in_a_fork(work)
        assert len(list(pool.imap(abs, [(1,)], window=1))) == 1
    """
    assert run(script) == ["ForkError"]


def test_fork_asks_a_service_on_connections_of_its_own(demo_folder: Path, tmp_path: Path) -> None:
    script = """
    import json
    import facekit as fk
    library, answers = fk.open(sys.argv[1]), sys.argv[2]
    pages = [library.photo_page(offset=offset, limit=1).photos[0].photo_id for offset in range(8)]
    child = os.fork()
    turns = [k % 8 for k in range(1 if child else 0, 60)]  # both ask all the time, for different pages
    seen = [library.photo_page(offset=k, limit=1).photos[0].photo_id for k in turns]
    wanted = [pages[k] for k in turns]
    if not child:
        with open(answers, "w") as file:
            json.dump(seen == wanted, file)
        os._exit(0)
    os.waitpid(child, 0)
    assert seen == wanted
    """
    with remote(shutil.copytree(demo_folder, tmp_path / "faces")) as library:
        run(script, library.url, tmp_path / "answers.json")
    assert json.loads((tmp_path / "answers.json").read_text()) is True
