"""Measure a detector and an embedder on Labeled Faces in the Wild: pairs of photos, and search by example."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from facekit.errors import FacekitError
from facekit.images import decode as images
from facekit.measure.lfw import Pair, Round, list_photos, read_rounds
from facekit.metrics import verification as metrics
from facekit.system.files import named_file

if TYPE_CHECKING:
    from collections.abc import Sequence

    from facekit.models.protocols import Detector, Embedder
    from facekit.types.arrays import Detections, FloatArray

NO_FACE_SIMILARITY = -1.0
"""The lowest cosine there is: a photo in which no face was found is like no other."""

RECALL_AT = 10
PHOTOS_AT_ONCE = 16
"""More faces in one call of the embedder bring no speed (ONNX Runtime on a CPU: flat from 1 to 16, slower at 32)."""

PROBES_AT_ONCE = 512
"""Rows of the similarity matrix that are in memory together: 27 MB for the 13,233 photos of the whole data set."""


@dataclass(frozen=True, slots=True, eq=False)
class CentralFaces:
    """One vector for each photo.

    Parameters
    ----------
    vectors : ndarray, float32 (N, D)
        L2-normalised; zeros where no face was found.
    found : ndarray, bool (N,)
        Whether a face was found.
    """

    vectors: FloatArray
    found: npt.NDArray[np.bool_]

    def similarities(self, rows: slice) -> FloatArray:
        """Cosine of some photos to all, float32 (rows, N); -1 where a photo has no face."""
        block = self.vectors[rows] @ self.vectors.T
        block[~self.found[rows]] = NO_FACE_SIMILARITY
        block[:, ~self.found] = NO_FACE_SIMILARITY
        return block

    def pair_similarities(self, first: Sequence[int], second: Sequence[int]) -> FloatArray:
        """Cosine of each pair of photos, float32 (len(first),); -1 where one of the two has no face."""
        cosine = np.einsum("ij,ij->i", self.vectors[first], self.vectors[second])
        return np.where(self.found[first] & self.found[second], cosine, np.float32(NO_FACE_SIMILARITY))


@dataclass(frozen=True, slots=True)
class LfwResult:
    """What was measured on Labeled Faces in the Wild.

    Parameters
    ----------
    pairs : int
        Number of test pairs.
    accuracy : float
        Share of test pairs decided rightly, 0..1; with ten folds the mean over them.
    std : float
        With ten folds the standard deviation of their accuracies. With the development pairs, which are measured
        once, the binomial standard error ``sqrt(accuracy * (1 - accuracy) / pairs)``.
    threshold : float
        Cosine similarity from which on a pair was accepted: fitted on the training pairs; with ten folds the mean.
    eer : float
        Equal error rate over all test pairs, 0..1.
    tar_at_far_1e3 : float
        True accept rate over all test pairs where at most one of a thousand different pairs is accepted, 0..1.
    map : float
        Mean average precision, 0..1: each photo of a person with two or more is the probe once, all the others are
        the gallery.
    recall_at_10 : float
        Same probes: how much of the person's other photos is among the first ten results, 0..1, see
        `facekit.metrics.verification.recall_at`. A person with more than eleven photos keeps the mean below 1.
    detector, embedder : str
        Names of the models.
    engine, device : str
        What they really ran in and on; both names where the detector's differs from the embedder's.
    photos : int
        Photos embedded, all of them in the gallery.
    photos_without_face : int
        Photos in which no face was found. They stay in: their similarity to every photo is -1.
    curve : RocCurve
        Receiver operating characteristic over all test pairs.
    """

    pairs: int
    accuracy: float
    std: float
    threshold: float
    eer: float
    tar_at_far_1e3: float
    map: float
    recall_at_10: float
    detector: str
    embedder: str
    engine: str
    device: str
    photos: int
    photos_without_face: int
    curve: metrics.RocCurve = field(repr=False, compare=False)

    def __repr__(self) -> str:
        return (
            f"LFW, {self.detector} + {self.embedder} in {self.engine} on {self.device}, {self.pairs} pairs: "
            f"accuracy {self.accuracy:.2%} (± {self.std:.2%}) at similarity {self.threshold:.3f}, "
            f"EER {self.eer:.2%}, TAR {self.tar_at_far_1e3:.2%} at FAR 0.1%; "
            f"search among {self.photos} photos: mAP {self.map:.2%}, recall@{RECALL_AT} {self.recall_at_10:.2%}; "
            f"no face in {self.photos_without_face}"
        )

    def to_dict(self) -> dict[str, Any]:
        """The figures by name, ready for JSON."""
        return {
            "pairs": self.pairs,
            "accuracy": self.accuracy,
            "std": self.std,
            "threshold": self.threshold,
            "eer": self.eer,
            "tar_at_far_1e-3": self.tar_at_far_1e3,
            "map": self.map,
            "recall_at_10": self.recall_at_10,
            "detector": self.detector,
            "embedder": self.embedder,
            "engine": self.engine,
            "device": self.device,
        }


def evaluate_lfw(
    folder: str | Path,
    *,
    detector: str = "yunet",
    embedder: str = "sface",
    device: str = "auto",
    engine: str = "auto",
    html: str | Path | None = None,
    progress: bool = True,
) -> LfwResult:
    """Measure a detector and an embedder on Labeled Faces in the Wild.

    With ``pairs.txt`` in the folder the ten folds of View 2 are used: the threshold is fitted on nine, measured on
    the tenth. Without it the threshold is fitted on ``pairsDevTrain.txt`` and measured on ``pairsDevTest.txt``.
    Every photo of the folder is embedded and searched for, see `LfwResult`.

    Parameters
    ----------
    folder : str or Path
        Where the data set lies.
    detector, embedder : str, optional
        Names of the models.
    device, engine : str, optional
        What the models run on and in, see `facekit.models.engines.open_graph`.
    html : str or Path, optional
        Also write the ROC curve to this file, as a page that needs no network.
    progress : bool, optional
        Show a progress bar on standard error.

    Returns
    -------
    LfwResult

    Raises
    ------
    FacekitError
        If a file of the data set is missing or is not what it should be.
    """
    from facekit.models import registry

    folder = Path(folder)
    rounds = read_rounds(folder)
    photos = list_photos(folder, rounds)
    finder = registry.load_detector(detector, device=device, engine=engine)
    describer = registry.load_embedder(embedder, device=device, engine=engine)
    faces = central_faces([folder / photo for photo in photos], finder, describer, progress=progress)
    ran = {
        "engine": " + ".join(dict.fromkeys([finder.engine, describer.engine])),
        "device": " + ".join(dict.fromkeys([finder.device, describer.device])),
    }
    result = _measure(rounds, photos, faces, {"detector": detector, "embedder": embedder} | ran)
    if html is not None:
        _write_page(result, Path(html))
    return result


def central_faces(
    photos: Sequence[Path], detector: Detector, embedder: Embedder, *, progress: bool = True
) -> CentralFaces:
    """Embed the central face of each photo.

    Parameters
    ----------
    photos : sequence of Path
        Photos, each of one person and perhaps of bystanders.
    detector, embedder
        From `facekit.models.registry`.
    progress : bool, optional
        Show a progress bar on standard error.

    Returns
    -------
    CentralFaces
        In the order of `photos`.

    Raises
    ------
    PhotoError
        If a photo can't be read: a measurement must not pass over it.
    """
    from tqdm import tqdm

    vectors = np.zeros((len(photos), embedder.dimension), np.float32)
    found = np.zeros(len(photos), np.bool_)
    with tqdm(total=len(photos), desc="embedding", unit="photo", disable=not progress) as bar:
        for start in range(0, len(photos), PHOTOS_AT_ONCE):
            batch = photos[start : start + PHOTOS_AT_ONCE]
            pictures = [images.read_image(photo, max_side=detector.max_side) for photo in batch]
            detections = detector.detect(pictures)
            crops = [
                embedder.align(picture, faces[central_face(faces, *picture.shape[:2])])
                for picture, faces in zip(pictures, detections, strict=True)
                if len(faces)
            ]
            rows = start + np.flatnonzero([len(faces) > 0 for faces in detections])
            if crops:
                vectors[rows] = embedder.embed(np.concatenate(crops))
                found[rows] = True
            bar.update(len(pictures))
    return CentralFaces(vectors, found)


def central_face(faces: Detections, height: int, width: int) -> int:
    """Position of the face that the photo is of: large, and near the centre of the photo.

    In Labeled Faces in the Wild the person who gave the photo its name is in the centre. The largest value of
    ``area - 2 * distance**2`` wins, as in the alignment of the data set by FaceNet (davidsandberg/facenet,
    ``src/align/align_dataset_mtcnn.py``).

    Parameters
    ----------
    faces : Detections
        At least one face.
    height, width : int
        Of the photo, in pixels.
    """
    offsets = faces.boxes[:, :2] + faces.boxes[:, 2:] / 2 - np.array([width / 2, height / 2], np.float32)
    return int(np.argmax(faces.areas - 2 * np.sum(offsets**2, axis=1)))


def retrieval(faces: CentralFaces, people: Sequence[str]) -> tuple[float, float]:
    """Mean average precision and mean recall among the first ten results, leaving the probe out of the gallery.

    Parameters
    ----------
    faces : CentralFaces
        Of all photos.
    people : sequence of str
        Whom each photo shows. Photos of people with one photo are in the gallery but are no probes.

    Returns
    -------
    tuple of float, float
        mAP and recall@10, each 0..1.

    Raises
    ------
    FacekitError
        If nobody has two photos.
    """
    person = np.unique(np.asarray(people), return_inverse=True)[1]
    precisions, recalls = [], []
    for start in range(0, len(person), PROBES_AT_ONCE):
        for probe, row in enumerate(faces.similarities(slice(start, start + PROBES_AT_ONCE)), start):
            relevant = np.delete(person == person[probe], probe)
            if relevant.any():
                gallery = np.delete(row, probe)
                precisions.append(metrics.average_precision(gallery, relevant))
                recalls.append(metrics.recall_at(gallery, relevant, RECALL_AT))
    if not precisions:
        message = "Nobody has two photos, so there is nothing to search for."
        raise FacekitError(message, "Give the whole folder of Labeled Faces in the Wild.")
    return float(np.mean(precisions)), float(np.mean(recalls))


def _measure(rounds: list[Round], photos: list[str], faces: CentralFaces, ran: dict[str, str]) -> LfwResult:
    position = {photo: i for i, photo in enumerate(photos)}

    def compared(pairs: list[Pair]) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
        first, second = [position[pair.first] for pair in pairs], [position[pair.second] for pair in pairs]
        return faces.pair_similarities(first, second), np.array([pair.same for pair in pairs])

    thresholds = [metrics.best_threshold(*compared(training)) for training, _ in rounds]
    accuracies = [
        metrics.accuracy(*compared(testing), threshold)
        for (_, testing), threshold in zip(rounds, thresholds, strict=True)
    ]
    everything = compared([pair for _, testing in rounds for pair in testing])
    pairs = len(everything[0])
    accuracy = float(np.mean(accuracies))
    curve = metrics.roc(*everything)
    mean_average_precision, recall = retrieval(faces, [photo.split("/")[0] for photo in photos])
    return LfwResult(
        pairs=pairs,
        accuracy=accuracy,
        std=float(np.std(accuracies) if len(rounds) > 1 else np.sqrt(accuracy * (1 - accuracy) / pairs)),
        threshold=float(np.mean(thresholds)),
        eer=metrics.equal_error_rate(curve),
        tar_at_far_1e3=metrics.tar_at_far(curve, 1e-3),
        map=mean_average_precision,
        recall_at_10=recall,
        **ran,
        photos=len(photos),
        photos_without_face=int(np.sum(~faces.found)),
        curve=curve,
    )


def _write_page(result: LfwResult, file: Path) -> None:
    from facekit.plots import roc_figure

    title = (
        f"LFW, {result.detector} + {result.embedder}: accuracy {result.accuracy:.2%}, EER {result.eer:.2%}, "
        f"TAR {result.tar_at_far_1e3:.2%} at FAR 0.1%"
    )
    with named_file(file) as page:
        page.write(roc_figure(result.curve, title).to_html(include_plotlyjs=True).encode())
