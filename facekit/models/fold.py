"""Turn the model zoo's block-quantised ONNX files into plain float32 graphs that ONNX Runtime accepts.

In those files the weights are int8, and ``DequantizeLinear(block_size=...)`` with a ``Reshape`` unpacks them; they are
listed as inputs of the graph as well. ONNX Runtime refuses that. Nothing but constants goes into those nodes, so they
are computed once, with ONNX's own reference implementation, and their results become the weights.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from facekit.models.cache import weights_folder
from facekit.models.weights import fetch
from facekit.system.files import atomic_file

if TYPE_CHECKING:
    from pathlib import Path

    import onnx

    from facekit.models.downloads import FetchProgress, WeightFile

# Part of the cached file's name: raise it when `fold` changes what it makes.
FOLD_VERSION = 1


def fold(model: bytes, *, any_size: bool = False) -> bytes:
    """Compute the constant part of an ONNX graph, and free its batch dimension.

    Parameters
    ----------
    model : bytes
        A serialised ONNX model whose nodes are in topological order, as the format demands.
    any_size : bool
        Free height and width as well. Right for a graph that is convolutional throughout; every shape that its
        ``Reshape`` nodes name must begin with the batch.

    Returns
    -------
    bytes
        The serialised model without its constant nodes.
    """
    import onnx
    from onnx import helper, numpy_helper
    from onnx.reference import ReferenceEvaluator

    whole = onnx.load_model_from_string(model)
    graph = whole.graph
    known = {tensor.name for tensor in graph.initializer}
    constant, rest = [], []
    for node in graph.node:
        if all(name in known for name in node.input):
            constant.append(node)
            known.update(node.output)
        else:
            rest.append(node)
    needed = {name for node in rest for name in node.input}
    computed = [name for node in constant for name in node.output if name in needed]

    outputs = [helper.make_tensor_value_info(name, onnx.TensorProto.UNDEFINED, None) for name in computed]
    constants = helper.make_graph(constant, "constants", [], outputs, initializer=graph.initializer)
    opsets, ir_version = whole.opset_import, whole.ir_version
    unpacked = helper.make_model(constants, opset_imports=opsets, ir_version=ir_version)
    values = ReferenceEvaluator(unpacked).run(None, {})

    weights = [tensor for tensor in graph.initializer if tensor.name in needed]
    weights += [numpy_helper.from_array(value, name) for name, value in zip(computed, values, strict=True)]
    inputs = [value for value in graph.input if value.name in needed - known]
    folded = helper.make_graph(rest, graph.name, inputs, graph.output, initializer=weights)
    _free_dimensions(folded, any_size=any_size)
    result = helper.make_model(folded, opset_imports=opsets, ir_version=ir_version)
    onnx.checker.check_model(result)
    return bytes(result.SerializeToString())


def folded(file: WeightFile, *, any_size: bool = False, progress: FetchProgress | None = None) -> bytes:
    """Fetch a block-quantised model file where needed, and return its float32 graph.

    The graph is kept in the cache, beside the weights. Its file name holds the hash of the source and that of the
    contents, so that another source or a damaged file is noticed and the graph is made again.

    Parameters
    ----------
    file : WeightFile
        The zoo's file.
    any_size : bool
        See `fold`.
    progress : callable, optional
        See `facekit.models.weights.fetch`.

    Returns
    -------
    bytes
        A serialised ONNX model.

    Raises
    ------
    WeightsError
        If the zoo's file is not to be had.
    """
    from loguru import logger

    source = fetch(file, progress=progress)
    stem = f"{source.stem}.{str(file.sha256)[:12]}.float32-{FOLD_VERSION}"
    for path in sorted(weights_folder().glob(f"{stem}.*.onnx")):
        graph = path.read_bytes()
        if path.name == _cached(stem, graph).name:
            return graph
        logger.warning("{} is damaged and is made again", path)
        path.unlink(missing_ok=True)
    graph = fold(source.read_bytes(), any_size=any_size)
    try:
        with atomic_file(_cached(stem, graph), mode=0o644) as target:
            target.write(graph)
    except OSError as error:  # a read-only cache costs a second at each start, no more
        logger.warning("The folded graph of {} could not be kept: {}", file.name, error)
    return graph


def _cached(stem: str, graph: bytes) -> Path:
    return weights_folder() / f"{stem}.{hashlib.sha256(graph).hexdigest()[:16]}.onnx"


def _free_dimensions(graph: onnx.GraphProto, *, any_size: bool) -> None:
    """Give the batch, and where `any_size` height and width too, names in place of numbers."""
    from onnx import numpy_helper

    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    if not any_size:
        return
    for value in graph.input:
        for dimension, name in zip(value.type.tensor_type.shape.dim[2:], ("height", "width"), strict=True):
            dimension.dim_param = name
    for value in graph.output:
        value.type.tensor_type.shape.dim[1].dim_param = f"{value.name}_cells"
    shapes = {node.input[1] for node in graph.node if node.op_type == "Reshape"}
    for tensor in graph.initializer:
        if tensor.name in shapes:
            # [1, -1, k] fixes one image a run; a 0 copies the batch dimension of what is reshaped.
            _, *others = numpy_helper.to_array(tensor).tolist()
            tensor.CopyFrom(numpy_helper.from_array(np.array([0, *others], dtype=np.int64), tensor.name))
