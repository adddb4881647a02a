"""Google's Picker API as a fake: sessions, somebody who picks, addresses that expire, and its errors."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from fake_service import FakePhoto, FakeService
from fake_sign_in import FakeSignIn
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from facekit.sources.item import Token

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.requests import Request

TOKEN = "ya29.a0-a-token-of-google"
TYPES = {"mp4": "video/mp4", "heic": "image/heic", "dng": "image/x-adobe-dng", "png": "image/png"}


class RefusalError(Exception):
    """An answer with another status, as https://google.aip.dev/193 has it."""

    def __init__(self, number: int, word: str, message: str = "", reason: str = "") -> None:
        super().__init__()
        details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason}] if reason else []
        error = {"code": number, "message": message or word.lower(), "status": word, "details": details}
        self.response = JSONResponse({"error": error}, number)


class FakeGooglePhotos(FakeService):
    """One account, whose owner picks all its photos after some polls.

    Attributes
    ----------
    page : int
        How many items a page has at most.
    polls : int
        How often a session says that nobody has picked yet.
    timeout : str
        ``timeoutIn`` of sessions.
    sessions : dict of str to int
        How often each was asked for.
    deleted : list of str
        Sessions that were.
    age : int
        Addresses of a lower one have expired.
    """

    kind = "google-photos"
    variable = "FACEKIT_GOOGLE_PHOTOS_API"

    def __init__(self, photos: Iterable[FakePhoto] = (), page: int = 4) -> None:
        self.sign_in = FakeSignIn(secret="of a desktop application", devices=False)
        super().__init__()
        self.begin(photos, page)

    def begin(self, photos: Iterable[FakePhoto] = (), page: int = 4) -> None:
        """Be as new, at the same address."""
        self.heal()
        self.photos = {photo.key: photo for photo in photos}
        self.page, self.polls, self.timeout = page, 2, "600s"
        self.tokens = {TOKEN}
        self.sessions: dict[str, int] = {}
        self.deleted: list[str] = []
        self.revoked: list[str] = []
        self.age = 0

    def routes(self) -> list[Route]:
        return [
            Route("/v1/sessions", self._answering(self._create), methods=["POST"]),
            Route("/v1/sessions/{session}", self._answering(self._get), methods=["GET"]),
            Route("/v1/sessions/{session}", self._answering(self._delete), methods=["DELETE"]),
            Route("/v1/mediaItems", self._answering(self._list), methods=["GET"]),
            Route("/photos/{key}/{age:int}/{how}", self._answering(self._bytes), methods=["GET"]),
            Route("/o/oauth2/v2/auth", self.sign_in._authorize),
            Route("/token", self.sign_in._token, methods=["POST"]),
            Route("/revoke", self._revoke, methods=["POST"]),
        ]

    def token(self) -> Token:
        return Token(TOKEN)

    def expire_addresses(self) -> None:
        """As when 60 minutes have passed: those that were given work no more."""
        self.age += 1

    def end_sessions(self) -> None:
        """As when their time is over."""
        self.sessions.clear()

    def _answering(self, call: Any) -> Any:
        async def answer(request: Request) -> Response:
            try:
                self._let_in(request.headers.get("authorization", ""))
                return call(request, json.loads(await request.body() or b"null"))
            except RefusalError as refused:
                return refused.response

        return answer

    def _let_in(self, said: str) -> None:
        if said.removeprefix("Bearer ") not in self.tokens | self.sign_in.good:
            raise RefusalError(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")

    def _session(self, name: str) -> str:
        if name not in self.sessions:
            raise RefusalError(404, "NOT_FOUND", "Requested entity was not found.")
        return name

    def _said(self, session: str) -> Response:
        picked = self.sessions[session] > self.polls
        said = {"id": session, "pickerUri": f"https://photos.google.com/picker/{session}", "mediaItemsSet": picked}
        if not picked:
            said["pollingConfig"] = {"pollInterval": "0.01s", "timeoutIn": self.timeout}
        return JSONResponse(said)

    def _create(self, request: Request, said: Any) -> Response:
        assert isinstance(said, dict)
        session = f"session-{len(self.sessions) + len(self.deleted)}-{self.age}"
        self.sessions[session] = 0
        return self._said(session)

    def _get(self, request: Request, _: Any) -> Response:
        session = self._session(request.path_params["session"])
        self.sessions[session] += 1
        return self._said(session)

    def _delete(self, request: Request, _: Any) -> Response:
        session = self._session(request.path_params["session"])
        del self.sessions[session]
        self.deleted.append(session)
        return JSONResponse({})

    def _list(self, request: Request, _: Any) -> Response:
        session = self._session(request.query_params["sessionId"])
        if self.sessions[session] <= self.polls:
            raise RefusalError(400, "FAILED_PRECONDITION", "The user has not picked media items yet.")
        size = min(int(request.query_params.get("pageSize", 50)), 100, self.page)
        token = request.query_params.get("pageToken", "from-0")
        if not token.startswith("from-"):
            raise RefusalError(400, "INVALID_ARGUMENT", "Invalid page token.")
        first = int(token.removeprefix("from-"))
        there = list(self.photos.values())
        said: dict[str, Any] = {"mediaItems": [self._item(one) for one in there[first : first + size]]}
        if first + size < len(there):
            said["nextPageToken"] = f"from-{first + size}"
        return JSONResponse(said)

    def _item(self, photo: FakePhoto) -> dict[str, Any]:
        mime = TYPES.get(photo.name.rpartition(".")[2].lower(), "image/jpeg")
        file = {"baseUrl": f"{self.url}/photos/{photo.key}/{self.age}/x", "mimeType": mime, "filename": photo.name}
        kind = "VIDEO" if mime.startswith("video/") else "PHOTO"
        return {"id": photo.key, "createTime": "2019-07-01T10:20:30.123456789Z", "type": kind, "mediaFile": file}

    def _bytes(self, request: Request, _: Any) -> Response:
        how = request.path_params["how"]
        if request.path_params["age"] < self.age or request.path_params["key"] not in self.photos:
            return Response("Your client does not have permission.", 403, media_type="text/html")
        assert how == "x=d", "without it, Google gives a small picture"
        return Response(self.photos[request.path_params["key"]].data, media_type="image/jpeg")

    async def _revoke(self, request: Request) -> Response:
        (token,) = parse_qs((await request.body()).decode())["token"]
        if token not in self.tokens:
            return JSONResponse({"error": "invalid_token"}, 400)
        self.tokens.discard(token)
        self.revoked.append(token)
        return JSONResponse({})
