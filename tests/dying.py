"""What is done in processes that are killed in the middle of it; see `ready`."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import other_models

import facekit as fk
from facekit.catalog import staging
from facekit.catalog.outbox import Outbox
from facekit.catalog.records import FileMove
from facekit.catalog.times import now
from facekit.index import MilvusIndex
from facekit.index.sync import apply_due
from facekit.ingest import pipeline, run
from facekit.ingest import reembed as reembedding
from facekit.models import registry
from facekit.models.sface import SFace
from facekit.models.yunet import YuNet
from facekit.sources.network import http
from facekit.sources.yandex_disk import connector as yandex_disk
from facekit.storage.embedded import Embedded
from facekit.storage.models_in_use import ModelSet
from facekit.storage.shared import Shared
from facekit.types.arrays import Detections
from facekit.workers import tasks
from facekit.workers.bell import Bell
from facekit.workers.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from pathlib import Path


def ingest(folder: Path, photos: Path, said: Connection) -> None:
    """Store after every few files, so that many kills hit the writing, and say what is done as it is reported."""
    run._STORE_FILES = pipeline._BATCH_PHOTOS = 3
    run._STORE_SECONDS = 0.0
    with fk.open(folder) as library:
        assert library.detector.name
        assert library.embedder.name
        said.send(0)
        library.ingest(photos, progress=lambda done, total: said.send(done))


def sync(folder: Path, variables: dict[str, str]) -> None:
    """Bring in a disk at Yandex that is asked as often as it can be; no faces are looked for."""
    os.environ.update(variables)
    http.DOWNLOADS_A_SECOND = yandex_disk.PER_SECOND = 10_000.0
    yandex_disk.PAGE = 20
    run._STORE_FILES = 25
    nobody = SimpleNamespace(engine="none", device="cpu", provider="none")  # a network that is never asked
    empty = Detections(*(np.zeros(shape, np.float32) for shape in ((0, 4), (0, 5, 2), (0,))))
    for name, model in (("yunet", YuNet), ("sface", SFace)):
        registry.MODELS[name] = replace(registry.MODELS[name], load=lambda model=model, **_: model(nobody))
    YuNet.detect = lambda _, images, **__: [empty] * len(images)
    with fk.open(folder) as library:
        library.sources.sync(progress=False)


def reembed(folder: Path, point: str) -> None:
    """Change to other models, and die at a point of it."""
    registry.MODELS.update(other_models.models())
    run._STORE_FILES = pipeline._BATCH_PHOTOS = 2
    _die_in_change(point)
    with fk.open(folder) as library:
        library.reembed("fine", "turned", progress=False)


def change_models(folder: Path, point: str) -> None:
    """A worker that dies at a point of a change of models."""
    tasks.BATCH_FILES = 2
    _die_in_change(point)
    work(folder)


def _die_in_change(point: str) -> None:
    if point == "while faces are made":
        staging.Staging.save = _dies_at(3, staging.Staging.save)
    elif point == "while the index is made":
        reembedding.Reembed._matched = _die
    elif point == "before the switch":
        staging.Staging.switch = _die
    elif point == "in the switch":
        staging.set_meta = _set_meta
    elif point == "after the switch":
        Embedded.write_settings = Shared.write_settings = _die
    elif point == "after the settings":
        staging.Staging.clear = _die
    elif point == "before the old index goes":
        ModelSet.discard = _die


def follow(folder: Path, point: str) -> None:
    """Forget a photo and move another, and die at a point of bringing the index up to it."""
    with fk.open(folder) as library:
        catalog, index = library._storage.catalog, library._storage.index
        catalog.remove_files("local", [path_of(library, 0)])
        path = path_of(library, 1)
        catalog.relocate(
            "local", [FileMove(path, MOVED, MOVED.decode(), there=True, now=now(), source="local")], ("/old", "/new")
        )
        if point == "before the index is written":
            MilvusIndex.upsert = _die
        elif point == "before faces leave it":
            MilvusIndex.delete = _die
        elif point == "before it is struck out":
            Outbox.strike = _die
        elif point == "when it is struck out":
            Outbox.strike = _dies_after(Outbox.strike)
        apply_due(catalog, index)


MOVED = b"/new/moved.jpg"


def path_of(library: fk.Library, number: int) -> bytes:
    """A path of the photos that have faces, in order."""
    states = library._storage.catalog.file_states("local")
    return sorted(path for path, state in states.items() if state.status == "ok")[number]


def _dies_after(call: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *arguments: (call(*arguments), _die())


def _die(*_: Any, **__: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _dies_at(number: int, call: Callable[..., Any]) -> Callable[..., Any]:
    left = number

    def counted(*arguments: Any, **named: Any) -> Any:
        nonlocal left
        left -= 1
        return call(*arguments, **named) if left else _die()

    return counted


def _set_meta(connection: Any, key: str, value: Any, kept: Callable[..., None] = staging.set_meta) -> None:
    kept(connection, key, value)
    if key == "bound":
        _die()


def work(folder: Path, poison: str = "") -> None:
    """A worker, of which some die in the middle of a batch: of a photo with such a name."""
    registry.MODELS.update(other_models.models())
    if poison:
        pipeline.Pipeline._recognise = _dies_of(poison, pipeline.Pipeline._recognise)
    with fk.open(folder) as library:
        broker = library.storage.backend.broker
        bell = Bell(broker, library.storage.catalog.schema) if broker else None
        Worker(library, lease=2, sweep=0.5, bell=bell).run()


def _dies_of(poison: str, call: Callable[..., Any]) -> Callable[..., Any]:
    def recognise(self: Any, items: Any, pool: Any) -> None:
        if any(item.file.display.endswith(poison) for item in items):
            _die()
        call(self, items, pool)

    return recognise
