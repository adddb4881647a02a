"""Speed of ingest and search on a folder of photos, beside a plain loop with ``deepface`` on the same machine.

Each side runs in a process of its own, one after the other, so that neither's memory or threads touch the other's:
first `facekit.measure._facekit_loop`, then `facekit.measure._deepface_loop`, which finds the photos in the disk cache.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from facekit.errors import FacekitError

if TYPE_CHECKING:
    from collections.abc import Sequence

DEEPFACE_PHOTOS = 200
"""The loop's time grows with the number of photos, so that as many, spread evenly over the folder, give its rate."""

DEEPFACE_NAMES = {
    "yunet": "yunet",
    "retinaface": "retinaface",
    "sface": "SFace",
    "facenet512": "Facenet512",
    "facenet": "Facenet",
    "arcface": "ArcFace",
}
"""What deepface calls the models that both have."""

_LOOKS = {
    "yunet": (
        "facekit's yunet looks at a long side of up to 1280 pixels, and more closely where faces are small; deepface's "
        "at 640, a black border of half the photo's size included."
    ),
    "retinaface": (
        "facekit's retinaface looks at a long side of up to 1280 pixels, and enlarges a small photo to 480; deepface's "
        "at a short side of 1024, small photos too, a black border of half the photo's size included."
    ),
}
"""How many pixels the two sides look at, without which the ratio can't be read."""

_ZOO_FILES = {"yunet": "face_detection_yunet_2023mar.onnx", "sface": "face_recognition_sface_2021dec.onnx"}
"""Names in deepface's ``face_detection/YuNet.py`` and ``facial_recognition/onnx/SFace.py``. The second runs in ONNX
Runtime, which refuses the zoo's quantised file: both are given as facekit runs them."""

_DEEPFACE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})
"""What deepface reads (0.0.103, ``deepface/commons/image_utils.py``)."""

_SAMPLE_SECONDS = 0.05
_MB = 1e6


@dataclass(frozen=True, slots=True)
class StageRate:
    """One stage of the ingest.

    Parameters
    ----------
    seconds : float
        Work of all processes and threads added up, so that the stages together may take longer than the run.
    photos_per_s, faces_per_s : float
        Photos and faces of the run / `seconds`.
    """

    seconds: float
    photos_per_s: float
    faces_per_s: float


@dataclass(frozen=True, slots=True)
class RanModel:
    """What a model really ran in and on, see `facekit.models.engines.network.Network`."""

    name: str
    engine: str
    device: str
    provider: str


@dataclass(frozen=True, slots=True)
class DeepfaceRate:
    """What the loop of ``DeepFace.represent`` did, on up to 200 of the photos.

    Parameters
    ----------
    photos, faces : int
        Photos that were given to it, and the faces found.
    photos_per_s, faces_per_s : float
        The same / seconds of the loop; its models are loaded beforehand, too.
    peak_mb : float
        As for facekit.
    search_p50_ms : float or None
        Median of ``DeepFace.find`` among five of these photos, their vectors computed beforehand; None where no face
        was found.
    providers : dict of str to str
        What ran the detector and the embedder.
    """

    photos: int
    faces: int
    photos_per_s: float
    faces_per_s: float
    peak_mb: float
    search_p50_ms: float | None
    providers: dict[str, str]


@dataclass(frozen=True, slots=True)
class BenchResult:
    """What was measured on a folder.

    Parameters
    ----------
    photos, faces : int
        Photos that were read and searched for faces, and the faces found.
    photos_per_s, faces_per_s : float
        `photos` and `faces` / seconds from the first file listed to the last one stored; the models are loaded
        beforehand.
    stages : dict of str to StageRate
        read, decode, detect, embed and store.
    peak_mb : float
        Most resident memory of the process and its children at one moment, in MB (1e6 bytes), sampled every 50 ms.
        Pages that processes share are counted once for each: it is an upper bound.
    search_p50_ms, search_p95_ms : float
        Median and 95th percentile of a search: from a photo on disk, through decoding, detection and embedding, to
        the ten best hits.
    detector, embedder : RanModel
        What the models really ran in and on.
    deepface : DeepfaceRate or None
        The same work done with ``deepface``, the same weights and, as far as it has it, the same engine: TensorFlow
        where facekit's models run in that, otherwise ONNX Runtime. The photos are spread evenly over those that
        deepface can read (JPEG and PNG). None where it isn't installed, or can't run.
    """

    photos: int
    faces: int
    photos_per_s: float
    faces_per_s: float
    stages: dict[str, StageRate]
    peak_mb: float
    search_p50_ms: float
    search_p95_ms: float
    detector: RanModel
    embedder: RanModel
    deepface: DeepfaceRate | None

    @property
    def ratio_to_deepface(self) -> float | None:
        """Photos/s of facekit / photos/s of deepface."""
        return self.photos_per_s / self.deepface.photos_per_s if self.deepface else None

    @property
    def note(self) -> str | None:
        """How many pixels the two sides look at."""
        return _LOOKS.get(self.detector.name) if self.deepface else None

    def __repr__(self) -> str:
        lines = [
            _line("facekit", self),
            *(f"  {model.name}: {model.provider}" for model in (self.detector, self.embedder)),
            *(
                f"  {name:<7}{stage.seconds:9.2f} s {stage.photos_per_s:9.1f} photos/s {stage.faces_per_s:9.1f} faces/s"
                for name, stage in self.stages.items()
            ),
            f"search: median {self.search_p50_ms:.0f} ms, 95th percentile {self.search_p95_ms:.0f} ms",
        ]
        if self.deepface:
            theirs = self.deepface
            lines += [
                _line("deepface", theirs),
                *(f"  {provider}" for provider in dict.fromkeys(theirs.providers.values())),
                f"facekit does {self.ratio_to_deepface:.1f} times as many photos a second. {self.note or ''}".rstrip(),
            ]
            if theirs.search_p50_ms:
                lines.append(f"deepface's search: median {theirs.search_p50_ms:.0f} ms")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """The document that ``facekit bench --json`` prints."""
        theirs = self.deepface
        return {
            "photos": self.photos,
            "faces": self.faces,
            "photos_per_s": self.photos_per_s,
            "stages": {name: asdict(stage) for name, stage in self.stages.items()},
            "peak_mb": self.peak_mb,
            "search_p50_ms": self.search_p50_ms,
            "search_p95_ms": self.search_p95_ms,
            "deepface_photos_per_s": theirs.photos_per_s if theirs else None,
            "ratio_to_deepface": self.ratio_to_deepface,
            "faces_per_s": self.faces_per_s,
            "detector": asdict(self.detector),
            "embedder": asdict(self.embedder),
            "deepface": asdict(theirs) if theirs else None,
            "note": self.note,
        }


def bench(
    folder: str | os.PathLike[str],
    *,
    detector: str = "yunet",
    embedder: str = "sface",
    device: str = "auto",
    engine: str = "auto",
) -> BenchResult:
    """Ingest a folder into a temporary library, search it, and do the same with ``deepface``.

    Parameters
    ----------
    folder : path
        Photos; they are only read.
    detector, embedder : str, optional
        Names of the models.
    device, engine : str, optional
        What facekit's models run on and in, see `facekit.models.registry.load_detector`.

    Returns
    -------
    BenchResult

    Raises
    ------
    FacekitError
        If the folder does not exist or none of its photos shows a face.
    """
    folder = Path(folder).expanduser().resolve()
    if not folder.is_dir():
        message = f"{folder} is not a folder."
        raise FacekitError(message, "Name the folder that holds the photos.")
    ours, peak = run_measured("facekit.measure._facekit_loop", str(folder), detector, embedder, device, engine)
    if not ours["search_ms"]:
        message = f"No photo in {folder} shows a face, so there is nothing to search for."
        raise FacekitError(message, "Name a folder with photos of people.")
    ran = {task: RanModel(**model) for task, model in ours["models"].items()}
    p50, p95 = np.percentile(ours["search_ms"], [50, 95])
    return BenchResult(
        photos=ours["photos"],
        faces=ours["faces"],
        photos_per_s=ours["photos"] / ours["seconds"],
        faces_per_s=ours["faces"] / ours["seconds"],
        stages={
            name: StageRate(seconds, _rate(ours["photos"], seconds), _rate(ours["faces"], seconds))
            for name, seconds in ours["stages"].items()
        },
        peak_mb=peak / _MB,
        search_p50_ms=float(p50),
        search_p95_ms=float(p95),
        **ran,
        deepface=_deepface(folder, ran["detector"], ran["embedder"]),
    )


def _line(who: str, what: BenchResult | DeepfaceRate) -> str:
    rates = f"{what.photos_per_s:.2f} photos/s, {what.faces_per_s:.2f} faces/s, peak {what.peak_mb:.0f} MB"
    return f"{who}: {what.photos} photos, {what.faces} faces, {rates}"


def _rate(count: int, seconds: float) -> float:
    return count / seconds if seconds else 0.0


def _deepface(folder: Path, detector: RanModel, embedder: RanModel) -> DeepfaceRate | None:
    """Run deepface on a sample of the folder's photos; None, with a line on stderr, where that can't be done."""
    try:
        return _run_deepface(folder, detector, embedder)
    except FacekitError as error:
        print(f"Not compared with deepface: {error}", file=sys.stderr)  # noqa: T201
        return None


def _run_deepface(folder: Path, detector: RanModel, embedder: RanModel) -> DeepfaceRate:
    models = (detector, embedder)
    if unknown := [model.name for model in models if model.name not in DEEPFACE_NAMES]:
        message = f"It has no {' and no '.join(unknown)}."
        raise FacekitError(message)
    if importlib.util.find_spec("deepface") is None:
        message = "deepface is not installed."
        raise FacekitError(message, 'Run: pip install "facekit[deepface]"')
    photos = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _DEEPFACE_SUFFIXES and path.is_file())
    if not photos:
        message = f"{folder} holds no JPEG or PNG, and deepface reads nothing else."
        raise FacekitError(message)
    # One engine for all models, decided once a process (0.0.103, ``deepface/commons/backend_utils.py``).
    engine = "tensorflow" if any(model.engine == "tensorflow" for model in models) else "onnx"
    settings = {"DEEPFACE_BACKEND_ENGINE": engine, "TF_USE_LEGACY_KERAS": "1"}
    if all(model.device == "cpu" for model in models):
        settings["CUDA_VISIBLE_DEVICES"] = "-1"
    with tempfile.TemporaryDirectory(prefix="facekit-bench-") as place:
        home, copies = Path(place) / "home", Path(place) / "photos"
        _place_weights(home, [model.name for model in models], engine)
        _copy_sample(photos, copies)
        theirs, peak = run_measured(
            "facekit.measure._deepface_loop",
            str(copies),
            *(DEEPFACE_NAMES[model.name] for model in models),
            **settings,
            DEEPFACE_HOME=str(home),
        )
    return DeepfaceRate(
        photos=theirs["photos"],
        faces=theirs["faces"],
        photos_per_s=theirs["photos"] / theirs["seconds"],
        faces_per_s=theirs["faces"] / theirs["seconds"],
        peak_mb=peak / _MB,
        search_p50_ms=float(np.median(theirs["search_ms"])) if theirs["search_ms"] else None,
        providers=theirs["providers"],
    )


def _place_weights(home: Path, names: Sequence[str], engine: str) -> None:
    """The weights that facekit uses, where deepface 0.0.103 looks for them; it must not fetch any of its own."""
    from facekit.models.facts import MODELS
    from facekit.models.fold import fold
    from facekit.models.weights import locate

    folder = home / ".deepface" / "weights"
    folder.mkdir(parents=True)
    for name in names:
        file = MODELS[name].file(engine)
        path = locate(file)
        if path is None:
            message = f"{file.name} is not on this machine, and deepface needs it for {name} with this engine."
            raise FacekitError(message, "Fetch it, or name the engine whose file is there.")
        if name in _ZOO_FILES:
            (folder / _ZOO_FILES[name]).write_bytes(fold(path.read_bytes()))
        else:
            (folder / file.name).symlink_to(path.resolve())


def _copy_sample(photos: list[Path], folder: Path) -> None:
    """Copy up to `DEEPFACE_PHOTOS`, evenly spread, under ASCII names: deepface refuses a path with other characters."""
    folder.mkdir()
    chosen = np.unique(np.linspace(0, len(photos) - 1, DEEPFACE_PHOTOS).round().astype(int))
    for number in chosen:
        photo = photos[number]
        shutil.copyfile(photo, folder / f"{number:08d}{photo.suffix.lower()}")


def run_measured(module: str, *arguments: str, **settings: str) -> tuple[dict[str, Any], int]:
    """Run a module in a process of its own; the JSON that it prints, and the peak of its memory in bytes."""
    process = subprocess.Popen(  # noqa: S603 - our own modules
        [sys.executable, "-m", module, *arguments],
        env=os.environ | settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
    )
    peak = 0
    try:
        while True:
            try:
                output, complaints = process.communicate(timeout=_SAMPLE_SECONDS)
                break
            except subprocess.TimeoutExpired:
                peak = max(peak, _resident_bytes(process.pid))
    except BaseException:
        process.kill()
        raise
    if process.returncode:
        last = (complaints.strip().splitlines() or ["no reason given"])[-1]
        message = f"{module} stopped with exit status {process.returncode}: {last}"
        raise FacekitError(message)
    result: dict[str, Any] = json.loads(output)
    return result, peak


def _resident_bytes(pid: int) -> int:
    """Resident memory of a process and all its children."""
    import psutil

    total = 0
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        for process in [parent, *parent.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                total += process.memory_info().rss
    return total
