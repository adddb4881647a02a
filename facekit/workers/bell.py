"""Redis tells workers of new work at once, where a library has one: otherwise they look for it every second.

A message is the id of a batch, and says no more than that there is one to be had. Lost, doubled or late, it changes
nothing: what is to be done is in the catalog, and where Redis was emptied it is sent again.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from loguru import logger

from facekit.errors import FacekitError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from threading import Event

    from faststream.redis import RedisBroker
    from redis.asyncio import Redis

    from facekit.library.local import LocalLibrary

_GROUP = "workers"
_MOST_MESSAGES = 100_000  # of some 100 bytes, in the stream
_TOGETHER = 1000  # messages in one request
_POLL_MILLISECONDS = 200  # for which FastStream waits for a message, and which a stop waits for it
_TICK_SECONDS = 0.2
_CONNECT_SECONDS = 5.0


class Bell:
    """Messages for the workers of a library.

    Parameters
    ----------
    url : str
        ``redis://HOST:PORT``.
    library : str
        What tells the library from others that use the same Redis.

    Raises
    ------
    FacekitError
        If FastStream is not installed.
    """

    def __init__(self, url: str, library: str) -> None:
        try:
            import faststream.redis  # noqa: F401 - only to see that it is there
        except ModuleNotFoundError as error:
            message = f"Redis needs a package that is not installed: {error.name}."
            raise FacekitError(message, 'Install it with pip install "facekit[workers]".') from error
        self._url, self._stream = url, f"facekit.{library}"
        self.silent = False
        """Whether Redis did not answer the last time."""

    def ring(self, batch_ids: Sequence[str]) -> None:
        """Tell the workers of batches. Where Redis does not answer, they find them by themselves."""

        async def send() -> None:
            async with self._connected() as (redis, broker):
                await broker.connect()
                await self._make_group(redis)
                await self._send(broker, batch_ids)

        from redis.exceptions import RedisError

        try:
            asyncio.run(send())
        except (RedisError, OSError) as error:
            self._note(error)

    async def listen(
        self,
        worker: str,
        turn: Callable[[], bool],
        missing: Callable[[], Sequence[str]],
        over: Event,
        seconds: float,
        middlewares: Sequence[Any] = (),
    ) -> None:
        """Call ``turn`` for each message, in a thread, until ``over``.

        Parameters
        ----------
        worker : str
            The worker's name.
        turn : callable
            Does a batch, the next one in order; True if there was one. Called in one thread at a time.
        missing : callable
            The ids of batches of which Redis does not seem to know; asked for where no message waits.
        over : threading.Event
            Ends it, after the batch in hand.
        seconds : float
            Between two looks whether anything is missing.
        middlewares : sequence
            FastStream's.
        """
        from faststream import AckPolicy
        from faststream.redis import StreamSub
        from redis.exceptions import RedisError

        busy = asyncio.Lock()

        async def take(_batch_id: str = "") -> bool:
            async with busy:
                try:
                    return not over.is_set() and await _finished(asyncio.to_thread(turn))
                except Exception:  # noqa: BLE001 - FastStream would pass over it
                    logger.exception("A message led to nothing")
                    return False

        while not over.is_set():
            async with self._connected(middlewares) as (redis, broker):
                stream = StreamSub(
                    self._stream, group=_GROUP, consumer=worker, max_records=1, polling_interval=_POLL_MILLISECONDS
                )
                # The lease in the catalog is what brings back a batch whose worker died; Redis need not know.
                subscriber = broker.subscriber(stream=stream, ack_policy=AckPolicy.ACK_FIRST)
                subscriber(take)
                try:
                    await self._make_group(redis)
                    await broker.start()
                    self._note(None)
                    while subscriber.running and not over.is_set():  # it ends where Redis was emptied
                        await self._send_missing(redis, broker, missing)
                        await _wait(over, seconds)
                except (RedisError, OSError) as error:
                    self._note(error)
                    while not over.is_set() and await take():
                        pass
                    await _wait(over, min(seconds, 1.0))
        async with busy:  # the batch in hand is done
            pass

    @asynccontextmanager
    async def _connected(self, middlewares: Sequence[Any] = ()) -> AsyncIterator[tuple[Redis, RedisBroker]]:
        from faststream.redis import RedisBroker
        from redis.asyncio import Redis

        quiet = logging.getLogger("facekit.faststream")
        quiet.setLevel(logging.CRITICAL + 1)  # what is to be said of Redis is said here
        redis = Redis.from_url(self._url, socket_connect_timeout=_CONNECT_SECONDS)
        broker = RedisBroker(self._url, logger=quiet, middlewares=middlewares, socket_connect_timeout=_CONNECT_SECONDS)
        try:
            yield redis, broker
        finally:
            with suppress(Exception):
                await broker.stop()
            with suppress(Exception):
                await redis.aclose()

    async def _make_group(self, redis: Redis) -> None:
        """From the first message on: FastStream would make it from the next one on."""
        from redis.exceptions import ResponseError

        try:
            await redis.xgroup_create(self._stream, _GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    async def _send(self, broker: RedisBroker, batch_ids: Sequence[str]) -> None:
        for start in range(0, len(batch_ids), _TOGETHER):
            for batch_id in batch_ids[start : start + _TOGETHER]:
                await broker.publish(batch_id, stream=self._stream, maxlen=_MOST_MESSAGES)

    async def _send_missing(self, redis: Redis, broker: RedisBroker, missing: Callable[[], Sequence[str]]) -> None:
        groups = await redis.xinfo_groups(self._stream)
        waiting = next((one.get("lag") for one in groups if one["name"] == _GROUP.encode()), None)
        if not waiting:  # what waits in the stream comes by itself
            await self._send(broker, await asyncio.to_thread(missing))

    def _note(self, error: Exception | None) -> None:
        if error is not None and not self.silent:
            logger.warning("Redis does not answer ({}); work is looked for in the catalog.", type(error).__name__)
        self.silent = error is not None


def bell_of(library: LocalLibrary, broker: str = "") -> Bell | None:
    """What tells a library's workers of work: at an address, by default the library's; None where there is none.

    Raises
    ------
    FacekitError
        If FastStream is not installed.
    """
    address = broker or library.storage.backend.broker
    return Bell(address, library.storage.catalog.schema) if address else None


async def _wait(over: Event, seconds: float) -> None:
    """So many seconds, or until it is over."""
    for _ in range(max(1, round(seconds / _TICK_SECONDS))):
        if over.is_set():
            return
        await asyncio.sleep(_TICK_SECONDS)


async def _finished(task: Any) -> bool:  # noqa: ANN401 - a coroutine
    """What a thread returns; who does not want to wait for it any more waits all the same."""
    future = asyncio.ensure_future(task)
    try:
        return bool(await asyncio.shield(future))
    except asyncio.CancelledError:
        await asyncio.wait([future])
        raise
