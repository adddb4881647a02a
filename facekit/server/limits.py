"""How much the service takes: requests a minute, and the size of a body."""

from __future__ import annotations

import math
import time
from threading import Lock
from typing import TYPE_CHECKING, NoReturn, TypeAlias

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from loguru import logger
from starlette.datastructures import Headers

from facekit.server.refusal import ServiceRefusal, send_refusal

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Wrong passwords in a row before the next has to wait: those of one address, or of one device that the account is
# known to; and those of all addresses together, of which NIST SP 800-63B-4, section 3.2.2, allows 100.
WRONG_FROM_ONE_PLACE = 10
WRONG_FOR_AN_ACCOUNT = 100
FIRST_WAIT = 1  # seconds; each is twice as long as the one before
LONGEST_WAIT = 60  # 1,440 guesses a day are left at most
FORGOTTEN_SECONDS = 3600  # without another one
SIGN_INS_AN_ADDRESS = 60  # a minute, the right ones too: an office, or the web app, has one address
_COUNTS = 10_000  # more are never kept, whatever names strangers make up
# Somebody who leafs through a gallery asks for some 50 thumbnails a second, and without accounts all are one
# somebody; a search takes some 0.1 s of the models.
REQUESTS = 12_000
SEARCHES = 600

UPLOAD_BYTES = 64 * 2**20  # several of the largest photos that phones make (some 12 MB)
BODY_BYTES = 2**20  # JSON and forms


Counts: TypeAlias = "dict[tuple[str, ...], int]"
"""What a try of a password counts against, and how many are free."""


class RateLimits:
    """Requests a minute, counted in this process's memory in a window that moves.

    `request`, `search` and `sign_in` raise a `ServiceRefusal` with status 429 and the header Retry-After when it was
    too many.
    """

    def __init__(self) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._requests = RateLimitItemPerMinute(REQUESTS, namespace="requests")
        self._searches = RateLimitItemPerMinute(SEARCHES, namespace="searches")
        self._address = RateLimitItemPerMinute(SIGN_INS_AN_ADDRESS, namespace="sign-ins of an address")
        self._first_wait, self._longest_wait = FIRST_WAIT, LONGEST_WAIT
        self._wrong: dict[tuple[str, ...], tuple[int, float]] = {}
        self._changing = Lock()

    def request(self, who: str) -> None:
        """Count a request of somebody."""
        self._count(self._requests, who)

    def search(self, who: str) -> None:
        """Count a search of somebody."""
        self._count(self._searches, who)

    def sign_in(self, name: str, address: str, device: str = "") -> None:
        """Count a sign-in before the password is checked: tries at the same time must not slip past each other.

        Each wrong password beyond those that are free makes the account's next try wait twice as long, from whatever
        addresses they come. Somebody who guesses could so keep the owner out. Therefore a device on which the right
        password was given once, and which shows it by a token, is counted for itself alone.
        """
        if not device:
            self._count(self._address, address)
        if wait := self.try_password(_counts(name, address, device)):
            logger.warning("too many wrong passwords")
            _refuse("There were too many wrong passwords for this account.", wait)

    def signed_in(self, name: str, address: str, device: str = "") -> None:
        """The password was right: what was counted against this name was not guessing."""
        self.forgive(_counts(name, address, device))

    def hit(self, limit: RateLimitItemPerMinute, who: str) -> float:
        """Count something of somebody: the seconds to wait, of which 0 is that it was counted."""
        if self._limiter.hit(limit, who):
            return 0.0
        return _seconds_until(self._limiter.get_window_stats(limit, who).reset_time)

    def try_password(self, counts: Counts) -> float:
        """Count a try: the seconds to wait, of which 0 is that it was counted."""
        now = time.monotonic()
        with self._changing:
            wait = max(0.0, *(self._wait(who, free, now) for who, free in counts.items()))
            if not wait:
                for who in counts:
                    self._wrong[who] = (self._tries(who, now) + 1, now)
                self._forget(now)
        return wait

    def forgive(self, counts: Counts) -> None:
        """Count no more what was counted against somebody."""
        with self._changing:
            for who in counts:
                self._wrong.pop(who, None)

    def _tries(self, who: tuple[str, ...], now: float) -> int:
        tries, last = self._wrong.get(who, (0, now))
        return tries if now - last < FORGOTTEN_SECONDS else 0

    def _wait(self, who: tuple[str, ...], free: int, now: float) -> float:
        tries = self._tries(who, now)
        if tries < free:
            return 0.0
        seconds = min(self._first_wait * 2.0 ** min(tries - free, 30), self._longest_wait)
        return max(0.0, self._wrong[who][1] + seconds - now)

    def _forget(self, now: float) -> None:
        if len(self._wrong) <= _COUNTS:
            return
        kept = {who: (tries, last) for who, (tries, last) in self._wrong.items() if now - last < FORGOTTEN_SECONDS}
        few = sorted(kept, key=lambda who: kept[who])[: max(0, len(kept) - _COUNTS // 2)]  # the fewest tries first
        self._wrong = {who: kept[who] for who in kept.keys() - set(few)}

    def _count(self, limit: RateLimitItemPerMinute, who: str) -> None:
        if wait := self.hit(limit, who):
            logger.warning("too many {}", limit.namespace)
            _refuse(f"That was too often: {limit.amount} times a minute is the limit.", wait)


def _seconds_until(moment: float) -> float:
    return max(0.001, moment - time.time())


def _counts(name: str, address: str, device: str) -> Counts:
    if device:
        return {(name, "device", device): WRONG_FROM_ONE_PLACE}
    return {(name, "address", address): WRONG_FROM_ONE_PLACE, (name,): WRONG_FOR_AN_ACCOUNT}


def _refuse(message: str, wait: float) -> NoReturn:
    seconds = max(1, math.ceil(wait))
    raise ServiceRefusal(
        429, message, f"Wait {seconds} second{'s' if seconds > 1 else ''}.", {"Retry-After": str(seconds)}
    )


class BodyLimit:
    """Middleware: no body is larger than the service takes, whether it says its size or not."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a body that says it is too large at once, and others when they have become so."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        most = UPLOAD_BYTES if media_type(headers) == "multipart/form-data" else BODY_BYTES
        message = f"The body is larger than {most // 2**20} MiB."
        refusal = ServiceRefusal(413, message, "Send less at a time, or smaller pictures.")
        said = headers.get("content-length", "")
        if said.isdecimal() and int(said) > most:
            await send_refusal(refusal, scope, receive, send)
            return
        got = 0

        async def receive_at_most() -> Message:
            nonlocal got
            part = await receive()
            got += len(part.get("body", b""))
            if got > most:
                raise refusal
            return part

        await self._app(scope, receive_at_most, send)


def media_type(headers: Headers) -> str:
    """The type of a body, without what may follow it, in small letters."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()
