"""Constraints: what contradicts what, and that every method honours them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import facekit as fk
from facekit.clustering import METHODS, ConstraintConflict, Method

if TYPE_CHECKING:
    from facekit.types.arrays import FloatArray, IntArray


@dataclass
class Case:
    """Faces and what is known of them; `links` are all must-links as pairs, `bans` all cannot-links."""

    vectors: FloatArray
    known: fk.Constraints
    links: set[tuple[int, int]]
    bans: set[tuple[int, int, str]]

    def groups(self) -> list[set[int]]:
        """Faces that are linked, also by way of others: by repeated union, as one would on paper."""
        groups = [{face} for face in range(len(self.vectors))]
        for first, second in self.links:
            one, other = (next(group for group in groups if face in group) for face in (first, second))
            if one is not other:
                one |= other
                groups.remove(other)
        return groups


def unit(vectors: np.ndarray) -> FloatArray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    faces = draw(st.integers(2, 24))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    people = rng.standard_normal((draw(st.integers(1, 4)), 16))
    vectors = unit(people[rng.integers(0, len(people), faces)] + 0.6 * rng.standard_normal((faces, 16)))
    number = st.lists(st.integers(-1, 4), min_size=faces, max_size=faces)
    pair = st.tuples(st.integers(0, faces - 1), st.integers(0, faces - 1)).filter(lambda pair: pair[0] != pair[1])
    person, photo = draw(st.none() | number), draw(st.none() | number)
    must, cannot = draw(st.lists(pair, max_size=4)), draw(st.lists(pair, max_size=6))
    links, bans = set(must), {(*sorted(ends), "cannot") for ends in cannot}
    for first, second in combinations(range(faces), 2):
        if person and min(person[first], person[second]) >= 0:
            if person[first] == person[second]:
                links.add((first, second))
            else:
                bans.add((first, second, "person"))
        if photo and photo[first] == photo[second] >= 0:
            bans.add((first, second, "photo"))
    known = fk.Constraints(
        None if person is None else np.array(person),
        None if photo is None else np.array(photo),
        np.array(must, np.int64).reshape(-1, 2),
        np.array(cannot, np.int64).reshape(-1, 2),
    )
    return Case(vectors, known, links, bans)


def grouped(vectors: FloatArray, known: fk.Constraints | None, method: Method, min_faces: int = 2) -> IntArray:
    people = max(1, len(vectors) // 3) if method == "kmeans" else None
    return fk.cluster(vectors, method=method, min_faces=min_faces, people=people, constraints=known)


@pytest.mark.parametrize("method", METHODS)
@given(case=cases(), min_faces=st.integers(1, 4))
@settings(deadline=None, max_examples=25)
def test_every_method_honours_constraints(method: Method, case: Case, min_faces: int) -> None:
    labels = grouped(case.vectors, case.known, method, min_faces)
    conflicts = {frozenset(conflict[:2]) for conflict in case.known.conflicts()}
    for first, second in case.links:
        assert labels[first] == labels[second] >= 0
    linked = {frozenset(pair) for group in case.groups() for pair in combinations(group, 2)}
    for first, second, _ in case.bans:
        if frozenset((first, second)) not in linked:
            assert labels[first] != labels[second] or labels[first] == -1
            assert frozenset((first, second)) not in conflicts


@pytest.mark.parametrize("method", METHODS)
@given(case=cases(), seed=st.integers(0, 1000))
@settings(deadline=None, max_examples=12)
def test_the_order_of_faces_does_not_matter(method: Method, case: Case, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(case.vectors))
    labels = grouped(case.vectors, case.known, method)
    again = grouped(case.vectors[order], case.known.reordered(order), method)
    for first, second in combinations(range(len(order)), 2):
        same = labels[order[first]] == labels[order[second]] >= 0
        assert same == (again[first] == again[second] >= 0)
    np.testing.assert_array_equal(labels[order] < 0, again < 0)


@given(cases())
@settings(deadline=None)
def test_conflicts_are_the_pairs_that_are_linked_and_forbidden(case: Case) -> None:
    group = {face: number for number, faces in enumerate(case.groups()) for face in faces}
    expected = {ConstraintConflict(a, b, kind) for a, b, kind in case.bans if group[a] == group[b]}  # type: ignore[arg-type]
    found = case.known.conflicts()
    assert found == sorted(set(found))
    assert {conflict for conflict in found if conflict.kind != "person"} == {
        conflict for conflict in expected if conflict.kind != "person"
    }
    # Two people who are linked are listed once, for all their faces.
    numbers = case.known.person
    assume(numbers is not None)
    assert numbers is not None
    found_people = [frozenset((numbers[a], numbers[b])) for a, b, kind in found if kind == "person"]
    assert len(found_people) == len(set(found_people))
    assert set(found_people) == {frozenset((numbers[a], numbers[b])) for a, b, kind in expected if kind == "person"}


def test_a_conflict_is_listed_and_the_users_word_holds() -> None:
    vectors = unit(np.random.default_rng(0).standard_normal((4, 16)))
    known = fk.Constraints(photo=np.array([7, 7, 7, 8]), must=np.array([[0, 3], [3, 1]]))
    assert known.conflicts() == [ConstraintConflict(0, 1, "photo")]
    labels = fk.cluster(vectors, constraints=known)
    assert labels[0] == labels[1] == labels[3] == 0
    assert labels[2] == -1


def test_two_people_linked_to_be_one_are_listed_once() -> None:
    known = fk.Constraints(person=np.array([3, 3, 5, 5, -1]), must=np.array([[1, 2]]))
    assert known.conflicts() == [ConstraintConflict(0, 2, "person")]


def test_the_same_face_twice_in_a_photo_may_be_lifted() -> None:
    face = np.random.default_rng(0).standard_normal((1, 16))
    twins = unit(np.repeat(face, 2, axis=0))
    assert fk.cluster(twins, constraints=fk.Constraints(photo=np.array([0, 0]))).tolist() == [-1, -1]
    assert fk.cluster(twins, constraints=fk.Constraints(photo=np.array([-1, -1]))).tolist() == [0, 0]


def test_thousands_of_settled_people_cost_no_pairs() -> None:
    known = fk.Constraints(person=np.arange(20_000))
    apart = known.apart(known.groups(20_000))
    assert len(apart.who) == 20_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"person": np.zeros((2, 2), int)}, "one number a face"),
        ({"person": np.array([0.5, 1])}, "whole numbers"),
        ({"person": np.array([0, 1]), "photo": np.array([0])}, "different lengths"),
        ({"must": np.array([0, 1])}, "one row a pair"),
        ({"person": np.array([0, 1]), "cannot": np.array([[0, 2]])}, r"cannot\[0\] names a face that is not there"),
        ({"must": np.array([[-1, 0]])}, r"must\[0\] names a face that is not there"),
    ],
)
def test_constraints_that_make_no_sense_say_so(arguments: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(fk.FacekitError, match=message):
        fk.Constraints(**arguments)


def test_constraints_for_other_faces_are_refused() -> None:
    vectors = unit(np.random.default_rng(0).standard_normal((3, 16)))
    with pytest.raises(fk.FacekitError, match="is for 2 faces, but there are 3"):
        fk.cluster(vectors, constraints=fk.Constraints(person=np.array([0, 1])))
    with pytest.raises(fk.FacekitError, match="names a face that is not there"):
        fk.cluster(vectors, constraints=fk.Constraints(must=np.array([[0, 3]])))
