"""Calls of VK's API: what its errors mean and lead to, its captcha, and several calls in one."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import TYPE_CHECKING, Any

from facekit.errors import PhotoError, SignInError, SourceError
from facekit.sources.item import Prompt
from facekit.sources.network.answers import Ending, Trouble, judged_by_status, without_secrets
from facekit.sources.network.http import Http, endpoint
from facekit.text.names import shortened

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from facekit.sources.item import Tools
    from facekit.sources.network.answers import Answer

API = "FACEKIT_VK_API"
HOSTS = ("api.vk.ru", "api.vk.com", "*.userapi.com", "*.vkuserphoto.ru")
PER_SECOND = 3.0  # https://dev.vk.com/api/api-requests, "Limits": of users' tokens; others may more often
TOO_MANY_WAIT = 1.0  # seconds: VK counts by the second
_VERSION = "5.199"  # of the API, https://github.com/VKCOM/vk-api-schema
_LARGEST_ERROR = 2**16  # bytes: ours. What is larger holds photos, not an error
_LARGEST_PICTURE = 200_000  # bytes, of a captcha: ours
_PICTURES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_ASKED = 3  # ours: how often the user is asked one thing before it is given up
_FLOOD = timedelta(hours=1)  # ours: VK says no time for its flood control
_DAY = timedelta(days=1)  # the limit is of so many calls in 24 hours

_SERVICE = "A service token of an application of yours opens what all may see; docs/sources.md says how to get one."
_PERSONS = "Connect again with the token of somebody who may see it; docs/sources.md says which token opens what."
_TRY_LATER = "What is done is kept; try again later."

CAPTCHA, VALIDATION, _TOO_MANY = 14, 17, 6
# Errors that another try may not meet: https://dev.vk.com/reference/errors
_RETRIED = {1: "an unknown error", _TOO_MANY: "too many calls a second", 10: "an error of its own"}
_PAUSED = {9: ("flood control: too many calls of a kind", _FLOOD), 29: ("its limit of calls for a day", _DAY)}
_TOKEN_REFUSED = {
    5: "does not accept the token",
    1114: "says that the token has expired",
    1116: "does not accept the token",
    1117: "says that the token has expired",
    3609: "wants the token to be renewed",
}
# What a token can't be used for, however long one waits.
_OTHER_TOKEN = {
    7: ("the token has no right to photos", _PERSONS),
    20: ("the token's application may not do this", _SERVICE),
    25: ("the token has to be confirmed", _PERSONS),
    27: ("this is not for a community's token", _SERVICE),
    28: ("this is not for a service token", _PERSONS),
    1051: ("tokens of VK ID can't do this", _SERVICE),
}
_OTHERS = {
    2: ("the token's application is switched off", "Switch it on in its settings at VK, and sync again."),
    11: ("the token's application is in test mode", "Switch that off in its settings at VK, and sync again."),
    15: ("access is denied", _PERSONS),
    CAPTCHA: ("it wants a captcha, and shows none", _TRY_LATER),
    VALIDATION: ("the account has to be confirmed", "Open VK in a browser, sign in, and sync again."),
    18: ("the page is deleted or blocked", "Its photos can't be had any more."),
    19: ("the content is blocked", "Its photos can't be had any more."),
    23: ("the method is switched off", "Look for a newer version of facekit."),
    30: ("the profile is private", _PERSONS),
    43: ("the section is switched off for now", _TRY_LATER),
    100: ("a parameter is wrong", "Look at the owner and the album of this source."),
    104: ("there is no such thing", "Look at the owner and the album of this source."),
    113: ("there is no such person", "Look at the owner of this source."),
    114: ("there is no such album", "Look at the album of this source."),
    125: ("there is no such community", "Look at the owner of this source."),
    200: ("access to the album is denied", _PERSONS),
    203: ("access to the community is denied", _PERSONS),
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error of VK's that another try won't change: its number, and what VK says to it."""

    code: int
    said: str = ""

    def error(self) -> SourceError:
        """What it means, for people."""
        kind = SignInError if self.code in _OTHER_TOKEN else SourceError
        words, remedy = (_OTHER_TOKEN | _OTHERS).get(
            self.code, ("it is an error that facekit does not know", _TRY_LATER)
        )
        said = f": {self.said}" if self.said else ""
        return kind(f"VK refuses: {words} (error {self.code}{said}).", remedy)


def judge(answer: Answer) -> Trouble | None:
    """What an answer leads to, by the error that its body has: VK's own status is 200 then.

    Nothing is decided of errors that concern one album only, or that the user can do something about.
    """
    if not answer.good:
        return _of_status(answer)
    body = answer.json() if len(answer.body) <= _LARGEST_ERROR else None
    if body is None:
        return None
    refusal = refusal_in(body)
    if refusal is not None:
        return _of_error(refusal.code)
    whole = isinstance(body, dict) and "response" in body
    return None if whole else Trouble(Ending.RETRY, "VK answers with neither photos nor an error.")


def _of_status(answer: Answer) -> Trouble | None:
    trouble = judged_by_status("VK", answer)
    if trouble and trouble.ending is Ending.SKIP:  # of a call it concerns all photos
        return Trouble(Ending.STOP, trouble.message, f"Look at {API}, where that is set.")
    return trouble


def _of_error(code: int) -> Trouble | None:
    if words := _RETRIED.get(code):
        return Trouble(
            Ending.RETRY, f"VK answers with {words} (error {code}).", wait=TOO_MANY_WAIT if code == _TOO_MANY else None
        )
    if words := _TOKEN_REFUSED.get(code):
        return Trouble(Ending.RECONNECT, f"VK {words} (error {code}).", _SERVICE)
    if paused := _PAUSED.get(code):
        words, pause = paused
        return Trouble(
            Ending.STOP, f"VK stops at {words} (error {code}).", _TRY_LATER, resume_at=datetime.now(UTC) + pause
        )
    return None


def refusal_in(body: Any) -> Refusal | None:  # noqa: ANN401 - whatever VK answers
    """The error that the body of an answer has."""
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return None
    code = error.get("error_code")
    said = shortened(without_secrets(str(error.get("error_msg") or ""), None), 200)
    return Refusal(code if isinstance(code, int) else 0, said)


class VkApi:
    """VK's API with one token. Threads may share it."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self.http = Http(
            "VK", endpoint(API, "https://api.vk.ru"), hosts=HOSTS, per_second=PER_SECOND, judge=judge, tools=tools
        )

    def call(self, method: str, **parameters: object) -> Any:  # noqa: ANN401 - whatever VK answers
        """What a method answers. Raises SourceError or SignInError, whatever it is that VK refuses."""
        reply = self.reply(method, **parameters)
        if isinstance(reply, Refusal):
            raise reply.error()
        return reply

    def reply(self, method: str, **parameters: object) -> Any:  # noqa: ANN401
        """The same, with the refusal in place of an error where it may concern this call only.

        A captcha is shown to the user, and the answer sent along; a page that the user has to open is.
        """
        form = {**parameters, "v": _VERSION}
        for asked in range(_ASKED + 1):
            body = self.http.ask("POST", f"method/{method}", form=form)
            refusal = refusal_in(body)
            if refusal is None:
                return body["response"]
            if refusal.code not in (CAPTCHA, VALIDATION):
                return self._clean(refusal)
            if asked < _ASKED:
                form |= self._proof(refusal, body["error"])
        message = f"VK did not take what it was answered, {_ASKED} times."
        raise SourceError(message, "Try again later: VK wants a proof from whoever calls it often.")

    def _clean(self, refusal: Refusal) -> Refusal:
        return Refusal(refusal.code, without_secrets(refusal.said, self._tools.access(None)))

    def _proof(self, refusal: Refusal, error: Mapping[str, Any]) -> dict[str, str]:
        """That the user is no robot, or the account's owner, as parameters; https://dev.vk.com/api/captcha-error."""
        link, image = error.get("redirect_uri"), error.get("captcha_img")
        told = {name: str(error[name]) for name in ("captcha_sid", "remixstlid") if error.get(name) is not None}
        if isinstance(link, str) and refusal.code == VALIDATION:
            text = "VK wants to be sure that it is you. Open the page, and do what it asks for."
            self._tools.ask(Prompt(text, link=link))
            return {}
        if isinstance(link, str):
            text = (
                "VK wants to see that you are no robot. Open the page, and do what it asks for. If it then shows a "
                "success_token, in its address perhaps, type that here; otherwise go on without."
            )
            token = self._tools.ask(Prompt(text, link=link, answer=True)).strip()
            return told | ({"success_token": token} if token else {})
        if isinstance(image, str):
            text = "VK wants to see that you are no robot. Type the letters that the picture shows."
            return told | {
                "captcha_key": self._tools.ask(Prompt(text, image=self._picture(image), answer=True)).strip()
            }
        raise self._clean(refusal).error()

    def _picture(self, address: str) -> str:
        """A captcha's picture in a ``data:`` address, which a page shows that loads nothing; else its own address."""
        file = BytesIO()
        try:
            headers = self.http.download(address, file, _LARGEST_PICTURE, name="the picture of a captcha")
        except (PhotoError, SourceError):  # elsewhere, or not to be had: the user's browser may reach it
            return address
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        return f"data:{kind};base64,{b64encode(file.getvalue()).decode()}" if kind in _PICTURES else address

    def together(self, method: str, calls: Sequence[Mapping[str, object]]) -> list[Any] | None:
        """Several calls of a method in one, by VK's ``execute``, which takes 25 at most and answers with 5 MB at most.

        Returns
        -------
        list or None
            What each answers, None for one that failed, whatever the reason: alone it will say. None in place of the
            list where VK does not let this token do so.
        """
        code = ",".join(f"API.{method}({json.dumps(dict(call))})" for call in calls)
        reply = self.reply("execute", code=f"return [{code}];")
        if not isinstance(reply, list) or len(reply) != len(calls):
            return None
        return [one if isinstance(one, dict) else None for one in reply]
