"""What one would write with ``deepface``: a loop over the photos, then a search. Run by `facekit.bench`.

    python -m facekit._deepface_loop FOLDER

FOLDER holds photos under ASCII names (deepface refuses others) and is written to: ``DeepFace.find`` keeps its vectors
there. The weights lie in ``$DEEPFACE_HOME/.deepface/weights``. The result is one line of JSON on standard output.
"""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from time import perf_counter

MODELS = {"model_name": "SFace", "detector_backend": "yunet"}
SEARCHES = 20


def run(folder: Path) -> dict[str, float | list[float]]:
    """Embed all photos of the folder in a loop, then search for some of them.

    Returns
    -------
    dict
        ``photos``, ``faces`` and ``seconds`` of the loop, models loaded beforehand; ``search_ms``, one number for
        each search, without the first one, which embeds the whole folder again.
    """
    from deepface import DeepFace

    photos = sorted(path for path in folder.iterdir() if path.is_file())
    DeepFace.build_model(MODELS["model_name"])
    DeepFace.build_model(MODELS["detector_backend"], task="face_detector")
    start = perf_counter()
    with_faces: list[Path] = []
    faces = 0
    for photo in photos:
        # Raised for a photo without a face; going on without it is the least work that deepface can do.
        with contextlib.suppress(ValueError):
            faces += len(DeepFace.represent(img_path=str(photo), **MODELS))
            with_faces.append(photo)
    seconds = perf_counter() - start
    search_ms = []
    for probe in [*with_faces[:1], *with_faces[:: max(1, len(with_faces) // SEARCHES)]]:
        start = perf_counter()
        DeepFace.find(img_path=str(probe), db_path=str(folder), enforce_detection=False, silent=True, **MODELS)
        search_ms.append(1000 * (perf_counter() - start))
    return {"photos": len(photos), "faces": faces, "seconds": seconds, "search_ms": search_ms[1:]}


if __name__ == "__main__":
    # deepface and its libraries print to standard output, which here belongs to the result alone.
    with contextlib.redirect_stdout(sys.stderr):
        result = run(Path(sys.argv[1]))
    print(json.dumps(result))  # noqa: T201
