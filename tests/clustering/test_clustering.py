"""Grouping real faces, and arrays that go to the limits: against scikit-learn and SciPy where they do the same."""

from __future__ import annotations

from threading import Event
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage
from sklearn.cluster import DBSCAN, KMeans

import facekit as fk
from facekit.clustering import METHODS, Method, assign, centres, methods, neighbour_curve, neighbours
from facekit.clustering.kmeans import kmeans
from facekit.measure.crowd import crowd

if TYPE_CHECKING:
    from facekit.types.arrays import FloatArray, IntArray

    Faces = tuple[FloatArray, list[str]]


def unit(vectors: np.ndarray) -> FloatArray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def some_people(people: int, each: int, spread: float = 0.5, seed: int = 0) -> tuple[FloatArray, IntArray]:
    rng = np.random.default_rng(seed)
    person = np.repeat(np.arange(people), each)
    return unit(
        unit(rng.standard_normal((people, 64)))[person] + spread / 8 * rng.standard_normal((len(person), 64))
    ), person


def as_sets(labels: np.ndarray) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(labels == label).tolist()) for label in np.unique(labels) if label >= 0}


@pytest.mark.parametrize("method", METHODS)
def test_the_people_of_real_photos_are_found(method: Method, lfw_faces: Faces) -> None:
    vectors, names = lfw_faces
    people = len(set(names)) if method == "kmeans" else None
    labels = fk.cluster(vectors, method=method, people=people)
    assert labels.dtype == np.int64
    assert fk.evaluate_clusters(labels, names).bcubed_f > (0.9 if method == "kmeans" else 0.97)


def test_average_linkage_is_the_default(lfw_faces: Faces) -> None:
    vectors, _ = lfw_faces
    np.testing.assert_array_equal(fk.cluster(vectors), fk.cluster(vectors, method="average"))


@given(st.integers(2, 33), st.integers(0, 10_000), st.floats(0.2, 1.0))
@settings(deadline=None)
def test_average_linkage_agrees_with_scipy(faces: int, seed: int, eps: float) -> None:
    rng = np.random.default_rng(seed)
    vectors = unit(rng.standard_normal((4, 8))[rng.integers(0, 4, faces)] + 0.5 * rng.standard_normal((faces, 8)))
    reference = fcluster(linkage(vectors.astype(np.float64), "average", "cosine"), eps, "distance")
    assert as_sets(fk.cluster(vectors, method="average", eps=eps, min_faces=1)) == as_sets(reference)


def test_average_linkage_agrees_with_scipy_on_real_faces(lfw_faces: Faces) -> None:
    vectors, _ = lfw_faces
    reference = fcluster(linkage(vectors.astype(np.float64), "average", "cosine"), 0.5, "distance")
    assert as_sets(fk.cluster(vectors, method="average", eps=0.5, min_faces=1)) == as_sets(reference)


@pytest.mark.parametrize(("eps", "min_faces"), [(0.4, 2), (0.48, 2), (0.48, 3), (0.55, 3)])
def test_dbscan_agrees_with_scikit_learn(eps: float, min_faces: int, lfw_faces: Faces) -> None:
    vectors, _ = lfw_faces
    reference = DBSCAN(eps=eps, min_samples=min_faces, metric="cosine").fit_predict(vectors.astype(np.float64))
    found = fk.cluster(vectors, method="dbscan", eps=eps, min_faces=min_faces)
    # A face at the edge of two people may go to either; and fewer faces than min_faces are nobody here.
    sizes = {label: np.sum(reference == label) for label in set(reference)}
    expected = {group for group in as_sets(reference) if len(group) >= min_faces}
    assert len(as_sets(found) ^ expected) <= 2 * sum(size < min_faces for size in sizes.values())


def test_people_are_numbered_by_size_and_small_groups_are_nobody() -> None:
    vectors, person = some_people(4, 6)
    kept = np.concatenate([np.flatnonzero(person == number)[: number + 1] for number in range(4)])
    order = np.random.default_rng(1).permutation(kept)
    labels = fk.cluster(vectors[order], min_faces=2)
    np.testing.assert_array_equal(labels, np.array([-1, 2, 1, 0])[person[order]])
    np.testing.assert_array_equal(fk.cluster(vectors[order], min_faces=4), np.array([-1, -1, -1, 0])[person[order]])


@pytest.mark.parametrize("method", ["average", "dbscan", "hdbscan"])
@pytest.mark.parametrize("faces", [0, 1, 2, 3])
def test_few_faces_are_no_trouble(method: Method, faces: int) -> None:
    vectors, _ = some_people(1, 3)
    labels = fk.cluster(vectors[:faces], method=method)
    assert labels.tolist() == ([0] * faces if faces > 1 else [-1] * faces)


def test_kmeans_makes_the_number_of_people_it_is_told() -> None:
    vectors, person = some_people(5, 4)
    assert as_sets(fk.cluster(vectors, method="kmeans", people=5)) == as_sets(person)


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, 0.3])
def test_rows_that_can_not_be_compared_are_named(value: float) -> None:
    vectors, _ = some_people(3, 3)
    vectors[4] = value
    with pytest.raises(fk.EmbeddingError, match="Row 4 of the embeddings is"):
        fk.cluster(vectors)


def test_vectors_that_were_not_normalised_are_named() -> None:
    vectors, _ = some_people(3, 3)
    vectors[7] *= 1.1
    with pytest.raises(fk.EmbeddingError, match=r"Row 7 of the embeddings is not of unit length \(length 1\.1\)"):
        fk.cluster(vectors)
    with pytest.raises(fk.EmbeddingError, match="one row a face"):
        fk.cluster(vectors[None])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "magic"}, "no method 'magic'.*average, dbscan"),
        ({"eps": -0.1}, "from 0 to 2"),
        ({"eps": float("nan")}, "from 0 to 2"),
        ({"min_faces": 0}, "at least one face"),
        ({"method": "dbscan", "min_faces": 257}, "min_faces is 257, but dbscan looks at 256"),
        ({"method": "hdbscan", "min_faces": 2**31}, "but hdbscan looks at 256"),
        ({"method": "kmeans"}, "takes the number of people"),
        ({"people": 3}, "takes the number of people"),
        ({"method": "kmeans", "people": 99}, "99 people among 9 faces"),
        ({"embedder": "yunet"}, "not for embedding"),
    ],
)
def test_options_that_make_no_sense_say_so(options: dict[str, object], message: str) -> None:
    vectors, _ = some_people(3, 3)
    with pytest.raises(fk.FacekitError, match=message):
        fk.cluster(vectors, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("method", METHODS)
def test_it_stops_when_asked(method: Method) -> None:
    stop = Event()
    stop.set()
    with pytest.raises(fk.FacekitError, match="stopped"):
        fk.cluster(some_people(3, 3)[0], method=method, people=3 if method == "kmeans" else None, stop=stop)


@pytest.mark.parametrize("looks", [3, 40, 71])
def test_kmeans_stops_in_the_midst_of_its_work(looks: int) -> None:
    class StopLater(Event):
        def is_set(self) -> bool:
            nonlocal looks
            looks -= 1
            return looks <= 0

    with pytest.raises(fk.FacekitError, match="stopped"):
        fk.cluster(some_people(70, 3)[0], method="kmeans", people=70, stop=StopLater())
    assert looks == 0


def test_kmeans_is_as_good_as_scikit_learn_s(lfw_faces: Faces) -> None:
    vectors, names = lfw_faces
    for people in (10, 70):
        reference = KMeans(people, n_init=1, random_state=0).fit_predict(vectors)
        found = kmeans(vectors, people)
        assert len(np.unique(found)) == people
        ours, theirs = (fk.evaluate_clusters(labels, names).bcubed_f for labels in (found, reference))
        assert ours > theirs - 0.03
        np.testing.assert_array_equal(found, kmeans(vectors, people))


def test_kmeans_of_faces_that_are_equal_makes_fewer_people() -> None:
    vectors, person = some_people(3, 1)
    repeated = np.repeat(vectors, 4, axis=0)
    assert as_sets(kmeans(repeated, 7)) == as_sets(np.repeat(person, 4))


@pytest.mark.parametrize("method", ["average", "kmeans"])
def test_many_faces_a_person_ask_for_no_more_neighbours(method: Method, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def nearest(vectors: FloatArray, count: int, *, stop: Event | None) -> neighbours.Neighbours:
        asked.append(count)
        return neighbours.nearest(vectors, count, stop=stop)

    monkeypatch.setattr(methods, "nearest", nearest)
    vectors, _ = some_people(4, 100)
    labels = fk.cluster(vectors, method=method, min_faces=2**31, people=4 if method == "kmeans" else None)
    assert (asked, set(labels)) == ([neighbours.NEIGHBOURS], {-1})


def test_nearby_cells_find_nearly_the_same_people_as_all_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, person = some_people(400, 5, spread=0.7)
    assert fk.evaluate_clusters(fk.cluster(vectors), person).bcubed_f == 1
    monkeypatch.setattr(neighbours, "EXACT_UP_TO", 1000)
    labels = fk.cluster(vectors)
    assert fk.evaluate_clusters(labels, person).bcubed_f > 0.99
    np.testing.assert_array_equal(labels, fk.cluster(vectors))


def test_the_neighbours_are_the_nearest_by_brute_force(lfw_faces: Faces) -> None:
    vectors, _ = lfw_faces
    near = neighbours.nearest(vectors, 5)
    distances = 1 - vectors.astype(np.float64) @ vectors.T
    np.fill_diagonal(distances, np.inf)
    np.testing.assert_allclose(near.distances, np.sort(distances, axis=1)[:, :5], atol=1e-5)
    assert not np.any(near.indices == np.arange(len(vectors))[:, None])


def test_equal_vectors_are_neighbours_of_each_other_and_not_of_themselves() -> None:
    vectors = np.repeat(some_people(1, 1)[0], 50, axis=0)
    near = neighbours.nearest(vectors, 5)
    assert not np.any(near.indices == np.arange(50)[:, None])
    assert fk.cluster(vectors).tolist() == [0] * 50


def test_the_suggested_eps_lies_between_the_same_person_and_strangers(lfw_faces: Faces) -> None:
    vectors, names = lfw_faces
    eps = fk.suggest_eps(vectors)
    curve = neighbour_curve(vectors)
    assert curve.eps == eps
    assert np.all(np.diff(curve.distances) >= 0)
    assert f"suggested eps: {eps:.3f}" in repr(curve)
    suggested = fk.evaluate_clusters(fk.cluster(vectors, method="dbscan", eps=eps), names)
    assert suggested.bcubed_f > 0.97


def test_too_few_faces_suggest_nothing() -> None:
    with pytest.raises(fk.FacekitError, match="more faces than that: 2 given"):
        fk.suggest_eps(some_people(1, 2)[0])
    with pytest.raises(fk.FacekitError, match="256 neighbours at most"):
        fk.suggest_eps(some_people(3, 100)[0], min_faces=257)


def test_similarity_to_a_person_is_the_average_over_the_faces(lfw_faces: Faces) -> None:
    vectors, names = lfw_faces
    person = np.unique(names, return_inverse=True)[1]
    known = centres(vectors[:60], np.where(np.arange(60) < 50, person[:60], -1))
    assert known.faces.sum() == 50
    given = assign(vectors[60:], known, min_similarity=-1, margin=0)
    average = np.array(
        [[(vectors[60 + f] @ vectors[:50][person[:50] == p].T).mean() for p in known.person] for f in range(70)]
    )
    np.testing.assert_array_equal(given.person, known.person[average.argmax(axis=1)])
    ordered = -np.sort(-average, axis=1)
    np.testing.assert_allclose(given.similarities, ordered[:, :3], atol=1e-5)
    np.testing.assert_allclose(given.margin, ordered[:, 0] - ordered[:, 1], atol=1e-5)


def test_new_photos_go_to_their_people_and_strangers_to_nobody(lfw_faces: Faces) -> None:
    vectors, names = lfw_faces
    person = np.unique(names, return_inverse=True)[1]
    new = np.arange(len(names)) % 3 == 0
    new[90:] = True
    given = assign(vectors[new], centres(vectors[~new], person[~new]))
    held_out = np.arange(len(given.person)) < 30
    assert np.mean(given.person[held_out] == person[new][held_out]) > 0.9
    assert np.mean(given.person[~held_out] == -1) > 0.95


def test_a_person_whom_the_user_refused_is_no_candidate() -> None:
    vectors, person = some_people(3, 4)
    known = centres(vectors, person + 10)
    given = assign(vectors[:2], known, forbidden=[[0, 10], [1, 99]])
    assert given.person.tolist() == [-1, 10]
    assert 10 not in given.candidates[0]
    assert given.candidates[0, 2] == -1
    assert given.similarities[0, 2] == -1


def test_two_faces_of_a_photo_do_not_go_to_one_person() -> None:
    vectors, person = some_people(2, 4)
    known = centres(vectors, person)
    given = assign(vectors[:3], known, photo=[5, 5, 6])
    better = int(np.argmax(given.similarity[:2]))
    assert given.person[better] == given.person[2] == 0
    assert given.person[1 - better] == -1
    assert given.candidates[1 - better, 0] == 0
    assert assign(vectors[:3], known, photo=[-1, -1, 6]).person.tolist() == [0, 0, 0]


def test_a_face_between_two_people_waits() -> None:
    vectors, person = some_people(2, 4, spread=0.1)
    between = unit(vectors[:1] + vectors[4:5])
    given = assign(between, centres(vectors, person))
    assert given.person.tolist() == [-1]
    assert set(given.candidates[0][:2]) == {0, 1}
    assert assign(between, centres(vectors, person), margin=0).person[0] in {0, 1}


def test_nobody_to_assign_to_and_nothing_to_assign() -> None:
    vectors, person = some_people(1, 3)
    nobody = centres(vectors, np.full(3, -1))
    given = assign(vectors, nobody)
    assert given.person.tolist() == [-1, -1, -1]
    assert np.all(given.candidates == -1)
    alone = assign(vectors, centres(vectors, person))
    assert np.all(np.isinf(alone.margin))
    assert len(assign(vectors[:0], centres(vectors, person)).person) == 0


def test_assigning_faces_of_another_model_says_so() -> None:
    vectors, person = some_people(1, 3)
    with pytest.raises(fk.FacekitError, match="have 32 numbers, the people's 64"):
        assign(unit(vectors[:, :32]), centres(vectors, person))
    with pytest.raises(fk.FacekitError, match="names a face that is not there"):
        assign(vectors, centres(vectors, person), forbidden=[[3, 0]])
    with pytest.raises(fk.FacekitError, match="3 faces and 1 numbers of photos"):
        assign(vectors, centres(vectors, person), photo=[1])
    with pytest.raises(fk.FacekitError, match="3 embeddings and 2 people"):
        centres(vectors, [0, 1])


def test_a_made_up_crowd_is_like_the_faces_it_was_made_from() -> None:
    vectors, person = some_people(300, 3, spread=0.6)
    made, of = crowd(vectors, person, 5000)
    again, _ = crowd(vectors, person, 5000)
    np.testing.assert_array_equal(made, again)
    np.testing.assert_allclose(np.linalg.norm(made, axis=1), 1, atol=1e-5)

    def typical(faces: np.ndarray, whose: np.ndarray) -> tuple[float, float]:
        similar = faces[:1500] @ faces[:1500].T
        same = whose[:1500, None] == whose[None, :1500]
        return float(np.median(similar[same & (similar < 0.9999)])), float(np.quantile(similar[~same], 0.99))

    assert typical(made, of) == pytest.approx(typical(vectors, person), abs=0.06)
    with pytest.raises(fk.FacekitError, match="too few"):
        crowd(vectors[:30], person[:30], 100)
