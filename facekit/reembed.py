"""Another detector or embedder for a library: its faces made again from the photos, beside those that it has."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from html import escape
from itertools import count
from threading import Event
from time import perf_counter
from typing import TYPE_CHECKING, Any

from loguru import logger

from facekit.bound import ModelSet, new_vectors
from facekit.catalog.staging import Bound
from facekit.catalog.tables import faces, photos, staged_faces
from facekit.derived import thumbnail_path, write_thumbnail
from facekit.images import Limits
from facekit.ingest import Failure, check_disk, show_progress, store_batches
from facekit.matching import match_faces
from facekit.models.registry import load_detector, load_embedder
from facekit.pipeline import Pipeline
from facekit.settings import settings_of, write_settings
from facekit.sources import LocalSource
from facekit.types import FoundFile, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import Self

    import pandas as pd

    from facekit.bound import InUse
    from facekit.catalog import Catalog, IndexRow
    from facekit.catalog.staging import Box
    from facekit.ingest import Progress
    from facekit.pipeline import Item
    from facekit.settings import Settings

REEMBEDDED = "the library was re-embedded with them"

_SHOWN = 10  # photos that could not be read, in a report's text


@dataclass(frozen=True, slots=True)
class Alone:
    """A face that has no partner in the other set; ``box`` is ``x, y, width, height`` in 0..1 of the upright photo.

    ``which`` is "old" for a face that the models before found, "new" for one that the models now find.
    """

    photo: str
    face_id: str
    box: tuple[float, float, float, float]
    which: str


@dataclass(slots=True)
class ReembedReport:
    """What a change of models did.

    ``photos`` counts those that this run searched for faces; ``matched`` the faces that are in both sets, ``alone``
    holds those that are in one only (`unmatched` is the same as a table), ``unreadable`` the photos that could not be
    read. ``switched`` says whether the library uses the new models now; until then it uses the old ones.
    """

    models_before: str = ""
    models_after: str = ""
    photos: int = 0
    faces_before: int = 0
    faces_after: int = 0
    matched: int = 0
    alone: list[Alone] = field(default_factory=list)
    unreadable: list[Failure] = field(default_factory=list)
    seconds: float = 0.0
    stopped: bool = False
    switched: bool = False

    @property
    def unmatched(self) -> pd.DataFrame:
        """The faces without a partner: photo, face_id, box, and whether they are in the "old" or the "new" set."""
        import pandas as pd

        return pd.DataFrame([asdict(one) for one in self.alone], columns=["photo", "face_id", "box", "which"])

    def to_dict(self) -> dict[str, Any]:
        """The document that ``facekit reembed --json`` prints."""
        names = ("models_before", "models_after", "photos", "faces_before", "faces_after", "matched")
        return {name: getattr(self, name) for name in names} | {
            "unmatched": [asdict(one) | {"box": list(one.box)} for one in self.alone],
            "unreadable": [
                {"path": one.path, "status": one.status.value, "reason": one.reason} for one in self.unreadable
            ],
            "seconds": round(self.seconds, 3),
            "stopped": self.stopped,
            "switched": self.switched,
        }

    @classmethod
    def from_dict(cls, said: Mapping[str, Any]) -> Self:
        """The report whose `to_dict` this is."""
        values = dict(said)
        values["alone"] = [Alone(**one | {"box": tuple(one["box"])}) for one in values.pop("unmatched")]
        values["unreadable"] = [
            Failure(one["path"], Status(one["status"]), one["reason"]) for one in said["unreadable"]
        ]
        return cls(**values)

    def _lines(self) -> list[str]:
        rate = f", {self.photos / self.seconds:.1f} photos/s" if self.photos and self.seconds else ""
        lines = [
            f"{'Stopped after' if self.stopped else 'Done in'} {self.seconds:.1f} s{rate}",
            f"{self.photos} photos searched for faces with {self.models_after}",
        ]
        if self.switched and self.models_before == self.models_after:
            lines = [f"The library is made with {self.models_after} already; nothing was to be done."]
        elif self.switched:
            old = sum(one.which == "old" for one in self.alone)
            lone = f"{old} old and {len(self.alone) - old} new ones have no partner (.unmatched)"
            lines += [
                f"The library uses {self.models_after} now, before: {self.models_before}",
                f"{self.faces_before} faces before, {self.faces_after} now; {self.matched} are the same, {lone}",
            ]
        else:
            lines.append(f"The library uses {self.models_before} as before.")
        if self.unreadable:
            lines.append(f"{len(self.unreadable)} photos could not be read.")
            lines.append(
                "They have no faces now; a later ingest finds them."
                if self.switched
                else "Bring them back and run it again: only they are done. "
                "Or run it with skip_unreadable=True (--skip-unreadable): they stay in the library without faces."
            )
        if self.stopped:
            lines.append("What is done is kept: run it again to go on.")
        return lines

    def __repr__(self) -> str:
        failures = [f"  {one.status}: {one.reason}" for one in self.unreadable[:_SHOWN]]
        rest = len(self.unreadable) - _SHOWN
        more = [f"  ... and {rest} more in .unreadable"] if rest > 0 else []
        return "\n".join(self._lines() + failures + more)

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{escape(one.status)}</td><td style='text-align:left'>{escape(one.reason)}</td></tr>"
            for one in self.unreadable[:100]
        )
        table = f"<table><tr><th>status</th><th style='text-align:left'>reason</th></tr>{rows}</table>" if rows else ""
        return "<p>" + "<br>".join(escape(line) for line in self._lines()) + "</p>" + table


class Reembed:
    """One run. Nothing that searches see changes until all is made; then all of it changes in one step.

    Parameters
    ----------
    catalog : Catalog
        Where the photos stand, and the new faces beside the old ones.
    folder : Path
        The library's folder.
    in_use : InUse
        The models that the library uses, which the switch replaces.
    detector, embedder : str, optional
        The models to change to; by default those that it has, in the version that this facekit has.
    stop : threading.Event, optional
        Set, it stops the run as Ctrl-C does.
    skip : bool, optional
        Switch although some photos could not be read.

    Raises
    ------
    FacekitError
        If there is no such model, or its weights are not to be had.
    """

    def __init__(
        self,
        catalog: Catalog,
        folder: Path,
        in_use: InUse,
        detector: str | None,
        embedder: str | None,
        *,
        stop: Event | None = None,
        skip: bool = False,
    ) -> None:
        self._catalog = catalog
        self._folder = folder
        self._in_use = in_use
        old, self._where = in_use.now.settings, in_use.now.where
        wanted = settings_of(detector or old.detector, embedder or old.embedder)
        self._settings = old.with_models(wanted.models, REEMBEDDED)
        self._models = (
            load_detector(wanted.detector, **self._where),
            load_embedder(wanted.embedder, **self._where),
        )
        self._stop = stop or Event()
        self._skip = skip
        self._left: set[str] = set()
        self._lost: dict[str, Failure] = {}
        self.report = ReembedReport(_words(old), _words(self._settings))

    def run(self, progress: Progress) -> ReembedReport:
        """Make the faces that are not made yet, and switch. Ctrl-C stops it; what is done is kept."""
        start = perf_counter()
        report = self.report
        report.faces_before = report.faces_after = int(self._catalog.counts()["faces"])
        try:
            if self._settings.models == self._in_use.now.settings.models:
                self._catalog.staging.clear()
                report.switched = True
                return report
            self._make(progress)
            report.unreadable = sorted(self._lost.values(), key=lambda one: one.path)
            if self._skip or not report.unreadable:
                with ThreadPoolExecutor(1) as apart:  # Ctrl-C reaches the main thread: it can't cut a switch in two
                    switched = apart.submit(self._switch)
                    try:
                        switched.result()
                    except KeyboardInterrupt:
                        self._stop.set()
                        raise
        except KeyboardInterrupt:
            report.stopped = not report.switched
        finally:
            report.seconds = perf_counter() - start
            logger.info("Re-embedding: {}", "; ".join(report._lines()))  # noqa: SLF001 - our own report
        return report

    # -- making the faces ----------------------------------------------------------------------------------------

    def _make(self, progress: Progress) -> None:
        """Make the faces of all photos that are not done; those that can't be read are in `_lost` afterwards."""
        rows = self._catalog.rows(photos)
        good = [row for row in rows if row["status"] in {Status.OK, Status.NO_FACE}]
        done = self._catalog.staging.begin(self._settings.models)
        self._left = {row["photo_id"] for row in good} - done
        places = self._catalog.places(self._left)
        # What the library took once is not too large now.
        limits = Limits(
            max([Limits().max_bytes, *(row["bytes"] for row in good)]),
            max([Limits().max_pixels, *(row["width"] * row["height"] for row in good)]),
        )
        known = {key: found for key, found in self._catalog.photo_statuses().items() if key not in self._left}
        pipeline = Pipeline(*self._models, limits, known)
        with show_progress(len(good), progress, "reembed") as advance:
            advance(len(done))
            for number in count():  # a photo that can't be read at one place is looked for at the next
                todo = [places[key][number] for key in self._left if number < len(places.get(key, ()))]
                if not todo:
                    break
                self._read(sorted(todo, key=lambda row: row["display"]), pipeline, advance)

    def _read(self, rows: Sequence[dict[str, Any]], pipeline: Pipeline, advance: Callable[[int], None]) -> None:
        anywhere = LocalSource(os.sep, must_exist=False)
        files = [
            FoundFile(row["source"], bytes(row["path"]), row["display"], row["bytes"], row["mtime_ns"]) for row in rows
        ]
        expected = {file.path: row["photo_id"] for file, row in zip(files, rows, strict=True)}

        def store(items: Sequence[Item]) -> None:
            advance(self._store(items, expected))

        with closing(pipeline.run([(anywhere, file) for file in files])) as batches:
            store_batches(batches, store, self._stop)

    def _store(self, items: Sequence[Item], expected: Mapping[bytes, str]) -> int:
        """Keep what was made beside what the library has; returns how many photos that were."""
        check_disk(self._folder)
        records = {}
        for item in items:
            file, wanted = item.file, expected[item.file.path]
            if item.error is None and item.record is not None and item.photo_id in self._left:
                records[item.photo_id] = item.record
                if item.thumbnail and not thumbnail_path(self._folder, item.photo_id).exists():
                    write_thumbnail(self._folder, item.photo_id, item.thumbnail)
            if item.error is not None:
                self._lost[wanted] = Failure(file.display, item.error.status, item.error.reason)
            elif item.photo_id != wanted:
                reason = f"{file.display} was changed since it was ingested"
                self._lost[wanted] = Failure(file.display, Status.MISSING, reason)
        detector, embedder = self._models
        self._catalog.staging.save(list(records.values()), detector=detector.name, embedder=embedder.name)
        self._left -= records.keys()
        for key in records:
            self._lost.pop(key, None)
        self.report.photos += len(records)
        return len(records)

    # -- the switch ----------------------------------------------------------------------------------------------

    def _switch(self) -> None:
        """Make the index and match the faces, then change everything at once."""
        check_disk(self._folder)
        catalog, report = self._catalog, self.report
        name = new_vectors()
        models = ModelSet(self._settings, self._folder / name, **self._where)
        try:
            models.index.upsert(self._rows())
            pairs, alone = self._matched()
            catalog.staging.carry(pairs)
            self._go_on()
            with self._in_use.alone():
                unread = {key: f"{one.reason} (when the models were changed)" for key, one in self._lost.items()}
                catalog.staging.switch(Bound(self._settings.models, name), unread)
                # It is done: whatever happens from here on, opening the library finishes it.
                old, self._in_use.now = self._in_use.now, models
        except BaseException:
            if self._in_use.now is not models:
                models.discard()
            raise
        report.switched, report.matched, report.alone = True, len(pairs), alone
        report.faces_after = int(catalog.counts()["faces"])
        write_settings(self._folder, self._settings)
        catalog.staging.clear()
        catalog.index_caught_up()
        old.discard()

    def _rows(self) -> Iterator[IndexRow]:
        for row in self._catalog.index_rows(faces=staged_faces):
            self._go_on()
            yield row

    def _go_on(self) -> None:
        if self._stop.is_set():
            raise KeyboardInterrupt

    def _matched(self) -> tuple[list[tuple[str, str]], list[Alone]]:
        """Which old face is which new one, and the faces without a partner."""
        staging = self._catalog.staging
        old, new = staging.boxes(faces), staging.boxes(staged_faces)
        pairs: list[tuple[str, str]] = []
        left: list[Alone] = []  # with the photo's id instead of its path
        for photo_id in sorted(old.keys() | new.keys()):
            before, after = old.get(photo_id, {}), new.get(photo_id, {})
            both = same_faces(before, after)
            pairs += both.items()
            left += [Alone(photo_id, key, box, "old") for key, box in before.items() if key not in both]
            partners = set(both.values())
            left += [Alone(photo_id, key, box, "new") for key, box in after.items() if key not in partners]
        places = self._catalog.places({one.photo for one in left})
        return pairs, [replace(one, photo=places[one.photo][0]["display"]) for one in left]


def same_faces(old: Mapping[str, Box], new: Mapping[str, Box]) -> dict[str, str]:
    """Old face ids and the new ids of the same faces, from the boxes in one photo; an id in both is one face."""
    found = {key: key for key in old.keys() & new.keys()}
    ours, theirs = ([key for key in boxes if key not in found] for boxes in (old, new))
    for a, b in match_faces([old[key] for key in ours], [new[key] for key in theirs]):
        found[ours[a]] = theirs[b]
    return found


def _words(settings: Settings) -> str:
    """The models with their versions: those before and after may differ in nothing else."""
    return f"{settings.detector} {settings.detector_version} + {settings.embedder} {settings.embedder_version}"
