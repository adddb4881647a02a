"""A fair semaphore: so many at once, in the order in which they came."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from facekit.system.semaphores import FairSemaphore


def test_who_comes_first_is_let_in_first_also_before_those_who_come_again() -> None:
    turns, order, let_go = FairSemaphore(1), list[int](), Event()

    def take(number: int) -> None:
        with turns.acquired(60):
            order.append(number)
            let_go.wait(60)
        if number == 0:
            take(9)  # again, at once

    with ThreadPoolExecutor(5) as pool:
        for number in range(5):
            pool.submit(take, number)
            while len(order) + len(turns._waiting) <= number:
                time.sleep(0.001)
        let_go.set()
    assert order == [0, 1, 2, 3, 4, 9]


def test_who_gives_up_takes_nobodys_turn() -> None:
    turns = FairSemaphore(2)
    with turns.acquired(None), turns.acquired(None):
        for _ in range(3):
            with pytest.raises(TimeoutError), turns.acquired(0.01):
                pytest.fail("there were two already")
    with turns.acquired(0.01), turns.acquired(0.01), pytest.raises(TimeoutError), turns.acquired(0.01):
        pytest.fail("there were two already")


def test_a_turn_ends_with_its_error() -> None:
    turns = FairSemaphore(1)
    with pytest.raises(KeyError), turns.acquired(0.01):
        raise KeyError
    with turns.acquired(0.01):
        pass
