"""Addresses of storages: what they name, and the password that one may hold, which is kept apart."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from facekit.errors import RefusedError

WEB = {"http": "http", "https": "https", "webdav": "http", "webdavs": "https", "dav": "http", "davs": "https"}
"""Schemes that speak HTTP, and how."""
_SAME = {"s3a": "s3", "gcs": "gs", "ssh": "sftp"}
_OURS = {"s3", "gs", "sftp", "smb", *WEB}
_NEVER = frozenset({
    # this machine's own files and memory, and what reads other addresses by itself
    "file", "local", "memory", "data", "dir", "cached", "blockcache", "filecache", "simplecache", "reference",
    "generic", "async_wrapper", "asynclocal", "asyncwrapper", "dask", "git", "tar", "libarchive", "jupyter", "jlab",
    "pyscript", "arrow_hdfs",
})  # fmt: skip
_ZIP = "zip://"


@dataclass(frozen=True, slots=True)
class Address:
    """A storage's address without its password.

    ``path`` begins with a slash. ``archive`` is the folder in the zip file that the address leads to, None where it
    leads to none. A zip file on this machine has the scheme ``file``.
    """

    scheme: str
    user: str | None
    host: str
    port: int | None
    path: str
    archive: str | None = None

    @property
    def url(self) -> str:
        """What `read` makes this of."""
        inner = f"{self.scheme}://{self._authority(None)}{quote(self.path)}"
        return inner if self.archive is None else f"{_ZIP}{quote(self.archive)}::{inner}"

    @property
    def shown(self) -> str:
        """For people: where it is, without what may be nobody's business."""
        return self.path.rpartition("/")[2] if self.scheme == "file" else f"{self.scheme}://{self.host}"

    def with_secret(self, secret: str | None) -> str:
        """The address of the storage itself, with the password, as fsspec takes it."""
        path = self.path if self.scheme == "file" else f"{self._authority(secret)}{self.path}"
        return f"{self.scheme}://{path}"

    def _authority(self, secret: str | None) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        user = "" if self.user is None else quote(self.user, safe="")
        user += "" if secret is None else f":{quote(secret, safe='')}"
        return (f"{user}@" if user else "") + host + (f":{self.port}" if self.port else "")


def is_known(text: str) -> bool:
    """Whether a text is the address of a storage of a kind that can be read. Nothing is contacted."""
    scheme, there, rest = text.partition("://")
    scheme = scheme.lower()
    if not there or not rest or scheme in _NEVER:
        return False
    if scheme == "zip" or _SAME.get(scheme, scheme) in _OURS:
        return True
    try:
        from fsspec.registry import known_implementations
    except ImportError:
        return False
    return scheme in known_implementations


def read(text: str) -> tuple[Address, str | None]:
    """What an address names, and its password.

    Raises
    ------
    RefusedError
        If it names nothing that can be read.
    """
    archive = None
    if text[: len(_ZIP)].lower() == _ZIP:
        inside, chained, text = text[len(_ZIP) :].partition("::")
        archive = unquote(inside).strip("/") if chained else ""
        text = text if chained else f"file://{inside}"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    scheme = _SAME.get(parts.scheme, parts.scheme)
    is_local = scheme == "file" and archive is not None and not parts.netloc and parts.path.lower().endswith(".zip")
    if not (is_known(text) or is_local) or scheme in {"", "zip"}:
        message = "That is no address of a storage that facekit reads."
        raise RefusedError(
            message, "Write one such as s3://bucket/photos or sftp://me@host/photos. Folders: facekit ingest."
        )
    _check(scheme, parts.query or parts.fragment, bool(parts.hostname))
    path = "/" + unquote(parts.path).strip("/")
    if archive is None and path.lower().endswith(".zip"):
        archive = ""
    if archive is not None and scheme in WEB:
        message = "A zip file can't be read over the web: it would have to be fetched whole."
        raise RefusedError(message, "Fetch it, and name it as zip:///downloads/photos.zip.")
    if any(part in {".", ".."} for part in f"{path}/{archive or ''}".split("/")) or "\0" in path:
        message = "An address with . or .. as a part of its path is not read."
        raise RefusedError(message, "Write where it leads to.")
    user = None if parts.username is None else unquote(parts.username)
    secret = None if parts.password is None else unquote(parts.password)
    if scheme in {"s3", "gs"}:
        if user is not None:
            message = f"Credentials of {scheme}:// are not taken from an address."
            raise RefusedError(
                message, "They come from the environment or a profile, as AWS's and Google's tools have them."
            )
        return Address(scheme, None, parts.netloc, None, path, archive), None  # a bucket's name keeps its case
    return Address(scheme, user, parts.hostname or "", port, path, archive), secret


def _check(scheme: str, query: str, has_host: bool) -> None:  # noqa: FBT001 - private
    if scheme in WEB and query:
        message = "An address with a question mark or # is not kept: what follows may be a key."
        raise RefusedError(message, "Give the address of a folder or file without it, and a password as the token.")
    if not has_host and scheme in _OURS:
        message = f"The address names no host and no bucket after {scheme}://."
        raise RefusedError(message, f"Write it as {scheme}://host/photos.")
