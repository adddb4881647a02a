"""Is everything in order? Each check says what it saw, and what to do where it is not."""

from __future__ import annotations

import os
import platform
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from html import escape
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from facekit._version import __version__
from facekit.catalog.rows import FileRow
from facekit.errors import FacekitError
from facekit.images.files import display_name
from facekit.index.protocol import Fields
from facekit.models.registry import load_detector, load_embedder, model_info
from facekit.models.weights import verify
from facekit.sources import LocalSource
from facekit.storage.settings import FILE, check_versions
from facekit.storage.shared_blobs import photos_with_thumbnails
from facekit.text.names import one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from facekit.catalog import Catalog
    from facekit.images.blobs import Blobs
    from facekit.sources.mounts import Mounts
    from facekit.storage.backend import Look
    from facekit.storage.settings import Settings
    from facekit.storage.storage import Storage

_PACKAGES = ("opencv-contrib-python-headless", "pillow", "pymilvus", "milvus-lite", "duckdb")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    detail: str
    ok: bool = True


@dataclass(frozen=True, slots=True)
class Doctor:
    """The checks of a library; true when all is well."""

    checks: tuple[Check, ...]

    def __bool__(self) -> bool:
        return all(check.ok for check in self.checks)

    def to_dict(self) -> dict[str, Any]:
        """The document that ``facekit doctor --json`` prints."""
        return {
            "ok": bool(self),
            "checks": [{"name": check.name, "ok": check.ok, "detail": check.detail} for check in self.checks],
        }

    def __repr__(self) -> str:
        return "\n".join(
            f"{'ok  ' if check.ok else 'LOOK'}  {check.name}: {one_line(check.detail)}" for check in self.checks
        )

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{'✓' if c.ok else '⚠'}</td><th style='text-align:left'>{escape(c.name)}</th>"
            f"<td style='text-align:left'>{escape(c.detail)}</td></tr>"
            for c in self.checks
        )
        return f"<table>{rows}</table>"


def examine_machine(detector: str, embedder: str, device: str, engine: str = "auto") -> list[Check]:
    """Versions, weights and the device that the models really run on."""
    versions = ", ".join([_onnxruntime(), *(f"{name} {_version(name)}" for name in _PACKAGES)])
    python = f"facekit {__version__}, Python {platform.python_version()}, {os.cpu_count()} CPUs; {versions}"
    checks: list[Check] = [Check("versions", python)]
    fetch = "facekit models fetch" + (" --engine tensorflow" if engine == "tensorflow" else "")
    for name in (detector, embedder):
        file = model_info(name).file(engine)
        state = verify(file)
        remedy = "" if state == "ok" else f" ({fetch} {name})"
        checks.append(Check(f"weights of {name}", f"{file.name}: {state}{remedy}", ok=state == "ok"))
    if all(check.ok for check in checks):
        loads = ((load_detector, detector), (load_embedder, embedder))
        try:
            found, embeds = (load(name, device=device, engine=engine) for load, name in loads)
            detail = ", ".join(f"{model.name} on {model.device} ({model.provider})" for model in (found, embeds))
            checks.append(Check("models", detail))
        except FacekitError as error:
            checks.append(Check("models", str(error), ok=False))
    return checks


def _version(package: str) -> str:
    with suppress(PackageNotFoundError):
        return version(package)
    return "not installed"


def _onnxruntime() -> str:
    """The package and the version of the ONNX Runtime that runs: several packages overwrite each other's module."""
    import onnxruntime

    here = [name for name in ("onnxruntime", "onnxruntime-gpu") if _version(name) != "not installed"]
    if len(here) > 1:
        both = f"{' and '.join(here)} are both here: uninstall both, install one"
        return f"onnxruntime {onnxruntime.__version__} ({both})"
    return f"{here[0] if here else 'onnxruntime'} {onnxruntime.__version__}"


def examine(storage: Storage) -> Doctor:
    """All checks of an open library."""
    catalog = storage.catalog
    models = storage.models.now
    checks = examine_machine(models.settings.detector, models.settings.embedder, **models.where)
    looks: dict[str, Callable[[], Check]] = {
        "library": lambda: _made_with(models.settings, catalog),
        "catalog": lambda: _catalog(catalog),
        "vector index": lambda: _index(storage),
        "thumbnails": lambda: _thumbnails(storage.blobs, catalog),
        "files": lambda: _files(catalog, storage.mounts),
        "mounts": lambda: _mounts(catalog, storage.mounts),
        "sources": lambda: _sources(catalog),
        **{name: partial(_of_backend, name, look) for name, look in storage.backend.looks().items()},
    }
    for name, look in looks.items():
        try:
            checks.append(look())
        except FacekitError as error:  # a damaged catalog is what this is asked about
            checks.append(Check(name, str(error), ok=False))
    return Doctor(tuple(checks))


def _made_with(settings: Settings, catalog: Catalog) -> Check:
    try:
        check_versions(settings)
    except FacekitError as error:
        return Check("library", str(error), ok=False)
    made = f"made with {settings.detector} and {settings.embedder}"
    if not catalog.looked_all_ways:
        made += "; turned photos of an older facekit are put right with lib.reembed() or: facekit reembed"
    return Check("library", made)


def _catalog(catalog: Catalog) -> Check:
    counts = catalog.counts()
    photos = ", ".join(f"{number} {status}" for status, number in counts["photos"].items()) or "no photos yet"
    return Check("catalog", f"{photos}; {counts['faces']} faces, {counts['usable_faces']} used by search")


def _index(storage: Storage) -> Check:
    with (
        storage.models.shared() as models
    ):  # for this alone: a change of models waits for it, and searches for the change
        held = models.index.rows()
        wanted = {row.face_id: Fields.of(row) for row in storage.catalog.index_rows()}
    wrong = len(held.keys() ^ wanted.keys()) + sum(held[key] != wanted[key] for key in held.keys() & wanted.keys())
    if wrong:
        return Check(
            "vector index",
            f"{wrong} faces are not as in the catalog; {storage.backend.where_index(models.name)}",
            ok=False,
        )
    return Check("vector index", f"{len(held)} vectors, as the catalog says")


def _thumbnails(blobs: Blobs, catalog: Catalog) -> Check:
    if not blobs.is_there():
        remedy = f"mount it, or where it is called otherwise here, write blobs into [storage] of {FILE}"
        return Check("thumbnails", f"{blobs.place} is not there on this machine: {remedy}", ok=False)
    shown = photos_with_thumbnails(catalog)
    lost = len(shown - blobs.kept().keys())
    detail = f"{len(shown) - lost} of {len(shown)}"
    if lost == len(shown) > 0:
        detail += f" in {blobs.place}: is its disk not mounted, or were they not copied there?"
        detail += " Where they are lost, remove and ingest the photos to make them again"
    elif lost:
        detail += "; remove and ingest those photos to make them again"
    return Check("thumbnails", detail, ok=not lost)


def _files(catalog: Catalog, mounts: Mounts) -> Check:
    rows = catalog.rows(FileRow)
    here = {name: name == LocalSource.name or mounts.has(name) for name in {row.source for row in rows}}
    places = [mounts.file(row.source, row.path) for row in rows if here[row.source]]
    gone = sum(place is not None and not os.path.lexists(place) for place in places)
    detail = f"{len(rows)} known, {gone} not there now"
    return Check("files", detail + ("; is a disk not mounted?" if gone else ""), ok=not gone)


def _mounts(catalog: Catalog, mounts: Mounts) -> Check:
    """Photos whose mount is not here are shown from their thumbnails; a folder that is named and empty is a fault."""
    here = (row for row in catalog.rows(FileRow) if row.version is None and row.source != LocalSource.name)
    held = Counter(row.source for row in here)
    roots = mounts.roots
    said = []
    for name in sorted({*held, *roots}):
        number = f"{held[name]} file{'' if held[name] == 1 else 's'}"
        if name not in roots:
            said.append(f"{name} is not on this machine: {number}, shown from thumbnails")
        else:
            there = "" if mounts.has(name) else ", which is not there or empty: is its disk mounted?"
            said.append(f"{name} is {display_name(roots[name])}{there} ({number})")
    by_path = sum(mounts.known(path)[0] != LocalSource.name for path in catalog.file_states(LocalSource.name))
    if by_path:
        said.append(f"{by_path} files in them are known by their path on this machine; ingest the folders again")
    return Check("mounts", "; ".join(said) or "none", ok=all(mounts.has(name) for name in roots))


def _sources(catalog: Catalog) -> Check:
    """Connected places: what the last sync of each has come to."""
    rows = catalog.sources.all()
    said = [
        f"{row.name}: {row.problem or ('paused' if row.paused else 'synced' if row.synced_at else 'new')}"
        for row in rows
    ]
    return Check("sources", "; ".join(said) or "none", ok=not any(row.problem for row in rows))


def _of_backend(name: str, look: Callable[[], Look]) -> Check:
    return Check(name, *look())
