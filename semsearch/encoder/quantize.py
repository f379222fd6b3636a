"""Save an encoder with an int8 ONNX body, compared with the float32 one before it appears."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

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

TEXTS = (
    "How do I reset my password?",
    "Where is my parcel? It was sent two weeks ago and nothing has come.",
    "My card was declined at the shop, though there is money on the account.",
    "I'd like to cancel order #48213-B and get my €25.90 back!",
    "is there a fee for paying abroad",
    "opening hours",
    "Why?",
    "What is the difference between a debit card and a credit card?",
    "Can I change the delivery address after the order has been shipped?",
    "The app crashes every time I open the settings on my phone.",
    "A man is playing the guitar on a stage.",
    "Two dogs run through the snow.",
    "A woman is slicing tomatoes in the kitchen.",
    "The government said on Monday that growth had slowed in the third quarter.",
    "Shares fell 3.5 percent after the company cut its forecast.",
    "He was born in Vienna in 1952 and studied mathematics and physics.",
    "Photosynthesis converts light into chemical energy stored in sugars.",
    "pip install fails with error 404: no matching distribution found",
    "The film is far too long, but the two main actors are wonderful together, and the music "
    "stays in your head for days; I would watch it again if only for the last half hour.",
    "怎么申请退款？我的订单还没有发货。",
    "如何修改绑定的手机号码",
    "你们的营业时间是几点到几点？",
    "信用卡",
    "花呗逾期了会不会影响征信",
    "快递三天没有更新物流信息了，能帮我查一下吗",
    "手机没电了，充电器在哪里？",
    "微信支付和支付宝有什么区别",
    "一个男人正在舞台上弹吉他。",
    "两只狗在雪地里奔跑。",
    "北京是中华人民共和国的首都，也是全国的政治、文化中心。",
    "今年第三季度，公司的营业收入同比增长了百分之十二。",
    "這個商品可以退貨嗎？運費由誰負擔？",
    "请问如何开具增值税专用发票？公司抬头填写错误之后还能不能修改，需要重新提交哪些材料？",
    "Where is my 订单 🙂",
)
"""English and Chinese: questions, captions, news, encyclopedias; short and long."""

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
