"""Signing in to places through the service's own address: for whoever began it, in their browser, once, and in time."""

from __future__ import annotations

import html
import re
from threading import Event
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx2
import pytest
from fake_vk import FakeVk, vk_photos
from loguru import logger
from service import HERE, remote, served, sign_in

from facekit.errors import SignInError
from facekit.server import source_sign_ins
from facekit.sources.signing_in import pending

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fastapi.testclient import TestClient

    from facekit.sources.item import Prompt

BEGIN = "/api/v1/source-sign-ins"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with served(tmp_path_factory.mktemp("signing") / "library", accounts=True) as client:
        yield client


@pytest.fixture
def vk(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeVk]:
    with FakeVk(vk_photos(2)) as fake:
        for name, value in fake.variables().items():
            monkeypatch.setenv(name, value)
        yield fake


def begun(client: TestClient, name: str, who: str = "ed", **more: Any) -> dict[str, str]:
    client.cookies.clear()
    asked = {"place": "vk", "name": name} | more
    answer = client.post(BEGIN, json=asked, headers=sign_in(client, who))
    assert answer.status_code == 201, answer.text
    client.cookies.clear()
    made: dict[str, str] = answer.json()
    assert made["address"].startswith(f"{HERE}{BEGIN}/open?ticket=")
    return made


def led_back(client: TestClient, address: str) -> str:
    """Open the page as a browser does, agree at VK, and go where that leads; the path to go to."""
    page = client.get(address, headers={"Sec-Fetch-Site": "cross-site"})
    assert page.status_code == 200, page.text
    found = re.search(r'href="([^"]+)"', page.text)
    assert found is not None
    back = httpx2.get(html.unescape(found[1]), timeout=20).headers["location"]
    assert back.startswith(f"{HERE}{BEGIN}/callback?")
    return back.removeprefix(HERE)


def come_back(client: TestClient, path: str, language: str = "en") -> httpx2.Response:
    return client.get(path, headers={"Sec-Fetch-Site": "cross-site", "Accept-Language": language})


def seen(client: TestClient, sign_in_id: str, who: str = "ed") -> Any:
    return client.get(f"{BEGIN}/{sign_in_id}", headers=sign_in(client, who)).json()


def names(client: TestClient) -> set[str]:
    return {one["name"] for one in client.get("/api/v1/sources", headers=sign_in(client, "ed")).json()}


def test_an_editor_signs_in_and_the_place_is_connected(client: TestClient, vk: FakeVk) -> None:
    lines: list[str] = []
    sink = logger.add(lines.append, level=0)
    try:
        kinds = client.get("/api/v1/source-kinds", headers=sign_in(client, "ed")).json()
        assert {one["name"] for one in kinds if one["can_sign_in"]} == {"vk"}
        made = begun(client, "mine")
        assert seen(client, made["sign_in_id"])["state"] == "waiting"
        page = client.get(made["address"])
        assert "ed is connecting photos from VK" in page.text
        assert "httponly" in page.headers["set-cookie"].lower()
        path = led_back(client, made["address"])
        done = come_back(client, path, "ru-RU,ru")
        assert (done.status_code, "Всё готово" in done.text) == (200, True)
        assert done.headers["referrer-policy"] == "no-referrer"
        assert done.headers["content-security-policy"] == "default-src 'none'"
        assert seen(client, made["sign_in_id"]) == {"state": "done", "name": "mine", "problem": None, "remedy": None}
        steps = client.post("/api/v1/sources/mine/check", headers=sign_in(client, "ed")).json()
        assert steps[0]["works"], steps
        again = come_back(client, path)  # a second time
        assert (again.status_code, "another sign-in" in again.text) == (400, True)
        assert seen(client, made["sign_in_id"])["state"] == "done"
    finally:
        logger.remove(sink)
    query = urlsplit(path).query
    secrets = [part.partition("=")[2] for part in query.split("&") if part.startswith(("code=", "state="))]
    assert secrets
    for secret in [*secrets, *vk.tokens, made["address"].partition("=")[2]]:
        assert secret not in "".join(lines)
        assert secret not in done.text


def test_nobody_else_ends_a_sign_in(client: TestClient, vk: FakeVk) -> None:
    """Not with a wrong state, not in another browser, and not in a browser that is signing in for somebody else."""
    theirs = begun(client, "theirs", "ada")
    path = led_back(client, theirs["address"])
    cookies = dict(client.cookies)
    assert come_back(client, re.sub("state=[^&]+", "state=made-up", path)).status_code == 400
    client.cookies.clear()
    assert come_back(client, path).status_code == 400
    mine = begun(client, "mine-too")
    led_back(client, mine["address"])
    assert come_back(client, path).status_code == 400
    client.cookies.clear()
    assert client.get(theirs["address"]).status_code == 400  # the ticket was another browser's
    assert client.get(f"{BEGIN}/{theirs['sign_in_id']}", headers=sign_in(client, "ed")).status_code == 400
    assert {"theirs", "mine-too"}.isdisjoint(names(client))
    client.cookies.update(cookies)
    assert come_back(client, path).status_code == 200
    assert "theirs" in names(client)


def test_a_sign_in_ends_with_its_time(client: TestClient, vk: FakeVk, monkeypatch: pytest.MonkeyPatch) -> None:
    made = begun(client, "late")
    path = led_back(client, made["address"])
    later = source_sign_ins.monotonic() + pending.SECONDS + 1
    for module in (source_sign_ins, pending):
        monkeypatch.setattr(module, "monotonic", lambda: later)
    assert come_back(client, path).status_code == 400
    assert "late" not in names(client)


def test_what_a_place_refuses_is_told_to_whoever_began(client: TestClient, vk: FakeVk) -> None:
    made = begun(client, "refused")
    path = led_back(client, made["address"])
    state = re.search("state=[^&]+", path)
    assert state is not None
    answer = come_back(client, f"{BEGIN}/callback?error=access_denied&{state[0]}")
    assert (answer.status_code, "was not let in" in answer.text) == (400, True)
    assert seen(client, made["sign_in_id"])["state"] == "failed"
    assert "access_denied" in seen(client, made["sign_in_id"])["problem"]
    assert come_back(client, path).status_code == 400
    assert "refused" not in names(client)


def test_viewers_begin_none_and_wrong_wishes_are_refused_at_once(client: TestClient, vk: FakeVk) -> None:
    ed = sign_in(client, "ed")
    assert client.post(BEGIN, json={"place": "vk"}, headers=sign_in(client, "vi")).status_code == 403
    assert client.post(BEGIN, json={}, headers=ed).status_code == 422
    assert client.post(BEGIN, json={"place": "vk", "source": "vk"}, headers=ed).status_code == 422
    for wrong in ({"place": "vk", "settings": {"colour": "red"}}, {"source": "nowhere"}, {"place": "dropbox"}):
        assert client.post(BEGIN, json=wrong, headers=ed).status_code == 400, wrong
    made = begun(client, "given-up")
    assert client.delete(f"{BEGIN}/{made['sign_in_id']}", headers=ed).status_code == 204
    assert client.get(made["address"]).status_code == 400
    assert client.post("/api/v1/sources", json={"place": "vk"}, headers=ed).status_code == 400  # and waits for nobody


def test_a_client_of_the_service_signs_in_and_again(
    tmp_path: Path, vk: FakeVk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facekit.library.remote_sources._EVERY", 0.02)
    stop = Event()

    def browse(prompt: Prompt) -> str:
        assert prompt.link is not None
        with httpx2.Client(follow_redirects=True, timeout=20) as browser:
            assert "has what it needs" in browser.get(prompt.link).text
        return ""

    def leave(_: Prompt) -> str:
        stop.set()
        return ""

    with remote(tmp_path / "library") as library:
        assert library.sources.sign_ins() == {"vk"}
        place = library.sources.add("vk", ask=browse)
        assert (place.name, place.state) == ("vk", "new")
        before = set(vk.tokens)
        library.sources.reconnect("vk", ask=browse)
        (new,) = set(vk.tokens) - before
        vk.tokens = {new: vk.tokens[new]}
        assert library.sources.check("vk")[0].works
        with pytest.raises(SignInError, match="cancelled"):
            library.sources.add("vk", name="other", ask=leave, stop=stop)
