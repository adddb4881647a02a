"""How a long run says how far it is."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

from facekit.errors import FacekitError

if TYPE_CHECKING:
    from collections.abc import Iterator


Progress: TypeAlias = bool | Callable[[int, int], None]
"""True for a progress bar, False for none, or a function called with (files done, files to do)."""


def check_progress(progress: object) -> None:
    """Refuse what is no `Progress`. Raises FacekitError."""
    if not (callable(progress) or progress is None or isinstance(progress, bool)):
        message = f"progress={progress!r} is neither True, False nor a function."
        raise FacekitError(message, "A function is called with (done, to do): progress=print.")


@contextmanager
def show_progress(
    total: int, progress: Progress, what: str = "ingest", unit: str = "photo"
) -> Iterator[Callable[[int], None]]:
    """A function to be called with the number of files just done; ``what`` stands before a progress bar."""
    if callable(progress):
        done = 0

        def advance(count: int) -> None:
            nonlocal done
            done += count
            progress(done, total)

        yield advance
        return
    from tqdm.auto import tqdm

    with tqdm(total=total, unit=unit, desc=what, disable=not progress) as bar:

        def update(count: int) -> None:
            bar.update(count)

        yield update
