"""Find every photo of a person: composable functions to detect, embed, index and search faces, for Jupyter.

>>> import facekit as fk
>>> from facekit.demo.photos import build_demo_photos
>>> demo = build_demo_photos("demo")  # 26 photos of two people; a folder of yours does as well
>>> lib = fk.open("faces")
>>> report = lib.ingest(demo.folder, progress=False)
>>> hits = lib.search(demo.probe)
>>> len(hits)
14

The examples in the other docstrings go on from here.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from facekit._old_names import keep_old_names
from facekit._version import __version__ as __version__

if TYPE_CHECKING:
    from facekit import models
    from facekit.clustering import Constraints, cluster, evaluate_clusters, suggest_eps
    from facekit.clustering.projection import project
    from facekit.errors import (
        DeviceError,
        DiskFullError,
        EmbeddingError,
        FacekitError,
        ForkError,
        LibraryBusyError,
        LibraryError,
        LibraryLockedError,
        ModelMismatchError,
        NameTakenError,
        NoFaceError,
        PhotoError,
        ServiceError,
        StalledError,
        UnknownIdError,
        VectorIndexError,
        WeightsError,
    )
    from facekit.images.decode import read_image
    from facekit.images.files import Limits
    from facekit.ingest.reembed_report import ReembedReport
    from facekit.ingest.report import IngestReport
    from facekit.library.base import Library
    from facekit.library.opening import open_library as open  # noqa: A004 - fk.open is what one would type
    from facekit.library.sources import Sources
    from facekit.measure.calibration import Calibration, calibrate
    from facekit.models import align, detect, embed, similarity
    from facekit.people.base import People
    from facekit.search.hits import Hits
    from facekit.server.publish import publish
    from facekit.sources import scan
    from facekit.types.arrays import Detections, Quality
    from facekit.types.people import Person
    from facekit.types.photos import Face, Hit, Photo, Probe, Status
    from facekit.types.sources import ConnectedPlace, SyncReport

# Where each public name lives. They are imported at first use, so that `import facekit` costs next to nothing.
_HOMES = {
    "facekit.measure.calibration": ["Calibration", "calibrate"],
    "facekit.errors": [
        "DeviceError",
        "DiskFullError",
        "EmbeddingError",
        "FacekitError",
        "ForkError",
        "LibraryBusyError",
        "LibraryError",
        "LibraryLockedError",
        "ModelMismatchError",
        "NameTakenError",
        "NoFaceError",
        "PhotoError",
        "ServiceError",
        "SignInError",
        "SourceError",
        "StalledError",
        "UnknownIdError",
        "VectorIndexError",
        "WeightsError",
    ],
    "facekit.search.hits": ["Hits"],
    "facekit.images": ["Limits", "read_image"],
    "facekit.ingest.report": ["IngestReport"],
    "facekit.library.base": ["Library"],
    "facekit.models": ["align", "detect", "embed", "similarity"],
    "facekit.ingest.reembed_report": ["ReembedReport"],
    "facekit.library.opening": ["open"],
    "facekit.clustering": ["Constraints", "cluster", "evaluate_clusters", "suggest_eps"],
    "facekit.people.base": ["People"],
    "facekit.library.sources": ["Sources"],
    "facekit.types.sources": ["ConnectedPlace", "SyncReport"],
    "facekit.clustering.projection": ["project"],
    "facekit.types.people": ["Person"],
    "facekit.server.publish": ["publish"],
    "facekit.sources": ["scan"],
    "facekit.types": ["Detections", "Face", "Hit", "Photo", "Probe", "Quality", "Status"],
}
_home = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Calibration",
    "ConnectedPlace",
    "Constraints",
    "Detections",
    "DeviceError",
    "DiskFullError",
    "EmbeddingError",
    "Face",
    "FacekitError",
    "ForkError",
    "Hit",
    "Hits",
    "IngestReport",
    "Library",
    "LibraryBusyError",
    "LibraryError",
    "LibraryLockedError",
    "Limits",
    "ModelMismatchError",
    "NameTakenError",
    "NoFaceError",
    "People",
    "Person",
    "Photo",
    "PhotoError",
    "Probe",
    "Quality",
    "ReembedReport",
    "ServiceError",
    "SignInError",
    "SourceError",
    "Sources",
    "StalledError",
    "Status",
    "SyncReport",
    "UnknownIdError",
    "VectorIndexError",
    "WeightsError",
    "align",
    "calibrate",
    "cluster",
    "detect",
    "embed",
    "evaluate_clusters",
    "models",
    "open",
    "project",
    "publish",
    "read_image",
    "scan",
    "similarity",
    "suggest_eps",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    if name == "models":
        return import_module("facekit.models")  # a module that can be called
    if name not in _home:
        message = f"module 'facekit' has no attribute {name!r}"
        raise AttributeError(message)
    value = getattr(import_module(_home[name]), "open_library" if name == "open" else name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


keep_old_names()
