"""What an answer leads to, what may be contacted, and what is never said: on real sockets."""

from __future__ import annotations

import hashlib
import io
import logging
import socket
import threading
import time
import traceback
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import fake_service as fake
import httpx2
import pytest
from fake_service import FakeService, Recorded, faults
from hypothesis import given
from hypothesis import strategies as st
from loguru import logger
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from facekit.errors import FacekitError, PhotoError, RefusedError, SignInError, SourceError
from facekit.sources.item import Tools
from facekit.sources.network import content, retries
from facekit.sources.network.answers import wait_asked_for, without_secrets
from facekit.sources.network.hosts import is_public
from facekit.sources.network.http import Answer, Ending, Endpoint, Http, Trouble, endpoint
from facekit.types.photos import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

TOKEN = "vk1.a.very-secret"
VARIABLE = "FACEKIT_ALBUMS_API"
SIGNED = "signature=do-not-tell"


class Albums(FakeService):
    """A service of the simplest kind."""

    kind = "albums"
    variable = VARIABLE

    def routes(self) -> list[Route]:
        async def list_all(request: Any) -> JSONResponse:
            return JSONResponse({"photos": list(self.photos)})

        async def photo(request: Any) -> Response:
            return Response(self.photos[request.path_params["key"]].data, media_type="image/jpeg")

        async def elsewhere(request: Any) -> Response:
            return RedirectResponse(request.query_params["to"])

        async def nothing(request: Any) -> Response:
            return Response()

        return [
            Route("/list", list_all, methods=["GET", "POST"]),
            Route("/photo/{key}", photo),
            Route("/elsewhere", elsewhere, methods=["GET", "POST"]),
            Route("/nothing", nothing),
        ]


@pytest.fixture(scope="module")
def running() -> Iterator[Albums]:
    with Albums(fake.photos(3)) as service:
        yield service


@pytest.fixture
def albums(running: Albums, monkeypatch: pytest.MonkeyPatch) -> Albums:
    running.heal()
    fake.hurry(monkeypatch)
    monkeypatch.setenv(VARIABLE, running.url)
    return running


@contextmanager
def speaking(*, token: str | None = None, per_second: float = 1000, **more: Any) -> Iterator[Http]:
    given: dict[str, Any] = {"hosts": [], "judge": lambda answer: None, "tools": fake.tools(token), **more}
    http = Http("Albums", endpoint(VARIABLE, "https://api.albums.org"), per_second=per_second, **given)
    try:
        yield http
    finally:
        http.close()


def fetched(http: Http, key: str = "1", limit: int = 2**20, query: str = "", **more: Any) -> bytes:
    with io.BytesIO() as target:
        http.download(f"photo/{key}{query}", target, limit, name=f"{key}.jpg", **more)
        return target.getvalue()


# What an answer leads to


BURST = {f"status {number}": fake.status(number) for number in (408, 425, 429, 500, 502, 503, 504, 507)}


@faults(
    hang=fake.hang(),
    cut=fake.cut_body(),
    empty=fake.cut_body(0),
    longer=fake.wrong_length(-5),
    shorter=fake.wrong_length(5),
    reset=fake.reset(),
    page=fake.html(),
    no_json=fake.answer(200, b"{no JSON"),
    **BURST,
)
def test_a_failed_answer_is_asked_for_again(albums: Albums, fault: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.hurry(monkeypatch, 0.3)
    albums.fail(fault)
    with speaking() as http:
        assert http.ask("GET", "list") == {"photos": ["0", "1", "2"]}
    assert len(albums.requests) == 2


@faults(
    cut=fake.cut_body(),
    longer=fake.wrong_length(-5),
    shorter=fake.wrong_length(5),
    truncated=fake.truncated(),
    reset=fake.reset(),
    unavailable=fake.status(503),
)
def test_a_failed_download_begins_again_where_the_file_began(albums: Albums, fault: Any) -> None:
    albums.fail(fault, times=2)
    data = albums.photos["1"].data
    with speaking() as http, io.BytesIO(b"before") as target:
        target.seek(0, io.SEEK_END)
        headers = http.download("photo/1", target, 2**20, name="1.jpg", size=len(data))
        assert target.getvalue() == b"before" + data
        assert headers["content-type"] == "image/jpeg"
    assert len(albums.requests) == 3


def test_tries_end(albums: Albums) -> None:
    albums.fail(fake.status(503), times=99)
    with speaking() as http, pytest.raises(SourceError, match=r"status 503\. It was tried 6 times") as caught:
        http.ask("GET", "list")
    assert not isinstance(caught.value, SignInError)
    assert len(albums.requests) == 6


def test_nobody_there_is_tried_again_and_said_in_plain_words(monkeypatch: pytest.MonkeyPatch) -> None:
    fake.hurry(monkeypatch)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    monkeypatch.setenv(VARIABLE, f"http://127.0.0.1:{port}")
    with speaking() as http, pytest.raises(SourceError, match="Albums can't be reached: Connection refused"):
        http.ask("GET", "list")


@faults(cut=fake.cut_body(), truncated=fake.truncated(), page=fake.html())
def test_a_photo_that_never_comes_whole_is_skipped_however_many_they_are(albums: Albums, fault: Any) -> None:
    with speaking() as http:
        for _ in range(retries.FAILURES_IN_A_ROW + 1):
            albums.fail(fault, times=retries.TRIES)
            with pytest.raises(PhotoError, match=r"1\.jpg can't be fetched: Albums") as caught:
                fetched(http, size=len(albums.photos["1"].data))
            assert caught.value.status is Status.IO_ERROR
            assert fetched(http, "2") == albums.photos["2"].data


def test_one_photo_that_a_service_fails_to_give_is_skipped_and_the_third_in_a_row_stops_the_source(
    albums: Albums,
) -> None:
    albums.fail(fake.status(500), path="/photo/1", times=99)
    with speaking() as http:
        for _ in range(3):
            with pytest.raises(PhotoError):
                fetched(http)
            assert fetched(http, "2") == albums.photos["2"].data
        for _ in range(2):
            with pytest.raises(PhotoError):
                fetched(http)
        with pytest.raises(SourceError, match="status 500"):
            fetched(http)


@pytest.mark.parametrize(
    ("number", "status"), [(403, "io_error"), (404, "missing"), (410, "missing"), (451, "io_error")]
)
def test_what_is_refused_is_skipped_at_once(albums: Albums, number: int, status: str) -> None:
    albums.fail(fake.status(number), times=2)
    with speaking() as http:
        with pytest.raises(PhotoError) as caught:
            fetched(http)
        assert caught.value.status == status
        with pytest.raises(PhotoError):
            http.ask("GET", "list")
    assert len(albums.requests) == 2


def test_a_token_that_is_refused_is_renewed_once(albums: Albums) -> None:
    refused: list[str | None] = []

    def access(token: str | None) -> str:
        refused.append(token)
        return "new" if token == "old" else "old"

    tools = Tools(access, lambda prompt: "", threading.Event())
    albums.fail(fake.answer(401, {}), times=1)
    with speaking(tools=tools) as http:
        assert http.ask("GET", "list")
        assert [one.headers["authorization"] for one in albums.requests] == ["Bearer old", "Bearer new"]
        albums.fail(fake.answer(401, {}), times=2)
        with pytest.raises(SignInError, match="401"):
            http.ask("GET", "list")
    assert refused == [None, "old", None, "old"]


def test_what_is_asked_without_the_token_neither_looks_for_it_nor_renews_it(albums: Albums) -> None:
    def access(token: str | None) -> str:
        raise AssertionError

    albums.fail(fake.answer(401, {}), after=2)
    with speaking(tools=Tools(access, lambda prompt: "", threading.Event())) as http:
        assert http.ask("GET", "list", signed=False)
        assert fetched(http)
        with pytest.raises(SignInError):
            fetched(http)
    assert len(albums.requests) == 3


def test_without_a_token_a_401_asks_for_one(albums: Albums) -> None:
    albums.fail(fake.answer(401, {}))
    with speaking() as http, pytest.raises(SignInError, match="401"):
        http.ask("GET", "list")
    assert "authorization" not in albums.requests[0].headers


def test_a_connector_says_what_an_answer_means(albums: Albums) -> None:
    until = datetime.now(UTC) + timedelta(hours=3)
    said = {
        6: Trouble(Ending.RETRY, "Albums is asked too often."),
        15: Trouble(Ending.SKIP, "Albums says that the album is private."),
        29: Trouble(Ending.STOP, "Albums gives no more today.", "Wait.", resume_at=until),
        5: Trouble(Ending.RECONNECT, "Albums knows no such token.", "Get another."),
    }

    def judge(answer: Answer) -> Trouble | None:
        found = answer.json() or {}
        return said.get(found.get("error"))

    with speaking(judge=judge) as http:
        albums.fail(fake.answer(200, {"error": 6}), times=2)
        assert http.ask("GET", "list")["photos"]
        albums.fail(fake.answer(200, {"error": 15}))
        with pytest.raises(PhotoError, match="private"):
            http.ask("GET", "list")
        albums.fail(fake.answer(200, {"error": 29}))
        with pytest.raises(SourceError, match="no more today") as stopped:
            http.ask("GET", "list")
        assert stopped.value.resume_at == until
        albums.fail(fake.answer(400, {"error": 5}))
        with pytest.raises(SignInError, match="Get another"):
            fetched(http)
        assert http.ask("GET", "list", judge=lambda answer: None)


def test_an_empty_answer_is_none(albums: Albums) -> None:
    with speaking() as http:
        assert http.ask("GET", "nothing") is None


def test_parameters_join_the_address_and_none_is_left_out(albums: Albums) -> None:
    with speaking() as http:
        http.ask("GET", f"{albums.url}/list?a=1", params={"b": "Лето & море", "c": None})
        http.ask("POST", "/list", form={"d": "ё", "e": "2"})
    assert albums.requests[0].query == {"a": "1", "b": "Лето & море"}
    assert albums.requests[1].form == {"d": "ё", "e": "2"}


# Waiting


def waits_of(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waits: list[float] = []
    monkeypatch.setattr(retries, "pause", lambda seconds, stop: waits.append(seconds) if seconds else None)
    return waits


def test_waits_grow_and_are_random(albums: Albums, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "FIRST_WAIT", 0.5)
    waits = waits_of(monkeypatch)
    albums.fail(fake.status(500), times=999)
    with speaking() as http:
        for _ in range(20):
            with pytest.raises(SourceError):
                http.ask("GET", "list")
    columns = [waits[number::5] for number in range(5)]
    assert all(0 <= wait <= 0.5 * 2**number for number, column in enumerate(columns) for wait in column)
    assert all(max(column) > 0.5 * 2**number / 2 for number, column in enumerate(columns))
    assert len(set(waits)) == len(waits) == 100


def test_retry_after_is_waited_for_by_all_threads(albums: Albums) -> None:
    albums.fail(fake.status(429, {"Retry-After": "0.4"}))
    with speaking() as http:
        http.ask("GET", "list")
        first, second = albums.requests
        assert second.at - first.at >= 0.4
        albums.fail(fake.status(429, {"Retry-After": "0.4"}))
        other = threading.Thread(target=http.ask, args=("GET", "list"))
        other.start()
        while len(albums.requests) < 3:
            time.sleep(0.005)
        time.sleep(0.1)
        http.ask("GET", "list")
        other.join()
    assert all(one.at - albums.requests[2].at >= 0.4 for one in albums.requests[3:])


def test_a_service_that_asks_for_a_long_wait_is_left_alone_until_then(albums: Albums) -> None:
    albums.fail(fake.status(429, {"Retry-After": "3600"}))
    with speaking() as http, pytest.raises(SourceError) as caught:
        http.ask("GET", "list")
    assert timedelta(minutes=59) < caught.value.resume_at - datetime.now(UTC) <= timedelta(hours=1)
    assert len(albums.requests) == 1


def test_retry_after_may_be_a_date() -> None:
    when = datetime.now(UTC) + timedelta(seconds=50)
    assert 45 <= wait_asked_for({"retry-after": format_datetime(when, usegmt=True)}) <= 50
    assert wait_asked_for({"retry-after": format_datetime(when - timedelta(days=1), usegmt=True)}) == 0
    assert wait_asked_for({"retry-after": "7"}) == 7
    assert wait_asked_for({}) is None


@given(st.text() | st.floats().map(str) | st.integers().map(str))
def test_retry_after_of_any_kind_is_a_wait_or_nothing(text: str) -> None:
    wait = wait_asked_for({"retry-after": text})
    assert wait is None or 0 <= wait <= 7 * 86400


def stopping_when(tools: Tools, reached: Callable[[], bool]) -> threading.Thread:
    def watch() -> None:
        while not reached():
            time.sleep(0.005)
        tools.stop.set()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def test_a_wait_ends_at_once_when_the_work_is_to_stop(albums: Albums) -> None:
    tools = fake.tools()
    albums.fail(fake.status(429, {"Retry-After": "290"}))
    watch = stopping_when(tools, lambda: any(one.status for one in albums.requests))
    with speaking(tools=tools) as http, pytest.raises(KeyboardInterrupt):
        http.ask("GET", "list")
    watch.join()
    assert len(albums.requests) == 1


def test_a_wait_for_ones_turn_ends_at_once_when_the_work_is_to_stop(albums: Albums) -> None:
    tools = fake.tools()
    with speaking(tools=tools, per_second=1 / 300) as http:
        http.ask("GET", "list")
        watch = stopping_when(tools, lambda: True)
        with pytest.raises(KeyboardInterrupt):
            http.ask("GET", "list")
    watch.join()


def test_a_download_ends_in_the_middle_when_the_work_is_to_stop(albums: Albums) -> None:
    tools = fake.tools()
    albums.fail(fake.slow_body(10, 120))
    watch = stopping_when(tools, lambda: any(one.status for one in albums.requests))
    with speaking(tools=tools) as http, pytest.raises(KeyboardInterrupt):
        fetched(http)
    watch.join()


def test_all_threads_together_keep_the_rate(albums: Albums) -> None:
    def several(http: Http) -> None:
        for _ in range(4):
            http.ask("GET", "list")

    with speaking(per_second=20) as one, speaking(per_second=20) as other:
        threads = [threading.Thread(target=several, args=(http,)) for http in (one, other, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(albums.requests) == 12
    assert albums.most_within(0.25) <= 5


# How much


def test_too_many_bytes_end_the_transfer(albums: Albums) -> None:
    sent = []

    async def endless(it: fake.Exchange) -> None:
        it.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")
        while await it.sleep(0.001) and len(sent) < 10_000:
            it.write(bytes(10_000))
            sent.append(10_000)
        it.end()

    albums.fail(endless)
    with speaking() as http, io.BytesIO() as target:
        with pytest.raises(PhotoError, match=r"1\.jpg has more than 100000 bytes") as caught:
            http.download("photo/1", target, 100_000, name="1.jpg")
        assert len(target.getvalue()) <= 100_000
    assert caught.value.status is Status.TOO_LARGE
    assert len(albums.requests) == 1
    assert len(sent) < 10_000


def test_what_says_that_it_is_too_large_is_not_fetched(albums: Albums) -> None:
    size = len(albums.photos["1"].data)
    with speaking() as http:
        with pytest.raises(PhotoError) as by_size:
            fetched(http, limit=size - 1, size=size)
        assert not albums.requests
        with pytest.raises(PhotoError) as by_header:
            fetched(http, limit=size - 1)
        assert len(fetched(http, limit=size, size=size)) == size
    assert by_size.value.status is by_header.value.status is Status.TOO_LARGE


def reference_of_dropbox(data: bytes, block: int) -> str:
    """As https://www.dropbox.com/developers/reference/content-hash says it."""
    parts = [data[start : start + block] for start in range(0, len(data), block)]
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


@given(st.lists(st.binary(max_size=40)))
def test_dropbox_hash_is_that_of_blocks_however_the_bytes_come(pieces: list[bytes]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(content, "_BLOCK", 16)
        made = content.DropboxHash()
        for piece in pieces:
            made.update(piece)
        assert made.hexdigest() == reference_of_dropbox(b"".join(pieces), 16)


def test_dropbox_blocks_have_four_mebibytes() -> None:
    data = bytes(4 * 2**20) + b"a"
    made = content.hash_of("dropbox:")
    made.update(data)
    assert made.hexdigest() == reference_of_dropbox(data, 4 * 2**20)


def test_contents_are_compared_with_the_hash_that_was_listed(albums: Albums) -> None:
    data = albums.photos["1"].data
    right = {
        "sha256": hashlib.sha256(data).hexdigest(),
        "md5": hashlib.md5(data).hexdigest().upper(),
        "dropbox": reference_of_dropbox(data, 4 * 2**20),
    }
    with speaking() as http:
        for kind, made in right.items():
            assert fetched(http, content=f"{kind}:{made}") == data
            with pytest.raises(PhotoError, match="other bytes than it lists"):
                fetched(http, content=f"{kind}:{'0' * len(made)}")
        assert fetched(http, content="quickxor:abc") == data  # of a kind that nobody can compare


def test_a_file_that_is_a_page_and_is_listed_as_such_is_what_it_is(albums: Albums) -> None:
    albums.fail(fake.html())
    with speaking() as http:
        assert fetched(http, content=f"sha256:{hashlib.sha256(fake.PAGE).hexdigest()}") == fake.PAGE


# What may be contacted

NOWHERE = [
    "http://api.albums.org/1",
    "https://api.albums.org:8443/1",
    "https://127.0.0.1/1",
    "https://2130706433/1",
    "https://0x7f.1/1",
    "https://[::1]/1",
    "https://[::ffff:127.0.0.1]/1",
    "https://169.254.169.254/latest/meta-data",
    "https://localhost/1",
    "https://api.albums.org.evil.org/1",
    "https://evilphotos.albums.org.evil.org/1",
    "https://evil-albums.org/1",
    "https://albums.org/1",
    "https://api.albums.org@evil.org/1",
    "https://user:word@api.albums.org/1",
    "https://evil.org/api.albums.org",
    "https://evil.org\\@api.albums.org/1",
    "https://evil.org#@api.albums.org/1",
    "https://api.albums.org./1",
    "https://аpi.albums.org/1",
    "ftp://api.albums.org/1",
    "file:///etc/passwd",
]
HOSTS = ("api.albums.org", "*.photos.albums.org")


class _Wire(httpx2.MockTransport):
    """A network in which all that is contacted is noted; some addresses lead on to others."""

    def __init__(self, redirects: Mapping[str, tuple[int, str]]) -> None:
        self.asked: list[httpx2.Request] = []
        self._redirects = redirects
        super().__init__(self._answer)

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request)
        if request.url.path in self._redirects:
            number, to = self._redirects[request.url.path]
            return httpx2.Response(number, headers=[(b"location", to.encode())])
        return httpx2.Response(200, stream=httpx2.ByteStream(b"{}"))


def on_wire(http: Http, to: str = "", number: int = 302) -> _Wire:
    """Have all of a service's requests go there, of which ``/go`` leads on."""
    wire = _Wire({"/go": (number, to)})
    http._transport._client = httpx2.Client(transport=wire)
    return wire


@pytest.fixture
def untrusted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Http]:
    monkeypatch.delenv(VARIABLE, raising=False)
    fake.hurry(monkeypatch)
    with speaking(hosts=HOSTS, token=TOKEN) as http:
        yield http


@pytest.mark.parametrize("address", NOWHERE)
def test_no_address_leads_anywhere_else(untrusted: Http, address: str) -> None:
    wire = on_wire(untrusted, address)
    if "://" in address and address.startswith("http"):
        with pytest.raises(FacekitError):
            untrusted.ask("GET", address)
        assert not wire.asked
    for ask in (
        lambda: untrusted.ask("GET", "go"),
        lambda: untrusted.download("go", io.BytesIO(), 1000, name="1.jpg"),
    ):
        with pytest.raises(FacekitError):
            ask()
    assert {str(request.url) for request in wire.asked} == {"https://api.albums.org/go"}


def test_the_services_own_hosts_are_contacted(untrusted: Http) -> None:
    wire = on_wire(untrusted, "https://sun1.photos.albums.org/1?a=b")
    untrusted.ask("GET", "go")
    untrusted.download("https://a.b.photos.albums.org/2", io.BytesIO(), 1000, name="2.jpg")
    untrusted.download("HTTPS://API.ALBUMS.ORG/3", io.BytesIO(), 1000, name="3.jpg")
    assert [request.url.host for request in wire.asked] == [
        "api.albums.org",
        "sun1.photos.albums.org",
        "a.b.photos.albums.org",
        "api.albums.org",
    ]


def test_redirects_end(untrusted: Http) -> None:
    wire = on_wire(untrusted, "/go")
    with pytest.raises(SourceError, match="redirects too often"):
        untrusted.ask("GET", "go")
    assert len(wire.asked) == 6 * retries.TRIES


def test_what_a_form_says_is_not_sent_after_a_redirect(untrusted: Http) -> None:
    wire = on_wire(untrusted, "https://sun1.photos.albums.org/1", 307)
    with pytest.raises(SourceError):
        untrusted.ask("POST", "go", form={"code": "secret"})
    assert {request.url.host for request in wire.asked} == {"api.albums.org"}


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.1.2.3", "192.168.1.1", "169.254.169.254", "100.64.0.1", "::1", "fd00::1", "fe80::1"]
)
def test_a_name_that_leads_into_a_private_network_is_not_contacted(
    albums: Albums, untrusted: Http, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    resolved = names_lead_to(monkeypatch, [["93.184.216.34", address]])
    with pytest.raises(SourceError, match=r"api\.albums\.org, which leads into a private network"):
        untrusted.ask("GET", "list")
    with pytest.raises(PhotoError, match="private network"):
        untrusted.download("https://api.albums.org/1", io.BytesIO(), 1000, name="1.jpg")
    assert resolved == ["api.albums.org"] * 2
    assert not albums.requests


def test_a_name_that_leads_elsewhere_when_asked_again_is_not_contacted(
    untrusted: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    got: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            peer, _ = listener.accept()
            with peer:
                got.append(peer.recv(1000))

        thread = threading.Thread(target=serve)
        thread.start()
        names_lead_to(monkeypatch, [["93.184.216.34"], ["127.0.0.1"]], listener.getsockname()[1])
        with pytest.raises(SourceError, match="private network"):
            untrusted.ask("GET", "list")
        thread.join()
    assert got == [b""]


def names_lead_to(monkeypatch: pytest.MonkeyPatch, answers: list[list[str]], port: int = 443) -> list[str]:
    """Have names resolve so, the last answer for good; the names that were asked for."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def resolve(host: Any, wanted: Any, *more: Any, **options: Any) -> list[Any]:
        if "albums.org" not in str(host):
            return real(host, wanted, *more, **options)
        asked.append(host)
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        family = {True: socket.AF_INET6, False: socket.AF_INET}
        return [(family[":" in address], socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return asked


def test_a_proxy_that_the_environment_names_may_be_on_this_machine(
    untrusted: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    got: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for _ in range(retries.TRIES):
                peer, _ = listener.accept()
                with peer:
                    got.append(peer.recv(1000))
                    peer.sendall(b"HTTP/1.1 502 No\r\ncontent-length: 0\r\n\r\n")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{listener.getsockname()[1]}")
        with pytest.raises(SourceError, match="proxy that the environment names"):
            untrusted.ask("GET", "list?a=b")
        thread.join()
    assert all(one.startswith(b"CONNECT api.albums.org:443 ") and TOKEN.encode() not in one for one in got)


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.0", "224.0.0.1", "255.255.255.255", "240.0.0.1", "198.18.0.1", "192.0.2.1"),
        *("::", "::ffff:10.0.0.1", "::127.0.0.1", "2002:7f00:1::", "64:ff9b::7f00:1", "64:ff9b:1::1"),
        *("ff02::1", "fec0::1", "2001:db8::1"),
    ],
)
def test_no_address_of_a_special_kind_is_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:4700::1111", "64:ff9b::5db8:d822", "::ffff:93.184.216.34"])
def test_addresses_of_the_internet_are_public(address: str) -> None:
    assert is_public(address)


def test_the_environment_may_name_another_address_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert endpoint(VARIABLE, "https://api.albums.org/") == Endpoint("https://api.albums.org", trusted=False)
    monkeypatch.setenv(VARIABLE, " http://127.0.0.1:1/v1/ ")
    assert endpoint(VARIABLE, "https://api.albums.org") == Endpoint("http://127.0.0.1:1/v1", trusted=True)
    for wrong in ("127.0.0.1:80", "ftp://a.org", "https://", "no"):
        monkeypatch.setenv(VARIABLE, wrong)
        with pytest.raises(RefusedError, match=VARIABLE):
            endpoint(VARIABLE, "https://api.albums.org")


# Who gets the token


def test_the_token_stays_with_the_service(albums: Albums) -> None:
    with Albums(fake.photos(2)) as other, speaking(token=TOKEN, authorization="OAuth") as http:
        http.ask("GET", "list", headers={"X-Of-The-Service": "1"})
        http.ask("GET", "list", signed=False)
        http.ask("GET", f"{other.url}/list")
        fetched(http)
        fetched(http, signed=True)
        for _ in range(2):
            http.ask("GET", "elsewhere", params={"to": f"{other.url}/list"}, headers={"X-Of-The-Service": "1"})
        there_and_back = f"{other.url}/elsewhere?to={albums.url}/list"
        http.ask("GET", "elsewhere", params={"to": there_and_back})
        http.ask("GET", "elsewhere", params={"to": "/list"})

    def signed(requests: list[Recorded]) -> list[str | None]:
        return [one.headers.get("authorization") for one in requests]

    with_token = f"OAuth {TOKEN}"
    assert signed(other.requests) == [None] * 4
    assert not any("x-of-the-service" in one.headers for one in other.requests)
    here = signed(albums.requests)
    assert here == [with_token, None, None, with_token, *[with_token] * 2, with_token, None, with_token, with_token]


def test_hosts_that_a_connector_names_get_the_token_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    with speaking(hosts=HOSTS, token=TOKEN, signed_hosts=["full.photos.albums.org"]) as http:
        wire = on_wire(http, "https://full.photos.albums.org/1")
        for address in ("https://full.photos.albums.org/1", "https://other.photos.albums.org/1", "go"):
            http.ask("GET", address)
    assert ["authorization" in request.headers for request in wire.asked] == [True, False, True, False]


def test_there_are_no_cookies(albums: Albums) -> None:
    albums.fail(fake.answer(200, {}, {"set-cookie": "session=1; Path=/"}))
    with speaking() as http:
        http.ask("GET", "list")
        http.ask("GET", "list")
    assert not any("cookie" in one.headers for one in albums.requests)


# What is never said


def everything_said_of(error: BaseException) -> str:
    """Its words, those of what it came of, and the traceback of all that."""
    seen: list[BaseException] = []
    todo: list[BaseException | None] = [error]
    while todo:
        one = todo.pop()
        if one is not None and one not in seen:
            seen.append(one)
            todo += [one.__cause__, one.__context__]
    return "\n".join([*(f"{one!r} {one} {vars(one)}" for one in seen), *traceback.format_exception(error)])


@faults(
    hang=fake.hang(),
    cut=fake.cut_body(),
    reset=fake.reset(),
    page=fake.html(),
    truncated=fake.truncated(),
    refused=fake.answer(401, {}),
    missing=fake.status(404),
    broken=fake.status(500),
    to_nothing=fake.redirect(f"https://user:word@[:/?{SIGNED}"),
    to_nowhere=fake.redirect(f"//\t?{SIGNED}"),
    to_ftp=fake.redirect(f"ftp://elsewhere/?{SIGNED}"),
    in_circles=fake.redirect(f"/list?{SIGNED}"),
    words=fake.answer(200, {"error": f"{TOKEN} is no token; see https://api.albums.org/a?{SIGNED}#b or /c"}),
)
def test_no_token_and_no_signed_address_is_said(
    albums: Albums, fault: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fake.hurry(monkeypatch, 0.2)
    monkeypatch.setattr(retries, "TRIES", 2)
    said: list[str] = []
    sink = logger.add(said.append, level="TRACE", backtrace=True, diagnose=False)

    def judge(answer: Answer) -> Trouble | None:
        words = (answer.json() or {}).get("error")
        return Trouble(Ending.STOP, f"Albums says: {words}") if words else None

    albums.fail(fault, times=99)
    caplog.set_level(logging.DEBUG)
    try:
        with speaking(token=TOKEN, judge=judge) as http:
            for ask in (
                lambda: http.ask("GET", f"list?{SIGNED}", params={"access_token": TOKEN}),
                lambda: fetched(http, query=f"?{SIGNED}", size=1, signed=True),
            ):
                try:
                    ask()
                except FacekitError as error:
                    said.append(everything_said_of(error))
                    logger.opt(exception=error).warning("It failed.")
    finally:
        logger.remove(sink)
    said += [record.getMessage() for record in caplog.records]
    assert said
    text = "\n".join(said)
    for secret in (TOKEN, SIGNED, "do-not-tell", "access_token"):
        assert secret not in text.replace(__file__, "").replace(traceback_lines(), "")


def traceback_lines() -> str:
    """A traceback shows lines of this file, which name the variables, and no values."""
    return 'params={"access_token": TOKEN}'


def test_other_users_of_the_client_log_as_before(albums: Albums, caplog: pytest.LogCaptureFixture) -> None:
    with speaking() as http:
        http.ask("GET", "list")
    caplog.set_level(logging.INFO)
    httpx2.get(f"{albums.url}/list")
    assert f"{albums.url}/list" in caplog.text


def test_addresses_in_the_words_of_a_service_lose_what_makes_them_work() -> None:
    said = "See https://user:word@sun1.userapi.com/a/b.jpg?sig=1&x=2#c, (http://x.org?q) and 'https://y.org/z'. Why?"
    assert (
        without_secrets(said, "word")
        == "See https://sun1.userapi.com/a/b.jpg (http://x.org and 'https://y.org/z'. Why?"
    )
