"""Speed of ingest and search on a folder of photos, beside a plain loop with ``deepface`` on the same machine.

Each side runs in a process of its own, one after the other, so that neither's memory or threads touch the other's:
first `facekit._facekit_loop`, then `facekit._deepface_loop`, which finds the photos in the disk cache already.
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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facekit.errors import FacekitError

DEEPFACE_PHOTOS = 200
"""The loop's time grows with the number of photos, so that as many, spread evenly over the folder, give its rate."""

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
class BenchResult:
    """What was measured on a folder.

    Parameters
    ----------
    photos, faces : int
        Photos that were read and searched for faces, and the faces found.
    photos_per_s : float
        `photos` / seconds from the first file listed to the last one stored; the models are loaded beforehand.
    stages : dict of str to StageRate
        read, decode, detect, embed and store.
    peak_mb : float
        Most resident memory of the process and its children at one moment, in MB (1e6 bytes), sampled every 50 ms.
        Pages that processes share are counted once for each: it is an upper bound.
    search_p50_ms, search_p95_ms : float
        Median and 95th percentile of a search: from a photo on disk, through decoding, detection and embedding, to
        the ten best hits.
    deepface_photos_per_s : float or None
        Rate of a loop of ``DeepFace.represent`` with the same weights over up to 200 of the photos, spread evenly
        over those that deepface can read (JPEG and PNG); its models are loaded beforehand too. None where deepface
        isn't installed, or can't run.
    deepface_search_p50_ms : float or None
        Median of ``DeepFace.find`` among these photos, their vectors computed beforehand.
    """

    photos: int
    faces: int
    photos_per_s: float
    stages: dict[str, StageRate]
    peak_mb: float
    search_p50_ms: float
    search_p95_ms: float
    deepface_photos_per_s: float | None
    deepface_search_p50_ms: float | None

    @property
    def ratio_to_deepface(self) -> float | None:
        """`photos_per_s` / `deepface_photos_per_s`."""
        return self.photos_per_s / self.deepface_photos_per_s if self.deepface_photos_per_s else None

    def __repr__(self) -> str:
        lines = [
            f"{self.photos} photos, {self.faces} faces: {self.photos_per_s:.1f} photos/s, peak {self.peak_mb:.0f} MB",
            *(
                f"  {name:<7}{stage.seconds:9.2f} s {stage.photos_per_s:9.1f} photos/s {stage.faces_per_s:9.1f} faces/s"
                for name, stage in self.stages.items()
            ),
            f"search: median {self.search_p50_ms:.0f} ms, 95th percentile {self.search_p95_ms:.0f} ms",
        ]
        if self.ratio_to_deepface:
            rate = f"{self.deepface_photos_per_s:.1f} photos/s"
            lines.append(f"deepface: {rate}; facekit is {self.ratio_to_deepface:.1f} times as fast")
        if self.deepface_search_p50_ms:
            lines.append(f"deepface's search: median {self.deepface_search_p50_ms:.0f} ms")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """The document that ``facekit bench --json`` prints."""
        return {
            "photos": self.photos,
            "faces": self.faces,
            "photos_per_s": self.photos_per_s,
            "stages": {
                name: {"seconds": one.seconds, "photos_per_s": one.photos_per_s, "faces_per_s": one.faces_per_s}
                for name, one in self.stages.items()
            },
            "peak_mb": self.peak_mb,
            "search_p50_ms": self.search_p50_ms,
            "search_p95_ms": self.search_p95_ms,
            "deepface_photos_per_s": self.deepface_photos_per_s,
            "ratio_to_deepface": self.ratio_to_deepface,
        }


def bench(
    folder: str | os.PathLike[str], *, detector: str = "yunet", embedder: str = "sface", device: str = "auto"
) -> BenchResult:
    """Ingest a folder into a temporary library, search it, and do the same with ``deepface``.

    Parameters
    ----------
    folder : path
        Photos; they are only read.
    detector, embedder : str, optional
        Names of the models. The comparison with deepface is made with "yunet" and "sface", whose weights are then
        the same on both sides, and is left out for others.
    device : {"auto", "cpu", "cuda"}
        Where facekit's models run.

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
    ours, peak = _run_measured("facekit._facekit_loop", str(folder), detector, embedder, device)
    if not ours["search_ms"]:
        message = f"No photo in {folder} shows a face, so there is nothing to search for."
        raise FacekitError(message, "Name a folder with photos of people.")
    theirs = _deepface(folder, detector, embedder)
    p50, p95 = np.percentile(ours["search_ms"], [50, 95])
    return BenchResult(
        photos=ours["photos"],
        faces=ours["faces"],
        photos_per_s=ours["photos"] / ours["seconds"],
        stages={
            name: StageRate(seconds, _rate(ours["photos"], seconds), _rate(ours["faces"], seconds))
            for name, seconds in ours["stages"].items()
        },
        peak_mb=peak / _MB,
        search_p50_ms=float(p50),
        search_p95_ms=float(p95),
        deepface_photos_per_s=theirs["photos"] / theirs["seconds"] if theirs else None,
        deepface_search_p50_ms=float(np.median(theirs["search_ms"])) if theirs and theirs["search_ms"] else None,
    )


def _rate(count: int, seconds: float) -> float:
    return count / seconds if seconds else 0.0


def _deepface(folder: Path, detector: str, embedder: str) -> dict[str, Any] | None:
    """Run deepface on a sample of the folder's photos; None, with a line on stderr, where that can't be done."""
    try:
        return _run_deepface(folder, detector, embedder)
    except FacekitError as error:
        print(f"Not compared with deepface: {error}", file=sys.stderr)  # noqa: T201
        return None


def _run_deepface(folder: Path, detector: str, embedder: str) -> dict[str, Any]:
    if (detector, embedder) != ("yunet", "sface"):
        message = "The comparison is made with yunet + sface only."
        raise FacekitError(message)
    if importlib.util.find_spec("deepface") is None:
        message = "deepface is not installed."
        raise FacekitError(message, 'Run: pip install "facekit[deepface]"')
    photos = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _DEEPFACE_SUFFIXES and path.is_file())
    if not photos:
        message = f"{folder} holds no JPEG or PNG, and deepface reads nothing else."
        raise FacekitError(message)
    with tempfile.TemporaryDirectory(prefix="facekit-bench-") as place:
        home, copies = Path(place) / "home", Path(place) / "photos"
        _place_weights(home)
        _copy_sample(photos, copies)
        # Through ONNX Runtime, as here: deepface would otherwise import TensorFlow or PyTorch where it finds them.
        settings = {"DEEPFACE_HOME": str(home), "DEEPFACE_BACKEND_ENGINE": "onnx"}
        return _run_measured("facekit._deepface_loop", str(copies), **settings)[0]


def _place_weights(home: Path) -> None:
    """The weights that facekit uses, under the names that deepface 0.0.103 looks for."""
    from facekit.models import sface, yunet
    from facekit.models.fold import fold
    from facekit.models.weights import fetch

    folder = home / ".deepface" / "weights"
    folder.mkdir(parents=True)
    # deepface/models/face_detection/YuNet.py and deepface/models/facial_recognition/onnx/SFace.py name the files. The
    # second runs in ONNX Runtime, which refuses the zoo's quantised file: both are given as facekit runs them.
    for file, name in (
        (yunet.WEIGHTS, "face_detection_yunet_2023mar.onnx"),
        (sface.WEIGHTS, "face_recognition_sface_2021dec.onnx"),
    ):
        (folder / name).write_bytes(fold(fetch(file).read_bytes()))


def _copy_sample(photos: list[Path], folder: Path) -> None:
    """Copy up to `DEEPFACE_PHOTOS`, evenly spread, under ASCII names: deepface refuses a path with other characters."""
    folder.mkdir()
    chosen = np.unique(np.linspace(0, len(photos) - 1, DEEPFACE_PHOTOS).round().astype(int))
    for number in chosen:
        photo = photos[number]
        shutil.copyfile(photo, folder / f"{number:08d}{photo.suffix.lower()}")


def _run_measured(module: str, *arguments: str, **settings: str) -> tuple[dict[str, Any], int]:
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
