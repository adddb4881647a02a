"""Faces of two sets that are the same: pairs that overlap, one to one, the best there are."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facekit.images.boxes import MIN_OVERLAP, match_faces, overlaps
from facekit.ingest.reembed import same_faces

# Whole numbers, so that counting pixels is a second way to the same answer.
SIDE = 12
BOXES = st.lists(st.tuples(*[st.integers(0, 6)] * 2, *[st.integers(0, 6)] * 2), max_size=4)


def pixels(box: tuple[int, int, int, int]) -> np.ndarray:
    x, y, w, h = box
    canvas = np.zeros((SIDE, SIDE), bool)
    canvas[y : y + h, x : x + w] = True
    return canvas


@settings(deadline=None)  # SciPy is imported at the first call
@given(BOXES, BOXES)
def test_the_overlap_is_that_of_counted_pixels(old: list, new: list) -> None:
    ratio = overlaps(old, new)
    assert ratio.shape == (len(old), len(new))
    for i, one in enumerate(old):
        for j, other in enumerate(new):
            union = (pixels(one) | pixels(other)).sum()
            shared = (pixels(one) & pixels(other)).sum()
            assert ratio[i, j] == pytest.approx(shared / union if union else 0)


@settings(deadline=None)  # SciPy is imported at the first call
@given(BOXES, BOXES)
def test_no_other_choice_of_pairs_overlaps_more(old: list, new: list) -> None:
    ratio = overlaps(old, new)
    ratio[ratio < MIN_OVERLAP] = 0
    few, many = (ratio, ratio.T)[:: 1 if len(old) <= len(new) else -1]
    best = max(sum(few[i, j] for i, j in enumerate(order)) for order in permutations(range(many.shape[0]), len(few)))
    assert sum(ratio[pair] for pair in match_faces(old, new)) == pytest.approx(best)


@settings(deadline=None)  # SciPy is imported at the first call
@given(BOXES, BOXES)
def test_no_face_is_in_two_pairs_and_every_pair_overlaps_enough(old: list, new: list) -> None:
    pairs = match_faces(old, new)
    for side in zip(*pairs, strict=True):
        assert len(set(side)) == len(pairs)
    ratio = overlaps(old, new)
    assert all(ratio[pair] >= MIN_OVERLAP for pair in pairs)
    assert pairs == sorted(pairs)


@settings(deadline=None)  # SciPy is imported at the first call
@given(BOXES, st.randoms(use_true_random=False), st.floats(0.001, 1000), st.floats(0.001, 1000))
def test_the_order_of_the_boxes_and_the_units_do_not_matter(boxes: list, chance: object, x: float, y: float) -> None:
    boxes = sorted({box for box in boxes if box[2] and box[3]})
    order = list(range(len(boxes)))
    chance.shuffle(order)  # type: ignore[attr-defined]
    scale = np.array([x, y, x, y])
    turned = np.array([boxes[i] for i in order]).reshape(-1, 4) * scale
    pairs = match_faces(np.array(boxes).reshape(-1, 4) * scale, turned)
    assert [order[new] for _, new in pairs] == [old for old, _ in pairs] == list(range(len(boxes)))


def test_faces_beside_each_other_keep_their_own_partner() -> None:
    # Two heads close together, drawn larger by the second detector: each box overlaps both of the other set.
    old = [(0, 0, 10, 10), (8, 0, 10, 10)]
    new = [(7, -1, 12, 12), (-1, -1, 12, 12)]
    assert match_faces(old, new) == [(0, 1), (1, 0)]


def test_a_face_in_both_sets_is_itself_whatever_overlaps_it() -> None:
    box, larger = (0.1, 0.1, 0.2, 0.2), (0.09, 0.09, 0.22, 0.22)
    assert same_faces({"a": box, "b": larger}, {"a": larger, "c": box}) == {"a": "a", "b": "c"}
    assert same_faces({"a": box}, {}) == same_faces({}, {"a": box}) == {}
