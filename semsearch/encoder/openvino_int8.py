"""Bring the body of a transformer to int8 for OpenVINO, in memory, and keep what was compiled.

Linear layers. Weights are int8 with a scale for each output, symmetric. What they read is brought
to 8 bits with one scale, found on `calibration.TEXTS` before; OpenVINO then multiplies 8-bit
integers and does what follows (bias, GELU, the next 8 bits) without leaving the registers. A scale
for each token, as `quantize_graph` has it for ONNX Runtime, would be finer, but OpenVINO computes
it at half the speed.

One scale for all needs channels of like width. Much of the width of a channel is moved into the
weights (Xiao et al. 2023, SmoothQuant, arXiv:2211.10438); alpha is 0.7, not 0.5, as what is read is
coarser here than the weights.

Bodies that `quantize_graph` wrote are read with float weights again, and then brought to int8
in the same way. Everything but linear layers is computed in bfloat16 or float32.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import logging
import zlib
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from semsearch.encoder import cache
from semsearch.encoder.calibration import TEXTS
from semsearch.encoder.fingerprint import onnx_key
from semsearch.encoder.layout import Layout
from semsearch.encoder.onnx import has_int8_products
from semsearch.encoder.tokens import TextTokenizer, padded
from semsearch.errors import EncoderError, StorageError
from semsearch.files import atomic_write

_log = logging.getLogger("semsearch")

_Floats: TypeAlias = NDArray[np.float32]

ALPHA = 0.7
# Counts up when what is written here changes, so that what older releases compiled is not used.
_VERSION = 1
_LEVELS = 256
_BATCH = 16


def read(model: Path) -> Any:
    """An ONNX body with float weights, whatever it has them stored in."""
    from semsearch.encoder.openvino import core

    if not has_int8_products(model):
        return core().read_model(str(model))
    body = _reader().read_model(str(model))
    for node in body.get_ordered_ops():
        source = node.input_value(0).get_node() if node.get_input_size() else None
        if source is not None and node.get_type_name() == "Multiply" and _is_linear(source):
            # The scale of each token, by which nothing was divided now.
            _replace(node.output(0), source.output(0))
    body.validate_nodes_and_infer_types()
    return body


def compiled(layout: Layout, model: Path, settings: dict[str, str]) -> Any:
    """The body in int8, compiled; kept in the user's cache, from where it loads ten times faster.

    Raises:
        EncoderError: it has no linear layers.
        RuntimeError: OpenVINO cannot read it.
    """
    from semsearch.encoder.openvino import core

    file = cache.cache_dir() / "openvino" / f"{onnx_key(layout)}-{_key(settings)}.blob"
    with contextlib.suppress(OSError, RuntimeError, ValueError):  # an empty file cannot be mapped
        if (content := _checked(file)) is not None:
            found = core().import_model(_tensor(content), "CPU", settings)
            found.content = content  # from where it reads its weights
            return found
    _log.info("bringing %s to int8, once: this takes some seconds", layout.path)
    body = read(model)
    _to_int8(body, _widths(layout, model), layout)
    made = core().compile_model(body, "CPU", settings)
    _keep(file, made.export_model())
    return made


def _key(settings: dict[str, str]) -> str:
    """What else a compiled body depends on."""
    import openvino

    from semsearch.encoder.openvino import core, native

    device = core().get_property("CPU", "FULL_DEVICE_NAME")
    parts = [_VERSION, openvino.__version__, device, native(), settings]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _checked(file: Path) -> Any:
    """What `_keep` wrote, (n,) uint8 mapped; None where it is damaged."""
    # For writing, which OpenVINO asks for; what is written would stay in memory.
    content = np.memmap(file, np.uint8, "c")
    body, sum_ = content[:-4], content[-4:]
    return body if zlib.crc32(body.data).to_bytes(4, "little") == sum_.tobytes() else None


def _tensor(content: Any) -> Any:
    import openvino

    return openvino.Tensor(content, shared_memory=True)


def _keep(file: Path, content: Any) -> None:
    """Write a compiled body; a cache that cannot be written costs only time."""
    data = content.getvalue() if hasattr(content, "getvalue") else bytes(content)
    with contextlib.suppress(OSError, StorageError):
        file.parent.mkdir(parents=True, exist_ok=True)
        for older in file.parent.glob(f"{file.name.partition('-')[0]}-*.blob"):
            older.unlink()
        with atomic_write(file) as out:
            out.write(data + zlib.crc32(data).to_bytes(4, "little"))


@functools.cache
def _reader() -> Any:
    """A core that reads what `quantize_graph` wrote as the float layers that it was before."""
    import openvino
    from openvino import opset13 as op
    from openvino.frontend.onnx import ConversionExtension

    def linear(node: Any) -> Any:
        codes, scale = (node.get_input(i).get_node().data for i in (1, 3))
        weight = np.asarray(codes.astype(np.float32) * scale, np.float32)
        return op.matmul(node.get_input(0), op.constant(weight), False, False).outputs()

    def as_it_is(node: Any) -> Any:
        return op.convert(node.get_input(0), "f32").outputs()

    core = openvino.Core()
    core.add_extension(ConversionExtension("MatMulIntegerToFloat", "com.microsoft", linear))
    core.add_extension(ConversionExtension("QuantizeLinear", as_it_is))
    return core


def _widths(layout: Layout, model: Path) -> dict[str, tuple[_Floats, _Floats]]:
    """By name of what linear layers read: least and largest value (k,) of each channel."""
    from semsearch.encoder.openvino import core

    body = read(model)
    sources = {_source(node): node.input_value(0) for node in _linear(body)}
    first = len(body.outputs)
    body.add_outputs(list(sources.values()))
    request = core().compile_model(body, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    request = request.create_infer_request()
    # Long texts are read from their beginning, as one row each.
    tokenizer = TextTokenizer.load(layout.choosing(truncate="head"))
    rows = sorted(tokenizer.encode(TEXTS), key=len)
    found: dict[str, tuple[_Floats, _Floats]] = {}
    for start in range(0, len(rows), _BATCH):
        feeds = padded(rows[start : start + _BATCH], tokenizer.pad_id)
        real = feeds["attention_mask"] > 0
        request.infer({name: feeds[name] for port in body.inputs for name in port.get_names()})
        for number, name in enumerate(sources, first):
            states = request.get_output_tensor(number).data[real]
            least, largest = states.min(axis=0), states.max(axis=0)
            if name in found:
                least = np.minimum(least, found[name][0])
                largest = np.maximum(largest, found[name][1])
            found[name] = least, largest
    return found


def _to_int8(body: Any, widths: dict[str, tuple[_Floats, _Floats]], layout: Layout) -> None:
    """Rewrite a body in its place."""
    from openvino import opset13 as op

    readers: dict[str, list[Any]] = {}
    for node in _linear(body):
        readers.setdefault(_source(node), []).append(node)
    if not readers:
        raise EncoderError(f"{layout.path}: has no linear layers that could be int8.")
    for name, nodes in readers.items():
        least, largest = widths[name]
        weights = [_weight(node) for node in nodes]
        balance = _balance(np.maximum(np.abs(least), np.abs(largest)), weights)
        low = np.float32(min(0.0, (least / balance).min()))
        high = np.float32(max(0.0, (largest / balance).max(), 1e-6))
        balanced = op.multiply(nodes[0].input_value(0), op.constant(1 / balance))
        read_ = op.fake_quantize(balanced, low, high, low, high, _LEVELS)
        for node, weight in zip(nodes, weights, strict=True):
            codes, scale = _to_codes(weight * balance[:, None])
            # As each row of it stands for one output: so OpenVINO wants them.
            integers = op.convert(op.constant(np.ascontiguousarray(codes.T)), "f32")
            floats = op.multiply(integers, op.constant(scale[:, None]))
            made = op.matmul(read_, floats, False, True)
            made.set_friendly_name(node.get_friendly_name())
            _replace(node.output(0), made.output(0))
    body.validate_nodes_and_infer_types()


def _linear(body: Any) -> list[Any]:
    return [node for node in body.get_ordered_ops() if _is_linear(node)]


def _is_linear(node: Any) -> bool:
    """Whether it multiplies by constant weights."""
    if node.get_type_name() != "MatMul" or node.get_attributes()["transpose_a"]:
        return False
    weight = node.input_value(1).get_node()
    return weight.get_type_name() == "Constant" and len(weight.shape) == 2


def _source(node: Any) -> str:
    """A name for what a linear layer reads."""
    value = node.input_value(0)
    return f"{value.get_node().get_friendly_name()}:{value.get_index()}"


def _weight(node: Any) -> _Floats:
    """(k, outputs)"""
    value = np.asarray(node.input_value(1).get_node().data, np.float32)
    return value.T if node.get_attributes()["transpose_b"] else value


def _balance(peak: _Floats, weights: list[_Floats]) -> _Floats:
    """(k,) what each channel is divided by, and its weights are multiplied by."""
    heaviest = np.max([np.abs(weight).max(axis=1) for weight in weights], axis=0)
    return np.asarray(_floored(peak) ** ALPHA / _floored(heaviest) ** (1 - ALPHA), np.float32)


def _to_codes(weight: _Floats) -> tuple[NDArray[np.int8], _Floats]:
    """Codes in -127..127 (k, outputs) and scales (outputs,)."""
    scale = np.maximum(np.abs(weight).max(axis=0), 1e-30) / 127
    return np.rint(weight / scale).astype(np.int8), np.asarray(scale, np.float32)


def _replace(old: Any, new: Any) -> None:
    for target in old.get_target_inputs():
        target.replace_source_output(new)


def _floored(values: _Floats) -> _Floats:
    """At least a hundredth of the mean: a channel that was never seen is no reason for extremes."""
    return np.maximum(values, max(1e-2 * float(values.mean()), 1e-12))
