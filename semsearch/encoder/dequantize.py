"""Float weights of an encoder that has int8 ones only, so that it can be trained further."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from semsearch.encoder import safetensors
from semsearch.encoder.config import read_layout
from semsearch.encoder.layout import Layout
from semsearch.encoder.save import save
from semsearch.errors import EncoderError, MissingExtraError

_Floats: TypeAlias = NDArray[np.float32]
_BODY = "body."
"""What the exported graph puts before the names of the parameters."""


def write_with_floats(layout: Layout, path: Path, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Write an encoder that `quantize` made as a new directory with safetensors instead.

    What rounding took is not there again: vectors are as near to those of the int8 encoder as
    these are to those that it was made from.

    Args:
        layout: of a directory with an ONNX body only.
        path: of the new directory.
        shapes: of the parameters that its body is to have, by their names.

    Raises:
        EncoderError: its ONNX body is not one that `quantize` wrote.
        MissingExtraError: what reads ONNX files is not installed.
    """
    if importlib.util.find_spec("onnx") is None:
        raise MissingExtraError("onnx (needed to train an encoder with 8-bit weights)", "train")
    import onnx

    weights = _weights(onnx.load(layout.body / "onnx" / "model.onnx").graph)
    # The pooler of a BERT is no part of a sentence embedding, and is not exported.
    weights |= {
        name: np.zeros(shape, np.float32)
        for name, shape in shapes.items()
        if name.startswith("pooler.")
    }
    if {name: value.shape for name, value in weights.items()} != dict(shapes):
        raise EncoderError(
            f"{layout.path}: an ONNX body cannot be trained. Add the safetensors of the model, or "
            "train another encoder."
        )
    save(layout, (), path)
    body = read_layout(path).body
    shutil.rmtree(body / "onnx", ignore_errors=True)
    safetensors.write(body / "model.safetensors", weights)


def _weights(graph: Any) -> dict[str, _Floats]:
    """The parameters that stand in a graph, as float32, by their names in the model."""
    from onnx import numpy_helper

    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    found = {name: value for name, value in constants.items() if value.dtype == np.float32}
    for name, codes in constants.items():
        if codes.dtype == np.int8 and name.startswith(_BODY):  # a table
            table = name.removesuffix(".int8")
            found[table] = codes * constants[f"{table}.scale"]
    for parameter, node in _linear(graph):
        stored = node.input[1].removesuffix(".int8")
        weight = constants[f"{stored}.int8"] * constants[f"{stored}.scale"]
        balance = constants.get(f"{node.input[0].removesuffix('.uint8')}.balance")
        found[parameter] = (weight if balance is None else weight * balance[:, None]).T
    return {
        name.removeprefix(_BODY): np.asarray(value, np.float32)
        for name, value in found.items()
        if name.startswith(_BODY) and not name.endswith((".scale", ".balance"))
    }


def _linear(graph: Any) -> Iterator[tuple[str, Any]]:
    """Each linear layer, by the name of its weight: that of the bias that is added behind it."""
    readers: dict[str, list[Any]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    for node in graph.node:
        if node.op_type == "MatMulIntegerToFloat" and (bias := _bias_behind(node, readers)):
            yield f"{bias.removesuffix('bias')}weight", node


def _bias_behind(node: Any, readers: Mapping[str, list[Any]]) -> str | None:
    """The name of the bias that what a node gives is added to, scaled or shifted before."""
    while True:
        behind = readers.get(node.output[0], [])
        if len(behind) != 1 or behind[0].op_type not in ("Mul", "Add"):
            return None
        (node,) = behind
        if node.op_type == "Add" and node.input[1].endswith(".bias"):
            return str(node.input[1])
