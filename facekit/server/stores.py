"""Where the service of a library keeps what it has to: in its folder and its memory, or on the library's servers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from facekit.server.database import ServiceStore
from facekit.server.limits import RateLimits

if TYPE_CHECKING:
    from facekit.storage.backend import Backend


def open_store(backend: Backend) -> ServiceStore:
    """The accounts and jobs of a library. Raises LibraryError if they can't be opened."""
    where = backend.service
    if isinstance(where, Path):
        return ServiceStore(where)
    from facekit.server.shared_store import SharedServiceStore

    return SharedServiceStore(where.url, where.schema)


def upgrade_store(backend: Backend) -> None:
    """Bring accounts and jobs on a server to the newest schema; those in a folder are when they are opened."""
    where = backend.service
    if not isinstance(where, Path):
        from facekit.server.shared_store import SharedServiceStore

        SharedServiceStore(where.url, where.schema, upgrade=True).close()


def rate_limits(backend: Backend) -> RateLimits:
    """How often somebody may ask: all services of a library count together where it has a broker."""
    where = backend.service
    if isinstance(where, Path) or not backend.broker:
        return RateLimits()
    from facekit.server.shared_limits import SharedLimits

    return SharedLimits(backend.broker, where.schema)
