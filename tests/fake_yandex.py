"""A Yandex Disk of our own: the API of public links and of one's own disk, and the host that gives out the bytes.

Its answers have the shape of those that yadisk's tests recorded, with previews and comments left out.
"""

from __future__ import annotations

import base64
import hashlib
import random
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from fake_service import FakePhoto, FakeService
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from facekit.sources.item import Token

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self

    from starlette.requests import Request

LINK = "https://disk.yandex.ru/d/qI_Bmm2e5eSytg"
FILE_LINK = "https://disk.yandex.ru/i/LNjClSXFppELzQ"
LONG_KEY = "2F9Lz5OkdvJsUxuVhCshMkXnUK0dU0lgeqevW3bkkx8gq5mRBpsPrgHN+rK0vxyZq/J6bpmRyOJonT3VoXnDag=="
TOKEN = "y0_AgAAAAB_a_token_that_nobody_else_has"
UID = "455675172"


@dataclass
class YandexFile(FakePhoto):
    """A file, photo or not; without a hash where ``hashed`` says so."""

    media_type: str = "image"
    exif: dict[str, Any] = field(default_factory=dict)
    hashed: bool = True
    modified: str = "2025-06-16T13:02:16+00:00"


class FakeYandex(FakeService):
    """The files are at a public link, or on somebody's own disk. A file's path is its album and its name.

    Attributes
    ----------
    own : bool
        Whether the settings mean somebody's own disk.
    only : str
        The path of the file that `FILE_LINK` leads to.
    errors : dict
        What is answered for a method and path, such as ``("download", "/a.jpg")``: status and name of the error.
    error : tuple, optional
        What is answered for everything.
    aliases : dict of str to str
        Folders that are others, seen again: a folder in itself, say.
    told : dict of str to dict
        What is said otherwise than it is of an entry, by its path.
    downloads : list of str
        The paths of what was downloaded.
    """

    kind = "yandex-disk"
    variable = "FACEKIT_YANDEX_DISK_API"

    def __init__(self, photos: Iterable[FakePhoto] = (), *, own: bool = False) -> None:
        super().__init__(photos)
        self.begin(own=own)

    def begin(self, *, own: bool = False) -> None:
        """All as it was at the start, and no files."""
        self.heal()
        if hasattr(self, "own"):
            self.photos.clear()
        self.own = own
        self.only = ""
        self.errors: dict[tuple[str, str], tuple[int, str]] = {}
        self.error: tuple[int, str] | None = None
        self.aliases: dict[str, str] = {}
        self.told: dict[str, dict[str, Any]] = {}
        self.tokens = {TOKEN}
        self.with_addresses = True
        self.downloads: list[str] = []
        self.revoked: list[str] = []
        self.refreshes: set[str] = set()
        self._codes: dict[str, dict[str, str]] = {}
        self._addresses: dict[str, str] = {}
        self._made = 0
        self._paths: tuple[list[int], dict[str, FakePhoto]] = [], {}

    def settings(self) -> dict[str, str]:
        return {"path": "/"} if self.own else {"link": LINK}

    def token(self) -> Token | None:
        return Token(TOKEN) if self.own else None

    def variables(self) -> dict[str, str]:
        return {self.variable: self.url, "FACEKIT_YANDEX_OAUTH": self.url}

    def put(self, path: str, data: bytes, **more: Any) -> Self:
        """Add a file at a path."""
        album, _, name = path.strip("/").rpartition("/")
        self.add(YandexFile(path, name, data, album, **more))
        return self

    def expire(self) -> None:
        """All addresses that were given out are no good any more."""
        self._addresses.clear()

    def paths(self) -> dict[str, FakePhoto]:
        """All files. Of two that are called the same, the second is renamed, as Yandex Disk does it."""
        now = [id(photo) for photo in list(self.photos.values())]
        if now == self._paths[0]:
            return self._paths[1]
        found: dict[str, FakePhoto] = {}
        for photo in list(self.photos.values()):
            name, number = PurePosixPath(photo.name), 0
            path = f"/{photo.album}/{name}".replace("//", "/")
            while path in found:
                number += 1
                path = f"/{photo.album}/{name.stem} ({number}){name.suffix}".replace("//", "/")
            found[path] = photo
        self._paths = now, found
        return found

    # What it answers

    def routes(self) -> list[Route]:
        return [
            Route("/v1/disk/public/resources", self._public),
            Route("/v1/disk/public/resources/download", self._public),
            Route("/v1/disk/resources", self._private),
            Route("/v1/disk/resources/download", self._private),
            Route("/disk/{name}", self._moved),
            Route("/rdisk/{name}", self._bytes),
            Route("/authorize", self._authorize),
            Route("/token", self._token, methods=["POST"]),
            Route("/revoke_token", self._revoke, methods=["POST"]),
        ]

    async def _public(self, request: Request) -> Response:
        key, path = request.query_params.get("public_key"), request.query_params.get("path", "/")
        if key == FILE_LINK and self.only and path == "/":
            return self._asked(request, self.only, "", shown="/")
        if key not in {LINK, LONG_KEY}:
            return self.error_of(404, "DiskNotFoundError")
        return self._asked(request, path, "")

    async def _private(self, request: Request) -> Response:
        if request.headers.get("authorization", "").removeprefix("OAuth ") not in self.tokens:
            return self.error_of(401, "UnauthorizedError")
        return self._asked(request, request.query_params.get("path", "").removeprefix("disk:"), "disk:")

    def _asked(self, request: Request, path: str, prefix: str, shown: str | None = None) -> Response:
        method = request.url.path.rpartition("/")[2]
        if error := self.error or self.errors.get((method, path)):
            return self.error_of(*error)
        told = self._entry(path, prefix, shown)
        if told is None:
            return self.error_of(404, "DiskNotFoundError")
        if method == "download":
            return JSONResponse({"href": self._address(self._real(path)), "method": "GET", "templated": False})
        if told["type"] == "dir":
            told["_embedded"] = self._part(path, prefix, dict(request.query_params))
        return JSONResponse(_only(told, request.query_params.get("fields", "")))

    def _part(self, path: str, prefix: str, query: dict[str, str]) -> dict[str, Any]:
        inside = self._inside(path)
        sort = query.get("sort", "")
        if sort == "path":
            inside.sort()
        else:  # in whatever order it comes
            random.shuffle(inside)
        offset, limit = int(query.get("offset", 0)), int(query.get("limit", 20))
        above = path.rstrip("/")
        items = [self._entry(f"{above}/{name}", prefix) for name in inside[offset : offset + limit]]
        return {"offset": offset, "limit": limit, "total": len(inside), "sort": sort, "items": items}

    def _entry(self, path: str, prefix: str, shown: str | None = None) -> dict[str, Any] | None:
        real = self._real(path)
        file = self.paths().get(real)
        if file is None and real != "/" and not self._inside(path):
            return None
        told: dict[str, Any] = {
            "path": prefix + (path if shown is None else shown),
            "type": "file" if file else "dir",
            "name": PurePosixPath(path).name or "Общая папка",
            "resource_id": f"{UID}:{hashlib.sha256(real.encode()).hexdigest()}",
            "created": "2025-06-16T13:02:16+00:00",
            "modified": getattr(file, "modified", "2025-06-16T13:02:16+00:00"),
            "revision": 1750078937594907,
            "exif": getattr(file, "exif", {}),
        }
        if not self.own:
            told["public_key"] = LONG_KEY
        if file:
            told |= {"size": len(file.data), "media_type": getattr(file, "media_type", "image")}
            told |= {"mime_type": "image/jpeg", "antivirus_status": "clean"}
            if getattr(file, "hashed", True):
                told["md5"] = hashlib.md5(file.data, usedforsecurity=False).hexdigest()
                told["sha256"] = hashlib.sha256(file.data).hexdigest()
            if self.with_addresses:
                told["file"] = self._address(real)
        return told | self.told.get(real, {})

    def _inside(self, folder: str) -> list[str]:
        above = self._real(folder).rstrip("/") + "/"
        everything = [*self.paths(), *self.aliases]
        return list({path.removeprefix(above).partition("/")[0] for path in everything if path.startswith(above)})

    def _real(self, path: str) -> str:
        for alias, folder in self.aliases.items():
            while path == alias or path.startswith(alias + "/"):
                path = folder.rstrip("/") + path.removeprefix(alias)
        return path or "/"

    def _address(self, path: str) -> str:
        self._made += 1
        self._addresses[str(self._made)] = path
        return f"{self.url}/disk/{self._made}?uid=0&disposition=attachment&tknv=v3&signature=nobody-may-see-this"

    async def _moved(self, request: Request) -> Response:
        return RedirectResponse(f"{self.url}/rdisk/{request.path_params['name']}?signature=nobody-may-see-this", 302)

    async def _bytes(self, request: Request) -> Response:
        path = self._addresses.get(request.path_params["name"], "")
        file = self.paths().get(path)
        if file is None:
            return Response("<html>Gone</html>", 410, media_type="text/html")
        self.downloads.append(path)
        return Response(file.data, media_type="image/jpeg")

    async def _authorize(self, request: Request) -> Response:
        """The user agrees at once, and is led back with a code."""
        asked = dict(request.query_params)
        self._made += 1
        code = f"a code, the {self._made}th"
        self._codes[code] = asked
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}", 302)

    async def _token(self, request: Request) -> Response:
        form = dict(await request.form())
        asked = self._codes.pop(str(form.get("code")), None)
        if form["grant_type"] == "authorization_code":
            digest = hashlib.sha256(str(form.get("code_verifier")).encode()).digest()
            challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
            good = asked and (asked["code_challenge"], asked["client_id"]) == (challenge, form["client_id"])
        else:
            good = form.get("refresh_token") in self.refreshes
        if not good:
            return JSONResponse({"error": "invalid_grant", "error_description": "Code has expired"}, 400)
        self._made += 1
        access, refresh = f"y0_access_{self._made}", f"1:refresh_{self._made}"
        self.tokens.add(access)
        self.refreshes = {refresh}
        said = {"token_type": "bearer", "access_token": access, "expires_in": 31536000, "refresh_token": refresh}
        return JSONResponse(said | {"scope": "cloud_api:disk.read"})

    async def _revoke(self, request: Request) -> Response:
        form = dict(await request.form())
        if not form.get("client_secret") or form["access_token"] not in self.tokens:
            return JSONResponse({"error": "invalid_grant", "error_description": "Token is not known"}, 400)
        self.revoked.append(str(form["access_token"]))
        self.tokens.discard(str(form["access_token"]))
        return JSONResponse({"status": "ok"})

    @staticmethod
    def error_of(status: int, name: str) -> Response:
        """An error as the API words it."""
        message, description = _WORDS.get(name, ("Ошибка.", f"It is {name}."))
        return JSONResponse({"message": message, "description": description, "error": name}, status)


def _only(told: dict[str, Any], fields: str) -> dict[str, Any]:
    """What of an answer was asked for, as the API's ``fields``."""
    if not fields:
        return told
    found: dict[str, Any] = {}
    for one in fields.split(","):
        name, _, rest = one.partition(".")
        if name not in told:
            continue
        if not rest:
            found[name] = told[name]
        elif isinstance(told[name], dict):
            found[name] = found.get(name, {}) | _merged(found.get(name, {}), told[name], rest)
    return found


def _merged(found: dict[str, Any], told: dict[str, Any], rest: str) -> dict[str, Any]:
    name, _, inner = rest.partition(".")
    if name not in told:
        return {}
    if isinstance(told[name], list) and inner:
        before = found.get(name) or [{} for _ in told[name]]
        return {name: [old | _only(one, inner) for old, one in zip(before, told[name], strict=True)]}
    return {name: told[name]}


_WORDS = {
    "DiskNotFoundError": ("Не удалось найти запрошенный ресурс.", "Resource not found."),
    "UnauthorizedError": ("Не авторизован.", "Unauthorized"),
}
