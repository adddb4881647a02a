"""What the service's port does with clients that are slow, many, or lie about where they come from."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx2
import pytest
from fastapi import FastAPI, Request

from facekit.server import connections, run
from facekit.system.addresses import client_of, visitor_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HALF = b"GET /slow HTTP/1.1\r\nHost: 127.0.0.1\r\nX-More: "


def application() -> FastAPI:
    app = FastAPI()

    @app.get("/who")
    def who(request: Request) -> str:
        return request.client.host if request.client else ""

    @app.get("/slow")
    def slow() -> str:
        time.sleep(3)
        return "done"

    @app.post("/body")
    async def body(request: Request) -> int:
        return len(await request.body())

    return app


@contextmanager
def listening(proxies: Sequence[str] = ()) -> Iterator[tuple[str, int]]:
    """The address of a server with facekit's limits."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = run.web_server(application(), proxies)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            while not server.started and thread.is_alive():
                time.sleep(0.02)
            yield listener.getsockname()
        finally:
            server.should_exit = server.force_exit = True
            thread.join()


def ask(address: tuple[str, int], path: str = "/who", **headers: str) -> httpx2.Response:
    return httpx2.get(f"http://{address[0]}:{address[1]}{path}", headers=headers, timeout=60, trust_env=False)


def test_answers_are_not_held_back_for_more_to_send() -> None:
    """Nagle's algorithm and a client's delayed acknowledgements cost 40 ms an answer on a connection that is kept."""
    undelayed = []

    class Accepted(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            undelayed.append(transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            transport.close()

    async def serve_one(listener: socket.socket) -> None:
        async with await asyncio.get_running_loop().create_server(Accepted, sock=listener):
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            await reader.read()
            writer.close()

    asyncio.run(serve_one(run._listen("127.0.0.1", 0)))
    assert undelayed == [1]


def ends(client: socket.socket) -> bool:
    """Whether the other end closes a connection; waits for it as long as a busy machine may take."""
    client.settimeout(60)
    try:
        return not client.recv(1000)
    except ConnectionError:
        return True
    except TimeoutError:
        return False


def drips_until_cut_off(client: socket.socket) -> bool:
    try:
        for _ in range(600):
            client.sendall(b"x")
            time.sleep(0.1)
    except ConnectionError:
        return True
    return False


def is_open(client: socket.socket) -> bool:
    client.settimeout(0.2)
    try:
        return bool(client.recv(1, socket.MSG_PEEK))
    except TimeoutError:
        return True
    except ConnectionError:
        return False


def test_only_a_proxy_that_was_named_is_believed() -> None:
    said = {"X-Forwarded-For": "203.0.113.7"}
    with listening() as address:
        assert ask(address, **said).json() == "127.0.0.1"
    with listening(["10.0.0.0/8"]) as address:
        assert ask(address, **said).json() == "127.0.0.1"
    with listening(["127.0.0.0/8"]) as address:
        assert ask(address, **said).json() == "203.0.113.7"


def test_a_request_that_does_not_arrive_in_time_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEADER_SECONDS", 1.5)
    monkeypatch.setattr(connections, "STALL_SECONDS", 1.5)
    part = b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n123"
    with listening() as address:
        clients = [socket.create_connection(address) for _ in range(4)]
        silent, half, dripping, body = clients
        half.sendall(HALF)
        body.sendall(part)
        dripping.sendall(HALF)
        assert drips_until_cut_off(dripping)  # a byte now and then buys no time
        assert all(ends(client) for client in (silent, half, body))
        for client in clients:
            client.close()
        assert ask(address, "/slow").json() == "done"  # the service may take as long as it needs


def test_a_body_that_keeps_coming_has_its_time_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "STALL_SECONDS", 30.0)
    monkeypatch.setattr(connections, "BODY_SECONDS", 2.0)
    with listening() as address, socket.create_connection(address) as client:
        client.sendall(b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
        assert drips_until_cut_off(client)


def test_connections_are_kept_for_the_next_request() -> None:
    with listening() as address, httpx2.Client(base_url=f"http://{address[0]}:{address[1]}", trust_env=False) as client:
        for size in (0, 10, 200_000):
            assert client.post("/body", content=b"x" * size).json() == size
        assert client.get("/who").json() == "127.0.0.1"


@pytest.mark.parametrize("which", ["an address", "all"])
def test_requests_that_never_come_shut_nobody_out(monkeypatch: pytest.MonkeyPatch, which: str) -> None:
    if which == "an address":
        monkeypatch.setattr(connections, "CONNECTIONS_AN_ADDRESS", 20)
    else:
        monkeypatch.setattr(run, "_CONNECTIONS", 21)
    with listening() as address:
        clients = []
        for _ in range(60):
            clients.append(socket.create_connection(address))
            clients[-1].sendall(HALF)
        for _ in range(3):
            assert ask(address).json() == "127.0.0.1"
        assert ends(clients[0])  # it has waited longest
        assert sum(map(is_open, clients)) <= 20
        for client in clients:
            client.close()


def test_a_proxy_has_any_number_of_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "CONNECTIONS_AN_ADDRESS", 5)
    with listening(["127.0.0.1"]) as address:
        clients = [socket.create_connection(address) for _ in range(20)]
        for client in clients:
            client.sendall(HALF)
        assert ask(address).json() == "127.0.0.1"
        assert all(map(is_open, clients))
        for client in clients:
            client.close()


def test_connections_that_are_being_answered_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "CONNECTIONS_AN_ADDRESS", 3)
    with listening() as address:
        busy = [socket.create_connection(address) for _ in range(3)]
        for client in busy:
            client.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        time.sleep(0.5)
        with socket.create_connection(address) as late:
            assert ends(late)
        for client in busy:
            client.settimeout(60)
            assert client.recv(1000).startswith(b"HTTP/1.1 200")
            client.close()


def test_of_ipv6_a_household_counts_as_one() -> None:
    assert client_of("2001:db8:1:2::7") == client_of("2001:db8:1:2:ffff::1%eth0")
    assert client_of("2001:db8:1:2::7") != client_of("2001:db8:1:3::7")
    assert client_of("192.0.2.7") != client_of("192.0.2.8")


@pytest.mark.parametrize(
    ("said", "visitor"),
    [
        ("", "10.0.0.2"),
        ("203.0.113.7", "203.0.113.7"),
        ("1.2.3.4, 203.0.113.7", "203.0.113.7"),  # the first is what the visitor made up
        ("1.2.3.4, 203.0.113.7, 10.0.0.3", "203.0.113.7"),  # through two proxies
        ("nonsense", "nonsense"),
    ],
)
def test_behind_proxies_a_visitor_is_who_the_last_of_them_saw(said: str, visitor: str) -> None:
    assert visitor_of("10.0.0.2", said, ["10.0.0.0/8"]) == visitor
    assert visitor_of("10.0.0.2", said, []) == "10.0.0.2"
    assert visitor_of("192.0.2.1", said, ["10.0.0.0/8"]) == "192.0.2.1"
