"""How well do similarities tell "same person" from "different persons"? Pure functions on arrays.

Everywhere a higher similarity means more alike, and a pair is accepted as the same person when its similarity is
**at least** the threshold. Equal similarities are never told apart by the order in which they were given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Similarities: TypeAlias = npt.NDArray[np.floating]
Labels: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class RocCurve:
    """Receiver operating characteristic: one point for every threshold at which a decision changes.

    Parameters
    ----------
    far : ndarray, float64 (K,)
        False accept rate, 0..1, not decreasing; the first is 0, the last 1.
    tar : ndarray, float64 (K,)
        True accept rate, 0..1, not decreasing; the first is 0, the last 1.
    thresholds : ndarray, float64 (K,)
        Similarity from which on a pair is accepted, decreasing; the first is infinity (nothing is accepted).
    """

    far: npt.NDArray[np.float64]
    tar: npt.NDArray[np.float64]
    thresholds: npt.NDArray[np.float64]


def roc(similarity: Similarities, same: Labels) -> RocCurve:
    """Receiver operating characteristic of pairs.

    Parameters
    ----------
    similarity : ndarray, float (N,)
        Similarity of each pair; higher is more alike, any finite range.
    same : ndarray, bool (N,)
        Whether the pair shows the same person; both kinds must be present.

    Returns
    -------
    RocCurve

    Raises
    ------
    ValueError
        If the lengths differ, a similarity is not finite, or one of the two kinds is missing.
    """
    similarity, same = _checked(similarity, same)
    if same.all() or not same.any():
        message = "a ROC curve needs pairs of the same person and pairs of different persons"
        raise ValueError(message)
    thresholds, accepted, right = _accepted_at_each_threshold(similarity, same)
    wrong = accepted - right
    return RocCurve(
        far=np.concatenate([[0.0], wrong / wrong[-1]]),
        tar=np.concatenate([[0.0], right / right[-1]]),
        thresholds=np.concatenate([[np.inf], thresholds]),
    )


def equal_error_rate(curve: RocCurve) -> float:
    """Error rate (0..1) where false accepts are as frequent as false rejects.

    The curve is taken as straight between its points, as is usual; so the rate need not belong to any one threshold.
    """
    # far + tar - 1 = far - frr rises strictly from -1 to 1 along the curve: it is zero exactly once.
    return float(np.interp(0.0, curve.far + curve.tar - 1.0, curve.far))


def tar_at_far(curve: RocCurve, far: float) -> float:
    """Largest true accept rate (0..1) of a threshold whose false accept rate is at most `far` (0..1).

    Nothing is interpolated: with fewer than ``1 / far`` pairs of different persons, not one of them may be accepted.
    """
    return float(curve.tar[np.searchsorted(curve.far, far, side="right") - 1])


def threshold_at_far(curve: RocCurve, far: float) -> float:
    """Lowest threshold of the curve whose false accept rate is at most `far` (0..1); infinity where none is."""
    return float(curve.thresholds[np.searchsorted(curve.far, far, side="right") - 1])


def accuracy(similarity: Similarities, same: Labels, threshold: float) -> float:
    """Share (0..1) of pairs decided rightly when those with a similarity of at least `threshold` are accepted."""
    similarity, same = _checked(similarity, same)
    return float(np.mean((similarity >= threshold) == same))


def best_threshold(similarity: Similarities, same: Labels) -> float:
    """Threshold that decides most of these pairs rightly.

    Candidates lie halfway between neighbouring similarities, so that the threshold carries over to other pairs; of
    several that are equally good, the middle one is taken. When it is best to accept no pair, infinity is returned.

    Parameters
    ----------
    similarity : ndarray, float (N,)
        Similarity of each pair.
    same : ndarray, bool (N,)
        Whether the pair shows the same person.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If the lengths differ, a similarity is not finite, or there is no pair.
    """
    similarity, same = _checked(similarity, same)
    thresholds, accepted, right = _accepted_at_each_threshold(similarity, same)
    # Rightly accepted pairs plus rightly rejected ones, less a constant; before the first, nothing is accepted.
    rightly = np.concatenate([[0], 2 * right - accepted])
    best = np.flatnonzero(rightly == rightly.max())
    middle = best[len(best) // 2]
    if middle == 0:
        return float("inf")
    lowest_accepted = thresholds[middle - 1]
    if middle == len(thresholds):
        return float(lowest_accepted)
    halfway = (lowest_accepted + thresholds[middle]) / 2
    # Between two neighbouring floats there is no number: the half may be rounded down to the rejected one.
    return float(halfway if halfway > thresholds[middle] else lowest_accepted)


def average_precision(similarity: Similarities, relevant: Labels) -> float:
    """Average precision (0..1) of one search: the precision at each relevant result, averaged over them.

    Results of equal similarity share one rank, as in scikit-learn's ``average_precision_score``. The mean of this
    over many searches is the mean average precision, mAP.

    Parameters
    ----------
    similarity : ndarray, float (N,)
        Similarity of the probe to each photo of the gallery, in any order.
    relevant : ndarray, bool (N,)
        Whether the photo shows the probe's person; at least one must.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If the lengths differ, a similarity is not finite, or nothing is relevant.
    """
    similarity, relevant = _checked(similarity, relevant)
    _need_relevant(relevant)
    _, returned, right = _accepted_at_each_threshold(similarity, relevant)
    return float(np.sum(np.diff(right, prepend=0) * right / returned) / right[-1])


def recall_at(similarity: Similarities, relevant: Labels, k: int) -> float:
    """Recall (0..1) of one search cut off after `k` results: relevant ones among them / all relevant ones.

    This is the definition of information retrieval (Manning, Raghavan and Schuetze, 2008, chapter 8): it answers
    "how much of what I look for is on the first page?". With more than `k` relevant photos it can't reach 1. Among
    equal similarities the relevant results come last: a tie is never counted as success.

    Parameters
    ----------
    similarity : ndarray, float (N,)
        Similarity of the probe to each photo of the gallery, in any order.
    relevant : ndarray, bool (N,)
        Whether the photo shows the probe's person; at least one must.
    k : int
        Number of results, 1 or more.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If the lengths differ, a similarity is not finite, or nothing is relevant.
    """
    similarity, relevant = _checked(similarity, relevant)
    _need_relevant(relevant)
    ranks = len(similarity) - np.searchsorted(np.sort(similarity), similarity[relevant], side="left")
    return float(np.mean(ranks <= k))


def _accepted_at_each_threshold(
    similarity: Similarities, positive: Labels
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Distinct similarities, decreasing; how many are accepted from each one on, and how many of them are positive."""
    order = np.argsort(-similarity)
    ordered = similarity[order].astype(np.float64)
    last_of_equals = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
    right = np.cumsum(positive[order], dtype=np.int64)
    return ordered[last_of_equals], last_of_equals + 1, right[last_of_equals]


def _checked(similarity: Similarities, labels: Labels) -> tuple[Similarities, Labels]:
    similarity, labels = np.asarray(similarity), np.asarray(labels, dtype=bool)
    if similarity.ndim != 1 or similarity.shape != labels.shape or not len(similarity):
        message = f"need one label for each similarity, got shapes {similarity.shape} and {labels.shape}"
        raise ValueError(message)
    if not np.isfinite(similarity).all():
        message = "a similarity is not finite"
        raise ValueError(message)
    return similarity, labels


def _need_relevant(relevant: Labels) -> None:
    if not relevant.any():
        message = "no photo of the gallery is relevant: there is nothing to be found"
        raise ValueError(message)
