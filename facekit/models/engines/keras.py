"""Networks in TensorFlow, as the packages retina-face and deepface build them."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from facekit.errors import DeviceError
from facekit.models.device import AT_ONCE, choose_tensorflow_device, threads_each
from facekit.system.forks import refuse_fork

if TYPE_CHECKING:
    from collections.abc import Iterator

    from facekit.types.arrays import FloatArray


_process: dict[str, int] = {}
"""Which process uses TensorFlow."""


def prepare_tensorflow() -> None:
    """Load TensorFlow as the packages need it: quiet, and with the old Keras, whose weights files they have.

    Raises
    ------
    DeviceError
        If TensorFlow was loaded with the new Keras before: it can't have both.
    ForkError
        If the process, of which this one is a fork, uses TensorFlow.
    ImportError
        If TensorFlow or the old Keras is not installed.
    """
    refuse_fork(_process.setdefault("id", os.getpid()), "TensorFlow")  # in a fork it waits for threads for ever
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf
    import tf_keras  # noqa: F401 - the old Keras is a package of its own

    with suppress(RuntimeError):  # it runs already, with what it was given
        # Several runs go side by side: the cores are shared, as with the other engines.
        tf.config.threading.set_intra_op_parallelism_threads(threads_each())
        tf.config.threading.set_inter_op_parallelism_threads(AT_ONCE)
        for gpu in tf.config.list_physical_devices("GPU"):  # by default it takes all their memory
            tf.config.experimental.set_memory_growth(gpu, True)  # noqa: FBT003 - TensorFlow's signature
    # What the packages will import; TensorFlow decides which Keras that is when it is loaded itself.
    if not import_module("tensorflow.keras.models").Model.__module__.startswith("tf_keras"):
        message = "TensorFlow was loaded with Keras 3 in this process; retina-face and deepface need the old one."
        raise DeviceError(message, "Start Python anew with TF_USE_LEGACY_KERAS=1, or use engine='onnxruntime'.")
    tf.get_logger().setLevel("ERROR")


@contextmanager
def on(device: str) -> Iterator[None]:
    """Whatever TensorFlow makes or computes inside, it does on this device, "cpu" or "cuda"."""
    import tensorflow as tf

    with tf.device("/GPU:0" if device == "cuda" else "/CPU:0"):
        yield


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
        self.provider = f"TensorFlow {tf.__version__}, {'GPU' if self.device == 'cuda' else 'CPU'}"
        shape = [None, *model.inputs[0].shape[1:]]
        # Traced once for every size: calling the model itself would run operation by operation.
        self._function = tf.function(
            lambda batch: model(batch, training=False),
            input_signature=[tf.TensorSpec(shape, tf.float32)],
        )

    def run(self, batch: FloatArray) -> list[FloatArray]:
        """Give a batch to the network; return the outputs in their order."""
        import tensorflow as tf

        refuse_fork(_process["id"], "TensorFlow")
        with on(self.device):
            values = self._function(tf.constant(batch, tf.float32))
        return [np.asarray(value) for value in (values if isinstance(values, list | tuple) else [values])]
