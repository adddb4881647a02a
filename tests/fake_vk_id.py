"""A fake of VK ID: OAuth 2.1 with PKCE, a device's id and tokens that are renewed once each."""

from __future__ import annotations

import hashlib
import re
import secrets
from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.routing import BaseRoute


class FakeVkId:
    """The part of `fake_vk.FakeVk` that gives out tokens; whoever comes is let in without a question.

    Attributes
    ----------
    client : str
        The application's id.
    tokens : dict of str to str
        What is given out is added as one of a ``user``.
    """

    client = "53123456"
    tokens: dict[str, str]

    def __init__(self, *arguments: object) -> None:
        self._codes: dict[str, dict[str, str]] = {}
        self._renewals: dict[str, str] = {}
        super().__init__(*arguments)

    def id_routes(self) -> list[BaseRoute]:
        return [
            Route("/authorize", self._show_form),
            Route("/oauth2/auth", self._give_token, methods=["POST"]),
            Route("/oauth2/revoke", self._revoke, methods=["POST"]),
        ]

    async def _show_form(self, request: Request) -> Response:
        asked = dict(request.query_params)
        right = (
            asked.get("response_type") == "code"
            and asked.get("client_id") == self.client
            and asked.get("code_challenge_method") == "S256"
            and re.fullmatch(r"[\w-]{43}", asked.get("code_challenge", ""))
            and asked.get("state")
            and asked.get("redirect_uri", "").startswith("http")
        )
        if not right:
            return JSONResponse({"error": "invalid_request"}, 400)
        code, device = secrets.token_urlsafe(16), secrets.token_urlsafe(16)
        self._codes[code] = {**asked, "device_id": device}
        back = {"code": code, "state": asked["state"], "device_id": device, "type": "code_v2", "expires_in": "600"}
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode(back)}", 302)

    async def _give_token(self, request: Request) -> Response:
        if "urlencoded" not in request.headers.get("content-type", ""):
            return JSONResponse({"error": "invalid_request", "error_description": "content type"})
        form = {name: str(value) for name, value in (await request.form()).items()}
        if form.get("grant_type") == "refresh_token":
            device = self._renewals.pop(form.get("refresh_token", ""), None)
            right = device is not None and form.get("device_id") == device
        else:
            asked = self._codes.pop(form.get("code", ""), {})
            device = asked.get("device_id")
            digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
            right = (
                form.get("grant_type") == "authorization_code"
                and urlsafe_b64encode(digest).rstrip(b"=").decode() == asked.get("code_challenge")
                and 43 <= len(form["code_verifier"]) <= 128
                and form.get("device_id") == device
                and form.get("redirect_uri") == asked.get("redirect_uri")
            )
        if not right or form.get("client_id") != self.client or not form.get("state"):
            return JSONResponse({"error": "invalid_grant", "error_description": "something is wrong"})
        access, refresh = f"vk2.a.{secrets.token_urlsafe(40)}", f"vk2.a.{secrets.token_urlsafe(40)}"
        self.tokens[access] = "user"
        self._renewals[refresh] = str(device)
        return JSONResponse(
            {
                "access_token": access,
                "refresh_token": refresh,
                "id_token": "e30.e30.e30",
                "token_type": "Bearer",
                "expires_in": 3600,
                "user_id": 77,
                "state": form["state"],
                "scope": "vkid.personal_info photos",
            }
        )

    async def _revoke(self, request: Request) -> Response:
        form = {name: str(value) for name, value in (await request.form()).items()}
        token = form.get("access_token", "")
        if form.get("client_id") != self.client or not token.startswith("vk2.a.") or token not in self.tokens:
            return JSONResponse({"error": "invalid_token", "error_description": "the token is not this application's"})
        del self.tokens[token]
        return JSONResponse({"response": 1})
