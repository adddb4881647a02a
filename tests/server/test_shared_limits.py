"""Limits that the services of a library share through Redis, and what they do without it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from loguru import logger

from facekit.server import limits, shared_limits
from facekit.server.limits import RateLimits
from facekit.server.refusal import ServiceRefusal
from facekit.server.shared_limits import SharedLimits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from redis_server import RedisServer


FIRST, LONGEST = 500, 4000


@pytest.fixture
def both(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> list[SharedLimits]:
    """The limits of two services of a library; who guesses waits so long that no pause of this machine matters."""
    monkeypatch.setattr(limits, "FIRST_WAIT", FIRST)
    monkeypatch.setattr(limits, "LONGEST_WAIT", LONGEST)
    monkeypatch.setattr(limits, "WRONG_FROM_ONE_PLACE", 3)
    monkeypatch.setattr(limits, "WRONG_FOR_AN_ACCOUNT", 6)
    monkeypatch.setattr(limits, "SEARCHES", 5)
    return [SharedLimits(redis_server.url, "facekit_faces") for _ in range(2)]


@pytest.fixture
def said() -> Iterator[list[str]]:
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(message.record["message"]), level=logging.INFO)
    yield lines
    logger.remove(sink)


def refused(act: Callable[..., None], *arguments: str) -> int:
    """How long somebody has to wait, to a hundred seconds; 0 if not at all."""
    try:
        act(*arguments)
    except ServiceRefusal as error:
        return round(int(error.headers["Retry-After"]), -2)
    return 0


def older(server: RedisServer, seconds: float) -> None:
    """As if what was counted had been counted before."""
    for key in server.ask("KEYS", "*:password:*").split():
        server.ask("HINCRBYFLOAT", key, "last", str(-seconds))


def test_two_services_count_together(both: list[SharedLimits], redis_server: RedisServer) -> None:
    for number in range(5):
        both[number % 2].search("user ada")
    for one in both:
        with pytest.raises(ServiceRefusal) as too_often:
            one.search("user ada")
        assert too_often.value.status_code == 429
        assert 0 < int(too_often.value.headers["Retry-After"]) <= 60
        one.search("user ben")
        one.request("user ada")  # that is another count
    SharedLimits(redis_server.url, "facekit_others").search("user ada")
    keys = redis_server.ask("KEYS", "*").split()
    assert all(key.startswith(("facekit:facekit_faces:limits", "facekit:facekit_others:limits")) for key in keys)
    assert "ada" not in " ".join(keys)
    assert all(int(redis_server.ask("TTL", key)) > 0 for key in keys)  # nothing stays for ever


def test_a_password_is_guessed_no_faster_at_two_services(both: list[SharedLimits], redis_server: RedisServer) -> None:
    one, other = both
    for service in (one, other, one):
        service.sign_in("ada", "10.0.0.1")
    for wait in (500, 1000, 2000, 4000, 4000):
        assert refused(one.sign_in, "ada", "10.0.0.1") == wait
        assert refused(other.sign_in, "ada", "10.0.0.1") == wait  # being refused makes nobody wait longer
        other.sign_in("ada", "10.0.0.1", "her device")  # which counts for itself
        other.signed_in("ada", "10.0.0.1", "her device")
        older(redis_server, wait)
        other.sign_in("ada", "10.0.0.1")
    older(redis_server, LONGEST)
    one.sign_in("ada", "10.0.0.1")
    one.signed_in("ada", "10.0.0.1")
    assert redis_server.ask("KEYS", "*:password:*") == ""
    for _ in range(3):
        other.sign_in("ada", "10.0.0.1")


def test_guesses_from_many_addresses_add_up_over_services(both: list[SharedLimits]) -> None:
    waits = [refused(both[number % 2].sign_in, "ada", f"10.0.0.{number}") for number in range(10)]
    assert waits == [0] * 6 + [FIRST] * 4


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    tries=st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.sampled_from(["", "d"]), st.booleans()), max_size=14
    )
)
def test_redis_counts_as_memory_does(
    both: list[SharedLimits], redis_server: RedisServer, tries: list[tuple[str, str, str, bool]]
) -> None:
    redis_server.ask("FLUSHALL")
    memory = RateLimits()
    for number, (name, address, device, right) in enumerate(tries):
        service = both[number % 2]
        waits = [refused(one.sign_in, name, address, device) for one in (memory, service)]
        assert waits[0] == waits[1]
        if right and not waits[0]:
            for one in (memory, service):
                one.signed_in(name, address, device)


def test_without_redis_a_service_counts_for_itself_and_says_so_once(
    both: list[SharedLimits], redis_server: RedisServer, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_limits, "_AGAIN_SECONDS", 0.0)
    one, other = both
    one.search("user ada")
    redis_server.kill()
    for _ in range(5):
        one.search("user ada")
    with pytest.raises(ServiceRefusal):
        one.search("user ada")
    assert [refused(one.sign_in, "ada", "10.0.0.1") for _ in range(4)] == [0, 0, 0, FIRST]
    one.signed_in("ada", "10.0.0.1")
    one.sign_in("ada", "10.0.0.1")
    other.search("user ada")
    assert len([line for line in said if "Redis does not answer" in line]) == 2  # each service once
    redis_server.start()  # emptied
    for _ in range(5):
        one.search("user ada")
    with pytest.raises(ServiceRefusal):
        other.search("user ada")
    assert len([line for line in said if "Redis answers again" in line]) == 2


def test_a_server_that_is_away_is_not_asked_by_each_request(
    both: list[SharedLimits], redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(shared_limits, "_AGAIN_SECONDS", 600.0)
    redis_server.kill()
    one, pool = both[0], both[0]._redis.connection_pool
    connect = pool.get_connection

    def counted(*arguments: Any, **more: Any) -> Any:
        asked.append(1)
        return connect(*arguments, **more)

    monkeypatch.setattr(pool, "get_connection", counted)
    for _ in range(4):
        one.request("user ada")
    assert len(asked) == 1
