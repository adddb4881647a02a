"""What a change of a library's models did, in words and as a document."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from facekit.ingest.report import Failure, report_html
from facekit.text.names import one_line
from facekit.types.photos import Box, Status

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    import pandas as pd

MOST_ALONE = 1000
"""Faces without a partner in the document, which a service keeps for each job and sends with each answer about it."""

_SHOWN = 10  # photos that could not be read, in a report's text


@dataclass(frozen=True, slots=True)
class Alone:
    """A face that has no partner in the other set; ``box`` is ``x, y, width, height`` in 0..1 of the upright photo.

    ``which`` is "old" for a face that the models before found, "new" for one that the models now find.
    """

    photo: str
    face_id: str
    box: Box
    which: str


@dataclass(slots=True)
class ReembedReport:
    """What a change of models did.

    ``models_before`` and ``models_after`` are detector and embedder with their versions, ``faces_before`` and
    ``faces_after`` the faces that each of them made; ``seconds`` is what this run took, and ``switched_before`` says
    that the library had changed to these models earlier.
    ``photos`` counts those that this run searched for faces; ``matched`` the faces that are in both sets,
    ``unmatched_old`` and ``unmatched_new`` those that are in one only; ``alone`` holds these (`unmatched` is the same
    as a table), of a service at most 1,000. ``unreadable`` are the photos that could not be read. ``switched`` says
    whether the library uses the new models now; until then it uses the old ones. ``again`` is the call that goes on
    with this run, ``discarded`` the photos whose faces a stopped run had made for other models, and which were thrown
    away; ``threshold`` the similarity that was set for searches, if it does not count any more.

    Examples
    --------
    >>> report = lib.reembed("yunet", "sface", progress=False)
    >>> report.switched, report.photos  # the library had these models already
    (True, 0)
    >>> len(report.unmatched)
    0
    """

    models_before: str = ""
    models_after: str = ""
    photos: int = 0
    faces_before: int = 0
    faces_after: int = 0
    matched: int = 0
    unmatched_old: int = 0
    unmatched_new: int = 0
    alone: list[Alone] = field(default_factory=list)
    unreadable: list[Failure] = field(default_factory=list)
    seconds: float = 0.0
    stopped: bool = False
    switched: bool = False
    again: str = ""
    discarded: int = 0
    threshold: float | None = None
    switched_before: bool = False

    @property
    def unmatched(self) -> pd.DataFrame:
        """The faces without a partner: photo, face_id, box, and whether they are in the "old" or the "new" set."""
        import pandas as pd

        return pd.DataFrame([asdict(one) for one in self.alone], columns=["photo", "face_id", "box", "which"])

    def to_dict(self) -> dict[str, Any]:
        """The document that ``facekit reembed --json`` prints."""
        return {name: getattr(self, name) for name in _PLAIN} | {
            "unmatched": [asdict(one) | {"box": list(one.box)} for one in self.alone[:MOST_ALONE]],
            "unreadable": [
                {"path": one.path, "status": one.status.value, "reason": one.reason} for one in self.unreadable
            ],
            "seconds": round(self.seconds, 3),
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
        again = self.again and f": {self.again}"
        lines = [
            f"{'Stopped after' if self.stopped else 'Done in'} {self.seconds:.1f} s{rate}",
            f"{self.photos} photos searched for faces with {self.models_after}",
        ]
        if self.switched and self.models_before == self.models_after:
            lines = [f"The library is made with {self.models_after} already; nothing was to be done."]
            if self.switched_before:
                lines.append("It changed to them before; the catalog's table `carried` says which face became which.")
        elif self.switched:
            lone = f"{self.unmatched_old} old and {self.unmatched_new} new ones have no partner"
            some = len(self.alone) < self.unmatched_old + self.unmatched_new
            lone += f" (the first {len(self.alone)} are in .unmatched)" if some else " (.unmatched)"
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
                else f"Bring them back and run it again, and only they are done{again}. "
                "Or run it with skip_unreadable=True (--skip-unreadable): they stay in the library without faces."
            )
        if self.stopped:
            lines.append(f"What is done is kept; to go on, run it again{again}.")
        if self.discarded:
            lines.append(f"What a stopped run had made of {self.discarded} photos with other models was thrown away.")
        if self.threshold is not None:
            lines.append(f"The similarity of {self.threshold:g} that was set for searches meant the embedder before.")
        return lines

    def __repr__(self) -> str:
        failures = [f"  {one.status}: {one_line(one.reason)}" for one in self.unreadable[:_SHOWN]]
        rest = len(self.unreadable) - _SHOWN
        more = [f"  ... and {rest} more in .unreadable"] if rest > 0 else []
        return "\n".join(self._lines() + failures + more)

    def _repr_html_(self) -> str:
        return report_html(self._lines(), self.unreadable)


_PLAIN = (
    *("models_before", "models_after", "photos", "faces_before", "faces_after", "matched"),
    *("unmatched_old", "unmatched_new", "stopped", "switched", "again", "discarded", "threshold", "switched_before"),
)
