"""Where a library is, as it is named: a folder, or the address of a catalog. The one place that chooses the backend."""

from __future__ import annotations

import hashlib
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from facekit.errors import LibraryError
from facekit.index.sync import make_anew
from facekit.models.cache import cache_folder
from facekit.storage.embedded import Embedded
from facekit.storage.servers import POSTGRESQL, Servers, catalog_address, checked_servers, read_servers
from facekit.storage.settings import FILE
from facekit.storage.shared import Shared

if TYPE_CHECKING:
    from facekit.storage.backend import Backend

Place: TypeAlias = "Path | str"
"""A library's folder, or as text the address of its catalog."""


def named_place(text: str) -> Place:
    """What a library is called in a shell: the address of a catalog, or else a folder.

    Raises
    ------
    LibraryError
        If it is another address. Taken for a folder, it would be written down with the password that it may hold.
    """
    if "://" in text and not text.startswith(POSTGRESQL):
        message = "That is no address of a library."
        raise LibraryError(message, "Name its folder, or its catalog: postgresql://USER@HOST/DATABASE?library=NAME.")
    return text if text.startswith(POSTGRESQL) else Path(text)


def whole_place(place: Place) -> Place:
    """A folder's whole path; an address as it is."""
    return place.expanduser().resolve() if isinstance(place, Path) else place


def folder_of_place(place: Place) -> Path:
    """What this machine keeps of a library: its folder, or one of the user's own for the address of a catalog."""
    if isinstance(place, Path):
        return place
    shown = catalog_address(place).shown
    return cache_folder() / "libraries" / hashlib.sha256(shown.encode()).hexdigest()[:16]


def is_there(place: Place) -> bool:
    """Whether there is a library in a folder. At the address of a catalog, only opening it says."""
    return not isinstance(place, Path) or (place / FILE).exists()


def upgrade_catalog(place: Place) -> str:
    """Bring a catalog on a server to the newest schema; one in a folder is when it is opened. Returns what was done.

    Raises
    ------
    LibraryError
        If there is no library, it is in its folder, or it can't be upgraded.
    """
    from facekit.catalog import Catalog

    servers = read_servers(place) if isinstance(place, Path) else Servers(place)
    if servers is None:
        message = f"{place} is no library on servers."
        raise LibraryError(message, "A library in a folder is upgraded when it is opened.")
    address = catalog_address(servers.catalog)
    catalog = Catalog(address.url, schema=address.schema, upgrade=True)
    catalog.close()
    return f"The catalog {address.shown} {'is upgraded' if catalog.upgraded else 'is of the newest schema'}."


def repair_library(place: Place) -> str:
    """Rescue a damaged catalog in a folder; of a library on servers, make the vector index anew. Returns what was done.

    Raises
    ------
    FacekitError
        See `facekit.storage.repair.repair`; or if a server of the library can't be reached.
    """
    if isinstance(place, Path) and read_servers(place) is None:
        from facekit.storage.repair import repair

        return repr(repair(place))
    from facekit.storage.storage import Storage

    with closing(Storage(backend_at(place))) as storage, storage.changing("A repair of the index"):
        written, taken_out = make_anew(storage.catalog, storage.index)
    return f"The vector index is made anew from the catalog: {written} faces written, {taken_out} others taken out."


def backend_at(place: Place, servers: Servers | None = None, *, moves: bool = False) -> Backend:
    """What keeps the library that is at a place, or that is to be made there.

    Parameters
    ----------
    place : Path or str
        A folder, absolute, or the address of a catalog.
    servers : Servers, optional
        The servers that were named for it; without a catalog where the place is its address.
    moves : bool
        Where the folder leads to a library with other servers than those: it is to have them from now on.

    Raises
    ------
    LibraryError
        If the addresses are none, or the folder holds a library that is elsewhere.
    """
    if not isinstance(place, Path):
        asked = replace(servers or Servers(""), catalog=place)
        checked_servers(replace(asked, catalog=catalog_address(place).shown))
        return Shared(folder_of_place(place), asked, named=False)
    found = read_servers(place)
    if servers is None:
        return Embedded(place) if found is None else Shared(place, found, named=True, new=False)
    checked_servers(servers)
    if found is None and (place / FILE).exists():
        message = f"The library {place} is in its folder, and not on servers."
        raise LibraryError(message, "Name a new folder for a library on servers.")
    if found is not None and (other := found.known.items() ^ (found.known | servers.known).items()):
        name = min(other)[0]
        if moves and name != "catalog":
            return Shared(place, found, named=True, moves=servers)
        message = f"The library {place} has another {name}: {found.known.get(name, 'none')}."
        elsewhere = f"To change it: facekit init {place} --catalog {found.catalog} --{name} ADDRESS"
        if name == "catalog":
            elsewhere = "For another library name another folder; to move this one: facekit migrate"
        raise LibraryError(message, f"Open it without naming servers. {elsewhere}")
    return Shared(place, servers if found is None else found, named=True)
