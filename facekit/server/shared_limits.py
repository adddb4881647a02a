"""How much the services of a library take together: counted in Redis, where the library has one."""

from __future__ import annotations

import hashlib
import json
import time
from typing import TYPE_CHECKING, Any, TypeVar

from limits.storage import RedisStorage
from limits.strategies import MovingWindowRateLimiter
from loguru import logger
from typing_extensions import override

from facekit.errors import LibraryError
from facekit.server.limits import FORGOTTEN_SECONDS, RateLimits

if TYPE_CHECKING:
    from collections.abc import Callable

    from limits import RateLimitItemPerMinute

    from facekit.server.limits import Counts

T = TypeVar("T")

_ANSWER_SECONDS = 0.5  # every request asks, so that none may wait long
_AGAIN_SECONDS = 5.0  # before a server that did not answer is asked again

# The same sum as in `RateLimits.try_password`, by the server's clock, and all of it at once.
_TRY = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local first, longest, forgotten = tonumber(ARGV[#KEYS + 1]), tonumber(ARGV[#KEYS + 2]), tonumber(ARGV[#KEYS + 3])
local wait = 0
for number, key in ipairs(KEYS) do
  local tries = tonumber(redis.call('HGET', key, 'tries') or 0)
  local last = tonumber(redis.call('HGET', key, 'last') or 0)
  local free = tonumber(ARGV[number])
  if tries >= free then
    wait = math.max(wait, last + math.min(first * 2 ^ math.min(tries - free, 30), longest) - now)
  end
end
if wait <= 0 then
  for _, key in ipairs(KEYS) do
    redis.call('HINCRBY', key, 'tries', 1)
    redis.call('HSET', key, 'last', string.format('%.6f', now))
    redis.call('EXPIRE', key, forgotten)
  end
end
return string.format('%.6f', wait)
"""


class SharedLimits(RateLimits):
    """The same for all services of a library. While Redis does not answer, each counts for itself.

    Parameters
    ----------
    broker : str
        ``redis://HOST:PORT``; what is wrong with it is said at the first request.
    library : str
        What the library is called there.

    Raises
    ------
    LibraryError
        If the package that speaks with Redis is not installed.
    """

    def __init__(self, broker: str, library: str) -> None:
        super().__init__()
        try:
            from redis.backoff import NoBackoff
            from redis.exceptions import RedisError
            from redis.retry import Retry
        except ModuleNotFoundError as error:
            message = "Counting requests in Redis needs a package that is not installed: redis."
            raise LibraryError(message, 'Install it with: pip install "facekit[workers]"') from error
        options: dict[str, Any] = {"socket_timeout": _ANSWER_SECONDS, "socket_connect_timeout": _ANSWER_SECONDS}
        options["retry"] = Retry(NoBackoff(), 0)
        self._prefix = f"facekit:{library}:limits"
        storage = RedisStorage(broker, key_prefix=self._prefix, **options)
        self._redis: Any = storage.storage
        self._try: Any = self._redis.register_script(_TRY)
        self._shared = MovingWindowRateLimiter(storage)
        self._failures = (RedisError, OSError)
        self._ask_at = 0.0
        self._away = False

    @override
    def hit(self, limit: RateLimitItemPerMinute, who: str) -> float:
        """See `RateLimits.hit`."""
        here = super().hit

        def ask() -> float:
            if self._shared.hit(limit, self._hashed(who)):
                return 0.0
            reset = self._shared.get_window_stats(limit, self._hashed(who)).reset_time
            return max(0.001, reset - time.time())

        return self._answer(ask, lambda: here(limit, who))

    @override
    def try_password(self, counts: Counts) -> float:
        """See `RateLimits.try_password`."""
        here = super().try_password
        arguments = [*counts.values(), self._first_wait, self._longest_wait, FORGOTTEN_SECONDS]
        return self._answer(lambda: float(self._try(self._keys(counts), arguments)), lambda: here(counts))

    @override
    def forgive(self, counts: Counts) -> None:
        """See `RateLimits.forgive`."""
        super().forgive(counts)
        self._answer(lambda: self._redis.delete(*self._keys(counts)), lambda: None)

    def _answer(self, ask: Callable[[], T], here: Callable[[], T]) -> T:
        """What Redis says; where it does not answer, what this process has counted itself."""
        if time.monotonic() < self._ask_at:
            return here()
        try:
            answer = ask()
        except self._failures as error:
            self._ask_at = time.monotonic() + _AGAIN_SECONDS
            if not self._away:
                self._away = True
                logger.warning("Redis does not answer, and this service counts requests for itself: {}", error)
            return here()
        if self._away:
            self._away = False
            logger.info("Redis answers again: requests to all services are counted together")
        return answer

    def _keys(self, counts: Counts) -> list[str]:
        return [f"{self._prefix}:password:{self._hashed(*who)}" for who in counts]

    def _hashed(self, *who: str) -> str:
        """Names and addresses in a form that is short and tells nobody who they are."""
        return hashlib.sha256(json.dumps(who).encode()).hexdigest()[:32]
