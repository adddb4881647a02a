"""What retina-face and deepface themselves say, run in a process of its own: their engine is chosen once a process.

    DEEPFACE_BACKEND_ENGINE=onnx DEEPFACE_HOME=... python tests/package_reference.py IN.npz OUT.npz

IN holds arrays in BGR, as the packages want them, under names that say what to do: ``detect/NAME`` (default scaling),
``detect-as-is/NAME`` (small photos stay small), ``represent/MODEL/NAME`` (an aligned face), ``crop/SIZE/NAME`` (a
photo, with ``face/NAME``: x, y, w, h and the two eyes, the one on the right in the picture first).
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np


def detect(image: np.ndarray, *, upscale: bool) -> dict[str, np.ndarray]:
    from retinaface import RetinaFace

    faces = list(RetinaFace.detect_faces(image, allow_upscaling=upscale).values())
    names = ("right_eye", "left_eye", "nose", "mouth_right", "mouth_left")
    return {
        "boxes": np.array([face["facial_area"] for face in faces], np.float32).reshape(-1, 4),
        "landmarks": np.array([[face["landmarks"][name] for name in names] for face in faces], np.float32),
        "scores": np.array([face["score"] for face in faces], np.float32),
    }


def represent(face: np.ndarray, model: str) -> np.ndarray:
    from deepface import DeepFace

    # There is a face in it: the detector is skipped, so nothing is hidden by enforce_detection.
    found: Any = DeepFace.represent(face, model_name=model, detector_backend="skip", align=False)
    return np.array(found[0]["embedding"], np.float32)


def crop(image: np.ndarray, face: np.ndarray, size: int) -> np.ndarray:
    from deepface.models.Detector import FacialAreaRegion
    from deepface.modules import detection, preprocessing

    x, y, w, h = (int(value) for value in face[:4])
    left_eye, right_eye = ((int(a), int(b)) for a, b in face[4:].reshape(2, 2))
    area = FacialAreaRegion(x=x, y=y, w=w, h=h, left_eye=left_eye, right_eye=right_eye, confidence=1.0)
    options = {"align": True, "expand_percentage": 0, "width_border": 0, "height_border": 0}
    found = detection.extract_face(area, image, **options, detector_backend="retinaface")
    return preprocessing.resize_image(found.img, (size, size))[0]


def main(given: str, wanted: str) -> None:
    answers: dict[str, np.ndarray] = {}
    with np.load(given) as questions:
        for name in questions.files:
            task, *rest = name.split("/")
            if task in {"detect", "detect-as-is"}:
                found = detect(questions[name], upscale=task == "detect")
                answers |= {f"{name}/{key}": value for key, value in found.items()}
            elif task == "represent":
                answers[name] = represent(questions[name], rest[0])
            elif task == "crop":
                answers[name] = crop(questions[name], questions[f"face/{rest[1]}"], int(rest[0]))
    np.savez(wanted, **answers)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
