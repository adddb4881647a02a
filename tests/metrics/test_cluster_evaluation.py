"""Scores of clusters: the published examples, scikit-learn's pairs, and counting by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics.cluster import pair_confusion_matrix

import facekit as fk
from facekit.clustering import ClusterScores

# The four constraints of Amigó et al. 2009, section 3, each as two clusterings of the same faces: (clusters, people).
# The second must score higher; of the measures that the paper compares, only BCubed meets all four.
PAIRS_OF_THE_PAPER = {
    "homogeneity": (
        ([0] * 7 + [1] * 7, "aaaabbb" + "ccccddd"),
        ([0] * 4 + [1] * 3 + [2] * 7, "aaaabbb" + "ccccddd"),
    ),
    "completeness": (
        ([0] * 4 + [1] * 3 + [2] * 3, "aaaabbbccc".replace("c", "b")),
        ([0] * 4 + [1] * 6, "aaaabbbccc".replace("c", "b")),
    ),
    "rag bag": (
        ([0] * 5 + [1] * 4, "aaaab" + "cdef"),
        ([0] * 4 + [1] * 5, "aaaab" + "cdef"),
    ),
    "size versus quantity": (
        ([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 10], "aabbccddee" + "fff"),
        ([0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6], "aabbccddee" + "fff"),
    ),
}

numbers = st.lists(st.tuples(st.integers(-1, 4), st.integers(0, 4)), min_size=1, max_size=14)


def counted(labels: list[int], truth: list[int]) -> tuple[float, float]:
    """BCubed as it is defined: for each face, over the faces of its cluster, and over those of its person."""
    alone = [label if label >= 0 else -1 - place for place, label in enumerate(labels)]
    precision, recall = [], []
    for label, person in zip(alone, truth, strict=True):
        cluster = [p for other, p in zip(alone, truth, strict=True) if other == label]
        people = [other for other, p in zip(alone, truth, strict=True) if p == person]
        precision.append(cluster.count(person) / len(cluster))
        recall.append(people.count(label) / len(people))
    return float(np.mean(precision)), float(np.mean(recall))


@pytest.mark.parametrize("name", PAIRS_OF_THE_PAPER)
def test_bcubed_prefers_what_the_paper_says_it_must(name: str) -> None:
    worse, better = (fk.evaluate_clusters(labels, list(truth)) for labels, truth in PAIRS_OF_THE_PAPER[name])
    assert better.bcubed_f > worse.bcubed_f


def test_bcubed_of_an_example_worked_out_by_hand() -> None:
    # Cluster 0: a a a b; cluster 1: b b. Precision: (3 * 3/4 + 1/4 + 2) / 6, recall: (3 + 1/3 + 2 * 2/3) / 6.
    scores = fk.evaluate_clusters([0, 0, 0, 0, 1, 1], list("aaabbb"))
    assert scores.bcubed_precision == pytest.approx(4.5 / 6)
    assert scores.bcubed_recall == pytest.approx((3 + 1 / 3 + 4 / 3) / 6)
    # Pairs in clusters: 6 + 1, of which right: 3 + 1; pairs of people: 3 + 3.
    assert scores.pairwise_precision == pytest.approx(4 / 7)
    assert scores.pairwise_recall == pytest.approx(4 / 6)


@given(numbers)
@settings(deadline=None)
def test_scores_agree_with_counting_and_with_scikit_learn(faces: list[tuple[int, int]]) -> None:
    labels, truth = [label for label, _ in faces], [person for _, person in faces]
    scores = fk.evaluate_clusters(labels, truth)
    assert (scores.bcubed_precision, scores.bcubed_recall) == pytest.approx(counted(labels, truth))
    alone = [label if label >= 0 else -1 - place for place, label in enumerate(labels)]
    (_, wrong), (missed, right) = pair_confusion_matrix(truth, alone) / 2
    assert scores.pairwise_precision == pytest.approx(right / (right + wrong) if right + wrong else 1)
    assert scores.pairwise_recall == pytest.approx(right / (right + missed) if right + missed else 1)


def test_faces_of_unknown_people_are_left_out() -> None:
    known = fk.evaluate_clusters([0, 0, 1], ["Anna", "Anna", "Ivan"])
    with_unknown = fk.evaluate_clusters([0, 0, 1, 0, 1, 0], ["Anna", "Anna", "Ivan", None, -1, float("nan")])
    assert with_unknown == known
    assert known.faces == 3


def test_unassigned_faces_are_clusters_of_their_own() -> None:
    scores = fk.evaluate_clusters([-1, -1, 0, 0], ["Anna", "Anna", "Ivan", "Ivan"])
    assert (scores.bcubed_precision, scores.bcubed_recall) == (1.0, 0.75)
    assert (scores.clusters, scores.unassigned) == (1, 2)


def test_the_worst_merges_and_splits_are_named() -> None:
    labels = [0, 0, 0, 1, 1, 2, 2, -1, -1]
    truth = ["Anna", "Anna", "Ivan", "Ivan", "Ivan", "Vera", "Vera", "Vera", "Vera"]
    scores = fk.evaluate_clusters(labels, truth)
    assert [(merge.cluster, merge.people) for merge in scores.worst_merges] == [(0, {"Anna": 2, "Ivan": 1})]
    assert [(split.person, split.clusters) for split in scores.worst_splits] == [
        ("Vera", {2: 2, -1: 2}),
        ("Ivan", {1: 2, 0: 1}),
    ]
    text = repr(scores)
    assert "cluster 0 mixes Anna (2), Ivan (1)" in text
    assert "Vera is in cluster 2 (2), unassigned (2)" in text
    assert f"{scores.bcubed_f:.4f}" in text
    assert "cluster 0 mixes Anna (2), Ivan (1)" in scores._repr_html_()


def test_names_are_escaped_in_html() -> None:
    assert "<script>" not in fk.evaluate_clusters([0, 0], ["<script>", "b"])._repr_html_()


def test_scores_become_json() -> None:
    scores = fk.evaluate_clusters([0, 0, -1], ["Anna", "Ivan", "Ivan"])
    document = json.loads(json.dumps(scores.to_dict()))
    assert document["bcubed_f"] == scores.bcubed_f
    assert document["worst_merges"] == [{"cluster": 0, "people": {"Anna": 1, "Ivan": 1}}]
    assert isinstance(scores, ClusterScores)


@pytest.mark.parametrize(
    ("labels", "truth", "message"),
    [([0, 1], ["Anna"], "2 labels and 1 people"), ([0, 0], [None, -1], "nothing to compare"), ([], [], "nothing")],
)
def test_what_can_not_be_compared_says_so(labels: list[int], truth: list[object], message: str) -> None:
    with pytest.raises(fk.FacekitError, match=message):
        fk.evaluate_clusters(labels, truth)
