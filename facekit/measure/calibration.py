"""Which threshold? How alike faces of the same person and of different people are, measured on labelled photos."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from facekit.errors import FacekitError, ModelMismatchError
from facekit.library.base import Library
from facekit.measure.labelled_pairs import PhotoLabels, Table, compare_photos, measured_pairs
from facekit.metrics import verification as metrics

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

    from facekit.types.arrays import FloatArray

FEWEST_PAIRS = 20
"""Of either kind: below, even the equal error rate is no more than an anecdote (one pair is 5 %)."""

FALSE_ACCEPTS = 10
"""As many pairs of different people must be accepted wrongly for a false accept rate to be measured: the true rate is
then within about a half of the measured one at 90 % confidence (binomial, 1.645 / sqrt(10)), if pairs were independent.
They share photos, so that it is rather more; the rule of Doddington et al. (2000) asks for 30 errors."""

FALSE_ACCEPT_RATES = (1e-2, 1e-3, 1e-4)
CURVE_POINTS = 1001


@dataclass(frozen=True, eq=False, repr=False)
class Calibration:
    """How well similarities tell the same person from different people, and which threshold follows; of `calibrate`.

    Parameters
    ----------
    same, different : ndarray, float32 (N,), (M,)
        Cosine similarities of pairs of the same person and of different people, ascending.
    current : float, optional
        The threshold that the library's searches took when it was measured.
    remarks : tuple of str
        What was left out and why, in plain words.
    embedder : str, optional
        Name and version of the library's embedder, ``sface 1``, whose similarities these are.

    Examples
    --------
    >>> import numpy as np
    >>> same, different = np.float32([0.3, 0.5, 0.6, 0.8]), np.float32([-0.1, 0.1, 0.2, 0.4])
    >>> calibration = fk.Calibration(same, different)
    >>> calibration.eer
    0.25
    >>> calibration.rates(0.45)  # of a threshold: false accepts, false rejects
    (0.0, 0.25)
    """

    same: FloatArray
    different: FloatArray
    current: float | None = None
    remarks: tuple[str, ...] = ()
    embedder: str | None = None

    @cached_property
    def _roc(self) -> metrics.RocCurve:
        same = np.repeat([True, False], [len(self.same), len(self.different)])
        return metrics.roc(np.concatenate([self.same, self.different]), same)

    @property
    def eer(self) -> float:
        """Equal error rate, 0..1: where false accepts are as frequent as false rejects."""
        return metrics.equal_error_rate(self._roc)

    @property
    def eer_threshold(self) -> float:
        """The threshold at which the two rates differ least."""
        curve = self._roc
        return float(curve.thresholds[1:][np.argmin(np.abs(curve.far + curve.tar - 1)[1:])])

    def threshold(self, far: float = 1e-3) -> float:
        """The lowest threshold whose false accept rate is at most `far`.

        Parameters
        ----------
        far : float
            How many pairs of different people may be accepted, 0..1. A search compares the probe with every face: in
            a library of 10,000 faces, 0.001 lets some 10 of strangers in.

        Returns
        -------
        float
            Cosine similarity; a pair is accepted from it on.

        Raises
        ------
        FacekitError
            If there are fewer than ``10 / far`` pairs of different people, too few to measure such a rate; or if even
            the highest similarity is that of too many different people.
        """
        if not 0 < far <= 1:
            message = f"{far} is no false accept rate."
            raise FacekitError(message, "Give a share from 0 to 1: 0.001 is one in a thousand.")
        if not self._enough_for(far):
            least = FALSE_ACCEPTS / len(self.different)
            digit = 10.0 ** np.floor(np.log10(least))
            advice = f"Take {np.ceil(least / digit) * digit:g} or more, or label" if least < 1 else "Label"
            raise FacekitError(self._too_few(far), f"{advice} more photos.")
        if not self.supports(far):
            message = f"More than {far:.4g} of the pairs of different people are as alike as can be."
            raise FacekitError(message, "Look whether the labels are right: the same photo may bear two names.")
        return metrics.threshold_at_far(self._roc, far)

    def supports(self, far: float) -> bool:
        """Whether `threshold` has an answer for a false accept rate, 0..1."""
        return self._enough_for(far) and not np.isinf(metrics.threshold_at_far(self._roc, far))

    def _enough_for(self, far: float) -> bool:
        return len(self.different) * far >= FALSE_ACCEPTS * (1 - 1e-9)  # 10 / 1e-3 pairs are enough, rounding or not

    def _too_few(self, far: float) -> str:
        pairs, needed = len(self.different), FALSE_ACCEPTS / far
        return (
            f"A false accept rate of {100 * far:g} % can't be measured on {pairs:,} pairs of different people: "
            f"that takes {needed:,.0f}."
        )

    def rates(self, threshold: float) -> tuple[float, float]:
        """False accept rate and false reject rate, each 0..1, of a threshold (cosine similarity, -1..1)."""
        false_accepts, false_rejects = self._rates(np.array([threshold]))
        return float(false_accepts[0]), float(false_rejects[0])

    def _rates(self, thresholds: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        accepted = 1 - np.searchsorted(self.different, thresholds) / len(self.different)
        return accepted, np.searchsorted(self.same, thresholds) / len(self.same)

    @property
    def curve(self) -> pd.DataFrame:
        """Both error rates at 1,001 evenly spaced thresholds: threshold, false_accept_rate, false_reject_rate."""
        import pandas as pd

        low = min(self.same[0], self.different[0])
        high = max(self.same[-1], self.different[-1])
        thresholds = np.linspace(low, high, CURVE_POINTS, dtype=np.float64)
        accepts, rejects = self._rates(thresholds)
        return pd.DataFrame({"threshold": thresholds, "false_accept_rate": accepts, "false_reject_rate": rejects})

    def table(self) -> pd.DataFrame:
        """Thresholds to choose from, with what each costs; a rate that can't be measured on so few pairs has none.

        Columns: choice, threshold, false_accept_rate, false_reject_rate. The last row is what searches took so far.
        """
        import pandas as pd

        choices: list[tuple[str, float]] = [
            (f"false accept rate {100 * far:g} %", self.threshold(far) if self.supports(far) else np.nan)
            for far in FALSE_ACCEPT_RATES
        ]
        choices.append(("equal error rate", self.eer_threshold))
        if self.current is not None:
            choices.append(("the library's so far", self.current))
        unknown = (np.nan, np.nan)
        rows = [(name, value, *(unknown if np.isnan(value) else self.rates(value))) for name, value in choices]
        return pd.DataFrame(rows, columns=["choice", "threshold", "false_accept_rate", "false_reject_rate"])

    @property
    def notes(self) -> list[str]:
        """What to know when reading the figures, in plain words."""
        unsupported = [far for far in FALSE_ACCEPT_RATES if not self._enough_for(far)]
        return [*self.remarks, *([self._too_few(unsupported[0])] if unsupported else [])]

    def figure(self, far: float = 1e-3) -> go.Figure:
        """The two distributions, and both error rates over the threshold, as a plotly figure.

        Lines stand at the threshold for the false accept rate `far`, 0..1 (at the equal error rate where there are too
        few pairs for it) and at the one that the library's searches took.
        """
        from facekit.plots import calibration_figure

        return calibration_figure(self, far)

    def to_dict(self) -> dict[str, Any]:
        """The document that ``facekit calibrate --json`` prints."""
        import json

        return {
            "pairs_same": len(self.same),
            "pairs_different": len(self.different),
            "eer": self.eer,
            "eer_threshold": self.eer_threshold,
            "current": self.current,
            "suggestions": json.loads(self.table().to_json(orient="records")),
            "notes": self.notes,
        }

    def _sentence(self) -> str:
        return (
            f"{len(self.same):,} pairs of the same person, {len(self.different):,} of different people: "
            f"equal error rate {self.eer:.2%} at similarity {self.eer_threshold:.3f}."
        )

    def _shown(self) -> pd.DataFrame:
        """The table as text."""
        table = self.table()
        table["threshold"] = [_text(value, "{:.3f}") for value in table["threshold"]]
        table["false_accept_rate"] = [_text(value, "{:.3%}") for value in table["false_accept_rate"]]
        table["false_reject_rate"] = [_text(value, "{:.2%}") for value in table["false_reject_rate"]]
        return table.set_axis(["", "threshold", "false accepts", "false rejects"], axis=1)

    def __repr__(self) -> str:
        return "\n".join([self._sentence(), self._shown().to_string(index=False), *self.notes])

    def _repr_html_(self) -> str:
        notes = "".join(f"<p>{escape(note)}</p>" for note in self.notes)
        return f"<p>{escape(self._sentence())}</p>{self._shown().to_html(index=False, border=0)}{notes}"


def _text(value: float, form: str) -> str:
    return "?" if np.isnan(value) else form.format(value)


def calibrate(data: Library | Table, *, people: PhotoLabels = "folder") -> Calibration:
    """Measure how alike faces of the same person and of different people are, and which threshold follows.

    Parameters
    ----------
    data : Library, DataFrame, or path of a CSV file
        A library, whose photos are compared with each other; or pairs that were compared already: a table with the
        columns ``similarity`` and ``same`` (true or false, yes or no, 1 or 0).
    people : "folder", mapping, DataFrame, or path of a CSV file
        Who is on which photo of the library. "folder": the folder that a photo lies in bears the person's name. A
        mapping of photos to names, or a table with the columns ``photo`` and ``person``. Or a table of pairs of photos
        to compare, with the columns ``first``, ``second`` and ``same``. Photos are named by their paths as
        ``lib.photos()`` has them, or by the ends of these.

    Returns
    -------
    Calibration
        Of photos that show exactly one usable face; how many others were left out is in its notes. Of more than
        2 million pairs of either kind, as many are drawn at random, always the same ones. Each pair counts once:
        people with many photos count more.

    Raises
    ------
    FacekitError
        If a table can't be read, names photos that the library does not have, or leaves fewer than 20 pairs of the
        same person or of different people.
    ModelMismatchError
        If the library changed its embedder meanwhile.

    Examples
    --------
    >>> eileen = {hit.photo: "Eileen" for hit in lib.search(demo.probe)}
    >>> people = {photo: eileen.get(photo, "Grace") for photo in lib.photos("ok")["path"]}
    >>> calibration = fk.calibrate(lib, people=people)
    >>> len(calibration.same), len(calibration.different), calibration.eer
    (70, 66, 0.0)
    """
    embedder = None
    if isinstance(data, Library):
        embedder, current = data.embedder_in_use, data.search_similarity
        found = compare_photos(data, people)
        if data.embedder_in_use != embedder:
            message = f"The library changed from {embedder} to {data.embedder_in_use} while its photos were compared."
            raise ModelMismatchError(message, "Calibrate again.")
    elif isinstance(people, str) and people == "folder":
        current, found = None, measured_pairs(data)
    else:
        message = "People are named for the photos of a library, and these are pairs that were compared already."
        raise FacekitError(message, "Give the library first: calibrate(lib, people=...).")
    if min(len(found.same), len(found.different)) < FEWEST_PAIRS:
        message = (
            f"There are {len(found.same)} pairs of the same person and {len(found.different)} of different people; "
            f"{FEWEST_PAIRS} of each are needed."
        )
        remedy = "Label more photos: several of each person, and of several people."
        raise FacekitError(" ".join([message, *found.remarks]), remedy)
    return Calibration(np.sort(found.same), np.sort(found.different), current, found.remarks, embedder)
