"""How a service lets facekit in: OAuth 2 with a code and PKCE (RFC 6749, 7636, 8252), renewal, revocation (RFC 7009).

facekit is no application of any service: whoever uses it makes one there, whose id an environment's variable holds.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from math import isfinite
from secrets import compare_digest, token_urlsafe
from threading import Event
from time import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from facekit.errors import PhotoError, SignInError, SourceError
from facekit.sources.item import Token, Tools
from facekit.sources.network.answers import Answer, Ending, Trouble, without_secrets
from facekit.sources.network.hosts import Endpoint, endpoint
from facekit.sources.network.http import Http
from facekit.sources.signing_in.vault import without_packages

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from oauthlib.oauth2 import WebApplicationClient

    from facekit.sources.item import Prompt, SignIn

_VERIFIER = 64  # characters; RFC 7636: 43 to 128
_PER_SECOND = 2.0  # ours
_LATER = frozenset({"temporarily_unavailable", "server_error", "slow_down"})  # RFC 6749 4.1.2.1, RFC 8628 3.5
_MOST_WORDS = 200  # characters of what a service says
_CLIENT = "client_id"


@dataclass(frozen=True, slots=True)
class Begun:
    """A sign-in that has begun: the user opens ``address``, and the service leads their browser to ``redirect``."""

    how: SignIn
    address: str = field(repr=False)
    redirect: str
    state: str = field(repr=False)
    verifier: str = field(repr=False)


def begin(how: SignIn, redirect: str) -> Begun:
    """Begin to sign in, where the service is to lead the browser back to an address.

    Raises
    ------
    SignInError
        If no application's id is there.
    RefusedError
        If the package is missing, or the variable of the addresses holds none.
    """
    client = _client_of(_client_id(how))
    verifier, state = client.create_code_verifier(_VERIFIER), token_urlsafe(32)
    challenge = client.create_code_challenge(verifier, "S256")
    more = {name: value for name, value in (how.more or {}).items() if value}
    asked = client.prepare_request_uri(
        how.authorize,
        redirect_uri=redirect,
        scope=list(how.scopes),
        state=state,
        code_challenge=challenge,
        code_challenge_method="S256",
        **more,
    )
    query = urlsplit(asked).query
    at, path = _at(how, how.authorize)
    return Begun(how, f"{at.base}{path}?{query}", redirect, state, verifier)


def finish(begun: Begun, said: Mapping[str, str]) -> Token:
    """The token for what the service sent along with the browser.

    Parameters
    ----------
    begun : Begun
    said : mapping of str to str
        The parameters of the redirect. Where the user copied the code alone, PKCE alone binds it to this sign-in.

    Raises
    ------
    SignInError
        If the user, or the service, says no, or the answer belongs to another sign-in.
    SourceError
        If the service can't be reached.
    """
    if "state" in said and not is_answer(begun, said):
        message = "The answer belongs to another sign-in."
        raise SignInError(message, "Begin anew.")
    if not said.get("code"):
        reason = said.get("error_description") or said.get("error") or "no code came"
        message = f"{_name(begun.how)} does not let facekit in: {_words(reason)}."
        raise SignInError(message, "Begin anew, and agree on the page that opens.")
    kept = {name: said[name] for name in begun.how.keeps if said.get(name)}
    client = _client_of(_client_id(begun.how))
    body = client.prepare_request_body(
        code=said["code"], redirect_uri=begun.redirect, code_verifier=begun.verifier, **kept, **_secret(begun.how)
    )
    form = dict(parse_qsl(body)) | ({"state": begun.state} if kept else {})
    answer = _ask(begun.how, begun.how.token, form, (said["code"], begun.verifier, begun.state))
    return _token(begun.how, answer, {_CLIENT: client.client_id, **kept})


def is_answer(begun: Begun, said: Mapping[str, str]) -> bool:
    """Whether what a browser brings belongs to a sign-in."""
    return compare_digest(said.get("state", "").encode(), begun.state.encode())


def renew(how: SignIn, token: Token) -> Token:
    """Another token for one that has expired; the one before may be good no longer, and so its ``refresh``.

    Raises
    ------
    SignInError
        If the service does not renew it.
    SourceError
        If the service can't be reached.
    """
    kept = dict(token.more or {})
    client = _client_of(kept.pop(_CLIENT, "") or _client_id(how))
    body = client.prepare_refresh_body(refresh_token=token.refresh, client_id=client.client_id, **kept, **_secret(how))
    # Services that want back what they sent want a state too; others may not know it here.
    form = dict(parse_qsl(body)) | ({"state": token_urlsafe(32)} if kept else {})
    answer = _ask(how, how.token, form, (token.access, token.refresh or ""))
    return _token(how, answer, token.more or {}, token.refresh)


def revoke(how: SignIn, token: Token) -> bool:
    """Have the service forget a token; False where it can't, or does not answer well."""
    if how.revoke is None:
        return False
    said = {_CLIENT: (token.more or {}).get(_CLIENT) or os.environ.get(how.client, "")} | _secret(how)
    # RFC 7009 calls it token, VK and Yandex access_token; each leaves alone what it does not know.
    form = {name: value for name, value in said.items() if value} | dict.fromkeys(
        ("token", "access_token"), token.access
    )
    try:
        _ask(how, how.revoke, form, (token.access,))
    except SourceError:
        return False
    return True


def has_application(how: SignIn) -> bool:
    """Whether the id of an application is there, without which nobody can sign in."""
    return bool(os.environ.get(how.client, "").strip())


def _client_id(how: SignIn) -> str:
    said = os.environ.get(how.client, "").strip()
    if not said:
        message = f"facekit has no application of its own at {_name(how)}; {how.client} is to hold the id of yours."
        remedy = "Register one there, see docs/sources.md; or give a token, which needs none."
        raise SignInError(message, remedy)
    return said


def _client_of(client_id: str) -> WebApplicationClient:
    try:
        from oauthlib.oauth2 import WebApplicationClient
    except ModuleNotFoundError as error:
        raise without_packages() from error
    return WebApplicationClient(client_id)


def _secret(how: SignIn) -> dict[str, str]:
    said = os.environ.get(how.secret, "").strip() if how.secret else ""
    return {"client_secret": said} if said else {}


def _at(how: SignIn, address: str) -> tuple[Endpoint, str]:
    """Where an address of a service is now, and its path there."""
    parts = urlsplit(address)
    own = f"{parts.scheme}://{parts.netloc}"
    return endpoint(how.address, own) if how.address else Endpoint(own, trusted=False), parts.path


def _name(how: SignIn) -> str:
    return urlsplit(how.authorize).hostname or how.authorize


def _ask(how: SignIn, address: str, form: Mapping[str, str], secrets: Sequence[str]) -> Any:  # noqa: ANN401 - JSON
    """Ask a service for something about tokens. Raises SourceError."""
    to, path = _at(how, address)
    name = _name(how)
    hidden = [*secrets, form.get("client_secret", "")]

    def judge(answer: Answer) -> Trouble | None:
        said = answer.json()
        if not isinstance(said, dict) or not said.get("error"):
            return None
        if said["error"] in _LATER:
            return Trouble(Ending.RETRY, f"{name} answers {said['error']}.")
        words = f"{said['error']} {said.get('error_description') or ''}"
        for secret in filter(None, hidden):
            words = words.replace(secret, "…")
        message = f"{name} does not let facekit in: {_words(words)}."
        return Trouble(Ending.RECONNECT, message, "Sign in anew: facekit sources reconnect NAME.")

    host = urlsplit(to.base).hostname or ""
    tools = Tools(lambda _refused: None, _nobody, Event())
    http = Http(name, to, hosts=(host,), per_second=_PER_SECOND, judge=judge, tools=tools)
    try:
        return http.ask("POST", path, form=form, signed=False)
    except PhotoError as error:
        raise SourceError(error.message, "Try again later.") from None
    finally:
        http.close()


def _token(how: SignIn, answer: Any, more: Mapping[str, str], refresh: str | None = None) -> Token:  # noqa: ANN401
    """What a service answers, as a token. Raises SourceError."""
    said = answer if isinstance(answer, dict) else {}
    access = said.get("access_token")
    if not isinstance(access, str) or not access:
        message = f"{_name(how)} answers without a token."
        raise SourceError(message, "Try again later.")
    renewed = said.get("refresh_token")
    return Token(access, renewed if isinstance(renewed, str) and renewed else refresh, _end(said), dict(more))


def _end(said: Mapping[str, Any]) -> float | None:
    """When a token ends, in seconds since 1970; None where it does not say, or never."""
    try:
        seconds = float(said["expires_in"])
    except (KeyError, TypeError, ValueError):
        return None
    return time() + seconds if isfinite(seconds) and seconds > 0 else None


def _words(said: str) -> str:
    return without_secrets(" ".join(said.split()).rstrip("."), None)[:_MOST_WORDS]


def _nobody(prompt: Prompt) -> str:
    raise SourceError(prompt.text)
