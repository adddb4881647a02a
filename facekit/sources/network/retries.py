"""Trying again: which failure of a request leads to another try, after how long, and what is left to say in the end."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import uniform
from typing import TYPE_CHECKING, Generic, TypeVar

from facekit.errors import PhotoError, SignInError, SourceError
from facekit.sources.network.answers import Ending, Trouble, without_secrets
from facekit.sources.network.rate import Rate, pause
from facekit.sources.network.transport import FailedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from facekit.sources.item import Tools

R = TypeVar("R")

# All ours.
TRIES = 6
FIRST_WAIT, LONGEST_WAIT = 0.5, 60.0
"""Seconds before the second try at most, and before any. They double from try to try, and are random up to that: full
jitter, https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/."""
STOP_BEYOND = 300.0
"""Seconds: a service that asks for a longer wait is left alone until then."""
FAILURES_IN_A_ROW = 3
"""One photo that a service can't give is skipped; where it can give none, it is the service."""


class Retries(Generic[R]):
    """Tries until it works, or until it is known how it ends."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._failures = 0

    def __call__(self, once: Callable[[str | None], R], rate: Rate, name: str = "", *, signed: bool = True) -> R:
        """What comes of the first try that works.

        Parameters
        ----------
        once : callable
            One try, with the token to use; raises FailedError.
        rate : Rate
            Held where the service asks for a wait: what it says to one thread holds for all.
        name : str
            Of the photo that this is about, if it is about one.
        signed : bool
            Whether it is tried with the token; otherwise that is neither looked for nor renewed.

        Raises
        ------
        PhotoError, SourceError, SignInError
            `Ending.SKIP`, `Ending.STOP`, `Ending.RECONNECT`; see `facekit.sources.network.http`.
        KeyboardInterrupt
            At once, if the work is to stop.
        """
        token = self._tools.access(None) if signed else None
        renewed = False
        tries = 0
        while True:
            pause(0, self._tools.stop)
            try:
                done = once(token)
            except FailedError as error:
                trouble, of_content = error.trouble, error.of_content
            else:
                self._failures = 0 if name else self._failures
                return done
            trouble = replace(trouble, message=without_secrets(trouble.message, token))
            if trouble.ending is Ending.RECONNECT and token and not renewed:
                token, renewed = self._tools.access(token), True
                continue
            tries += 1
            if trouble.wait is not None and trouble.wait > STOP_BEYOND:
                resume_at = datetime.now(UTC) + timedelta(seconds=trouble.wait)
                trouble = replace(trouble, ending=Ending.STOP, resume_at=trouble.resume_at or resume_at)
            elif trouble.ending is Ending.RETRY and tries >= TRIES:
                trouble = self._given_up(trouble, name=name, of_content=of_content)
            if trouble.ending is not Ending.RETRY:
                raise _error_of(trouble, name)
            if trouble.wait is not None:
                rate.hold(trouble.wait)
            longest = min(FIRST_WAIT * 2 ** (tries - 1), LONGEST_WAIT)
            pause((trouble.wait or 0) + uniform(0, longest), self._tools.stop)  # noqa: S311 - no secret

    def _given_up(self, trouble: Trouble, *, name: str, of_content: bool) -> Trouble:
        self._failures += bool(name) and not of_content
        # A photo that never comes whole is to blame itself; of another failure, the service, once nothing works.
        skip = name and trouble.wait is None and (of_content or self._failures < FAILURES_IN_A_ROW)
        return replace(
            trouble,
            ending=Ending.SKIP if skip else Ending.STOP,
            message=f"{trouble.message} It was tried {TRIES} times.",
            remedy=trouble.remedy or "What is done is kept; try again later.",
        )


def _error_of(trouble: Trouble, name: str) -> Exception:
    """The error that a trouble ends in."""
    if trouble.ending is Ending.SKIP:
        return PhotoError(trouble.status, f"{name} can't be fetched: {trouble.message}" if name else trouble.message)
    if trouble.ending is Ending.RECONNECT:
        return SignInError(trouble.message, trouble.remedy or "Sign in again: facekit sources reconnect NAME.")
    return SourceError(trouble.message, trouble.remedy, resume_at=trouble.resume_at)
