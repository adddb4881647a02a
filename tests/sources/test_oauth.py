"""Signing in, against a service that is strict about it."""

from __future__ import annotations

import threading
from dataclasses import replace
from time import time
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest
from fake_service import answer, hurry, reset, status
from fake_sign_in import ADDRESS, CLIENT, CLIENT_ID, HOW, SECRET, FakeSignIn

from facekit.errors import RefusedError, SignInError, SourceError
from facekit.sources.item import Prompt, Token
from facekit.sources.signing_in.loopback import VARIABLE, sign_in
from facekit.sources.signing_in.oauth import begin, finish, renew, revoke
from facekit.sources.signing_in.pending import PendingSignIns

if TYPE_CHECKING:
    from collections.abc import Iterator

BACK = "https://photos.example.org/callback"


@pytest.fixture(scope="module")
def running() -> Iterator[FakeSignIn]:
    with FakeSignIn() as service:
        yield service


@pytest.fixture
def service(running: FakeSignIn, monkeypatch: pytest.MonkeyPatch) -> FakeSignIn:
    running.heal()
    running.consent, running.expires_in, running.secret = True, 3600, None
    running.asked.clear()
    monkeypatch.setenv(ADDRESS, running.url)
    monkeypatch.setenv(CLIENT_ID, CLIENT)
    for name in (SECRET, VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("facekit.sources.signing_in.oauth._PER_SECOND", 1000.0)
    hurry(monkeypatch)
    return running


def led_to(address: str) -> dict[str, str]:
    """What the service gives the browser along, which is led nowhere."""
    there = httpx2.get(address).headers["location"]
    assert there.startswith(BACK)
    return dict(parse_qsl(urlsplit(there).query))


def test_browser_is_led_back_to_this_machine_and_a_token_comes(service: FakeSignIn) -> None:
    token = sign_in(HOW, service.browse)
    assert token.access in service.good
    assert token.refresh in service.refresh
    assert token.expires_at == pytest.approx(time() + 3600, abs=60)
    assert token.more == {"client_id": CLIENT, "device_id": service.refresh[token.refresh]}
    asked = service.asked[0]
    assert (asked["scope"], asked["access_type"]) == ("photos albums", "offline")
    back = urlsplit(asked["redirect_uri"])
    assert back.hostname == "127.0.0.1"
    with pytest.raises(httpx2.ConnectError):  # for once
        httpx2.get(asked["redirect_uri"])


def test_pages_of_the_redirect_speak_english_and_russian_and_say_no_to_others(service: FakeSignIn) -> None:
    said = {}

    def ask(prompt: Prompt) -> str:
        there = httpx2.get(str(prompt.link)).headers["location"]
        base = there.partition("?")[0]
        russian = {"Accept-Language": "ru-RU,ru;q=0.9"}
        said["elsewhere"] = httpx2.get(f"{base}favicon.ico")
        said["nothing"] = httpx2.get(base)
        said["wrong state"] = httpx2.get(f"{base}?code=theirs&state=another", headers=russian)
        said["mine"] = httpx2.get(there, headers=russian)
        said["again"] = httpx2.get(there)
        return ""

    assert sign_in(HOW, ask).access in service.good
    assert {name: one.status_code for name, one in said.items()} == {
        "elsewhere": 404,
        "nothing": 400,
        "wrong state": 400,
        "mine": 200,
        "again": 400,
    }
    assert "относится к другому входу" in said["wrong state"].text
    assert "можно закрыть" in said["mine"].text
    assert "belongs to another sign-in" in said["again"].text
    for one in said.values():
        assert one.headers["cache-control"] == "no-store"
        assert one.headers["referrer-policy"] == "no-referrer"
    assert len([one for one in service.requests if one.path == "/oauth/token"]) == 1


def test_user_who_refuses_ends_it(service: FakeSignIn) -> None:
    service.consent = False
    with pytest.raises(SignInError, match="does not let facekit in: The user said no") as error:
        sign_in(HOW, service.browse)
    assert "agree" in error.value.remedy


def test_user_who_does_not_come_back_ends_it(service: FakeSignIn) -> None:
    with pytest.raises(SignInError, match="Nobody has signed in"):
        sign_in(HOW, lambda _prompt: "", wait=0.05)


def test_where_nobody_is_there_to_ask_nothing_waits(service: FakeSignIn) -> None:
    def nobody(prompt: Prompt) -> str:
        raise SourceError(prompt.text)

    with pytest.raises(SourceError):
        sign_in(HOW, nobody)


@pytest.mark.parametrize("copied", ["the whole address", "the code"])
def test_address_that_is_not_served_here_is_copied_by_the_user(
    service: FakeSignIn, monkeypatch: pytest.MonkeyPatch, copied: str
) -> None:
    monkeypatch.setenv(VARIABLE, BACK)
    how = replace(HOW, keeps=())
    seen = {}

    def ask(prompt: Prompt) -> str:
        assert prompt.answer
        there = httpx2.get(str(prompt.link)).headers["location"]
        seen["code"] = dict(parse_qsl(urlsplit(there).query))["code"]
        service._codes[seen["code"]].pop("device_id")
        service._codes[seen["code"]]["device_id"] = None
        return there if copied == "the whole address" else f" {seen['code']}\n"

    assert sign_in(how, ask).access in service.good
    assert service.asked[0]["redirect_uri"] == BACK


def test_address_of_another_sign_in_is_refused(service: FakeSignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, BACK)
    with pytest.raises(SignInError, match="belongs to another sign-in"):
        sign_in(HOW, lambda _prompt: f"{BACK}?code=theirs&state=another")
    assert not [one for one in service.requests if one.path == "/oauth/token"]


def test_address_to_come_back_to_may_be_fixed(service: FakeSignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    how = replace(HOW, redirect=f"http://localhost:{port}/facekit")
    assert sign_in(how, service.browse).access in service.good
    assert service.asked[0]["redirect_uri"] == f"http://localhost:{port}/facekit"
    monkeypatch.setenv(VARIABLE, "nonsense")
    with pytest.raises(RefusedError, match=VARIABLE):
        sign_in(HOW, service.browse)


def test_code_is_good_once_and_for_its_own_sign_in_only(service: FakeSignIn) -> None:
    begun, other = begin(HOW, BACK), begin(HOW, BACK)
    assert begun.state != other.state
    assert begun.verifier != other.verifier
    said = led_to(begun.address)
    with pytest.raises(SignInError, match="another sign-in"):
        finish(other, said)
    with pytest.raises(SignInError, match="invalid_grant") as wrong:  # its code with another one's verifier
        finish(other, {**said, "state": other.state})
    assert said["code"] not in str(wrong.value)
    said = led_to(begun.address)
    assert finish(begun, said).access in service.good
    with pytest.raises(SignInError, match="invalid_grant"):
        finish(begun, said)


def test_refresh_token_is_used_once(service: FakeSignIn) -> None:
    first = sign_in(HOW, service.browse)
    second = renew(HOW, first)
    assert second.access not in {first.access, None}
    assert second.refresh not in {first.refresh, None}
    assert second.more == first.more
    with pytest.raises(SignInError, match="invalid_grant") as error:
        renew(HOW, first)
    assert first.refresh not in str(error.value)
    assert "reconnect" in error.value.remedy


def test_refresh_token_stays_where_the_service_gives_no_other(service: FakeSignIn) -> None:
    token = sign_in(HOW, service.browse)
    service.fail(answer(200, {"access_token": "new", "expires_in": "60"}), path="/oauth/token")
    renewed = renew(HOW, token)
    assert (renewed.access, renewed.refresh) == ("new", token.refresh)
    assert renewed.expires_at == pytest.approx(time() + 60, abs=30)


def test_revoked_token_is_good_no_longer(service: FakeSignIn) -> None:
    token = sign_in(HOW, service.browse)
    assert revoke(HOW, token)
    assert token.access not in service.good
    assert not revoke(replace(HOW, revoke=None), token)
    service.fail(status(400), path="/oauth/revoke")
    assert not revoke(HOW, token)


def test_secret_goes_along_where_there_is_one(service: FakeSignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    service.secret = "hush"
    with pytest.raises(SignInError, match="invalid_client"):
        sign_in(HOW, service.browse)
    monkeypatch.setenv(SECRET, "hush")
    token = sign_in(HOW, service.browse)
    assert renew(HOW, token).access in service.good
    assert "hush" not in str(service.asked)


def test_without_an_application_it_says_how_to_get_one(service: FakeSignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CLIENT_ID)
    with pytest.raises(SignInError, match=CLIENT_ID) as error:
        sign_in(HOW, service.browse)
    assert "Register one" in error.value.remedy


def test_trouble_that_passes_is_tried_again_and_other_trouble_is_no_lost_sign_in(service: FakeSignIn) -> None:
    token = sign_in(HOW, service.browse)
    service.fail(reset(), path="/oauth/token")
    service.fail(status(503), path="/oauth/token", after=1)
    service.fail(answer(200, {"error": "temporarily_unavailable"}), path="/oauth/token", after=2)
    assert renew(HOW, token).access in service.good
    service.heal()
    service.fail(status(503), path="/oauth/token", times=99)
    with pytest.raises(SourceError) as error:
        renew(HOW, token)
    assert not isinstance(error.value, SignInError)
    service.heal()
    service.fail(answer(200, {"token_type": "bearer"}), path="/oauth/token")
    with pytest.raises(SourceError, match="without a token"):
        renew(HOW, token)


@pytest.mark.parametrize("seconds", [0, None, "soon", float("nan"), -5])
def test_token_without_an_end_has_none(service: FakeSignIn, seconds: object) -> None:
    service.expires_in = str(seconds) if isinstance(seconds, float) else seconds
    assert sign_in(HOW, service.browse).expires_at is None


def test_service_waits_for_the_user_who_began_once(service: FakeSignIn) -> None:
    pending = PendingSignIns()
    begun = pending.begin(HOW, BACK, "ada")
    assert begun.redirect == BACK
    said = led_to(begun.address)
    for wrong, user in (({**said, "state": "x"}, "ada"), ({"code": said["code"]}, "ada"), (said, "eve")):
        with pytest.raises(RefusedError, match="not known"):
            pending.complete(wrong, user)
    assert pending.complete(said, "ada").access in service.good
    with pytest.raises(RefusedError, match="not known"):
        pending.complete(said, "ada")


def test_sign_in_that_waits_too_long_or_is_given_up_is_gone(
    service: FakeSignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    pending = PendingSignIns()
    begun = pending.begin(HOW, BACK, "ada")
    pending.forget(begun.state)
    with pytest.raises(RefusedError):
        pending.complete({"state": begun.state, "code": "c"}, "ada")
    monkeypatch.setattr("facekit.sources.signing_in.pending.SECONDS", -1.0)
    begun = pending.begin(HOW, BACK, "ada")
    with pytest.raises(RefusedError):
        pending.complete({"state": begun.state, "code": "c"}, "ada")
    monkeypatch.setattr("facekit.sources.signing_in.pending.SECONDS", 600.0)
    monkeypatch.setattr("facekit.sources.signing_in.pending._MOST", 2)
    states = [pending.begin(HOW, BACK, "ada").state for _ in range(3)]
    with pytest.raises(RefusedError):
        pending.complete({"state": states[0], "code": "c"}, "ada")
    with pytest.raises(SignInError):
        pending.complete({"state": states[2], "error": "access_denied"}, "ada")


def test_nothing_of_a_sign_in_shows_in_its_text(service: FakeSignIn) -> None:
    begun = begin(HOW, BACK)
    token = Token("an access token", "a refresh token", more={"device_id": "a device"})
    for secret in (begun.state, begun.verifier, begun.address, "an access token", "a refresh token", "a device"):
        assert secret not in f"{begun!r} {token!r} {[token]} {token}"


def test_sign_in_ends_at_once_when_it_is_interrupted(service: FakeSignIn) -> None:
    def ask(prompt: Prompt) -> str:
        raise KeyboardInterrupt

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        sign_in(HOW, ask)
    assert threading.active_count() <= before
