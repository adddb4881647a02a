"""The whole way on real photos, in one call: what ``facekit demo`` shows."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

from facekit.demo.photos import build_demo_photos
from facekit.library.opening import open_library
from facekit.models.cache import cache_folder
from facekit.storage.place import folder_of_place

if TYPE_CHECKING:
    from pathlib import Path

    from facekit.ingest.report import IngestReport
    from facekit.search.hits import Hits
    from facekit.storage.place import Place


@dataclass(frozen=True, slots=True, eq=False)
class Demo:
    """What the demo did, and what to type next."""

    report: IngestReport
    hits: Hits
    next_steps: list[str]


def run_demo(photos: Path | None = None, probe: Path | None = None, library: Place | None = None) -> Demo:
    """Ingest photos and search them for a person.

    Parameters
    ----------
    photos, probe : Path, optional
        A folder and a picture of somebody; by default real photos that installed packages carry, written to the cache.
    library : Path or str, optional
        Where the library goes, a folder or the address of a catalog; by default into the cache.
    """
    if photos is None or probe is None:
        ready = build_demo_photos(cache_folder() / "demo" / "photos")
        photos, probe = ready.folder, ready.probe
    if library is None:
        name = blake2b(str(photos.resolve()).encode("utf-8", "surrogateescape"), digest_size=4).hexdigest()
        library = cache_folder() / "demo" / f"library-{name}"
    with open_library(library) as lib:
        report = lib.ingest(photos)
        hits = lib.search(probe)
        page = hits.save_html(folder_of_place(library) / "demo-hits.html")
    next_steps = [
        "",
        f"The photos:  {photos}",
        f"The probe:   {probe}",
        f"The page:    {page}",
        f"The library: {library}",
        "",
        'As a web page (pip install "facekit[app]"):',
        f"  facekit --library {shlex.quote(str(library))} serve --app",
        "",
        "Next, with your own photos:",
        "  facekit demo --photos DIR --probe FILE",
        "  facekit --library faces ingest DIR",
        "  facekit --library faces search FILE --html hits.html",
        "or in a notebook:",
        '  import facekit as fk; lib = fk.open("faces"); lib.ingest("DIR"); lib.search("FILE")',
    ]
    return Demo(report, hits, next_steps)
