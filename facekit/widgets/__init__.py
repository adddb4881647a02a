"""Widgets for notebooks and the web app: galleries, forms, panels. They need the extra ``app``."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facekit.widgets.app import SearchApp
    from facekit.widgets.gallery import Gallery
    from facekit.widgets.panels import IngestPanel, LibraryPanel, SearchPanel
    from facekit.widgets.people.panel import PeoplePanel
    from facekit.widgets.sourcesform import SourcesForm
    from facekit.widgets.uploader import Uploader

# Where each public name lives. They are imported at first use, as the names of facekit are.
_HOMES = {
    "Gallery": "gallery",
    "IngestPanel": "panels",
    "LibraryPanel": "panels",
    "PeoplePanel": "people.panel",
    "SearchApp": "app",
    "SearchPanel": "panels",
    "SourcesForm": "sourcesform",
    "Uploader": "uploader",
}

__all__ = [
    "Gallery",
    "IngestPanel",
    "LibraryPanel",
    "PeoplePanel",
    "SearchApp",
    "SearchPanel",
    "SourcesForm",
    "Uploader",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    if name not in _HOMES:
        message = f"module 'facekit.widgets' has no attribute {name!r}"
        raise AttributeError(message)
    value = getattr(import_module(f"facekit.widgets.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
