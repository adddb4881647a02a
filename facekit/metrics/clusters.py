"""How good is a grouping? Against faces whose people are known."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from facekit.errors import FacekitError

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    import numpy.typing as npt

    from facekit.types.arrays import IntArray

WORST = 10
"""Merges and splits that are listed."""


class Merge(NamedTuple):
    """A cluster that holds faces of several people: its label, and how many faces of whom, most first."""

    cluster: int
    people: dict[Hashable, int]


class Split(NamedTuple):
    """A person whose faces are in several clusters: how many in which, most first; -1 are faces left alone."""

    person: Hashable
    clusters: dict[int, int]


@dataclass(frozen=True, slots=True)
class ClusterScores:
    """How well clusters agree with the people they should be. Every score is a share, 0..1; of `evaluate_clusters`.

    Parameters
    ----------
    bcubed_precision : float
        Of the faces that share a face's cluster, how many are of its person; mean over faces.
    bcubed_recall : float
        Of a person's faces, how many are in the face's cluster; mean over faces.
    bcubed_f : float
        Harmonic mean of the two.
    pairwise_precision : float
        Of all pairs of faces in one cluster, how many show one person; 1 where there is no such pair.
    pairwise_recall : float
        Of all pairs of faces of one person, how many are in one cluster; 1 where there is no such pair.
    pairwise_f : float
        Harmonic mean of the two. A pair counts once, so that people with many photos weigh heavily.
    faces, people, clusters, unassigned : int
        What was compared: faces whose person is known, their people, the clusters and the faces in none.
    worst_merges : tuple of Merge
        Clusters that mix people, those with the most faces of others than the main person first.
    worst_splits : tuple of Split
        People in several clusters, those with the most faces outside of their main cluster first.
    """

    bcubed_precision: float
    bcubed_recall: float
    bcubed_f: float
    pairwise_precision: float
    pairwise_recall: float
    pairwise_f: float
    faces: int
    people: int
    clusters: int
    unassigned: int
    worst_merges: tuple[Merge, ...] = field(default=(), compare=False)
    worst_splits: tuple[Split, ...] = field(default=(), compare=False)

    def __repr__(self) -> str:
        lines = [self._sentence(), *(f"{name:9} {p:9.4f} {r:9.4f} {f:9.4f}" for name, p, r, f in self._rows())]
        lines.insert(1, f"{'':9} {'precision':>9} {'recall':>9} {'F':>9}")
        return "\n".join([*lines, *self._mistakes()])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th>{name}</th>" + "".join(f"<td>{score:.4f}</td>" for score in scores) + "</tr>"
            for name, *scores in self._rows()
        )
        mistakes = "".join(f"<li>{escape(line)}</li>" for line in self._mistakes())
        return (
            f"<p>{escape(self._sentence())}</p><table><tr><th></th><th>precision</th><th>recall</th><th>F</th></tr>"
            f"{rows}</table><ul>{mistakes}</ul>"
        )

    def to_dict(self) -> dict[str, Any]:
        """The scores by name, ready for JSON where the people's names are."""
        return asdict(self) | {
            "worst_merges": [merge._asdict() for merge in self.worst_merges],
            "worst_splits": [split._asdict() for split in self.worst_splits],
        }

    def _sentence(self) -> str:
        return (
            f"{self.faces:,} faces of {self.people:,} people in {self.clusters:,} clusters; "
            f"{self.unassigned:,} faces unassigned."
        )

    def _rows(self) -> list[tuple[str, float, float, float]]:
        return [
            ("BCubed", self.bcubed_precision, self.bcubed_recall, self.bcubed_f),
            ("pairwise", self.pairwise_precision, self.pairwise_recall, self.pairwise_f),
        ]

    def _mistakes(self) -> list[str]:
        merges = [f"cluster {label} mixes {_listed(people)}" for label, people in self.worst_merges]
        names = [
            {"unassigned" if c < 0 else f"cluster {c}": n for c, n in split.clusters.items()}
            for split in self.worst_splits
        ]
        splits = [f"{split.person} is in {_listed(name)}" for split, name in zip(self.worst_splits, names, strict=True)]
        return merges + splits


def _listed(counts: dict[Any, int]) -> str:
    shown = [f"{name} ({faces})" for name, faces in list(counts.items())[:5]]
    return ", ".join(shown) + (f" and {len(counts) - 5} more" if len(counts) > 5 else "")  # noqa: PLR2004


def evaluate_clusters(labels: npt.ArrayLike, truth: Sequence[Hashable] | npt.NDArray[Any]) -> ClusterScores:
    """Compare clusters with the people whom the faces show.

    BCubed as in Amigó, Gonzalo, Artiles and Verdejo, *A comparison of extrinsic clustering evaluation metrics based on
    formal constraints*, Information Retrieval 12, 2009.

    Parameters
    ----------
    labels : array_like, int (N,)
        The cluster of each face; -1 is a face that stands alone, of which each is a cluster of its own.
    truth : sequence of hashable (N,)
        Who each face shows: names or numbers. None and -1 are people who are not known; their faces are left out.

    Returns
    -------
    ClusterScores

    Raises
    ------
    FacekitError
        If the lengths differ, or nobody is known.

    Examples
    --------
    >>> scores = fk.evaluate_clusters([0, 0, 0, 1], ["Anna", "Anna", "Ben", "Ben"])
    >>> round(scores.bcubed_precision, 2), round(scores.bcubed_recall, 2)
    (0.67, 0.75)
    """
    clusters = np.asarray(labels)
    if clusters.ndim != 1 or len(clusters) != len(truth):
        message = f"There are {clusters.size} labels and {len(truth)} people: one of each a face is needed."
        raise FacekitError(message)
    names: dict[Hashable, int] = {}
    person = np.array([-1 if _unknown(name) else names.setdefault(name, len(names)) for name in truth], np.int64)
    known = person >= 0
    if not known.any():
        message = "It is not known of any face whom it shows, so there is nothing to compare with."
        raise FacekitError(message, "Name the person of some faces.")
    clusters, person = clusters[known].astype(np.int64), person[known]
    alone = clusters < 0
    shown, number = np.unique(np.where(alone, -1 - np.cumsum(alone), clusters), return_inverse=True)
    cells, counts = np.unique(np.stack([number, person]), axis=1, return_counts=True)
    cluster_of, person_of = cells
    cluster_size, person_size = np.bincount(number), np.bincount(person)
    precision = float(np.sum(counts**2 / cluster_size[cluster_of]) / len(person))
    recall = float(np.sum(counts**2 / person_size[person_of]) / len(person))
    right, together, same = _pairs(counts), _pairs(cluster_size), _pairs(person_size)
    pairwise_precision, pairwise_recall = right / together if together else 1.0, right / same if same else 1.0
    table = _Table(np.maximum(shown[cluster_of], -1), person_of, counts, list(names))
    return ClusterScores(
        precision,
        recall,
        _harmonic(precision, recall),
        pairwise_precision,
        pairwise_recall,
        _harmonic(pairwise_precision, pairwise_recall),
        len(person),
        len(names),
        int(np.sum(shown >= 0)),
        int(alone.sum()),
        table.worst_merges(),
        table.worst_splits(),
    )


def _unknown(name: Hashable) -> bool:
    return name is None or name == -1 or name != name  # noqa: PLR0124 - not a number


def _pairs(sizes: IntArray) -> int:
    return int(np.sum(sizes * (sizes - 1) // 2))


def _harmonic(a: float, b: float) -> float:
    return 2 * a * b / (a + b) if a + b else 0.0


class _Table(NamedTuple):
    """Faces of each person in each cluster, as a list of those that are not zero."""

    cluster: IntArray
    person: IntArray
    faces: IntArray
    names: list[Hashable]

    def worst_merges(self) -> tuple[Merge, ...]:
        places = np.flatnonzero(self.cluster >= 0)
        return tuple(
            Merge(int(self.cluster[rows[0]]), {self.names[self.person[row]]: int(self.faces[row]) for row in rows})
            for rows in self._worst(places, self.cluster)
        )

    def worst_splits(self) -> tuple[Split, ...]:
        found = []
        for rows in self._worst(np.arange(len(self.person)), self.person):
            clusters: dict[int, int] = {}
            for row in rows:
                label = int(self.cluster[row])
                clusters[label] = clusters.get(label, 0) + int(self.faces[row])
            found.append(Split(self.names[self.person[rows[0]]], clusters))
        return tuple(found)

    def _worst(self, places: IntArray, by: IntArray) -> list[IntArray]:
        """Rows that share a number in `by`, most faces first; those with most faces outside of the first go before."""
        ordered = places[np.lexsort((-self.faces[places], by[places]))]
        starts = np.flatnonzero(np.diff(by[ordered], prepend=-2))
        blocks = [rows for rows in np.split(ordered, starts[1:]) if len(rows) > 1]
        return sorted(blocks, key=lambda rows: -int(self.faces[rows[1:]].sum()))[:WORST]
