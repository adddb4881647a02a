"""All that differs between a library in one folder and one on servers, in one protocol.

`facekit.storage.embedded.Embedded` and `facekit.storage.shared.Shared` have it; nobody else asks which one it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol
from uuid import uuid4

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager, ExitStack
    from pathlib import Path

    from facekit.catalog import Catalog
    from facekit.catalog.work import WorkTables
    from facekit.errors import FacekitError
    from facekit.images.blobs import Blobs
    from facekit.index import VectorIndex
    from facekit.storage.servers import Address
    from facekit.storage.settings import Settings

VECTORS = "vectors.db"
"""The vector index of a library that never changed its models; another one has eight digits more in its name."""


def new_vectors() -> str:
    """A name for another index: never used before, so that no vector of other models can be in it."""
    return f"vectors-{uuid4().hex[:8]}.db"


class Opened(NamedTuple):
    """What a backend opened: the catalog, what the library is bound to, and the name of its vector index."""

    catalog: Catalog
    settings: Settings
    vectors: str


class Use(NamedTuple):
    """What a library uses now, whoever said so: its settings with the models, and the name of their vectors."""

    settings: Settings
    vectors: str


class Look(NamedTuple):
    """What somebody who looked after a library saw."""

    detail: str
    ok: bool = True


class Backend(Protocol):
    """Where a library's catalog and vectors are, and who else may use them.

    Attributes
    ----------
    folder : Path
        What this machine keeps of the library: settings and logs, and all of it where it is in one folder.
    place : str
        How errors name the library.
    away : tuple of exception types
        What tells that the index can't be reached for now: the library is opened all the same.
    blobs : Blobs
        The thumbnails.
    work : WorkTables or None
        The work that workers do; None where there can't be any, because one process has the library.
    """

    folder: Path
    place: str
    away: tuple[type[FacekitError], ...]
    blobs: Blobs

    @property
    def broker(self) -> str:
        """The address of what tells workers of new work, with its secret; empty where there is none.

        Raises
        ------
        LibraryError
            If this machine names one that is none.
        """

    @property
    def work(self) -> WorkTables | None:
        """See above; of a library that is open."""

    @property
    def service(self) -> Path | Address:
        """Where a service keeps accounts and jobs: in the folder, or in the catalog's database."""

    def open(self, opened: ExitStack, detector: str | None, embedder: str | None) -> Opened:
        """Open the catalog; a library is made where there is none, with the models named or the default ones.

        What is to be given back is left in ``opened``.
        """

    def using(self) -> AbstractContextManager[Use | None]:
        """Until the end of the block no other process replaces the models; None where no other process can.

        Raises
        ------
        StalledError
            If a change of models in another process does not end.
        """

    def replacing(self) -> AbstractContextManager[None]:
        """No other process uses the models until the end of the block. Raises StalledError."""

    def use_now(self) -> Use | None:
        """What the library uses now; None where this process knows, because no other one can change it."""

    def write_settings(self, settings: Settings) -> None:
        """Write other settings down."""

    def index(self, name: str, dimension: int) -> VectorIndex:
        """Open the vectors that have a name; there are none yet where it is new, or where they are broken."""

    def drop_index(self, name: str) -> None:
        """Delete the vectors that have a name; nobody has them open."""

    def forget_other_indexes(self, name: str) -> None:
        """Delete what a change of models that was cut off left beside the vectors with a name; nobody makes others."""

    def where_index(self, name: str) -> str:
        """What is to be done so that the vectors with a name are made anew from the catalog."""

    def alone(self, what: str) -> AbstractContextManager[None]:
        """Only one thing at a time may change the library. Raises LibraryBusyError."""

    def adding(self) -> AbstractContextManager[None]:
        """Add photos beside others who do, while nothing is `alone`. Raises LibraryBusyError."""

    def own_paths(self) -> None:
        """Photos are to be known by paths of this machine, which lie on no mount.

        Raises
        ------
        LibraryError
            If they are by those of another one: the same path leads to something else there.
        """

    def check_room(self, need: int) -> None:
        """Refuse to store more where less than so many bytes are free. Raises DiskFullError."""

    def forget(self, names: Sequence[str]) -> None:
        """Take paths that were removed out of what a service's jobs and workers' work say."""

    def erase(self) -> None:
        """See that no file holds what was removed; where there is no room for it now, later."""

    def backup(self, target: Path) -> int:
        """See `facekit.library.base.Library.backup`."""

    def looks(self) -> dict[str, Callable[[], Look]]:
        """What `facekit.storage.doctor` is to look at, by name. A look may raise FacekitError instead."""
