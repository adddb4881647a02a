"""The visitors' kernels."""

from __future__ import annotations

from typing import Any
from weakref import WeakSet

from voila.configuration import VoilaConfiguration


class Kernels(VoilaConfiguration().multi_kernel_manager_class):  # type: ignore[misc]
    """Voila's own manager, that also ends the kernels of visitors who never came: bots, and tabs closed at once.

    Jupyter would keep these for as long as a kernel whose visitor may come back. And it counts from a kernel's last
    work, which for one that waited for its visitor may be hours ago: it could end that one before the page connects.
    """

    def __init__(self, **how: object) -> None:
        super().__init__(**how)
        self._met: WeakSet[Any] = WeakSet()
        self._missed: WeakSet[Any] = WeakSet()

    def notify_connect(self, kernel_id: str) -> None:
        """Remember that the kernel's page was there."""
        super().notify_connect(kernel_id)
        if kernel_id in self:
            self._met.add(self.get_kernel(kernel_id))

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
