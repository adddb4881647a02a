"""A crowd that was never photographed: as many embeddings as it takes, like those of real faces, to measure with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from facekit.errors import FacekitError

if TYPE_CHECKING:
    from facekit.types.arrays import FloatArray, IntArray

TAIL = 1.1
"""A person has s faces or more with the probability ``s ** -1.1``: half of the people have one, a few thousands."""

MOST_FACES = 2000
"""Of one person."""

UNEVENNESS = 0.2
"""How much people's faces vary from person to person: the standard deviation of the logarithm of the spread. Fitted, so
that the similarities within LFW's people are met: see `crowd`."""

FEWEST_FACES = 256
"""Below, the spread within people and between them can't be told: it has as many directions as a vector has numbers."""


def crowd(vectors: FloatArray, person: IntArray, faces: int, *, seed: int = 0) -> tuple[FloatArray, IntArray]:
    """Make up faces of people who don't exist, with embeddings distributed like those of real ones.

    A face is the sum of its person's centre and of its own deviation, brought to unit length. Centres are drawn from
    a normal distribution with the mean of the given people and the covariance between them. A deviation is that of
    a randomly chosen real face from its person's mean (corrected for the mean being one of few faces), with random
    signs along the principal axes of these deviations, and scaled by the person's own factor. So directions and
    lengths are those of real deviations, and no two faces share one. How many faces people have follows a power law.

    From the 4,992 faces of LFW with sface, it meets these quantiles of the cosine similarity (real, made up):
    within people 1 % (0.36, 0.41), 5 % (0.50, 0.50), 50 % (0.69, 0.70), 95 % (0.84, 0.84); between people 50 %
    (0.10, 0.10), 99 % (0.30, 0.30), 99.9 % (0.37, 0.37), 99.99 % (0.42, 0.42).

    Parameters
    ----------
    vectors : ndarray, float32 (N, D)
        Real faces, of unit length.
    person : ndarray, int64 (N,)
        Whose they are.
    faces : int
        How many to make.
    seed : int, optional
        Of the random numbers.

    Returns
    -------
    vectors : ndarray, float32 (faces, D)
        Of unit length, in random order.
    person : ndarray, int64 (faces,)
        Whose they are, 0..

    Raises
    ------
    FacekitError
        If there are too few real faces of people with two or more.
    """
    number = np.unique(person, return_inverse=True)[1]
    sizes = np.bincount(number)
    several = sizes[number] > 1
    if several.sum() < FEWEST_FACES:
        message = f"{several.sum()} faces of people with two or more are too few to make up others like them."
        raise FacekitError(message, f"Give at least {FEWEST_FACES}.")
    means = np.zeros((len(sizes), vectors.shape[1]))
    np.add.at(means, number, vectors)
    means /= sizes[:, None]
    stretch = np.sqrt(sizes / np.maximum(sizes - 1, 1))
    deviations = ((vectors - means[number]) * stretch[number][:, None])[several]
    within = deviations.T @ deviations / len(deviations)
    single = vectors[np.unique(number, return_index=True)[1]].astype(np.float64)
    spread, axes = np.linalg.eigh(np.cov(single.T) - within)
    between = axes * np.sqrt(np.maximum(spread, 0))

    rng = np.random.default_rng(seed)
    many = np.minimum(rng.random(faces) ** (-1 / TAIL), MOST_FACES).astype(np.int64)
    shown = np.repeat(np.arange(faces), many)[:faces] if faces else np.empty(0, np.int64)
    shown = rng.permutation(shown)
    people = int(shown.max(initial=-1)) + 1
    centres = single.mean(axis=0) + rng.standard_normal((people, vectors.shape[1])) @ between.T
    factors = np.exp(rng.normal(-(UNEVENNESS**2), UNEVENNESS, people))
    principal = np.linalg.eigh(within)[1]
    along = (deviations @ principal).astype(np.float32)
    made = np.empty((faces, vectors.shape[1]), np.float32)
    for start in range(0, faces, 10_000):
        of = shown[start : start + 10_000]
        own = along[rng.integers(0, len(along), len(of))] * rng.choice(
            np.array([-1, 1], np.float32), (len(of), along.shape[1])
        )
        face = centres[of] + factors[of][:, None] * (own @ principal.T)
        made[start : start + 10_000] = face / np.linalg.norm(face, axis=1, keepdims=True)
    return made, shown
