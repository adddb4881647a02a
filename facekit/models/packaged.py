"""Networks of the packages retina-face and deepface, which own the files' format: as an ONNX graph, or in TensorFlow.

The ONNX graphs need no package but an engine. With TensorFlow the packages build the network and read their own
weights; they never fetch them: facekit has done that, and has checked them.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from threading import Lock
from typing import TYPE_CHECKING, Any

from facekit.errors import DeviceError, FacekitError, WeightsError
from facekit.models.device import choose_tensorflow_device
from facekit.models.downloads import UrlSource, WeightFile
from facekit.models.engines import check_engine, open_graph
from facekit.models.hashes import forget
from facekit.models.weights import fetch, verify

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from facekit.models.engines.network import Network

# As in the packages' own modules; a test compares.
_ADDRESSES = (
    "https://github.com/serengil/deepface_models/releases/download/v1.0/",
    "https://huggingface.co/serengil/deepface/resolve/main/",
)
_loading = Lock()


@dataclass(frozen=True, slots=True)
class PackagedNetwork:
    """A network that a package publishes for several engines.

    Parameters
    ----------
    stem : str
        Name of the files without their ending: ``.onnx`` for ONNX Runtime and OpenVINO, ``.h5`` for TensorFlow.
    licence : str
        Of the weights.
    package : str
        The package, as it is imported; its module ``commons.weight_utils`` is asked for the weights.
    builder : str
        Module and function that build the network in TensorFlow.
    sample : tuple of int
        Shape of an ordinary batch (N, H, W, 3).
    """

    stem: str
    licence: str
    package: str
    builder: tuple[str, str]
    sample: tuple[int, ...]

    def file(self, engine: str = "auto") -> WeightFile:
        """The file that an engine reads; "auto" is that of TensorFlow where only that one is at hand, and usable."""
        onnx, keras = self._file(".onnx"), self._file(".h5")
        if engine == "auto" and verify(onnx) == "missing" and verify(keras) == "ok" and find_spec("tensorflow"):
            return keras
        return keras if engine == "tensorflow" else onnx

    def _file(self, ending: str) -> WeightFile:
        name = self.stem + ending
        return WeightFile(name, None, None, self.licence, tuple(UrlSource(where + name) for where in _ADDRESSES))

    def open(self, device: str = "auto", engine: str = "auto") -> Network:
        """Open the network, fetching its file first where needed.

        Raises
        ------
        WeightsError
            If the file is not to be had, or is damaged.
        DeviceError
            If the device or the engine is not on this machine.
        """
        check_engine(engine)
        file = self.file(engine)
        path = fetch(file)
        if file.name.endswith(".h5"):
            return self._open_in_tensorflow(file, path, device)
        try:
            return open_graph(path.read_bytes(), self.sample, device=device, engine=engine)
        except (FacekitError, ImportError):
            raise
        except Exception as error:  # what the engines raise at a file that is no graph has nothing else in common
            if engine.startswith("openvino") and _is_graph(path):  # the file is good: OpenVINO lacks an operation
                message = f"OpenVINO can't run {path.name}: {str(error).splitlines()[0]}"
                raise DeviceError(message, "Use engine='onnxruntime'.") from error
            forget(file)
            message = f"{path} is not a network that can be opened: {str(error).splitlines()[0]}"
            raise WeightsError(message, "Delete it, and fetch it again with `facekit models fetch`.") from error

    def _open_in_tensorflow(self, file: WeightFile, path: Path, device: str) -> Network:
        from facekit.models.engines.keras import KerasNetwork, on, prepare_tensorflow

        try:
            prepare_tensorflow()
            module, function = self.builder
            build = getattr(import_module(module), function)
        except ImportError as error:
            message = f"{self.stem} can't be opened in TensorFlow: the package {error.name} is not installed."
            raise DeviceError(
                message, "Run `pip install 'facekit[tensorflow]'`, or use engine='onnxruntime'."
            ) from error
        with _loading, _weights_at(path, self.package), on(choose_tensorflow_device(device)):
            try:
                model = build()
            except (OSError, ValueError) as error:  # what h5py and the packages raise at a file that is no weights file
                forget(file)
                message = f"{path} does not hold the weights of {self.stem}: {str(error).splitlines()[0]}"
                raise WeightsError(message, "Delete it, and fetch it again with `facekit models fetch`.") from error
        return KerasNetwork(model, device)


@contextmanager
def _weights_at(path: Path, package: str) -> Iterator[None]:
    """While a package builds its network, it is told where its weights are instead of looking for them itself."""

    def here(*_args: Any, **_kwargs: Any) -> str:  # noqa: ANN401 - whatever the package asks
        return os.fspath(path)

    module: Any = import_module(f"{package}.commons.weight_utils")
    own = module.download_weights_if_necessary
    module.download_weights_if_necessary = here
    try:
        yield
    finally:
        module.download_weights_if_necessary = own


def _is_graph(path: Path) -> bool:
    from facekit.models.engines.ort import OrtNetwork

    try:
        OrtNetwork(path.read_bytes(), "cpu")
    except Exception:  # noqa: BLE001 - ONNX Runtime has an exception for each fault of a file
        return False
    return True
