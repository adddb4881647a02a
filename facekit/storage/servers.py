"""The servers of a library: their addresses, how they are written down, and where secrets come from instead."""

from __future__ import annotations

import json
import os
import re
import shutil
import tomllib
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qs, urlsplit

from facekit.errors import LibraryError
from facekit.storage.settings import FILE, mount_lines, write_file

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT = 2
"""Of a ``library.toml`` with servers; a facekit that knows none refuses it."""
POSTGRESQL = ("postgresql://", "postgresql+psycopg://", "postgres://")
"""How the address of a catalog begins."""
INDEX_IN_CATALOG = "postgresql"
"""The index's "address" where the vectors lie in the catalog's database."""
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")  # PostgreSQL and Milvus take it as it is, with what is added to it
_SECRETS = ("password", "passfile", "sslpassword")  # what libpq takes in an address
_TOKEN = "FACEKIT_INDEX_TOKEN"  # noqa: S105 - the name of a variable
_BROKER = "FACEKIT_BROKER"
_BROKERS = ("redis", "rediss")


@dataclass(frozen=True, slots=True)
class Servers:
    """Addresses, without secrets; "" where none is named.

    Attributes
    ----------
    catalog : str
        ``postgresql://[USER@]HOST[:PORT]/DATABASE[?library=NAME]``: several libraries share a database.
    index : str
        A Milvus server, ``http://HOST:PORT``, or "postgresql": the vectors lie in the catalog's database (pgvector).
    blobs : str
        Where thumbnails are: a folder that all machines see, or an address.
    broker : str
        Redis, for workers.
    """

    catalog: str
    index: str = ""
    blobs: str = ""
    broker: str = ""

    @property
    def known(self) -> dict[str, str]:
        """The addresses that are named."""
        return {one.name: value for one in fields(self) if (value := getattr(self, one.name))}


class Address(NamedTuple):
    """A catalog's address: what SQLAlchemy connects to, the library's schema, and what may be shown."""

    url: str
    schema: str
    shown: str


def catalog_address(text: str) -> Address:
    """Take a catalog's address apart.

    Raises
    ------
    LibraryError
        If it is none.
    """
    import sqlalchemy as sa

    remedy = "Write it as postgresql://USER@HOST:PORT/DATABASE?library=NAME."
    try:
        url = sa.make_url(text)
    except (sa.exc.ArgumentError, ValueError) as error:
        message = "That is no address of a PostgreSQL database."  # it may hold a password
        raise LibraryError(message, remedy) from error
    # set() leaves what is None as it is
    shown = url._replace(password=None).difference_update_query(_SECRETS)
    if not text.startswith(POSTGRESQL) or not url.database:
        message = f"{shown.render_as_string()} is no address of a PostgreSQL database."
        raise LibraryError(message, remedy)
    name = url.query.get("library", "faces")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        message = f"{name!r} can't name a library in a database."
        raise LibraryError(message, "Take small letters, digits and _, beginning with a letter; 40 at most.")
    reached = url.set(drivername="postgresql+psycopg").difference_update_query(["library"])
    whole, bare = (one.render_as_string(hide_password=False) for one in (reached, shown))
    return Address(whole, f"facekit_{name}", bare)


def checked_servers(servers: Servers) -> Servers:
    """Refuse addresses that are none, or that hold a secret: they are written down. Raises LibraryError."""
    address = catalog_address(servers.catalog)
    if address.shown != _rendered(servers.catalog):
        message = "The catalog's address holds a password, which would be written down."
        remedy = "Leave it out: PGPASSWORD, PGPASSFILE or ~/.pgpass may hold it."
        raise LibraryError(message, remedy)
    if servers.index and servers.index != INDEX_IN_CATALOG:
        _checked("index", servers.index, ("http", "https", "tcp"), f"{_TOKEN} or a file that {_TOKEN}_FILE names")
    if servers.broker:
        _checked("broker", servers.broker, _BROKERS, f"{_BROKER} in the environment")
    if is_store(servers.blobs) and ("@" in urlsplit(servers.blobs).netloc or "?" in servers.blobs):
        message = "The address of the blobs holds a secret, which would be written down."
        raise LibraryError(message, "Leave it out: the environment may hold it, as the store's own programs have it.")
    return servers


def _rendered(text: str) -> str:
    import sqlalchemy as sa

    return sa.make_url(text).render_as_string(hide_password=False)


def _checked(what: str, text: str, schemes: tuple[str, ...], instead: str) -> None:
    try:
        parts = urlsplit(text)
        good = parts.scheme in schemes and bool(parts.hostname)
        secret = parts.password is not None or "password" in parse_qs(parts.query, keep_blank_values=True)
        secret = secret or (what == "index" and bool(parts.username is not None or parts.query))
        _ = parts.port
    except ValueError:
        good, secret = False, False
    if secret:
        message = f"The {what}'s address holds a secret, which would be written down."
        raise LibraryError(message, f"Leave it out: {instead} may hold it.")
    if not good:
        also = f', or "{INDEX_IN_CATALOG}"' if what == "index" else ""
        named = "That" if set(text) & set("@?") else text  # it may hold a password
        message = f"{named} is no address of the {what}."
        raise LibraryError(message, f"It begins with {' or '.join(f'{one}://' for one in schemes)}{also}.")


def is_store(blobs: str) -> bool:
    """Whether an address of blobs is a store's, and not a folder."""
    return "://" in blobs


def index_token() -> str:
    """What opens the index's server: ``FACEKIT_INDEX_TOKEN``, or what the file holds that ``..._FILE`` names; or "".

    Raises
    ------
    LibraryError
        If the file can't be read.
    """
    return _secret(_TOKEN)


def broker_address(bound: str) -> str:
    """The broker's address with its secret: ``FACEKIT_BROKER``, or what the file holds that ``..._FILE`` names.

    Parameters
    ----------
    bound : str
        The library's, where neither is set.

    Raises
    ------
    LibraryError
        If the file can't be read, or that is no address.
    """
    said = _secret(_BROKER)
    try:
        good = not said or (urlsplit(said).scheme in _BROKERS and bool(urlsplit(said).hostname))
    except ValueError:
        good = False
    if not good:
        message = f"{_BROKER} holds no address of the broker."
        raise LibraryError(message, "Write it as redis://:PASSWORD@HOST:6379.")
    return said or bound


def shown_broker(address: str) -> str:
    """A broker's address without its secrets."""
    parts = urlsplit(address)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()


def _secret(name: str) -> str:
    """What a variable of the environment holds, or the file that another one names; or ""."""
    if said := os.environ.get(name):
        return said
    named = os.environ.get(f"{name}_FILE")
    if not named:
        return ""
    try:
        return Path(named).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        message = f"The file that {name}_FILE names can't be read: {getattr(error, 'strerror', None) or 'no text'}."
        raise LibraryError(message, "Correct the variable, or the file's permissions.") from error


def read_servers(folder: Path) -> Servers | None:
    """The servers that a folder's ``library.toml`` names; None where it names none, or there is no such file.

    Raises
    ------
    LibraryError
        If what it names are no servers, or a newer facekit wrote it.
    """
    path = folder / FILE
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # said by whoever reads the rest of it
        return None
    table = document.get("storage")
    if table is None:
        return None
    if not isinstance(table, dict) or not isinstance(document.get("format"), int):
        raise _damaged(path, "a value in it is none that facekit writes")
    if document["format"] > FORMAT:
        message = f"{folder} was made by a newer facekit (format {document['format']}; this one knows {FORMAT})."
        raise LibraryError(message, "Upgrade facekit.")
    return _of_table(table, path)


def _of_table(table: Mapping[str, object], path: Path) -> Servers:
    names = {one.name for one in fields(Servers)}
    if "catalog" not in table:
        raise _damaged(path, "[storage] lacks catalog")
    said = {name: value for name, value in table.items() if name in names and isinstance(value, str)}
    if said.keys() != table.keys():
        raise _damaged(path, f"[storage] does not know {min(table.keys() - said.keys())}")
    try:
        return checked_servers(Servers(**said))
    except LibraryError as error:
        message = f"{path}: {error.message}"
        raise LibraryError(message, error.remedy) from error


def _damaged(path: Path, why: str) -> LibraryError:
    message = f"{path} is damaged: {why}."
    return LibraryError(message, "Write it anew: facekit init DIR --catalog ADDRESS")


def write_servers(folder: Path, servers: Servers, mounts: Mapping[str, str]) -> None:
    """Write a ``library.toml`` for a library on servers, and the mounts of this machine."""
    lines = [
        "# A facekit library on servers. Its models and its settings are in its catalog, for all who open it.",
        f"format = {FORMAT}",
        "",
        "[storage]",
        "# Passwords don't stand here: PGPASSWORD, PGPASSFILE or ~/.pgpass may hold the catalog's,",
        f"# {_TOKEN} or the file that {_TOKEN}_FILE names the index's.",
        *(f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in servers.known.items()),
        "",
        *mount_lines(mounts),
    ]
    write_file(folder, lines)


def leave_nothing(folder: Path, was_there: bool, failed: type[BaseException] | None, *_: object) -> None:  # noqa: FBT001
    """Take away what was made of a new library's folder, where it could not be opened after all."""
    if failed is None:
        return
    (folder / FILE).unlink(missing_ok=True)
    shutil.rmtree(folder / "logs", ignore_errors=True)
    if not was_there:
        with suppress(OSError):  # what others put there stays
            folder.rmdir()
