"""Rewrite the float32 ONNX body of a transformer so that it keeps and multiplies 8-bit integers.

Linear layers. Weights are int8 with a scale for each output, symmetric. What they read is brought
to 8 bits when the body runs, with a scale for each token (Yao et al. 2022, ZeroQuant,
arXiv:2206.01861), so that no text changes another one's vector in the same batch. Behind a
LayerNorm some channels are far wider than others: part of that width is moved into the weights
(Xiao et al. 2023, SmoothQuant, arXiv:2211.10438, with alpha 0.5). Behind a GELU, which is never
below -0.17, all 256 steps lie above that.

Embedding tables. They are int8 with a scale for each row; only rows that are looked up become
float32 again.

Everything else stays float32: attention scores, softmax, LayerNorm, activations.

Weights take all of -127..127. x86 CPUs without VNNI add two products in 16 bits, where some
saturate; that costs less precision than keeping the weights of every CPU to 7 bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper, version_converter

from semsearch.errors import EncoderError

# The first one where QuantizeLinear takes a scale for each row of a 3-D tensor.
_OPSET = 21
_CONTRIB = "com.microsoft"
_LEAST_GELU = -0.17
_MIN_TABLE_SIZE = 1 << 14  # smaller tables stay float32: they weigh nothing

_Floats: TypeAlias = NDArray[np.float32]
_Codes: TypeAlias = NDArray[np.int8]
Peaks: TypeAlias = Mapping[str, _Floats]
"""(k,) by name of a tensor (..., k): the largest magnitude of each channel."""


def load(path: Path) -> Any:
    """An ONNX file and the weights beside it, brought to the opset that is needed here.

    Raises:
        EncoderError: it is too large, or has operators that cannot be brought there.
    """
    if sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*")) >= 1 << 31:
        raise EncoderError(f"{path}: 2 GiB or more of weights, which cannot be quantized.")
    model = onnx.load(path)
    opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    if opset >= _OPSET:
        return model
    try:
        return version_converter.convert_version(model, _OPSET)
    except Exception as error:  # RuntimeError or others, from C++
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise EncoderError(
            f"{path}: cannot be brought from ONNX opset {opset} to {_OPSET}: {reason}"
        ) from error


def smoothed(model: Any) -> list[str]:
    """Names of the tensors whose largest values by channel `quantize` wants to know."""
    return _Rewriting(model).smoothed


def exposing(model: Any, names: list[str]) -> Any:
    """A copy of the model that gives these tensors as outputs."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.output[:]
    copy.graph.output.extend(
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names
    )
    return copy


def quantize(model: Any, peaks: Peaks) -> int:
    """Rewrite a model in its place.

    Args:
        model: as `load` gives it.
        peaks: of the tensors that `smoothed` names.

    Returns:
        How many linear layers and tables became int8.
    """
    return _Rewriting(model).run(peaks)


class _Rewriting:
    """The nodes and constants of a graph, and those that take their place."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._graph = model.graph
        self._constants = {tensor.name: tensor for tensor in self._graph.initializer}
        self._nodes: list[Any] = []
        self._replaced: set[str] = set()
        self._linear = [node for node in self._graph.node if self._is_linear(node)]
        self._gelu = self._outputs("Gelu")
        weights = [node.input[1] for node in self._linear]
        # A weight that several layers share cannot be balanced against what one of them reads.
        shared = {node.input[0] for node in self._linear if weights.count(node.input[1]) > 1}
        read = dict.fromkeys(node.input[0] for node in self._linear)
        normed = self._outputs("LayerNormalization")
        self.smoothed = [name for name in read if name in normed and name not in shared]

    def run(self, peaks: Peaks) -> int:
        self._constant("int8/one", np.array(1, np.float32))
        self._constant("int8/middle", np.array(128, np.uint8))
        self._constant("int8/zero", np.array(0, np.uint8))
        self._constant("int8/half", np.array(1 / 127, np.float32))
        self._constant("int8/whole", np.array(1 / 255, np.float32))
        self._constant("int8/least_gelu", np.array(_LEAST_GELU, np.float32))
        self._constant("int8/last_axis", np.array([-1], np.int64))
        balances = {name: self._balance(name, peaks[name]) for name in self.smoothed}
        read: set[str] = set()
        count = 0
        for node in self._graph.node:
            if self._is_table(node):
                self._replace_table(node)
            elif self._is_linear(node):
                if node.input[0] not in read:
                    read.add(node.input[0])
                    self._to_8_bits(node.input[0], balances.get(node.input[0]))
                self._replace_linear(node, balances.get(node.input[0]))
            else:
                self._nodes.append(node)
                continue
            count += 1
        self._finish()
        return count

    def _outputs(self, kind: str) -> set[str]:
        return {node.output[0] for node in self._graph.node if node.op_type == kind}

    def _is_linear(self, node: Any) -> bool:
        return node.op_type == "MatMul" and self._is_float(node.input[1], rank=2)

    def _is_table(self, node: Any) -> bool:
        if node.op_type != "Gather" or not self._is_float(node.input[0], rank=2):
            return False
        axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 0)
        rows, width = self._constants[node.input[0]].dims
        return axis == 0 and width > 1 and rows * width >= _MIN_TABLE_SIZE

    def _is_float(self, name: str, rank: int) -> bool:
        tensor = self._constants.get(name)
        if tensor is None or tensor.data_type != onnx.TensorProto.FLOAT:
            return False
        return len(tensor.dims) == rank

    def _balance(self, name: str, peak: _Floats) -> _Floats:
        """(k,) what each channel is divided by, and its weights are multiplied by."""
        weights = [self._value(node.input[1]) for node in self._linear if node.input[0] == name]
        heaviest = np.max([np.abs(weight).max(axis=1) for weight in weights], axis=0)
        return np.asarray(np.sqrt(_floored(peak) / _floored(heaviest)), np.float32)

    def _replace_table(self, node: Any) -> None:
        table, ids, out = node.input[0], node.input[1], node.output[0]
        if self._new(table):
            codes, scale = _to_int8(self._value(table), axis=1)
            self._constant(f"{table}.int8", codes)
            self._constant(f"{table}.scale", scale)
        self._add("Gather", [f"{table}.int8", ids], f"{out}.int8")
        self._add("Gather", [f"{table}.scale", ids], f"{out}.scale")
        self._add("Cast", [f"{out}.int8"], f"{out}.codes", to=onnx.TensorProto.FLOAT)
        self._add("Mul", [f"{out}.codes", f"{out}.scale"], out)

    def _to_8_bits(self, name: str, balance: _Floats | None) -> None:
        """name.uint8 and name.scale for each token: (..., k) and (..., 1)."""
        width = next(len(self._value(n.input[1])) for n in self._linear if n.input[0] == name)
        step, zero_point = self._steps(name)
        if name in self._gelu:
            source = size = f"{name}.above"
            self._add("Sub", [name, "int8/least_gelu"], source)
        else:
            source, size = name, f"{name}.size"
            if balance is not None:
                self._constant(f"{name}.balance", 1 / balance)
                source = f"{name}.balanced"
                self._add("Mul", [name, f"{name}.balance"], source)
            self._add("Abs", [source], size)
        self._add("ReduceMax", [size, "int8/last_axis"], f"{name}.peak", keepdims=1)
        self._add("Mul", [f"{name}.peak", step], f"{name}.scale")
        self._add("Shape", [f"{name}.scale"], f"{name}.shape")
        self._add("Expand", [zero_point, f"{name}.shape"], f"{name}.zero_point")
        inputs = [source, f"{name}.scale", f"{name}.zero_point"]
        self._add("QuantizeLinear", inputs, f"{name}.uint8", axis=-1, block_size=width)

    def _steps(self, name: str) -> tuple[str, str]:
        """The constants that a tensor's scale and zero point are made from."""
        if name in self._gelu:
            return "int8/whole", "int8/zero"
        return "int8/half", "int8/middle"

    def _replace_linear(self, node: Any, balance: _Floats | None) -> None:
        name, weight, out = node.input[0], node.input[1], node.output[0]
        if self._new(weight):
            value = self._value(weight)
            codes, scale = _to_int8(value if balance is None else value * balance[:, None], axis=0)
            self._constant(f"{weight}.int8", codes)
            self._constant(f"{weight}.scale", scale[0])
            self._constant(f"{weight}.least", _LEAST_GELU * (codes * scale).sum(axis=0))
        inputs = [f"{name}.uint8", f"{weight}.int8", "int8/one", f"{weight}.scale"]
        inputs.append(self._steps(name)[1])
        self._add("MatMulIntegerToFloat", inputs, f"{out}.codes", domain=_CONTRIB)
        if name in self._gelu:
            self._add("Mul", [f"{out}.codes", f"{name}.scale"], f"{out}.above")
            self._add("Add", [f"{out}.above", f"{weight}.least"], out)
        else:
            self._add("Mul", [f"{out}.codes", f"{name}.scale"], out)

    def _finish(self) -> None:
        used = {name for node in self._nodes for name in node.input}
        for name in self._replaced - used:
            self._graph.initializer.remove(self._constants[name])
        del self._graph.node[:]
        self._graph.node.extend(self._nodes)
        if all(entry.domain != _CONTRIB for entry in self._model.opset_import):
            self._model.opset_import.append(helper.make_opsetid(_CONTRIB, 1))

    def _new(self, name: str) -> bool:
        """Whether a constant is replaced for the first time."""
        if name in self._replaced:
            return False
        self._replaced.add(name)
        return True

    def _value(self, name: str) -> _Floats:
        return np.asarray(numpy_helper.to_array(self._constants[name]), np.float32)

    def _constant(self, name: str, value: NDArray[Any]) -> None:
        self._graph.initializer.append(numpy_helper.from_array(value, name))

    def _add(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> None:
        self._nodes.append(helper.make_node(kind, inputs, [output], **attributes))


def _to_int8(values: _Floats, axis: int) -> tuple[_Codes, _Floats]:
    """Codes in -127..127 and scales, so that codes * scales is near values; one along `axis`."""
    scale = np.maximum(np.abs(values).max(axis=axis, keepdims=True), 1e-30) / 127
    return np.rint(values / scale).astype(np.int8), scale


def _floored(values: _Floats) -> _Floats:
    """At least a hundredth of the mean: a channel that was never seen is no reason for extremes."""
    return np.maximum(values, max(1e-2 * float(values.mean()), 1e-12))
