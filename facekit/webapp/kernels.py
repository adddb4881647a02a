"""The visitors' kernels."""

from __future__ import annotations

import asyncio
import time
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from voila.configuration import VoilaConfiguration
from voila.utils import ENV_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

LOAD_SECONDS = 30  # a slow phone has loaded the page by then, and connects


@dataclass(slots=True, eq=False)
class _Visit:
    """A page that is being made."""

    visitor: str
    has_kernel: bool = False


_visit: ContextVar[_Visit | None] = ContextVar("visit", default=None)


class Kernels(VoilaConfiguration().multi_kernel_manager_class):  # type: ignore[misc]
    """Voila's own manager, that also ends the kernels of visitors who never came: bots, and tabs closed at once.

    Jupyter would keep these for as long as a kernel whose visitor may come back. And it counts from a kernel's last
    work, which for one that waited for its visitor may be hours ago: it could end that one before the page connects.

    A kernel whose page has gone waits for it to come back, but not where a new page has none: phones close pages, and
    reload them, without a word.
    """

    def __init__(self, **how: object) -> None:
        super().__init__(**how)
        self._met: WeakSet[Any] = WeakSet()
        self._missed: WeakSet[Any] = WeakSet()
        self._visitors: dict[str, str] = {}  # by kernel; not of those that are being ended
        self._left: dict[str, float] = {}  # since when those of them have no page that have none
        self._ending: dict[str, asyncio.Task[None]] = {}  # those that make room
        self._visits: list[_Visit] = []
        # Voila makes a subclass of this one, with a method of its own that hands out the kernels that wait.
        self._hand_out = self.get_rendered_notebook  # type: ignore[has-type]
        self.get_rendered_notebook = self._hand_out_noted

    @contextmanager
    def visited_by(self, visitor: str, most: int, most_of_all: int) -> Iterator[bool]:
        """The kernel that is taken meanwhile is this visitor's; says whether there is room for it.

        Where there is none, the kernel whose page has been gone for longest makes some: of this visitor's, or, if there
        are too many of all, of everybody's.
        """
        room = self._room(most, visitor) and self._room(most_of_all)
        visit = _Visit(visitor)
        self._visits.append(visit)
        token = _visit.set(visit)
        try:
            yield room
        finally:
            _visit.reset(token)
            self._visits.remove(visit)

    def _room(self, most: int, visitor: str | None = None) -> bool:
        for kernel in [kernel for kernel in self._visitors if kernel not in self]:
            self._forget(kernel)
        coming = sum(visitor in {None, visit.visitor} and not visit.has_kernel for visit in self._visits)
        theirs = [kernel for kernel, who in self._visitors.items() if visitor in {None, who}]
        there = len(theirs) if visitor else len(self) - sum(kernel in self for kernel in self._ending)
        surplus = there + coming + 1 - most
        loaded = time.monotonic() - LOAD_SECONDS
        left = [
            kernel
            for kernel, since in sorted(self._left.items(), key=lambda one: one[1])
            if kernel in theirs and (since < loaded or self.get_kernel(kernel) in self._met)
        ]
        if surplus > len(left):
            return False
        for kernel in left[: max(0, surplus)]:
            self._forget(kernel)
            self._ending[kernel] = asyncio.create_task(self._end(kernel))
        return True

    async def _end(self, kernel: str) -> None:
        try:
            await self.shutdown_kernel(kernel)
        finally:
            del self._ending[kernel]

    def _forget(self, kernel: str) -> None:
        self._visitors.pop(kernel, None)
        self._left.pop(kernel, None)

    def _taken(self, kernel: str) -> None:
        visit = _visit.get()
        if visit is not None:
            visit.has_kernel = True
            self._visitors[kernel] = visit.visitor
            self._left[kernel] = time.monotonic()

    async def _hand_out_noted(self, *args: Any, **how: Any) -> Any:  # noqa: ANN401 - Voila's
        found = await self._hand_out(*args, **how)
        self._taken(found[2])
        return found

    async def start_kernel(self, *args: Any, **how: Any) -> Any:  # noqa: ANN401 - Jupyter's
        """Start a kernel: a visitor's, or, though a visitor's coming gives the occasion, one that is to wait."""
        kernel = await super().start_kernel(*args, **how)
        if (how.get("env") or {}).get(ENV_VARIABLE.VOILA_PREHEAT) == "False":
            self._taken(kernel)
        return kernel

    def notify_connect(self, kernel_id: str) -> None:
        """Remember that the kernel's page was there."""
        super().notify_connect(kernel_id)
        if kernel_id in self:
            self._met.add(self.get_kernel(kernel_id))
            self._left.pop(kernel_id, None)

    def notify_disconnect(self, kernel_id: str) -> None:
        """Remember since when the kernel has no page."""
        super().notify_disconnect(kernel_id)
        if kernel_id in self._visitors and not self._kernel_connections.get(kernel_id):
            self._left[kernel_id] = time.monotonic()

    async def shutdown_kernel(self, kernel_id: str, *args: Any, **how: Any) -> None:  # noqa: ANN401 - Jupyter's
        """End a kernel; from now on it is nobody's."""
        self._forget(kernel_id)
        await super().shutdown_kernel(kernel_id, *args, **how)

    async def cull_kernel_if_idle(self, kernel_id: str) -> None:
        """End a kernel without a page: one that never had any at the second check, else Jupyter decides.

        Kernels that wait for a visitor don't get here.
        """
        kernel = self.get_kernel(kernel_id)
        if kernel in self._met:
            await super().cull_kernel_if_idle(kernel_id)
        elif kernel in self._missed:
            await self.shutdown_kernel(kernel_id)
        else:
            self._missed.add(kernel)
