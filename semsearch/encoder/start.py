"""Which runtime an encoder gets: as it was asked for, or as it fits."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from semsearch.encoder import export, openvino, torch_model
from semsearch.encoder.config import read_layout
from semsearch.encoder.fingerprint import weight_files
from semsearch.encoder.layout import Layout
from semsearch.encoder.onnx import OnnxRuntime
from semsearch.encoder.openvino import OpenVinoRuntime
from semsearch.encoder.runtime import Runtime
from semsearch.encoder.source import resolve
from semsearch.encoder.torch import TorchRuntime
from semsearch.errors import EncoderError, MissingExtraError
from semsearch.types import PRECISIONS, RUNTIMES, Device


def has_onnx_only(source: str | Path, trust_remote_code: bool = False) -> bool:
    """Whether an encoder has an ONNX body and no other, so that torch cannot run it.

    Raises:
        EncoderError: there is no such encoder.
    """
    path = resolve(source, trust_remote_code=trust_remote_code)
    layout = read_layout(path, trust_remote_code=trust_remote_code)
    return weight_files(layout)[0].suffix == ".onnx"


def start(
    layout: Layout, runtime: str, device: str, precision: str, trust_remote_code: bool
) -> Runtime:
    """The runtime that was asked for, or the one that starts most quickly.

    Raises:
        EncoderError: there is no such thing, or not for this encoder.
        MissingExtraError: a package is missing that it needs.
    """
    if runtime not in RUNTIMES or device not in get_args(Device) or precision not in PRECISIONS:
        raise EncoderError(
            f"unknown runtime {runtime!r}, device {device!r} or precision {precision!r}."
        )
    only_onnx = weight_files(layout)[0].suffix == ".onnx"
    if only_onnx and (runtime == "torch" or device == "cuda"):
        raise EncoderError(
            f"{layout.path}: has an ONNX body only, and torch cannot load that. Leave out runtime "
            "torch and device cuda."
        )
    if device == "auto":
        able = runtime in ("auto", "torch") and not only_onnx
        # On a GPU torch has no int8: who asks for that means the CPU.
        device = "cuda" if able and precision != "int8" and torch_model.has_cuda() else "cpu"
    if device == "cuda":
        runtime = _on_gpu(runtime)
    if runtime == "auto" and layout.unsupported and torch_model.is_installed():
        runtime = "torch"
    if runtime == "torch":
        return _torch(layout, device, precision, trust_remote_code)
    if layout.unsupported and runtime == "auto":
        what = f"torch (needed for {layout.unsupported[0]} in {layout.path})"
        raise MissingExtraError(what, "train")
    try:
        return _on_cpu(layout, runtime, precision, trust_remote_code)
    except export.ExportError:
        if runtime != "auto":
            raise
        return _torch(layout, device, precision, trust_remote_code)


def _on_gpu(runtime: str) -> str:
    if runtime in ("onnx", "openvino"):
        raise EncoderError(
            f"the {runtime} runtime runs on the CPU. Use the torch runtime on a GPU."
        )
    if not torch_model.is_installed():
        raise MissingExtraError("torch (needed to encode on a GPU)", "train")
    if not torch_model.has_cuda():
        raise EncoderError("torch sees no GPU here. Use device cpu.")
    return "torch"


def _torch(layout: Layout, device: str, precision: str, trust_remote_code: bool) -> Runtime:
    return TorchRuntime(layout, device, trust_remote_code, precision)


def _on_cpu(layout: Layout, runtime: str, precision: str, trust_remote_code: bool) -> Runtime:
    OnnxRuntime.check(layout)
    if runtime == "openvino":
        openvino.require()
    model = export.find_or_export(layout, trust_remote_code)
    if runtime != "openvino":
        quick = OnnxRuntime(layout, model)
        if precision in ("auto", quick.precision):
            return quick
        if runtime == "onnx":
            raise EncoderError(
                f"{layout.path}: is computed in {quick.precision} by the onnx runtime, not in "
                f"{precision}. Use the openvino runtime."
            )
        openvino.require()
    if precision == "auto":
        precision = openvino.own_precision(model)
    return OpenVinoRuntime(layout, model, precision)
