"""Metrics against scikit-learn and SciPy, on made-up similarities with many ties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import rankdata
from sklearn.metrics import accuracy_score, average_precision_score, roc_curve

from facekit.metrics import verification as metrics

# A loaded machine is no failure, so there is no deadline.
checked = settings(deadline=None, max_examples=60)

# Twenty levels over up to sixty pairs: nearly every example has ties. Sixteenths keep sums of floats exact.
pairs = st.lists(st.tuples(st.integers(-10, 10), st.booleans()), min_size=2, max_size=60)


def arrays(drawn: list[tuple[int, bool]]) -> tuple[np.ndarray, np.ndarray]:
    similarity = np.array([level / 16 for level, _ in drawn], np.float32)
    return similarity, np.array([label for _, label in drawn])


def both_kinds(drawn: list[tuple[int, bool]]) -> tuple[np.ndarray, np.ndarray]:
    similarity, same = arrays(drawn)
    assume(same.any() and not same.all())
    return similarity, same


@checked
@given(pairs)
def test_roc_is_that_of_scikit_learn(drawn: list[tuple[int, bool]]) -> None:
    similarity, same = both_kinds(drawn)
    curve = metrics.roc(similarity, same)
    far, tar, thresholds = roc_curve(same, similarity, drop_intermediate=False)
    np.testing.assert_allclose(curve.far, far)
    np.testing.assert_allclose(curve.tar, tar)
    np.testing.assert_array_equal(curve.thresholds, thresholds)


@checked
@given(pairs)
def test_equal_error_rate_is_where_the_diagonal_meets_scikit_learns_curve(drawn: list[tuple[int, bool]]) -> None:
    similarity, same = both_kinds(drawn)
    far, tar, _ = roc_curve(same, similarity, drop_intermediate=False)
    # The curve as a path of unit length, so that its vertical pieces have an inside too.
    path = np.linspace(0, 1, len(far))
    at = brentq(lambda x: np.interp(x, path, far) + np.interp(x, path, tar) - 1, 0, 1, xtol=1e-13)
    assert metrics.equal_error_rate(metrics.roc(similarity, same)) == pytest.approx(np.interp(at, path, far), abs=1e-9)


@checked
@given(pairs, st.sampled_from([0.0, 1e-3, 0.1, 0.5, 1.0]))
def test_tar_at_far_is_the_best_point_allowed(drawn: list[tuple[int, bool]], allowed: float) -> None:
    similarity, same = both_kinds(drawn)
    far, tar, _ = roc_curve(same, similarity, drop_intermediate=False)
    assert metrics.tar_at_far(metrics.roc(similarity, same), allowed) == pytest.approx(tar[far <= allowed].max())


@checked
@given(pairs, st.integers(-11, 11))
def test_accuracy_is_that_of_scikit_learn(drawn: list[tuple[int, bool]], level: int) -> None:
    similarity, same = arrays(drawn)
    expected = accuracy_score(same, similarity >= level / 16)
    assert metrics.accuracy(similarity, same, level / 16) == pytest.approx(expected)


@checked
@given(pairs)
def test_no_threshold_is_better_than_the_best_one(drawn: list[tuple[int, bool]]) -> None:
    similarity, same = arrays(drawn)
    candidates = [*np.unique(similarity), np.inf]
    expected = max(accuracy_score(same, similarity >= candidate) for candidate in candidates)
    threshold = metrics.best_threshold(similarity, same)
    assert accuracy_score(same, similarity >= threshold) == pytest.approx(expected)


def test_the_best_threshold_lies_halfway_between_the_two_kinds() -> None:
    assert metrics.best_threshold(np.array([0.75, 0.5, 0.25, 0.0]), np.array([1, 1, 0, 0], bool)) == 0.375


def test_the_best_threshold_of_neighbouring_floats_still_tells_them_apart() -> None:
    below = np.float64(0.5)
    similarity = np.array([below, np.nextafter(below, 1)])
    same = np.array([False, True])
    assert metrics.accuracy(similarity, same, metrics.best_threshold(similarity, same)) == 1


@checked
@given(pairs)
def test_average_precision_is_that_of_scikit_learn(drawn: list[tuple[int, bool]]) -> None:
    similarity, relevant = arrays(drawn)
    assume(relevant.any())
    expected = average_precision_score(relevant, similarity)
    assert metrics.average_precision(similarity, relevant) == pytest.approx(expected)


@checked
@given(pairs, st.integers(1, 70))
def test_recall_counts_the_relevant_ranks_of_scipy(drawn: list[tuple[int, bool]], k: int) -> None:
    similarity, relevant = arrays(drawn)
    assume(relevant.any())
    ranks = rankdata(-similarity, method="max")
    assert metrics.recall_at(similarity, relevant, k) == pytest.approx(np.mean(ranks[relevant] <= k))


@pytest.mark.parametrize("function", [metrics.roc, metrics.best_threshold, metrics.average_precision])
@pytest.mark.parametrize(
    ("similarity", "labels"),
    [([0.1, 0.2], [True]), ([0.1, np.nan], [True, False]), ([], []), ([[0.1]], [[True]])],
)
def test_nonsense_is_refused(function, similarity, labels) -> None:  # noqa: ANN001
    with pytest.raises(ValueError, match=r"label|finite"):
        function(np.array(similarity), np.array(labels, bool))


def test_a_curve_needs_both_kinds_and_a_search_something_to_find() -> None:
    with pytest.raises(ValueError, match="different persons"):
        metrics.roc(np.array([0.1, 0.2]), np.array([True, True]))
    with pytest.raises(ValueError, match="nothing to be found"):
        metrics.average_precision(np.array([0.1, 0.2]), np.array([False, False]))
    with pytest.raises(ValueError, match="nothing to be found"):
        metrics.recall_at(np.array([0.1, 0.2]), np.array([False, False]), 1)
