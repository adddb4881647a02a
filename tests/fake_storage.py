"""Storages with photos: a web server that lists its folders, a WebDAV server, an SFTP server."""

from __future__ import annotations

import base64
import socket
import threading
import zlib
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import paramiko
from fake_service import FakePhoto, FakeService
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from facekit.sources.item import Token

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request

USER, PASSWORD = "дядя", "p@ss:w/ord"
ME = f"{quote(USER)}:{quote(PASSWORD, safe='')}"
"""Whom the servers let in."""


class FakeStorage(FakeService):
    """A web server with photos in folders, which it lists as web servers do."""

    kind = "storage"
    locked = False
    """Whether it wants a name and a password."""

    def __init__(self, photos: Any = ()) -> None:
        super().__init__([self._keyed(photo) for photo in photos])

    def routes(self) -> list[Route]:
        return [Route("/{path:path}", self._get, methods=["GET", "HEAD"])]

    def settings(self) -> dict[str, str]:
        user = f"{quote(USER)}@" if self.locked else ""
        return {"url": f"http://{user}{self.url.removeprefix('http://')}/photos"}

    def token(self) -> Token | None:
        return Token(PASSWORD) if self.locked else None

    def variables(self) -> dict[str, str]:
        return {}

    def add(self, photo: FakePhoto) -> None:
        super().add(self._keyed(photo))

    def _fault_for(self, path: str) -> Any:
        """But not `wrong_length` for HEAD: without a body, nobody can tell that it is wrong."""
        fault = super()._fault_for(path)
        is_length = fault is not None and fault.__qualname__.startswith("wrong_length")
        return None if is_length and self.requests[-1].method == "HEAD" else fault

    @staticmethod
    def _keyed(photo: FakePhoto) -> FakePhoto:
        return replace(photo, key=f"{photo.album}/{photo.name}" if photo.album else photo.name)

    async def _get(self, request: Request) -> Response:
        account = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self.locked and request.headers.get("authorization") != f"Basic {account}":
            return Response(status_code=401, headers={"www-authenticate": "Basic"})
        path = request.path_params["path"].removeprefix("photos").strip("/")
        if path in self.photos:
            data = self.photos[path].data
            return Response(data, media_type="image/jpeg", headers={"etag": f'"{zlib.crc32(data):x}"'})
        inside = [key.removeprefix(f"{path}/" if path else "") for key in self.photos]
        inside = [key for key, whole in zip(inside, self.photos, strict=True) if key != whole or not path]
        if path and not inside:
            return Response("no such thing", 404)
        names = sorted({key.partition("/")[0] + ("/" if "/" in key else "") for key in inside})
        links = "".join(f'<a href="{quote(name)}">{escape(name)}</a><br>' for name in names)
        return HTMLResponse(f'<a href="../">up</a><a href="?C=M;O=A">Date</a><a href="//elsewhere/x.jpg">x</a>{links}')


@contextmanager
def webdav_server(folder: Path) -> Iterator[str]:
    """WsgiDAV with the files of a folder; its address without anybody's name."""
    from cheroot.wsgi import Server
    from wsgidav.wsgidav_app import WsgiDAVApp

    accounts = {"*": {USER: {"password": PASSWORD}}}
    app = WsgiDAVApp(
        {
            "provider_mapping": {"/dav": str(folder)},
            "simple_dc": {"user_mapping": accounts},
            "http_authenticator": {"accept_basic": True, "accept_digest": False, "default_to_digest": False},
            "verbose": 0,
            "logging": {"enable": False},
        }
    )
    server = Server(("127.0.0.1", 0), app, numthreads=4)
    server.prepare()
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.bind_addr[1]}/dav"
    finally:
        server.stop()
        thread.join(10)


class _Door(paramiko.ServerInterface):
    def __init__(self, tried: list[str]) -> None:
        self._tried = tried

    def check_auth_password(self, username: str, password: str) -> int:
        self._tried.append(username)
        right = (username, password) == (USER, PASSWORD)
        return paramiko.AUTH_SUCCESSFUL if right else paramiko.AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED

    def get_allowed_auths(self, username: str) -> str:
        return "password"


class _Disk(paramiko.SFTPServerInterface):
    def __init__(self, _door: _Door, folder: Path) -> None:
        self._folder = folder

    def _real(self, path: str) -> Path:
        return Path(f"{self._folder}{self.canonicalize(path)}")

    def list_folder(self, path: str) -> Any:
        try:
            return [
                paramiko.SFTPAttributes.from_stat(one.lstat(), one.name) for one in sorted(self._real(path).iterdir())
            ]
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno)

    def stat(self, path: str) -> Any:
        try:
            return paramiko.SFTPAttributes.from_stat(self._real(path).stat())
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno)

    lstat = stat

    def open(self, path: str, flags: int, attr: Any) -> Any:
        handle = paramiko.SFTPHandle(flags)
        try:
            handle.readfile = self._real(path).open("rb")
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno)
        return handle


@dataclass
class Sftp:
    """A server: its host and port, the line that makes it a known host, and the names that came with a password."""

    at: str
    line: str
    tried: list[str] = field(default_factory=list)


@contextmanager
def sftp_server(folder: Path) -> Iterator[Sftp]:
    """Paramiko's, with the files of a folder."""
    key = paramiko.ECDSAKey.generate()
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    server = Sftp(f"127.0.0.1:{port}", f"[127.0.0.1]:{port} {key.get_name()} {key.get_base64()}\n")
    doors: list[paramiko.Transport] = []

    def serve() -> None:
        with suppress(OSError):
            while True:
                door = paramiko.Transport(listener.accept()[0])
                doors.append(door)
                door.add_server_key(key)
                door.set_subsystem_handler("sftp", paramiko.SFTPServer, _Disk, folder)
                with suppress(paramiko.SSHException, EOFError):
                    door.start_server(server=_Door(server.tried))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for door in doors:
            door.close()
        thread.join(10)
