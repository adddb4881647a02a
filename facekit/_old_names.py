"""Modules that had another name before, for those who import them by it: a name that is kept costs nothing."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

NEW_NAMES = {
    "facekit.bench": "facekit.measure.bench",
    "facekit.calibration": "facekit.measure.calibration",
    "facekit.demo_photos": "facekit.demo.photos",
    "facekit.evaluate": "facekit.measure.lfw_accuracy",
    "facekit.hits": "facekit.search.hits",
    "facekit.opening": "facekit.library.opening",
    "facekit.people.clustering": "facekit.clustering.methods",
    "facekit.people.crowd": "facekit.measure.crowd",
    "facekit.people.people": "facekit.people.base",
    "facekit.people.projection": "facekit.clustering.projection",
    "facekit.people.records": "facekit.types.people",
    "facekit.reembed_report": "facekit.ingest.reembed_report",
    "facekit.ways": "facekit.measure.speed",
}
"""Those that the documentation, notebooks or public names led to."""


class _Alias(Loader):
    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = import_module(NEW_NAMES[spec.name])
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec  # Python has just given it the old name's


class _OldNames(MetaPathFinder):
    def find_spec(  # Python gives all three
        self,
        fullname: str,
        path: Sequence[str] | None = None,  # noqa: ARG002
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, _Alias()) if fullname in NEW_NAMES else None


def keep_old_names() -> None:
    """Let modules be imported by the names that they had."""
    sys.meta_path.append(_OldNames())
