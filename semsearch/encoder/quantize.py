"""Save an encoder with an int8 ONNX body, compared with the float32 one before it appears."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from semsearch.encoder.calibration import TEXTS
from semsearch.encoder.config import read_layout
from semsearch.encoder.encoder import Encoder
from semsearch.encoder.export import find_or_export
from semsearch.encoder.layout import Layout
from semsearch.encoder.onnx import OnnxRuntime
from semsearch.encoder.save import refuse_existing, save
from semsearch.errors import EncoderError, MissingExtraError
from semsearch.files import atomic_directory, folder_size

if TYPE_CHECKING:
    from semsearch.encoder.quantize_graph import Peaks

# Enough to see which channels are wide.
_MEASURED = 200


@dataclass(frozen=True, slots=True)
class Quantized:
    """What became of an encoder."""

    path: Path
    size_before_bytes: int  # all files of the encoder
    size_bytes: int  # all files of the new one
    n_texts: int  # that both encoded
    mean_cosine: float  # between the float32 and the int8 vector of a text
    min_cosine: float


def quantize(
    source: str | Path,
    out: Path,
    *,
    texts: Sequence[str] = TEXTS,
    min_cosine: float = 0.99,
    progress: Callable[[int], None] | None = None,
) -> Quantized:
    """Write an encoder as a new directory whose ONNX body is one file of 8-bit integers.

    Linear layers and embedding tables become int8, see `quantize_graph`; pooling, tokenizer and
    the modules behind are copied. The float32 weights stay behind: the new directory is for ONNX
    Runtime, 1.19 or later, alone.

    Args:
        source: as `Encoder.load` takes it; any encoder that runs on ONNX Runtime.
        texts: to see which channels are wide, and to compare the two encoders on; at least one.
        min_cosine: between the vectors of both, mean over the texts; below it nothing is written.
        progress: called with the number of texts that were just encoded; each is encoded twice.

    Raises:
        EncoderError: `out` exists, the encoder has nothing to quantize or cannot do without
            torch, or its vectors change too much.
        MissingExtraError: what rewrites ONNX files is not installed.
        StorageError: the disk refused.
    """
    refuse_existing(out)
    if importlib.util.find_spec("onnx") is None:
        raise MissingExtraError("onnx (needed to quantize an encoder)", "train")
    full = Encoder.load(source, runtime="onnx")
    layout = read_layout(full.path)
    if layout.pooling.layers:
        raise EncoderError(
            f"{full.source}: pooling {layout.pooling} reads several layers, and an encoder without "
            "float32 weights gives the last one only."
        )
    with atomic_directory(out) as folder:
        _copy_without_weights(layout, folder)
        file = read_layout(folder).body / "onnx" / "model.onnx"
        file.parent.mkdir()
        _write_body(layout, texts, file)
        vectors = [
            e.encode(texts, progress=progress) for e in (full, Encoder.load(folder, runtime="onnx"))
        ]
        cosines = (vectors[0] * vectors[1]).sum(axis=1)
        result = Quantized(
            path=out,
            size_before_bytes=folder_size(full.path),
            size_bytes=folder_size(folder),
            n_texts=len(texts),
            mean_cosine=float(cosines.mean()),
            min_cosine=float(cosines.min()),
        )
        if not result.mean_cosine >= min_cosine:
            raise EncoderError(
                f"{full.source}: int8 changes its vectors: mean cosine {result.mean_cosine:.4f} on "
                f"{len(texts)} texts, where {min_cosine:g} is asked for. Nothing was written."
            )
    return result


def _copy_without_weights(layout: Layout, folder: Path) -> None:
    save(layout, (), folder)
    body = read_layout(folder).body
    for weights in [*body.glob("*.safetensors"), *body.glob("*.safetensors.index.json")]:
        weights.unlink()
    shutil.rmtree(body / "onnx", ignore_errors=True)


def _write_body(layout: Layout, texts: Sequence[str], file: Path) -> None:
    from semsearch.encoder import quantize_graph

    source = find_or_export(layout)
    model = quantize_graph.load(source)
    step = max(1, len(texts) // _MEASURED)
    # Long texts are read from their beginning, as one row each.
    runtime = OnnxRuntime(layout.choosing(truncate="head"), source)
    if not quantize_graph.quantize(model, _peaks(model, runtime, texts[::step])):
        raise EncoderError(f"{layout.path}: has no float32 weights to quantize.")
    # Written by ONNX Runtime: constants folded, the exporter's notes gone, so it loads faster.
    _session(model, optimized=file)


def _peaks(model: Any, runtime: OnnxRuntime, texts: Sequence[str]) -> Peaks:
    """What `quantize_graph.quantize` asks for; texts one by one, so that no padding counts."""
    from semsearch.encoder import quantize_graph

    names = quantize_graph.smoothed(model)
    if not names:
        return {}
    session = _session(quantize_graph.exposing(model, names))
    peaks: dict[str, Any] = {}
    for item in runtime.prepare(texts, "document")[0]:
        for name, states in zip(names, session.run(names, runtime.feeds([item])[0]), strict=True):
            peak = np.abs(states).reshape(-1, states.shape[-1]).max(axis=0)
            peaks[name] = np.maximum(peaks.get(name, 0), peak)
    return peaks


def _session(model: Any, optimized: Path | None = None) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # As the runtime does: what higher levels write is no faster, and may be for this CPU only.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    if optimized is not None:
        options.optimized_model_filepath = str(optimized)
    providers = ["CPUExecutionProvider"]
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=providers)
