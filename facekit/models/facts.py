"""The models that facekit knows: facts, thresholds, and how each is opened. To add one is to add an entry here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from facekit.models import deepface, retinaface, sface, yunet

if TYPE_CHECKING:
    from collections.abc import Callable

    from facekit.models.downloads import WeightFile
    from facekit.models.protocols import Detector, Embedder


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Facts about one model.

    Parameters
    ----------
    name : str
        What users call it.
    task : {"detection", "embedding"}
        What it does.
    version : str
        Changes whenever the same image would give other numbers: other weights, another preprocessing.
    licence : str
        Of the weights.
    megabytes : float
        Size of the weights: 4 bytes a number, or as the file is.
    file : callable
        Gives the `WeightFile` that an engine reads, by the engine's name ("auto" is one).
    accuracy, accuracy_source : str
        As published, and where.
    load : callable
        Opens it: takes ``device``, ``engine`` and the model's own options as keywords.
    dimension, input_size : int
        Embedders: the length of a vector, and the side of an aligned face in pixels; otherwise 0.
    search_similarity, cluster_distance : float
        Embedders: the cosine similarity from which two faces count as the same person, and the cosine distance at
        which average linkage stops merging; otherwise NaN.
    dbscan_distance, hdbscan_distance : float
        Embedders: the radius of DBSCAN, and the distance up to which HDBSCAN takes faces for neighbours; otherwise NaN.
    assign_similarity, assign_margin : float
        Embedders: the least average similarity of a face to a person's faces, and by how much it must exceed that to
        any other person's, for the face to be given to the person; otherwise NaN.
    threshold_source : str
        Where those numbers come from.
    """

    name: str
    task: Literal["detection", "embedding"]
    version: str
    licence: str
    megabytes: float
    file: Callable[[str], WeightFile] = field(repr=False, compare=False)
    accuracy: str
    accuracy_source: str
    load: Callable[..., Detector | Embedder] = field(repr=False, compare=False)
    dimension: int = 0
    input_size: int = 0
    search_similarity: float = float("nan")
    cluster_distance: float = float("nan")
    dbscan_distance: float = float("nan")
    hdbscan_distance: float = float("nan")
    assign_similarity: float = float("nan")
    assign_margin: float = float("nan")
    threshold_source: str = ""


_DEEPFACE = "https://github.com/serengil/deepface/tree/master/benchmarks: 1,000 pairs, found with retinaface"

_ALL = (
    ModelInfo(
        name="yunet",
        task="detection",
        version="1",
        licence="MIT",
        megabytes=0.1,
        file=lambda _engine: yunet.WEIGHTS,
        accuracy="WIDER Face validation AP 0.885 easy, 0.865 medium, 0.750 hard",
        accuracy_source="https://github.com/opencv/opencv_zoo/tree/main/models/face_detection_yunet",
        load=yunet.load,
    ),
    ModelInfo(
        name="sface",
        task="embedding",
        version="1",
        licence="Apache-2.0",
        megabytes=10.7,
        file=lambda _engine: sface.WEIGHTS,
        accuracy="LFW 99.40 %",
        accuracy_source="https://github.com/opencv/opencv_zoo/tree/main/models/face_recognition_sface",
        load=sface.load,
        dimension=sface.DIMENSION,
        input_size=sface.INPUT_SIZE,
        search_similarity=0.42,
        cluster_distance=0.53,
        dbscan_distance=0.48,
        hdbscan_distance=0.50,
        assign_similarity=0.48,
        assign_margin=0.05,
        threshold_source=(
            "Similarity: each of the 4,992 photos of LFW's development set searched for among the others. At 0.42 a "
            "search finds 98.3 % of the person's other photos and 0.6 of strangers; at 0.363, which OpenCV gives for "
            "comparing two photos, 98.9 % and 5.8; at 0.45 97.3 % and 0.15. Clusters, on the "
            "same photos (best BCubed F on all of them): average linkage 0.991 at 0.53, DBSCAN 0.989 at 0.48, HDBSCAN "
            "0.988 at 0.50; on the people with two photos or more 0.992 at 0.56, 0.986 at 0.50 and 0.991 at 0.57, but "
            "strangers are many in a library. Fitted on half of all people, four draws, both ways, average linkage "
            "takes 0.52 to 0.55, and is nowhere better than 0.53 on the other half (BCubed and pairwise F; mean 0.993 "
            "and 0.983, at 0.56 0.991 and 0.980). Assignment, a fifth of these people's photos held out, everybody "
            "with one photo a stranger: at 0.48 with a margin of 0.05, 97.1 % of the photos go to their person, 0.3 % "
            "of the strangers' to somebody, and 98.7 % of what goes is right: the best F of all pairs tried."
        ),
    ),
    ModelInfo(
        name="retinaface",
        task="detection",
        version="1",
        licence=retinaface.NETWORK.licence,
        megabytes=118,
        file=retinaface.NETWORK.file,
        accuracy="WIDER Face validation AP 0.949 easy, 0.919 medium, 0.642 hard (at 640 x 480)",
        accuracy_source="https://github.com/deepinsight/insightface/tree/master/detection/scrfd: RetinaFace-R50",
        load=retinaface.load,
    ),
    ModelInfo(
        name="facenet512",
        task="embedding",
        version="1",
        licence=deepface.FACENET512.licence,
        megabytes=95,
        file=deepface.FACENET512.file,
        accuracy="LFW 98.4 %",
        accuracy_source=_DEEPFACE,
        load=deepface.load_facenet512,
        dimension=512,
        input_size=160,
        search_similarity=0.70,
        cluster_distance=0.27,
        dbscan_distance=0.25,
        hdbscan_distance=0.26,
        assign_similarity=0.73,
        assign_margin=0.03,
        threshold_source=(
            "Published, not measured by facekit. deepface/config/threshold.py has two that contradict each other: a "
            "cosine distance of 0.30, and a euclidean_l2 of 1.04, which is a cosine distance of 0.54 (l2 * l2 / 2). "
            "0.30 is taken: it is what DeepFace.verify and find use by default, PhotoPrism accepts up to 0.34 with a "
            "FaceNet of the same family, and of the two it brings fewer strangers among thousands of photos. Those "
            "for people: in proportion to SFace's. `fk.calibrate` measures on your photos."
        ),
    ),
    ModelInfo(
        name="facenet",
        task="embedding",
        version="1",
        licence=deepface.FACENET.licence,
        megabytes=92,
        file=deepface.FACENET.file,
        accuracy="LFW 96.4 %",
        accuracy_source=_DEEPFACE,
        load=deepface.load_facenet,
        dimension=128,
        input_size=160,
        search_similarity=0.60,
        cluster_distance=0.37,
        dbscan_distance=0.33,
        hdbscan_distance=0.34,
        assign_similarity=0.64,
        assign_margin=0.03,
        threshold_source=(
            "Published, not measured by facekit: the cosine distance of 0.40 of deepface/config/threshold.py (its "
            "euclidean_l2 of 0.80 would be 0.32). Those for people: in proportion to SFace's."
        ),
    ),
    ModelInfo(
        name="arcface",
        task="embedding",
        version="1",
        licence=deepface.ARCFACE.licence,
        megabytes=137,
        file=deepface.ARCFACE.file,
        accuracy="LFW 96.6 %",
        accuracy_source=_DEEPFACE,
        load=deepface.load_arcface,
        dimension=512,
        input_size=112,
        search_similarity=0.32,
        cluster_distance=0.62,
        dbscan_distance=0.56,
        hdbscan_distance=0.59,
        assign_similarity=0.39,
        assign_margin=0.06,
        threshold_source=(
            "Published, not measured by facekit: the cosine distance of 0.68 of deepface/config/threshold.py, with "
            "which its other thresholds agree. Those for people: in proportion to SFace's."
        ),
    ),
)

EMBEDDED = ("yunet", "sface")
"""The detector and the embedder whose weights come from the Python package index, so that they work anywhere."""
PREFERRED = ("retinaface", "facenet512")
"""The detector and the embedder of a new library, where their weights are on the machine."""

MODELS: dict[str, ModelInfo] = {info.name: info for info in _ALL}
