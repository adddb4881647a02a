"""What a run of an ingest did, in numbers and in words."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

from loguru import logger

from facekit.ingest.pipeline import STAGES
from facekit.storage.logs import short_id
from facekit.text.names import one_line
from facekit.types.photos import Status

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from facekit.ingest.pipeline import Item


_COUNTS = ("found", "ingested", "unchanged", "duplicates", "missing", "faces", "no_face")


_MOST_LOST = 10  # said in words


@dataclass(frozen=True, slots=True)
class Failure:
    """A file that could not be used, and why."""

    path: str
    status: Status
    reason: str


@dataclass(frozen=True, slots=True)
class LostName:
    """A person whose faces in a photo are no longer in the library, because its file shows something else now."""

    name: str
    faces: int
    path: str


@dataclass(slots=True)
class IngestReport:
    """What a run did. ``found = ingested + unchanged + duplicates + len(failed)`` unless it was stopped.

    ``ingested`` counts the files that were read and searched for faces, ``no_face`` those of them that show none;
    ``duplicates`` are new paths of contents that the library has (moved files are among them); ``missing`` are files
    that have vanished since the last run; ``assigned`` faces were given to people whom they clearly resemble;
    ``stages`` holds seconds by stage (those of threads and processes added up); ``skipped`` counts the folders and
    files that were left out, by what they are; ``kept_out`` files in these are known from before and stay in the
    library; ``names_lost`` are the people who have fewer faces now; ``warnings`` are what else is worth knowing, and
    ``models`` is what the faces were made with.

    Examples
    --------
    >>> report = lib.ingest(demo.folder, progress=False)
    >>> report.found, report.ingested, report.unchanged
    (26, 0, 26)
    >>> [(one.path, one.reason) for one in report.failed]
    []
    """

    found: int = 0
    ingested: int = 0
    unchanged: int = 0
    duplicates: int = 0
    missing: int = 0
    faces: int = 0
    no_face: int = 0
    failed: list[Failure] = field(default_factory=list)
    seconds: float = 0.0
    stopped: bool = False
    warnings: list[str] = field(default_factory=list)
    stages: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    models: str = ""
    assigned: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    kept_out: int = 0
    names_lost: list[LostName] = field(default_factory=list)

    def add(self, other: IngestReport) -> None:
        """Count what another run did as part of this one."""
        for name in (*_COUNTS, "seconds", "assigned", "kept_out"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.failed += other.failed
        self.warnings += other.warnings
        self.names_lost += other.names_lost
        self.skipped = dict(Counter(self.skipped) + Counter(other.skipped))
        self.stopped = self.stopped or other.stopped
        for stage, seconds in other.stages.items():
            self.stages[stage] += seconds

    def count(self, items: Iterable[Item], twice: Collection[str] = ()) -> None:
        """Count files that were stored; the log says which could not be used. ``twice`` are photos counted before."""
        for item in items:
            status, reason = item.status, item.reason
            if status not in {Status.OK, Status.NO_FACE}:
                if item.record is None:
                    reason = f"{item.file.display} has the same content as a file refused before: {reason}"
                self.failed.append(Failure(item.file.display, status, reason or ""))
                said = logger.bind(console=f"{status}: {reason}")
                said.warning("photo {}: {}", short_id(item.photo_id), status)
            elif item.record is None or item.photo_id in twice:
                self.duplicates += 1
            else:
                self.ingested += 1
                self.faces += len(item.record.faces)
                self.no_face += status is Status.NO_FACE

    def document(self) -> dict[str, Any]:
        """All of it as JSON, which `from_document` reads."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> IngestReport:
        """See `document`."""
        failed = [Failure(one["path"], Status(one["status"]), one["reason"]) for one in document["failed"]]
        lost = [LostName(**one) for one in document["names_lost"]]
        return cls(**{**document, "failed": failed, "names_lost": lost})

    def to_dict(self) -> dict[str, Any]:
        """The document that ``facekit ingest --json`` prints."""
        failed = [{"path": one.path, "status": one.status.value, "reason": one.reason} for one in self.failed]
        lost = [asdict(one) for one in self.names_lost]
        left_out = {"skipped": dict(self.skipped), "kept_out": self.kept_out, "names_lost": lost}
        counts = {name: getattr(self, name) for name in _COUNTS}
        return counts | {"failed": failed, "seconds": round(self.seconds, 3)} | left_out

    def _numbers(self) -> list[str]:
        """Of photos and people, without their names."""
        rate = f", {self.ingested / self.seconds:.1f} photos/s" if self.ingested and self.seconds else ""
        lines = [
            f"{'Stopped after' if self.stopped else 'Done in'} {self.seconds:.1f} s{rate} ({self.models})",
            f"{self.found} files: {self.ingested} ingested, {self.unchanged} unchanged, {self.duplicates} duplicates",
            f"{len(self.failed)} failed, {self.missing} have vanished",
            f"{self.faces} faces; {self.no_face} photos without a face",
        ]
        if self.assigned:
            lines.append(f"{self.assigned} faces are people that the library knows")
        if self.skipped:
            lines.append("left out: " + ", ".join(f"{count} {kind}" for kind, count in sorted(self.skipped.items())))
        if self.kept_out:
            lines.append(f"{self.kept_out} files in there are known from before and stay; facekit remove forgets them")
        return lines

    def _lines(self) -> list[str]:
        lines = self._numbers()
        lines += [f"names lost: {_lost_words(one)}" for one in self.names_lost[:_MOST_LOST]]
        if len(self.names_lost) > _MOST_LOST:
            lines.append(f"names lost: ... and {len(self.names_lost) - _MOST_LOST} more in .names_lost")
        lines += [f"Note: {one_line(warning)}" for warning in self.warnings]
        if self.stopped:
            lines.append("What is done is kept: run it again to go on.")
        return lines

    def __repr__(self) -> str:
        failures = [f"  {one.status}: {one_line(one.reason)}" for one in self.failed[:10]]
        more = [f"  ... and {len(self.failed) - 10} more in .failed"] if len(self.failed) > 10 else []  # noqa: PLR2004
        return "\n".join(self._lines() + failures + more)

    def _repr_html_(self) -> str:
        return report_html(self._lines(), self.failed)


def _lost_words(one: LostName) -> str:
    return f"{one.name}: {one.faces} face{'' if one.faces == 1 else 's'} ({one.path})"


def report_html(lines: Sequence[str], failures: Sequence[Failure]) -> str:
    """A report in a notebook: its lines, and a table of the first hundred files that could not be used."""
    rows = "".join(
        f"<tr><td>{escape(one.status)}</td><td style='text-align:left'>{escape(one.reason)}</td></tr>"
        for one in failures[:100]
    )
    table = f"<table><tr><th>status</th><th style='text-align:left'>reason</th></tr>{rows}</table>" if rows else ""
    return "<p>" + "<br>".join(escape(line) for line in lines) + "</p>" + table
