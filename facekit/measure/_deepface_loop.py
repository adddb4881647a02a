"""What one would write with ``deepface``: a loop over the photos, then a search. Run by `facekit.measure.bench`.

    python -m facekit.measure._deepface_loop FOLDER DETECTOR_BACKEND MODEL_NAME

FOLDER holds photos under ASCII names (deepface refuses others) and is written to: ``DeepFace.find`` keeps its vectors
there. The weights lie in ``$DEEPFACE_HOME/.deepface/weights``, and ``$DEEPFACE_BACKEND_ENGINE`` says what runs them.
The result is one line of JSON on standard output.
"""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

SEARCHES = 5


def run(folder: Path, *, detector: str, embedder: str) -> dict[str, Any]:
    """Embed all photos of the folder in a loop, then search for some of them among themselves.

    Returns
    -------
    dict
        ``photos``, ``faces`` and ``seconds`` of the loop, models loaded beforehand; ``providers`` of the detector and
        the embedder; ``search_ms``, one number for each search, without the first one, which embeds the photos again.
    """
    from deepface import DeepFace

    models = {"detector_backend": detector, "model_name": embedder}
    photos = sorted(path for path in folder.iterdir() if path.is_file())
    providers = {
        "detector": _provider(DeepFace.build_model(detector, task="face_detector")),
        "embedder": _provider(DeepFace.build_model(embedder)),
    }
    start = perf_counter()
    with_faces: list[Path] = []
    faces = 0
    for photo in photos:
        # Raised for a photo without a face; going on without it is the least work that deepface can do.
        with contextlib.suppress(ValueError):
            faces += len(DeepFace.represent(img_path=str(photo), **models))
            with_faces.append(photo)
    seconds = perf_counter() - start
    # Few: with a slow detector to embed them all again would take as long as the loop did.
    probes = with_faces[:: -(-len(with_faces) // SEARCHES) or 1]
    gallery = folder / "gallery"
    gallery.mkdir()
    moved = [probe.rename(gallery / probe.name) for probe in probes]
    search_ms = []
    for probe in [*moved[:1], *moved]:
        start = perf_counter()
        DeepFace.find(img_path=str(probe), db_path=str(gallery), enforce_detection=False, silent=True, **models)
        search_ms.append(1000 * (perf_counter() - start))
    return {
        "photos": len(photos),
        "faces": faces,
        "seconds": seconds,
        "providers": providers,
        "search_ms": search_ms[1:],
    }


def _provider(client: Any) -> str:  # noqa: ANN401 - deepface has a class for each model
    """What runs a model of deepface, in the words of `facekit.models.engines.network.Network`."""
    session = getattr(client.model, "session", client.model)
    if hasattr(session, "get_providers"):
        return f"ONNX Runtime, {session.get_providers()[0]}"
    if type(session).__module__.partition(".")[0] == "cv2":
        return "OpenCV, CPU"
    import tensorflow as tf

    return f"TensorFlow {tf.__version__}, {'GPU' if tf.config.list_physical_devices('GPU') else 'CPU'}"


if __name__ == "__main__":
    # deepface and its libraries print to standard output, which here belongs to the result alone.
    with contextlib.redirect_stdout(sys.stderr):
        result = run(Path(sys.argv[1]), detector=sys.argv[2], embedder=sys.argv[3])
    print(json.dumps(result))  # noqa: T201
