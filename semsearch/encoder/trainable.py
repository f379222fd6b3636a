"""An encoder that can be trained, and what was trained as an encoder."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from semsearch.encoder.config import CONFIG, read_layout
from semsearch.encoder.cutting import cut_in_training
from semsearch.encoder.dequantize import write_with_floats
from semsearch.encoder.fingerprint import weight_files
from semsearch.encoder.layout import Layout
from semsearch.encoder.quiet import quiet
from semsearch.encoder.save import refuse_existing, write_truncation
from semsearch.encoder.source import resolve
from semsearch.encoder.torch_model import first_line, load_model, tokenizer_of, with_choices
from semsearch.errors import EncoderError

_SHORT = 256
"""Tokens up to which plain attention trains on a CPU; its memory grows with their square."""


def trainable_model(
    source: Layout | str | Path,
    *,
    pooling: str | None = None,
    max_length: int | None = None,
    truncate: str | None = None,
    device: str = "cpu",
    trust_remote_code: bool = False,
) -> Any:
    """An encoder as a float32 SentenceTransformer in training mode, all of its body trainable.

    A plain Transformers directory gets the pooling that sentence-transformers gives it. A last
    Normalize is there where the directory has one. Layer weights are trained where they are
    learnt ones ("weighted-last-4"), and stay as they are where the pooling is a fixed average.

    An encoder that `quantize` made gets float weights again.

    Args:
        source: a directory or any other name of an encoder, or a layout that was read.
        pooling: one of `types.POOLINGS` in place of the encoder's own.
        max_length: tokens, special ones included, in place of the encoder's own.
        truncate: what is read of long texts, in place of the encoder's own; see `Truncation`.
            Texts are cut like this whenever the model preprocesses them, in training, too.
        device: where it is trained.
        trust_remote_code: run Python code that comes with the encoder.

    Raises:
        MissingExtraError: torch or sentence-transformers is not installed.
        EncoderError: it cannot be loaded like this, or has no weights that could be trained.
    """
    if not isinstance(source, Layout):
        path = resolve(source, trust_remote_code=trust_remote_code)
        source = read_layout(path, trust_remote_code=trust_remote_code)
    layout = source.choosing(pooling=pooling, max_length=max_length, truncate=truncate)
    if weight_files(layout)[0].suffix == ".onnx":
        with tempfile.TemporaryDirectory(prefix="semsearch-") as folder:
            path = Path(folder) / "encoder"
            write_float_weights(layout, path)
            return trainable_model(path, device=device)
    # On a CPU torch's fused kernel trains slower: 3 layers of MiniLM in bf16 without dropout, texts
    # of 32 tokens: 5,642 tokens/s, where plain attention takes 8,263.
    plain = device == "cpu" and layout.max_length <= _SHORT
    kernel = {"attn_implementation": "eager"} if plain else {}
    loaded = load_model(layout, device, trust_remote_code, **kernel)
    model = with_choices(loaded, layout, normalized=True)
    for module in model:
        fixed = type(module).__name__ == "WeightedLayerPooling" and not layout.pooling.learnt
        module.requires_grad_(not fixed)
    if not layout.truncation.on_one_side:
        cut_in_training(model, tokenizer_of(model, layout))
    model.semsearch_truncation = layout.truncation.name
    return model.train()


def write_float_weights(layout: Layout, path: Path) -> None:
    """Write an encoder that has int8 weights only as a new directory with float ones.

    Raises:
        EncoderError: its ONNX body is not one that `quantize` wrote.
        MissingExtraError: what reads ONNX files is not installed.
    """
    import torch

    with quiet():
        from transformers import AutoConfig, AutoModel

        try:
            config = AutoConfig.from_pretrained(layout.body, local_files_only=True)
            with torch.device("meta"):  # shapes without memory
                model = AutoModel.from_config(config)
        except Exception as error:
            raise EncoderError(
                f"{layout.path}: transformers cannot make it: {first_line(error)}"
            ) from error
    shapes = {name: tuple(value.shape) for name, value in model.named_parameters()}
    write_with_floats(layout, path, shapes)


def save_trained(model: Any, path: Path) -> None:
    """Write a model of `trainable_model` so that `Encoder.load` and sentence-transformers read it.

    Both give the same vectors, but where texts are cut in more than one place: there, plain
    sentence-transformers reads the head only. Any other SentenceTransformer is saved as it is. No
    model card is written.

    Raises:
        EncoderError: something is at `path` already: an ONNX body there would be an older one.
    """
    refuse_existing(path)
    with quiet():
        model.save_pretrained(str(path), create_model_card=False)
    write_truncation(path / CONFIG, getattr(model, "semsearch_truncation", "head"))
