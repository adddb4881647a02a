"""A service that lets applications in by OAuth 2 with PKCE, strictly: codes and refresh tokens are good once."""

from __future__ import annotations

import hashlib
import secrets
from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import httpx2
from fake_service import FakeService
from starlette.responses import JSONResponse, RedirectResponse
from starlette.routing import Route

from facekit.sources.item import SignIn

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from facekit.sources.item import Prompt

CLIENT = "the application's id"
ADDRESS, CLIENT_ID, SECRET = "FACEKIT_TEST_SIGN_IN", "FACEKIT_TEST_CLIENT_ID", "FACEKIT_TEST_CLIENT_SECRET"

HOW = SignIn(
    authorize="https://id.example.com/authorize",
    token="https://id.example.com/oauth/token",
    scopes=("photos", "albums"),
    client=CLIENT_ID,
    secret=SECRET,
    revoke="https://id.example.com/oauth/revoke",
    more={"access_type": "offline"},
    keeps=("device_id",),
    address=ADDRESS,
)


class FakeSignIn(FakeService):
    """Attributes: ``consent``: its user agrees; ``good``: its access tokens; ``asked``: what browsers came with."""

    variable = ADDRESS

    def __init__(self, expires_in: Any = 3600, secret: str | None = None, *, devices: bool = True) -> None:
        super().__init__()
        self.devices = devices  # whether their ids have to come back
        self.consent, self.expires_in, self.secret = True, expires_in, secret
        self.good: set[str] = set()
        self.asked: list[dict[str, str]] = []
        self._codes: dict[str, dict[str, str]] = {}
        self.refresh: dict[str, str] = {}  # by token: the device

    def routes(self) -> list[Route]:
        return [
            Route("/authorize", self._authorize),
            Route("/oauth/token", self._token, methods=["POST"]),
            Route("/oauth/revoke", self._revoke, methods=["POST"]),
        ]

    def browse(self, prompt: Prompt) -> str:
        """What a user does who signs in, with a browser that goes where it is led."""
        assert prompt.link is not None
        httpx2.get(prompt.link, follow_redirects=True, timeout=20)
        return ""

    async def _authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        self.asked.append(asked)
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        assert len(asked["state"]) >= 32
        said = {"state": asked["state"]}
        if not self.consent:
            said |= {"error": "access_denied", "error_description": "The user said no"}
        else:
            code, device = secrets.token_urlsafe(16), secrets.token_urlsafe(8)
            self._codes[code] = asked | {"device_id": device}
            said |= {"code": code, "device_id": device}
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode(said)}", 302)

    async def _token(self, request: Request) -> Response:
        form = {name: str(value) for name, value in (await request.form()).items()}
        if form.get("client_id") != CLIENT or form.get("client_secret") != self.secret:
            return JSONResponse({"error": "invalid_client"}, 401)
        if form["grant_type"] == "refresh_token":
            device = self.refresh.pop(form["refresh_token"], None)
            if device is None or (self.devices and form.get("device_id") != device):
                words = f"The refresh token {form['refresh_token']} is not good"
                return JSONResponse({"error": "invalid_grant", "error_description": words}, 400)
        else:
            asked = self._codes.pop(form["code"], None)
            digest = hashlib.sha256(form["code_verifier"].encode()).digest()
            challenge = urlsafe_b64encode(digest).rstrip(b"=").decode()
            if (
                asked is None
                or challenge != asked["code_challenge"]
                or form["redirect_uri"] != asked["redirect_uri"]
                or (self.devices and form.get("device_id") != asked["device_id"])
            ):  # with a good status, as some services do
                return JSONResponse({"error": "invalid_grant", "error_description": f"No code {form['code']}"})
            device = asked["device_id"]
        return JSONResponse(self.give(device))

    def give(self, device: str = "device") -> dict[str, Any]:
        """Another token."""
        access, refresh = f"access-{secrets.token_urlsafe(24)}", f"refresh-{secrets.token_urlsafe(24)}"
        self.good.add(access)
        self.refresh[refresh] = device
        given = {"access_token": access, "refresh_token": refresh, "token_type": "bearer"}
        return given | {"expires_in": self.expires_in}

    async def _revoke(self, request: Request) -> Response:
        form = await request.form()
        self.good.discard(str(form["token"]))
        return JSONResponse({"status": "ok"})
