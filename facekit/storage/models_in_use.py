"""What a library is bound to: models that belong together, and the index of the vectors that they made."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from functools import cached_property
from math import inf
from threading import Condition, Lock
from typing import TYPE_CHECKING

from loguru import logger

from facekit.errors import StalledError
from facekit.models.registry import load_detector, load_embedder
from facekit.system.waiting import give_up_after

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from facekit.index import VectorIndex
    from facekit.models.protocols import Detector, Embedder
    from facekit.storage.backend import Backend, Use
    from facekit.storage.settings import Settings


class ModelSet:
    """Models by name and version, the open models, and the open index of their vectors.

    Parameters
    ----------
    settings : Settings
        Which models.
    backend : Backend
        Where the vectors are; what is torn there is set aside, and an empty index made.
    name : str
        The name of the vectors.
    device, engine : str
        What the models run on and in.
    """

    def __init__(self, settings: Settings, backend: Backend, name: str, device: str, engine: str) -> None:
        self.settings = settings
        self.name = name
        self.where = {"device": device, "engine": engine}
        self._backend = backend
        self._opening = Lock()
        self._index: VectorIndex | None = None

    @property
    def index(self) -> VectorIndex:
        """The index, opened at first use. Raises VectorIndexError."""
        with self._opening:
            if self._index is None:
                self._index = self._backend.index(self.name, self.settings.dimension)
            return self._index

    @property
    def is_open(self) -> bool:
        """Whether the index was opened."""
        return self._index is not None

    @cached_property
    def detector(self) -> Detector:
        """The detector, loaded at first use."""
        return load_detector(self.settings.detector, **self.where)

    @cached_property
    def embedder(self) -> Embedder:
        """The embedder, loaded at first use."""
        return load_embedder(self.settings.embedder, **self.where)

    @property
    def search_similarity(self) -> float:
        """What a search takes by default."""
        return self.settings.search_similarity

    def close(self) -> None:
        """Give the index's files back."""
        if self._index is not None:
            with suppress(Exception):  # what could not be written is written again from the catalog
                self._index.close()

    def discard(self) -> None:
        """Close the index and delete it."""
        self.close()
        self._backend.drop_index(self.name)


class InUse:
    """The model set that a library uses now, here and in other processes.

    Searches share it; a change waits for them, and they wait for it.

    Neither waits for ever: `StalledError` after `facekit.system.waiting.give_up_after`.

    Attributes
    ----------
    now : ModelSet
        The one in use. Change it inside `alone` only.
    """

    def __init__(self, first: ModelSet, backend: Backend) -> None:
        self.now = first
        self._backend = backend
        self._state = Condition()
        self._users = 0
        self._changing = False

    @contextmanager
    def shared(self) -> Iterator[ModelSet]:
        """The model set, which stays in use until the end of the block, with the catalog's faces that belong to it."""
        with self._state:
            self._wait(lambda: not self._changing, "a change of the library's models")
            self._users += 1
        try:
            with self._backend.using() as use:
                yield self._with(use)
        finally:
            with self._state:
                self._users -= 1
                self._state.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody is inside `shared` until the end of the block."""
        try:
            with self._state:
                self._changing = True
                self._wait(lambda: not self._users, "searches, or work with the people of the library,")
            with self._backend.replacing():
                yield
        finally:
            with self._state:
                self._changing = False
                self._state.notify_all()

    def refreshed(self) -> ModelSet:
        """The model set in use, also where another process has replaced it or changed its settings."""
        return self._with(self._backend.use_now())

    def _with(self, use: Use | None) -> ModelSet:
        if use is None:
            return self.now
        with self._state:
            now = self.now
            if use.vectors == now.name:
                now.settings = use.settings
                return now
            self.now = ModelSet(use.settings, self._backend, use.vectors, **now.where)
        if use.settings.models == now.settings.models:
            logger.info("The library's vectors are {} now.", use.vectors)
        else:
            logger.bind(notice=True).info("The library's models are {} now.", use.settings.words)
        now.close()
        return self.now

    def _wait(self, over: Callable[[], bool], what: str) -> None:
        limit = give_up_after()
        if not self._state.wait_for(over, None if limit == inf else limit):
            message = f"Gave up waiting for {what} to end: {limit:g} s have passed."
            raise StalledError(message, "Try again later; what is done is kept.")

    def close(self) -> None:
        """Close the model set in use."""
        self.now.close()
