"""Whether the Redis of a library on servers answers: workers wait for its word, and do without it."""

from __future__ import annotations

from facekit.storage.backend import Look
from facekit.storage.servers import shown_broker

_CONNECT_SECONDS = 5.0  # ours, as the workers' own


def look_at_broker(url: str) -> Look:
    """What somebody who looked after Redis saw."""
    try:
        import redis
    except ModuleNotFoundError as error:
        return Look(f'a package is not installed: {error.name}; pip install "facekit[workers]"', ok=False)
    shown = shown_broker(url)
    try:
        with redis.Redis.from_url(
            url, socket_connect_timeout=_CONNECT_SECONDS, socket_timeout=_CONNECT_SECONDS
        ) as found:
            found.ping()
    except (redis.RedisError, OSError) as error:
        detail = f"Redis does not answer at {shown} ({type(error).__name__}): workers ask the catalog, a moment later"
        return Look(detail, ok=False)
    return Look(f"Redis answers at {shown}")
