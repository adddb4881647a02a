"""Measure the methods of clustering: on photos whose people are known, and on made-up crowds of any size."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from facekit.clustering import Constraints, Method, cluster, evaluate_clusters
from facekit.errors import FacekitError
from facekit.images.formats import PICTURE_EXTENSIONS
from facekit.measure.bench import run_measured
from facekit.measure.crowd import crowd
from facekit.measure.lfw_accuracy import central_faces

if TYPE_CHECKING:
    from facekit.clustering import ClusterScores
    from facekit.types.arrays import FloatArray, IntArray

SWEPT: tuple[Method, ...] = ("average", "dbscan", "hdbscan")
"""The methods that have a distance to try others of."""

STEPS = np.arange(-8, 9) / 100
"""Added to the default distance, to see how far it stands from the best."""

LABELLED = 0.01
DRAWS = 5
"""Which faces are labelled is drawn that many times; the mean is reported."""

SIZES = (10_000, 20_000, 50_000, 100_000)


@dataclass(frozen=True, slots=True)
class MethodResult:
    """One method on one set of faces; the scores are `ClusterScores`'.

    Parameters
    ----------
    method : str
        Of `facekit.people.cluster`.
    faces, people : int
        How many there were.
    eps : float, optional
        The default distance of the method; k-means has none.
    bcubed_precision, bcubed_recall, bcubed_f, pairwise_f : float
        With the default distance, 0..1.
    best_eps, best_f : float, optional
        The distance with the best BCubed F of those within 0.08 of the default, and that F.
    labelled_f : float, optional
        BCubed F with the default distance where the person of 1 % of the faces, drawn at random, is known; mean of
        five draws.
    """

    method: str
    faces: int
    people: int
    eps: float | None
    bcubed_precision: float
    bcubed_recall: float
    bcubed_f: float
    pairwise_f: float
    best_eps: float | None = None
    best_f: float | None = None
    labelled_f: float | None = None


@dataclass(frozen=True, slots=True)
class CrowdResult:
    """One method on a made-up crowd, see `facekit.measure.crowd.crowd`.

    Parameters
    ----------
    method, faces, people, bcubed_precision, bcubed_recall, bcubed_f, pairwise_f
        As in `MethodResult`.
    seconds : float
        From the embeddings to the labels.
    peak_mb : float
        Most resident memory of the process, with the embeddings and the interpreter, in MB (1e6 bytes).
    """

    method: str
    faces: int
    people: int
    bcubed_precision: float
    bcubed_recall: float
    bcubed_f: float
    pairwise_f: float
    seconds: float
    peak_mb: float


@dataclass(frozen=True, slots=True, repr=False)
class PeopleResult:
    """What `evaluate_people` measured.

    Parameters
    ----------
    detector, embedder : str
        Names of the models.
    photos_without_face : int
        They are left out.
    everybody : tuple of MethodResult
        The methods on all faces.
    several : tuple of MethodResult
        The methods on the faces of people with two photos or more.
    crowds : tuple of CrowdResult
        The methods on made-up crowds, where asked for.
    """

    detector: str
    embedder: str
    photos_without_face: int
    everybody: tuple[MethodResult, ...]
    several: tuple[MethodResult, ...]
    crowds: tuple[CrowdResult, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The figures by name, ready for JSON."""
        return asdict(self)

    def __repr__(self) -> str:
        blocks: list[tuple[str, tuple[MethodResult, ...] | tuple[CrowdResult, ...]]] = [
            ("All faces", self.everybody),
            ("People with two photos or more", self.several),
            ("Made-up crowds", self.crowds),
        ]
        head = f"{self.detector} + {self.embedder}; no face in {self.photos_without_face} photos"
        return "\n\n".join([head, *(f"{title}\n{_table(rows)}" for title, rows in blocks if rows)])


def _table(rows: tuple[MethodResult, ...] | tuple[CrowdResult, ...]) -> str:
    import pandas as pd

    frame = pd.DataFrame([asdict(row) for row in rows])
    shown = {"eps": "{:.2f}", "best_eps": "{:.2f}", "seconds": "{:.1f}", "peak_mb": "{:.0f}"}
    for column in frame.columns[1:]:
        form = shown.get(column, "{:,}" if column in {"faces", "people"} else "{:.4f}")
        frame[column] = ["" if pd.isna(value) else form.format(value) for value in frame[column]]
    return frame.to_string(index=False)


def evaluate_people(
    folder: str | Path,
    *,
    faces: int | None = None,
    detector: str = "yunet",
    embedder: str = "sface",
    device: str = "auto",
    engine: str = "auto",
    progress: bool = True,
) -> PeopleResult:
    """Measure the methods of clustering.

    Parameters
    ----------
    folder : str or Path
        One folder a person, with photos of that person, as in Labeled Faces in the Wild. Of each photo the central
        face is taken.
    faces : int, optional
        Also make up crowds of 10,000, 20,000, 50,000 and 100,000 faces like these, up to this number of faces, and
        measure time and memory of each method but k-means.
    detector, embedder : str, optional
        Names of the models.
    device, engine : str, optional
        What the models run on and in, see `facekit.models.engines.open_graph`.
    progress : bool, optional
        Show progress bars on standard error.

    Returns
    -------
    PeopleResult

    Raises
    ------
    FacekitError
        If nobody in the folder has two photos, or there are too few faces to make up others like them.
    PhotoError
        If a photo can't be read.
    """
    from facekit.models import registry

    photos = sorted(photo for photo in Path(folder).glob("*/*") if photo.suffix.lower() in PICTURE_EXTENSIONS)
    found = central_faces(
        photos,
        registry.load_detector(detector, device=device, engine=engine),
        registry.load_embedder(embedder, device=device, engine=engine),
        progress=progress,
    )
    names = np.array([photo.parent.name for photo in photos], dtype=str)[found.found]
    vectors, person = found.vectors[found.found], np.unique(names, return_inverse=True)[1].astype(np.int64)
    several = np.bincount(person, minlength=1)[person] > 1
    if not several.any():
        message = f"Nobody in {folder} has two photos with a face, so there is nothing to group."
        raise FacekitError(message, "Give a folder that holds one folder a person, such as Labeled Faces in the Wild.")
    return PeopleResult(
        detector,
        embedder,
        int(np.sum(~found.found)),
        _methods(vectors, person, embedder, progress=progress),
        _methods(vectors[several], person[several], embedder, progress=progress),
        _crowds(vectors, person, faces, embedder, progress=progress) if faces else (),
    )


def _methods(vectors: FloatArray, person: IntArray, embedder: str, *, progress: bool) -> tuple[MethodResult, ...]:
    from tqdm import tqdm

    from facekit.models.registry import model_for

    info = model_for(embedder, "embedding")
    defaults = dict(zip(SWEPT, (info.cluster_distance, info.dbscan_distance, info.hdbscan_distance), strict=True))
    many = len(np.unique(person))
    rows = []
    with tqdm(total=len(SWEPT) * len(STEPS) + 1, desc=f"{len(person):,} faces", disable=not progress) as bar:
        for method in SWEPT:
            tried: dict[float, ClusterScores] = {}
            for step in STEPS:
                eps = round(float(defaults[method] + step), 4)
                labels = cluster(vectors, method=method, embedder=embedder, eps=eps)
                tried[eps] = evaluate_clusters(labels, person)
                bar.update()
            best = max(tried, key=lambda eps: tried[eps].bcubed_f)
            scores = tried[round(defaults[method], 4)]
            labelled = _labelled_f(vectors, person, method, embedder)
            rows.append(_row(method, scores, defaults[method], best, tried[best].bcubed_f, labelled))
        rows.append(_row("kmeans", evaluate_clusters(cluster(vectors, method="kmeans", people=many), person)))
        bar.update()
    return tuple(rows)


def _row(method: str, scores: ClusterScores, *rest: float) -> MethodResult:
    eps, best_eps, best_f, labelled_f = rest or (None, None, None, None)
    return MethodResult(
        method,
        scores.faces,
        scores.people,
        eps,
        scores.bcubed_precision,
        scores.bcubed_recall,
        scores.bcubed_f,
        scores.pairwise_f,
        best_eps,
        best_f,
        labelled_f,
    )


def _labelled_f(vectors: FloatArray, person: IntArray, method: Method, embedder: str) -> float:
    scores = []
    for seed in range(DRAWS):
        known = np.random.default_rng(seed).random(len(person)) < LABELLED
        constraints = Constraints(person=np.where(known, person, -1))
        labels = cluster(vectors, method=method, embedder=embedder, constraints=constraints)
        scores.append(evaluate_clusters(labels, person).bcubed_f)
    return float(np.mean(scores))


def _crowds(
    vectors: FloatArray, person: IntArray, faces: int, embedder: str, *, progress: bool
) -> tuple[CrowdResult, ...]:
    from tqdm import tqdm

    rows = []
    sizes = [*(size for size in SIZES if size < faces), faces]
    with (
        tempfile.TemporaryDirectory(prefix="facekit-crowd-") as place,
        tqdm(total=len(sizes) * len(SWEPT), desc="crowds", disable=not progress) as bar,
    ):
        for size in sizes:
            made, of = crowd(vectors, person, size)
            file = Path(place) / f"{size}.npz"
            np.savez(file, vectors=made, person=of)
            for method in SWEPT:
                result, peak = run_measured("facekit.measure._crowd_loop", str(file), method, embedder)
                rows.append(CrowdResult(method=method, faces=size, peak_mb=peak / 1e6, **result))
                bar.update()
    return tuple(rows)
