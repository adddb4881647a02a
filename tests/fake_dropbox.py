"""Dropbox as a fake: its files, shared links, cursors and errors, as its documentation has them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fake_service import FakePhoto, FakeService
from fake_sign_in import FakeSignIn
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from facekit.sources.item import Token

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.requests import Request

TOKEN = "sl.u.a-token-of-dropbox"


def content_hash(data: bytes) -> str:
    """As https://www.dropbox.com/developers/reference/content-hash says."""
    blocks = [data[start : start + 4 * 2**20] for start in range(0, len(data), 4 * 2**20)]
    return hashlib.sha256(b"".join(hashlib.sha256(block).digest() for block in blocks)).hexdigest()


class RefusalError(Exception):
    def __init__(self, status: int, *tags: str, **more: Any) -> None:
        super().__init__()
        error: dict[str, Any] = {".tag": tags[-1], **more}
        for tag in reversed(tags[:-1]):
            error = {".tag": tag, tag: error}
        self.response = JSONResponse({"error_summary": "/".join([*tags, ".."]), "error": error}, status)


class FakeDropbox(FakeService):
    """One account. A photo lies in the folder that is its album; other files may lie there too.

    Attributes
    ----------
    page : int
        How many entries a page has at most.
    rights : set of str
        What the token may do.
    refused : dict of str to tuple of str
        Error tags of photos that can't be downloaded, by path.
    links : dict of str to tuple of str and str
        Path and password of shared links.
    """

    kind = "dropbox"
    variable = "FACEKIT_DROPBOX_API"

    def __init__(self, photos: Iterable[FakePhoto] = (), page: int = 4) -> None:
        self.sign_in = FakeSignIn(devices=False)
        super().__init__()
        self.begin(photos, page)

    def begin(self, photos: Iterable[FakePhoto] = (), page: int = 4) -> None:
        """Be as new, at the same address."""
        self.heal()
        self.photos = {photo.key: photo for photo in photos}
        self.page = page
        self.tokens = {TOKEN}
        self.expired: set[str] = set()
        self.revoked: list[str] = []
        self.rights = {"files.metadata.read", "files.content.read", "sharing.read"}
        self.refused: dict[str, tuple[str, ...]] = {}
        self.links: dict[str, tuple[str, str]] = {}
        self._revisions: dict[str, int] = {}
        self._cursors: dict[str, tuple[dict[str, Any], tuple[dict[str, Any], ...], int]] = {}
        self._told: list[dict[str, Any]] = []  # what has changed, in order
        self._valid_from = 0

    def routes(self) -> list[Route]:
        calls = {
            "files/list_folder": self._list,
            "files/list_folder/continue": self._go_on,
            "files/download": self._download,
            "sharing/get_shared_link_metadata": self._link,
            "sharing/get_shared_link_file": self._link_file,
            "auth/token/revoke": self._revoke,
        }
        signing_in = [
            Route("/oauth2/authorize", self.sign_in._authorize),
            Route("/oauth2/token", self.sign_in._token, methods=["POST"]),
        ]
        return signing_in + [
            Route(f"/2/{name}", self._answering(call), methods=["POST"]) for name, call in calls.items()
        ]

    def token(self) -> Token:
        return Token(TOKEN)

    # What happens in the account

    def add(self, photo: FakePhoto) -> None:
        super().add(photo)
        self._told.append(self._file(photo))

    def remove(self, key: str) -> None:
        path = self.path(self.photos[key])
        super().remove(key)
        self._told.append(self._deleted(path))

    def change(self, key: str, data: bytes) -> None:
        super().change(key, data)
        self._revisions[key] = self._revisions.get(key, 0) + 1
        self._told.append(self._file(self.photos[key]))

    def move(self, key: str, album: str, name: str | None = None) -> None:
        """Call a file otherwise: there is none at the old path any more, and one of the same id at the new."""
        old = self.photos[key]
        self._told.append(self._deleted(self.path(old)))
        super().add(replace(old, album=album, name=name or old.name))
        self._told.append(self._file(self.photos[key]))

    def remove_folder(self, album: str) -> None:
        """Delete a folder with all that is in it: told by one entry."""
        for key in [key for key, one in self.photos.items() if f"{one.album}/".startswith(f"{album}/")]:
            super().remove(key)
        self._told.append(self._deleted(f"/{album}"))

    def forget_cursors(self) -> None:
        """Those that were given are of no use any more."""
        self._valid_from = len(self._cursors)

    def share(self, album: str, password: str = "", key: str | None = None) -> str:
        """A link to a folder, or to the one file of a key."""
        number = len(self.links)
        kind, path = ("fi", self.path(self.photos[key])) if key else ("fo", f"/{album}" if album else "")
        url = f"https://www.dropbox.com/scl/{kind}/abc{number}/h?rlkey=r{number}"
        self.links[url] = path, password
        return url

    @staticmethod
    def path(photo: FakePhoto) -> str:
        return f"/{photo.album}/{photo.name}" if photo.album else f"/{photo.name}"

    # Entries

    def _file(self, photo: FakePhoto) -> dict[str, Any]:
        path = self.path(photo)
        return {
            ".tag": "file",
            "name": photo.name,
            "id": f"id:{photo.key}",
            "path_lower": path.lower(),
            "path_display": path,
            "client_modified": "2015-05-12T15:50:38Z",
            "server_modified": "2026-01-02T03:04:05Z",
            "rev": f"{self._revisions.get(photo.key, 0):09x}",
            "size": len(photo.data),
            "is_downloadable": True,
            "content_hash": content_hash(photo.data),
        }

    @staticmethod
    def _deleted(path: str) -> dict[str, Any]:
        name = path.rpartition("/")[2]
        return {".tag": "deleted", "name": name, "path_lower": path.lower(), "path_display": path}

    def _entries(self, root: str, *, recursive: bool) -> list[dict[str, Any]]:
        """Folders and files below one; a folder comes before what is in it."""
        there: dict[str, dict[str, Any]] = {}
        for photo in self.photos.values():
            path = self.path(photo)
            parts = path.split("/")[1:]
            for depth in range(1, len(parts)):
                folder = "/" + "/".join(parts[:depth])
                tag = {".tag": "folder", "name": parts[depth - 1], "id": f"id:folder:{folder}"}
                there.setdefault(folder.lower(), {**tag, "path_lower": folder.lower(), "path_display": folder})
            there[path.lower()] = self._file(photo)
        if root and there.get(root.lower(), {}).get(".tag") == "file":
            raise RefusalError(409, "path", "not_folder")
        if root and root.lower() not in there:
            raise RefusalError(409, "path", "not_found")
        below = f"{root.lower()}/"
        found = [there[path] for path in sorted(there) if path.startswith(below)]
        return [one for one in found if recursive or "/" not in one["path_lower"].removeprefix(below)]

    # Calls

    def _answering(self, call: Any) -> Any:
        async def answer(request: Request) -> Response:
            try:
                token = self._let_in(request.headers.get("authorization", "").removeprefix("Bearer "))
                if "dropbox-api-arg" in request.headers:
                    assert not await request.body()
                    said = json.loads(request.headers["dropbox-api-arg"])
                else:
                    said = json.loads(await request.body() or b"null")
                return call(said, token)
            except RefusalError as refused:
                return refused.response

        return answer

    def _let_in(self, token: str) -> str:
        if token in self.expired:
            raise RefusalError(401, "expired_access_token")
        if token not in self.tokens | self.sign_in.good:
            raise RefusalError(401, "invalid_access_token")
        return token

    def _needs(self, right: str) -> None:
        if right not in self.rights:
            raise RefusalError(401, "missing_scope", required_scope=right)

    def _list(self, said: dict[str, Any], _: str) -> Response:
        self._needs("files.metadata.read")
        allowed = {"path", "recursive", "limit", "shared_link"}
        if not set(said) <= allowed or not 1 <= said.get("limit", 1) <= 2000:
            return PlainTextResponse('Error in call to API function "files/list_folder"', 400)
        if link := said.get("shared_link"):
            if said.get("recursive"):
                return PlainTextResponse("recursive is not supported for shared links", 400)
            root = self._inside(link["url"], link.get("password", ""), said["path"])
        else:
            root = said["path"]
        entries = self._entries(root, recursive=said.get("recursive", False))
        if link:
            entries = [{k: v for k, v in one.items() if not k.startswith("path_")} for one in entries]
        return self._page({**said, "root": root}, tuple(entries), len(self._told))

    def _go_on(self, said: dict[str, Any], _: str) -> Response:
        self._needs("files.metadata.read")
        cursor = said["cursor"]
        if cursor not in self._cursors or int(cursor.partition("-")[2]) < self._valid_from:
            raise RefusalError(409, "reset")
        asked, rest, seen = self._cursors[cursor]
        if not rest:
            rest, seen = self._changes(asked["root"], seen), len(self._told)
        return self._page(asked, rest, seen)

    def _changes(self, root: str, seen: int) -> tuple[dict[str, Any], ...]:
        below = f"{root.lower()}/"
        return tuple(one for one in self._told[seen:] if f"{one['path_lower']}/".startswith(below))

    def _page(self, asked: dict[str, Any], entries: tuple[dict[str, Any], ...], seen: int) -> Response:
        size = min(self.page, asked.get("limit", 2000))
        now, rest = entries[:size], entries[size:]
        cursor = f"AAF-{len(self._cursors)}"
        self._cursors[cursor] = asked, rest, seen
        more = bool(rest or self._changes(asked["root"], seen))
        return JSONResponse({"entries": list(now), "cursor": cursor, "has_more": more})

    def _download(self, said: dict[str, Any], _: str) -> Response:
        self._needs("files.content.read")
        return self._bytes(said["path"])

    def _bytes(self, path: str) -> Response:
        if path.lower() in self.refused:
            raise RefusalError(409, *self.refused[path.lower()])
        photo = next((one for one in self.photos.values() if self.path(one).lower() == path.lower()), None)
        if photo is None:
            raise RefusalError(409, "path", "not_found")
        headers = {"Dropbox-API-Result": json.dumps(self._file(photo))}
        return Response(photo.data, headers=headers, media_type="application/octet-stream")

    def _inside(self, url: str, password: str, path: str = "") -> str:
        """A path in the account, from one below a link."""
        if url not in self.links:
            raise RefusalError(409, "shared_link_not_found")
        root, wanted = self.links[url]
        if password != wanted:
            raise RefusalError(409, "shared_link_access_denied")
        return f"{root}{path}"

    def _link(self, said: dict[str, Any], _: str) -> Response:
        self._needs("sharing.read")
        path = self._inside(said["url"], said.get("link_password", ""))
        photo = next((one for one in self.photos.values() if self.path(one) == path), None)
        if photo is None:
            return JSONResponse({".tag": "folder", "url": said["url"], "name": path.rpartition("/")[2], "id": "id:f"})
        kept = ("id", "name", "size", "rev", "client_modified", "server_modified")
        file = self._file(photo)
        return JSONResponse({".tag": "file", "url": said["url"], **{key: file[key] for key in kept}})

    def _link_file(self, said: dict[str, Any], _: str) -> Response:
        self._needs("sharing.read")
        path = self._inside(said["url"], said.get("link_password", ""), said.get("path", ""))
        try:
            return self._bytes(path)
        except RefusalError as refused:
            if b"not_found" in refused.response.body:
                raise RefusalError(409, "shared_link_not_found") from None
            raise

    def _revoke(self, said: Any, token: str) -> Response:
        assert said is None
        self.tokens.discard(token)
        self.revoked.append(token)
        return JSONResponse(None)
