"""The visitors' kernels."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from voila.configuration import VoilaConfiguration
from voila.utils import ENV_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Iterator


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
    """

    def __init__(self, **how: object) -> None:
        super().__init__(**how)
        self._met: WeakSet[Any] = WeakSet()
        self._missed: WeakSet[Any] = WeakSet()
        self._visitors: dict[str, str] = {}  # by kernel
        self._left: dict[str, None] = {}  # kernels that have no page any more, in the order in which they lost it
        self._visits: list[_Visit] = []
        # Voila makes a subclass of this one, with a method of its own that hands out the kernels that wait.
        self._hand_out = self.get_rendered_notebook  # type: ignore[has-type]
        self.get_rendered_notebook = self._hand_out_noted

    @contextmanager
    def visited_by(self, visitor: str) -> Iterator[int]:
        """The kernel that is taken meanwhile is this visitor's; says how many they have, those to come included."""
        self._visitors = {kernel: who for kernel, who in self._visitors.items() if kernel in self}
        coming = sum(visit.visitor == visitor and not visit.has_kernel for visit in self._visits)
        visit = _Visit(visitor)
        self._visits.append(visit)
        token = _visit.set(visit)
        try:
            yield list(self._visitors.values()).count(visitor) + coming
        finally:
            _visit.reset(token)
            self._visits.remove(visit)

    def _taken(self, kernel: str) -> None:
        visit = _visit.get()
        if visit is not None:
            visit.has_kernel = True
            self._visitors[kernel] = visit.visitor

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
        self._left.pop(kernel_id, None)
        if kernel_id in self:
            self._met.add(self.get_kernel(kernel_id))

    def notify_disconnect(self, kernel_id: str) -> None:
        """Remember that the kernel's page is gone: it was closed, or its phone sleeps."""
        super().notify_disconnect(kernel_id)
        if not self._kernel_connections.get(kernel_id):
            self._left[kernel_id] = None

    async def end_one_left_by(self, visitor: str) -> bool:
        """End the kernel whose page left first, of those that a visitor has; whether there was one."""
        for kernel in list(self._left):
            if kernel not in self:
                del self._left[kernel]
            elif self._visitors.get(kernel) == visitor:
                del self._left[kernel]
                await self.shutdown_kernel(kernel)
                return True
        return False

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
