"""The files of a storage, whatever kind it is: what lies in a folder, and a file's bytes; those that fsspec reaches."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

from facekit.errors import SourceError
from facekit.images.formats import PICTURE_EXTENSIONS
from facekit.sources.google_takeout.archives import BROKEN
from facekit.sources.network.answers import Ending, Trouble
from facekit.sources.network.transport import CONNECT_TIMEOUT, READ_TIMEOUT, FailedError
from facekit.types.photos import Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import ExitStack

    from facekit.sources.storage.address import Address

PIECE = 2**18
"""Bytes that are read at once."""
_READ_AHEAD = 2**20  # bytes; ours: photos have a few of these
_PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "sftp": "paramiko", "smb": "smbprotocol"}
_MARKS = ("ETag", "etag", "generation", "md5Hash", "md5", "sha256", "CRC")
_TIMES = ("mtime", "LastModified", "last_modified", "updated", "modified", "created", "time")
_NOT_LET_IN = frozenset({
    "AuthenticationException", "BadAuthenticationType", "PasswordRequiredException",  # paramiko
    "NoCredentialsError", "PartialCredentialsError", "TokenRetrievalError", "ProfileNotFound",  # botocore
    "LogonFailure", "SMBAuthenticationError", "NoAuthenticationError",  # smbprotocol
    "DefaultCredentialsError", "RefreshError",  # google.auth
    "ClientAuthenticationError",  # azure
})  # fmt: skip
_UNKNOWN_HOST = frozenset({"BadHostKeyException", "UnknownHostKeyError"})


@dataclass(frozen=True, slots=True)
class Entry:
    """What a storage says of a file or folder in it. ``mark`` is its own of a version, such as an ETag."""

    name: str
    kind: str  # "file", "directory", or anything else
    size: int | None = None
    mark: str = ""
    modified: datetime | None = None

    @property
    def version(self) -> str:
        """For `SourceItem`; always the same of a storage that says nothing."""
        when = f"{self.modified.timestamp():.6f}" if self.modified and not self.mark else ""
        size = "" if self.size is None else str(self.size)
        return "-".join(filter(None, (self.mark, when, size))) or "unknown"


def is_picture(name: str) -> bool:
    """Whether a name ends as a picture's does."""
    _, dot, ending = name.rpartition(".")
    return bool(dot) and f".{ending.lower()}" in PICTURE_EXTENSIONS


class Files(Protocol):
    """A storage. All methods raise `FailedError`; ``secret`` is the password, where there is one."""

    def again(self) -> None:
        """Keep nothing of what was found before: it is listed anew."""

    def folder(self, path: str, secret: str | None) -> list[Entry]:
        """What lies in a folder, in any order."""

    def entry(self, path: str, secret: str | None) -> Entry:
        """What is said of one file or folder."""

    def pieces(self, path: str, secret: str | None) -> Iterator[bytes]:
        """A file's bytes."""


class FsspecFiles:
    """A storage that fsspec reaches, through the package that it takes for this kind.

    Parameters
    ----------
    address : Address
    opened : ExitStack
        Closes the connection in the end.
    """

    def __init__(self, address: Address, opened: ExitStack) -> None:
        self._address = address
        self._lock = Lock()
        self._opened: _Open | None = None
        opened.callback(self._close)

    def again(self) -> None:
        """Open a zip file anew: what lies in it is read once."""
        with self._lock:  # other threads may read from it: it is closed when they have done
            self._opened = None if self._address.archive is not None else self._opened

    def folder(self, path: str, secret: str | None) -> list[Entry]:
        """What lies in a folder, in any order."""
        with self._failing(), self._at(path, secret) as (fs, there):
            found = fs.ls(there, detail=True)
            inside = [one for one in found if str(one["name"]).strip("/") != there.strip("/")]
            if len(inside) < len(found) and found[0].get("type") == "file" and len(found) == 1:
                raise NotADirectoryError
            return [_entry_of(one) for one in inside]

    def entry(self, path: str, secret: str | None) -> Entry:
        """What is said of one file or folder."""
        with self._failing(), self._at(path, secret) as (fs, there):
            return _entry_of(fs.info(there))

    def pieces(self, path: str, secret: str | None) -> Iterator[bytes]:
        """A file's bytes."""
        with self._failing(), self._at(path, secret) as (fs, there):
            file = fs.open(there, "rb", block_size=_READ_AHEAD)
        with _closing(file):
            while True:
                with self._failing(of_content=True):
                    piece = file.read(PIECE)
                if not piece:
                    return
                yield piece

    def _close(self) -> None:
        with self._lock:
            was, self._opened = self._opened, None
        client = was and (was.archive or getattr(was.fs, "client", None))  # paramiko's has a thread
        if hasattr(client, "close"):
            with _closing(client):
                pass

    @contextmanager
    def _at(self, path: str, secret: str | None) -> Iterator[tuple[Any, str]]:
        with self._lock:
            if self._opened is None or self._opened.secret != secret:
                self._opened = _opened(self._address, secret)
            fs, root = self._opened.fs, self._opened.root
        yield fs, f"{root.rstrip('/')}/{path}" if path and root else path or root

    @contextmanager
    def _failing(self, *, of_content: bool = False) -> Iterator[None]:
        failed = None
        try:
            yield
        except (SourceError, FailedError, GeneratorExit):
            raise
        except Exception as error:  # noqa: BLE001 - packages of many makers, each with errors of its own
            failed = _trouble_of(self._address, error)
        if failed is not None:  # not from within the block: the error's words, and so its chain, may hold an address
            if self._address.archive is not None:
                self.again()  # another file may lie there now
            elif failed.ending is not Ending.SKIP:
                self._close()  # what is wrong may be the connection
            raise FailedError(failed, of_content=of_content and failed.ending is Ending.RETRY)


@dataclass(frozen=True, slots=True)
class _Open:
    secret: str | None = field(repr=False)
    fs: Any
    root: str
    archive: Any = None  # the open zip file


@contextmanager
def _closing(file: Any) -> Iterator[None]:  # noqa: ANN401 - each package's own
    try:
        yield
    finally:
        with suppress(Exception):
            file.close()


def _opened(address: Address, secret: str | None) -> _Open:
    """The file system, and the root's path in it."""
    fs, root = _file_system(address, secret)
    if address.archive is None:
        return _Open(secret, fs, root)
    from fsspec.implementations.zip import ZipFileSystem

    archive = fs.open(root, "rb", block_size=_READ_AHEAD)
    return _Open(secret, ZipFileSystem(archive, skip_instance_cache=True), address.archive, archive)


def _file_system(address: Address, secret: str | None) -> tuple[Any, str]:
    import fsspec

    scheme = address.scheme
    account = {"username": address.user, "password": secret}
    given = {name: value for name, value in account.items() if value is not None}
    where: dict[str, Any] = {"host": address.host}
    if address.port:
        where["port"] = address.port
    waits: dict[str, Any]
    once: dict[str, Any] = {"skip_instance_cache": True, "use_listings_cache": False}
    if scheme == "sftp":
        waits = {"timeout": CONNECT_TIMEOUT, "banner_timeout": READ_TIMEOUT, "auth_timeout": READ_TIMEOUT}
        return _sftp()(**where, **given, **waits), address.path
    if scheme == "smb":
        waits = {"timeout": CONNECT_TIMEOUT, "register_session_retries": 2}
        return fsspec.filesystem("smb", share_access="r", **where, **given, **once, **waits), address.path
    if scheme == "s3":
        waits = {"connect_timeout": CONNECT_TIMEOUT, "read_timeout": READ_TIMEOUT, "retries": {"max_attempts": 1}}
        fs = fsspec.filesystem("s3", config_kwargs=waits, **once)
        fs.retries = 1  # tries, all told: there is one who tries again
        return fs, address.host + address.path
    if scheme == "gs":
        return fsspec.filesystem("gs", **once), address.host + address.path
    fs, root = fsspec.core.url_to_fs(address.with_secret(secret), **once)
    return fs, str(root)


@cache
def _sftp() -> Any:  # noqa: ANN401 - a class that paramiko has to be there for
    """fsspec's, but it knows hosts as ssh does: otherwise the password would go to whoever answers."""
    import paramiko
    from fsspec.implementations.sftp import SFTPFileSystem

    class UnknownHostKeyError(paramiko.SSHException):  # type: ignore[misc] # paramiko has none either
        """A host that ssh has not seen yet."""

    class Refuse(paramiko.MissingHostKeyPolicy):  # type: ignore[misc]
        def missing_host_key(self, *_: object) -> None:
            raise UnknownHostKeyError

    class KnownHosts(SFTPFileSystem):  # type: ignore[misc] # fsspec has no types
        cachable = False  # instances are not kept, with the password

        def _connect(self) -> None:
            self.client = paramiko.SSHClient()
            self.client.load_system_host_keys()
            self.client.set_missing_host_key_policy(Refuse)
            self.client.connect(self.host, **self.ssh_kwargs)
            self.ftp = self.client.open_sftp()
            channel = self.ftp.get_channel()
            if channel is not None:
                channel.settimeout(READ_TIMEOUT)

    return KnownHosts


def _trouble_of(address: Address, error: Exception) -> Trouble:
    """What an error of a package leads to, in our words: its own may hold addresses and names."""
    where = address.shown
    causes = _causes_of(error)
    names = {type(one).__name__ for one in causes}
    if isinstance(error, ImportError | ValueError) and _lacks_package(error):
        package = _PACKAGES.get(address.scheme, f"fsspec's for {address.scheme}://")
        message = f"{where} can't be read without the package {package}."
        return Trouble(Ending.STOP, message, "pip install 'facekit[storage]' brings those for the usual places.")
    if isinstance(error, TypeError | AttributeError | AssertionError):
        message = f"{where} can't be read: its package fails with {type(error).__name__}."
        return Trouble(Ending.STOP, message, "See whether there is a later one: pip install -U 'facekit[storage]'.")
    if names & _UNKNOWN_HOST:
        remedy = "Connect with ssh once and compare its fingerprint: it is then in ~/.ssh/known_hosts."
        return Trouble(Ending.STOP, f"{where} shows a host key that this machine does not know.", remedy)
    if names & _NOT_LET_IN:
        return Trouble(Ending.RECONNECT, f"{where} does not let facekit in.", _SIGN_IN.get(address.scheme, _PASSWORD))
    return _skipped(address, error) or _failed(address, causes)


def _skipped(address: Address, error: Exception) -> Trouble | None:
    where = address.shown
    if isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError):
        return Trouble(Ending.SKIP, f"{where} has no such file or folder.", status=Status.MISSING)
    if isinstance(error, PermissionError):
        return Trouble(Ending.SKIP, f"{where} does not let it be read.", _SIGN_IN.get(address.scheme, _PASSWORD))
    if address.archive is not None and isinstance(error, BROKEN):
        return Trouble(Ending.SKIP, f"{where} is damaged, or locked.", "Fetch the zip file once more.")
    return None


def _failed(address: Address, causes: list[BaseException]) -> Trouble:
    said = next(
        (os.strerror(one.errno or 0) for one in causes if isinstance(one, OSError) and (one.errno or 0) > 0), None
    )
    timeout = any(isinstance(one, TimeoutError) or "Timeout" in type(one).__name__ for one in causes)
    kind = type(causes[0]).__name__
    why = f"no answer for {READ_TIMEOUT:g} s" if timeout else said or ("no connection" if "Connect" in kind else kind)
    ending = Ending.STOP if address.scheme == "gs" else Ending.RETRY  # gcsfs has tried six times itself
    return Trouble(ending, f"{address.shown} can't be read: {why}.", "What is done is kept; try again later.")


_PASSWORD = "Give its password anew: facekit sources reconnect NAME."  # noqa: S105 - words
_SIGN_IN = {
    "s3": "Credentials come from the environment or a profile: AWS_ACCESS_KEY_ID, AWS_PROFILE, AWS_ENDPOINT_URL.",
    "gs": "Credentials come from gcloud auth application-default login, or GOOGLE_APPLICATION_CREDENTIALS.",
}


def _lacks_package(error: Exception) -> bool:
    return isinstance(error, ImportError) or "Protocol not known" in str(error)


def _causes_of(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    at: BaseException | None = error
    while at is not None and at not in found:
        found.append(at)
        at = at.__cause__ or at.__context__
    return found


def _entry_of(said: Mapping[str, Any]) -> Entry:
    size = said.get("size")
    marks = (str(said[name]).strip('"') for name in _MARKS if said.get(name) not in {None, ""})
    return Entry(
        name=str(said["name"]).rstrip("/").rpartition("/")[2],
        kind=str(said.get("type", "file")),
        size=size if isinstance(size, int) else None,
        mark=next(marks, "")[:200],
        modified=next((when for name in _TIMES if (when := _moment(said.get(name)))), None),
    )


def _moment(said: object) -> datetime | None:
    if isinstance(said, datetime):
        return said if said.tzinfo else said.replace(tzinfo=UTC)
    with suppress(ValueError, OverflowError, OSError):
        if isinstance(said, int | float) and not isinstance(said, bool):
            return datetime.fromtimestamp(said, UTC)
        if isinstance(said, str):
            found = datetime.fromisoformat(said)
            return found if found.tzinfo else found.replace(tzinfo=UTC)
    return None
