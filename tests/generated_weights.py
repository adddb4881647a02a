"""Weights for RetinaFace, FaceNet512, FaceNet and ArcFace, made up: the real ones can't be fetched everywhere.

    python tests/generated_weights.py FOLDER [STEM...]

What is there is not made again, and what another process is making is waited for.

The networks are built by retina-face and deepface themselves, in TensorFlow, and filled with seeded random numbers; the
files have the packages' names and formats. The ONNX graphs are converted from the same networks, so both engines have
the same weights. These networks know nothing of faces: what they are good for is to compare engines, decoding and
speed. RetinaFace's heads are scaled so that one candidate in some hundreds reaches the score of 0.9, and boxes and
landmarks stay near their anchors.

RetinaFace's published ONNX graph is an export of the package's PyTorch twin, which computes the scores with fewer
operations than the TensorFlow network; OpenVINO can't read those of TensorFlow. The graph made here has the twin's.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from filelock import FileLock

SEED = 20261122
OPSET = 17
STEMS = ("retinaface", "facenet512_weights", "facenet_weights", "arcface_weights")


def photos(side: int) -> np.ndarray:
    """Two real photos that packages carry, RGB float32 (2, side, side, 3), 0..255."""
    import cv2
    import matplotlib as mpl
    import skimage

    files = [
        Path(skimage.__file__).parent / "data" / "astronaut.png",
        Path(mpl.get_data_path()) / "sample_data" / "grace_hopper.jpg",
    ]
    pictures = [cv2.imread(str(file))[..., ::-1][:512, :512] for file in files]
    return np.stack([cv2.resize(picture, (side, side)) for picture in pictures]).astype(np.float32)


def scale_heads(model: Any, batch: np.ndarray) -> None:
    """Make RetinaFace's scores, boxes and landmarks those of a network that sees a few faces."""
    for stride in (32, 16, 8):
        for head, spread in (("cls_score", 1.0), ("bbox_pred", 0.15), ("landmark_pred", 0.15)):
            layer = model.get_layer(f"face_rpn_{head}_stride{stride}")
            values = type(model)(model.inputs, layer.output)(batch).numpy()
            kernel, bias = layer.get_weights()
            layer.set_weights([kernel * spread / values.std(axis=(0, 1, 2)), bias * 0])
        layer = model.get_layer(f"face_rpn_cls_score_stride{stride}")
        values = type(model)(model.inputs, layer.output)(batch).numpy()
        margin = np.sort((values[..., 2:] - values[..., :2]).ravel())
        kernel, bias = layer.get_weights()
        # The logit of 0.9 is log(9); it goes into the widest gap around a rank, so that rounding decides nothing.
        rank = max(8, margin.size // 400)
        near = margin[-2 * rank : -rank // 2]
        gap = int(np.argmax(np.diff(near)))
        bias[2:] += np.log(9) - (near[gap] + near[gap + 1]) / 2
        layer.set_weights([kernel, bias])


def with_plain_scores(model: Any) -> Any:
    """The same network, its scores computed as ``Head`` in `retinaface.model.retinaface_pth_model` does it."""
    import tensorflow as tf

    outputs = []
    for stride in (32, 16, 8):
        score, box, landmark = (
            model.get_layer(f"face_rpn_{head}_stride{stride}").output
            for head in ("cls_score", "bbox_pred", "landmark_pred")
        )
        both = tf.nn.softmax(tf.stack([score[..., :2], score[..., 2:]]), axis=0)
        outputs += [tf.concat([both[0], both[1]], axis=-1), box, landmark]
    return type(model)(model.inputs, outputs)


def build(stem: str) -> Any:
    """Build a network with the package's own code, without its weights."""
    if stem == "retinaface":
        from retinaface.model import retinaface_model

        with mock.patch.object(retinaface_model, "load_weights", lambda model: model):
            return retinaface_model.build_model()
    from deepface.models.facial_recognition.tf import ArcFace, Facenet

    if stem == "arcface_weights":
        with (
            mock.patch.object(ArcFace.weight_utils, "download_weights_if_necessary", return_value=""),
            mock.patch.object(ArcFace.weight_utils, "load_model_weights", lambda model, **_: model),
        ):
            return ArcFace.load_model()
    return Facenet.InceptionResNetV1(dimension=512 if "512" in stem else 128)


def files(stem: str, folder: Path) -> tuple[Path, Path]:
    """Where a network's weights are: for TensorFlow, and for ONNX Runtime."""
    return folder / f"{stem}.h5", folder / f"{stem}.onnx"


def made(stem: str, folder: Path) -> bool:
    """Whether both are there, whole."""
    return all(file.exists() for file in files(stem, folder))


def generate(stem: str, folder: Path) -> None:
    """Write ``STEM.h5`` and ``STEM.onnx``; each is there once it is whole."""
    import tensorflow as tf
    import tf2onnx

    tf.keras.utils.set_random_seed(SEED)
    model = build(stem)
    if stem == "retinaface":
        scale_heads(model, photos(512))
    with tempfile.TemporaryDirectory(dir=folder.parent) as place:
        weights, graph = files(stem, Path(place))
        model.save_weights(str(weights))
        if stem == "retinaface":
            model = with_plain_scores(model)
        specification = (tf.TensorSpec(model.input_shape, tf.float32, name="input"),)
        tf2onnx.convert.from_keras(model, specification, opset=OPSET, output_path=str(graph))
        for whole, file in zip((weights, graph), files(stem, folder), strict=True):
            whole.replace(file)


if __name__ == "__main__":
    os.environ |= {"TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[2:] or STEMS:
        with FileLock(target.with_name(f"{target.name}-{name}.lock")):
            if not made(name, target):
                generate(name, target)
