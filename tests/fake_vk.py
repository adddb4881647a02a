"""A fake of VK: its API at ``/method/``, its pictures, and VK ID, with tokens, limits, captchas and errors as VK's."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from fake_service import PAGE, FakePhoto, FakeService, answer, jpeg
from fake_vk_id import FakeVkId
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from facekit.sources.item import Token

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from starlette.requests import Request
    from starlette.routing import BaseRoute

SERVICE, PERSONS, COMMUNITYS = "5erv1ce" * 10, "vk1.a.Pers0n" * 5, "vk1.a.C0mmunity" * 5
OWNER = 77
NAMES = {"somebody": ("user", OWNER), "some_club": ("group", 5), "some_game": ("application", 9)}
SYSTEM = {"profile": -6, "wall": -7, "saved": -15, "tagged": -9000}
_MESSAGES = {
    1: "Unknown error occurred",
    5: "User authorization failed: invalid access_token (4).",
    6: "Too many requests per second",
    8: "Invalid request: v (version) is required",
    9: "Flood control",
    10: "Internal server error",
    14: "Captcha needed",
    28: "Application authorization failed: method is unavailable with service token",
    29: "Rate limit reached",
    30: "This profile is private",
    100: "One of the parameters specified was missing or invalid",
    200: "Access denied",
    1117: "Access token has expired",
}


@dataclass
class VkPhoto(FakePhoto):
    """A photo at VK; ``key`` is ``OWNER_ID``. Of its sizes, ``best`` has the bytes; without sizes it has no picture."""

    sizes: tuple[tuple[str, int, int], ...] = (
        ("s", 75, 56),
        ("m", 130, 98),
        ("x", 604, 453),
        ("r", 510, 340),
        ("z", 1280, 960),
        ("w", 2560, 1920),
    )
    best: str = "w"
    original: bool = False
    date: int = 1_500_000_000
    latitude: float | None = None
    longitude: float | None = None
    access_key: str = ""
    hidden: bool = False
    """Counted in its album, and not shown there."""


def vk_photos(count: int, album: str = "Лето", first: int = 1, owner: int = OWNER) -> list[VkPhoto]:
    """Some that differ, in one album."""
    return [
        VkPhoto(f"{owner}_{n}", f"{owner}_{n}.jpg", jpeg(n), album, date=1_500_000_000 + n)
        for n in range(first, first + count)
    ]


def error(code: int, **more: object) -> Any:
    """A fault: an error of VK's, which has HTTP status 200."""
    return answer(200, error_body(code, **more))


def error_body(code: int, **more: object) -> dict[str, Any]:
    said = _MESSAGES.get(code, "Some error")
    request = [{"key": "oauth", "value": "1"}, {"key": "v", "value": "5.199"}]
    return {"error": {"error_code": code, "error_msg": said, "request_params": request} | more}


class _VkError(Exception):
    def __init__(self, code: int, **more: object) -> None:
        super().__init__(code)
        self.body = error_body(code, **more)


class FakeVk(FakeVkId, FakeService):
    """VK, with one person's albums and, where photos say so, those of communities and of others.

    Attributes
    ----------
    tokens : dict of str to str
        What each is: ``service``, ``user`` or ``group``; VK ID's are added as they are given out.
    closed : dict of str to int
        Albums, by title, that answer with an error.
    page_most : int
        Photos that a page has at most, whatever is asked for.
    counted : int
        Photos that VK counts in each album although there are none.
    limited : bool
        Whether more than 3 calls a second are refused, as VK does.
    """

    kind = "vk"
    variable = "FACEKIT_VK_API"

    def __init__(self, photos: Iterable[FakePhoto] = ()) -> None:
        super().__init__(photos)
        self.reset(self.photos)

    def reset(self, photos: Mapping[str, FakePhoto] | None = None) -> None:
        """As if it had just begun, with these photos."""
        self.photos = dict(photos or {})
        self.tokens = {SERVICE: "service", PERSONS: "user", COMMUNITYS: "group"}
        self.expired: set[str] = set()
        self.closed: dict[str, int] = {}
        self.page_most = 1000
        self.counted = 0
        self.limited = True
        self._accepted: list[float] = []
        self._titles: list[str] = []
        self._epoch = 0
        self._captcha: dict[str, str] = {}
        self._shown: dict[str, object] = {}

    def settings(self) -> dict[str, str]:
        return {"owner": str(OWNER)}

    def token(self) -> Token:
        return Token(SERVICE)

    def variables(self) -> dict[str, str]:
        return {"FACEKIT_VK_API": self.url, "FACEKIT_VK_ID": self.url, "FACEKIT_VK_CLIENT_ID": self.client}

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/method/{method}", self._method, methods=["GET", "POST"]),
            Route("/pictures/{key}/{size}", self._picture),
            Route("/captcha.php", self._letters),
            *self.id_routes(),
        ]

    # What tests say

    def expire(self) -> None:
        """No address of a picture that was given works any more."""
        self._epoch += 1

    def want_letters(self, letters: str) -> None:
        """Answer with a captcha until somebody types its letters."""
        sid = str(secrets.randbelow(10**12))
        self._captcha = {"captcha_sid": sid, "captcha_key": letters}
        self._shown = {"captcha_sid": sid, "captcha_img": f"{self.url}/captcha.php?sid={sid}&s=1"}

    def want_page(self, token: str | None) -> None:
        """Answer with a captcha of the new kind: until its page is opened, and its success token, if any, sent."""
        self._captcha = {"remixstlid": "9069780796616521905"} | ({"success_token": token} if token else {})
        link = f"{self.url}/not_robot_captcha?domain=vk.com&session_token=s3ss10n&variant=popup&blank=1"
        self._shown = {"redirect_uri": link, "remixstlid": 9069780796616521905}

    # The API

    async def _letters(self, request: Request) -> Response:
        assert "authorization" not in request.headers
        return Response(jpeg(1), media_type="image/jpeg")

    async def _method(self, request: Request) -> Response:
        form = dict((await request.form()).items()) if request.method == "POST" else dict(request.query_params)
        given = request.headers.get("authorization", "").removeprefix("Bearer ") or form.get("access_token", "")
        try:
            kind = self._let_in(form, given)
            return JSONResponse(self._call(request.path_params["method"], form, kind))
        except _VkError as refused:
            return JSONResponse(refused.body)

    def _let_in(self, form: dict[str, Any], token: str) -> str:
        """What kind of token it is."""
        now = time.monotonic()
        if self.limited and sum(now - at < 1 for at in self._accepted) >= 3:
            raise _VkError(6)
        self._accepted.append(now)
        if token in self.expired:
            raise _VkError(1117)
        if token not in self.tokens:
            raise _VkError(5)
        if "v" not in form:
            raise _VkError(8)
        self._look_at_captcha(form)
        return self.tokens[token]

    def _look_at_captcha(self, form: dict[str, Any]) -> None:
        if self._captcha:
            if any(form.get(name) != value for name, value in self._captcha.items()):
                raise _VkError(14, **self._shown)
            self._captcha = {}

    def _call(self, method: str, form: dict[str, Any], kind: str) -> dict[str, Any]:
        methods = {
            "users.get": self._users_get,
            "utils.resolveScreenName": self._resolve,
            "photos.getAlbums": self._albums,
            "photos.get": self._photos,
            "photos.getUserPhotos": self._tagged,
            "photos.getById": self._by_id,
            "execute": self._execute,
        }
        if method not in methods:
            raise _VkError(3)
        if kind == "group" and method.startswith("photos."):
            raise _VkError(27)
        if kind == "service" and method in ("photos.getUserPhotos", "execute"):
            raise _VkError(28)
        found = methods[method](form, kind)
        return found if method == "execute" else {"response": found}

    def _users_get(self, _form: dict[str, Any], kind: str) -> list[dict[str, Any]]:
        return [{"id": OWNER, "first_name": "Some", "last_name": "Body"}] if kind == "user" else []

    def _resolve(self, form: dict[str, Any], _kind: str) -> Any:
        found = NAMES.get(form.get("screen_name", ""))
        return {"type": found[0], "object_id": found[1]} if found else []

    def _album_id(self, title: str) -> int:
        if title in SYSTEM:
            return SYSTEM[title]
        if title not in self._titles:
            self._titles.append(title)
        return 1000 + self._titles.index(title)

    def _of(self, owner: int) -> list[VkPhoto]:
        return [photo for photo in self.photos.values() if photo.key.startswith(f"{owner}_")]

    def _albums(self, form: dict[str, Any], _kind: str) -> dict[str, Any]:
        owner = self._number(form, "owner_id")
        titles = {self._album_id(photo.album): photo.album for photo in self._of(owner)}
        if owner == OWNER and any(not photo.key.startswith(f"{OWNER}_") for photo in self.photos.values()):
            titles[SYSTEM["tagged"]] = "tagged"
        wanted = [int(one) for one in form["album_ids"].split(",")] if "album_ids" in form else None
        offset = int(form.get("offset", 0))
        shown = [
            number
            for number in sorted(titles, reverse=True)
            if (number in wanted if wanted is not None else number > 0 or form.get("need_system") == "1")
        ]
        items = [
            {
                "id": number,
                "owner_id": owner,
                "size": len(self._in(owner, number)),
                "title": "Фотографии со стены" if number < 0 else titles[number],
            }
            for number in shown[offset : offset + int(form.get("count", 100))]
        ]
        return {"count": len(shown), "items": items}

    def _in(self, owner: int, album: int) -> list[VkPhoto]:
        if album == SYSTEM["tagged"]:
            return [photo for photo in self.photos.values() if not photo.key.startswith(f"{OWNER}_")]
        return [photo for photo in self._of(owner) if self._album_id(photo.album) == album]

    def _photos(self, form: dict[str, Any], kind: str) -> dict[str, Any]:
        owner, name = self._number(form, "owner_id"), str(form.get("album_id", ""))
        number = SYSTEM.get(name) or (int(name) if re.fullmatch(r"-?\d+", name) else None)
        if number is None:
            raise _VkError(100)
        if number == SYSTEM["saved"] and kind != "user":
            raise _VkError(15)
        photos = self._in(owner, number)
        for title, code in self.closed.items():
            if self._album_id(title) == number:
                raise _VkError(code)
        if "photo_ids" in form:
            wanted = form["photo_ids"].split(",")
            photos = [photo for photo in photos if photo.key.partition("_")[2] in wanted]
        return self._page(photos, form, newest=form.get("rev") == "1")

    def _tagged(self, form: dict[str, Any], _kind: str) -> dict[str, Any]:
        if self._number(form, "user_id") != OWNER:
            raise _VkError(113)
        return self._page(self._in(OWNER, SYSTEM["tagged"]), form, newest=form.get("sort") != "1")

    def _page(self, photos: list[VkPhoto], form: dict[str, Any], *, newest: bool) -> dict[str, Any]:
        photos = list(reversed(photos)) if newest else photos
        offset, count = int(form.get("offset", 0)), min(int(form.get("count", 50)), self.page_most)
        if int(form.get("count", 50)) > 1000:
            raise _VkError(100)
        items = [self._shown_as(photo) for photo in photos[offset : offset + count] if not photo.hidden]
        return {"count": len(photos) + self.counted, "items": items}

    def _by_id(self, form: dict[str, Any], _kind: str) -> list[dict[str, Any]]:
        found = []
        wanted = str(form.get("photos", "")).split(",")
        if not wanted[0] or len(wanted) > 500:
            raise _VkError(100)
        for one in wanted:
            owner, number, *access = one.split("_")
            photo = self.photos.get(f"{owner}_{number}")
            if photo and (not photo.access_key or access == [photo.access_key]):
                found.append(self._shown_as(photo))
        return found

    def _execute(self, form: dict[str, Any], kind: str) -> dict[str, Any]:
        found = re.fullmatch(r"return \[(API\..*)\];", str(form.get("code", "")))
        calls = re.findall(r"API\.([\w.]+)\((\{.*?\})\)(?:,|$)", found[1]) if found else []
        if not 1 <= len(calls) <= 25:
            raise _VkError(12)
        answers: list[Any] = []
        errors = []
        for method, given in calls:
            try:
                text = {name: str(value) for name, value in json.loads(given).items()}
                answers.append(self._call(method, text, kind)["response"])
            except _VkError as refused:
                answers.append(False)
                body = refused.body["error"]
                errors.append({"method": method, "error_code": body["error_code"], "error_msg": body["error_msg"]})
        return {"response": answers} | ({"execute_errors": errors} if errors else {})

    def _number(self, form: dict[str, Any], name: str) -> int:
        if not re.fullmatch(r"-?\d+", str(form.get(name, ""))):
            raise _VkError(100)
        return int(form[name])

    def _shown_as(self, photo: VkPhoto) -> dict[str, Any]:
        owner, _, number = photo.key.partition("_")
        shown: dict[str, Any] = {
            "id": int(number),
            "owner_id": int(owner),
            "album_id": self._album_id(photo.album),
            "date": photo.date,
            "text": "Some words\nand more",
            "sizes": [
                {"type": size, "width": width, "height": height, "url": self._address(photo.key, size)}
                for size, width, height in photo.sizes
            ],
        }
        if photo.original:
            shown["orig_photo"] = {"type": "base", "width": 0, "height": 0, "url": self._address(photo.key, "base")}
        if photo.latitude is not None:
            shown |= {"lat": photo.latitude, "long": photo.longitude}
        return shown | ({"access_key": photo.access_key} if photo.access_key else {})

    def _address(self, key: str, size: str) -> str:
        return f"{self.url}/pictures/{key}/{size}?" + urlencode(
            {"e": self._epoch, "sign": self._sign(key, self._epoch)}
        )

    def _sign(self, key: str, epoch: int) -> str:
        return hashlib.sha256(f"{key} {epoch} s3cret".encode()).hexdigest()[:16]

    async def _picture(self, request: Request) -> Response:
        key, size = request.path_params["key"], request.path_params["size"]
        epoch = int(request.query_params.get("e", -1))
        photo = self.photos.get(key)
        if epoch != self._epoch or request.query_params.get("sign") != self._sign(key, epoch):
            return Response(PAGE, 403, media_type="text/html")
        if photo is None:
            return Response(PAGE, 404, media_type="text/html")
        best = "base" if photo.original else photo.best
        return Response(photo.data if size == best else jpeg(0, 8, 6), media_type="image/jpeg")
