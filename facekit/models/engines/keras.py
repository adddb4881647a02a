"""Networks in TensorFlow, as the packages retina-face and deepface build them."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from facekit.errors import DeviceError
from facekit.models.device import choose_tensorflow_device

if TYPE_CHECKING:
    from facekit.types import FloatArray


def prepare_tensorflow() -> None:
    """Load TensorFlow as the packages need it: quiet, and with the old Keras, whose weights files they have.

    Raises
    ------
    DeviceError
        If TensorFlow was loaded with the new Keras before: it can't have both.
    """
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    # What the packages will import; TensorFlow decides which Keras that is when it is loaded itself.
    if not import_module("tensorflow.keras.models").Model.__module__.startswith("tf_keras"):
        message = "TensorFlow was loaded with Keras 3 in this process; retina-face and deepface need the old one."
        raise DeviceError(message, "Start Python anew with TF_USE_LEGACY_KERAS=1, or use engine='onnxruntime'.")
    tf.get_logger().setLevel("ERROR")


class KerasNetwork:
    """A Keras model.

    Parameters
    ----------
    model : tensorflow.keras.Model
        With one input, float32 (N, H, W, 3), of a fixed or any height and width.
    device : {"auto", "cpu", "cuda"}
        See `facekit.models.device.choose_tensorflow_device`.

    Raises
    ------
    DeviceError
        If TensorFlow sees no such device.
    """

    engine = "tensorflow"

    def __init__(self, model: Any, device: str = "auto") -> None:  # noqa: ANN401 - TensorFlow has no types
        import tensorflow as tf

        self.device = choose_tensorflow_device(device)
        self._place = "/GPU:0" if self.device == "cuda" else "/CPU:0"
        self.provider = f"TensorFlow {tf.__version__}, {self._place[1:4]}"
        shape = [None, *model.inputs[0].shape[1:]]
        # Traced once for every size: calling the model itself would run operation by operation.
        self._function = tf.function(
            lambda batch: model(batch, training=False),
            input_signature=[tf.TensorSpec(shape, tf.float32)],
        )

    def run(self, batch: FloatArray) -> list[FloatArray]:
        """Give a batch to the network; return the outputs in their order."""
        import tensorflow as tf

        with tf.device(self._place):
            values = self._function(tf.constant(batch, tf.float32))
        return [np.asarray(value) for value in (values if isinstance(values, list | tuple) else [values])]
