"""What test_workers.py has done in other processes; apart from it, because each process imports this anew."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np

from facekit.errors import PhotoError
from facekit.images import drawing
from facekit.types.photos import Status


def double(number: int) -> int:
    return 2 * number


def who(_number: int) -> int:
    return os.getpid()


def slow_who(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def die_at(number: int, culprit: int, how: str) -> int:
    if number == culprit:
        if how == "exit":
            os._exit(7)
        os.kill(os.getpid(), getattr(signal, how))
    return number


def die_once(number: int, culprit: int, trace: str) -> int:
    if number == culprit and not Path(trace).exists():
        Path(trace).touch()
        os._exit(1)
    return number


def hang_at(number: int, culprit: int) -> int:
    if number == culprit:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the polite request is not heard
        time.sleep(600)
    return number


def fail_with(kind: str) -> Any:
    match kind:
        case "photo":
            raise PhotoError(Status.UNSUPPORTED, "photo.jpg is a sonnet")
        case "value":
            message = "no such value"
            raise ValueError(message)
        case "memory":
            raise MemoryError
        case "exit":
            raise SystemExit(3)
        case "odd error":
            raise OddError(1, 2)
        case "odd value":
            return (line for line in "no generator can be pickled")
    return kind


class OddError(Exception):
    """Can be pickled, but not unpickled: it wants two arguments and keeps one."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one}{two}")


def brighter(image: np.ndarray[Any, Any], amount: int) -> tuple[np.ndarray[Any, Any], str]:
    return image + np.uint8(amount), "brighter"


def threads() -> tuple[int, str | None]:
    import cv2

    return cv2.getNumThreads(), os.environ.get("OMP_NUM_THREADS")


def crash_on_probe(data: bytes, name: str, max_side: int | None) -> None:
    """What a decoder does with a picture made to crash it."""
    os.kill(os.getpid(), signal.SIGSEGV)


def wait_on_probe(*_: object) -> None:
    time.sleep(600)


def wait_to_draw(*_: object) -> None:
    time.sleep(600)


def crash_to_draw(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def crash_to_draw_from_the_file(
    box: Any, small: bytes | None, size: Any, path: Path | None, turns: Any
) -> bytes | None:
    """A face that is drawn from its thumbnail alone is drawn."""
    if path is not None:
        crash_to_draw()
    return drawing._face(box, small, size, path, turns)


def reserve(size: int) -> int:
    return int(np.empty(size, np.uint8).nbytes)
