"""Run an encoder on torch through sentence-transformers: for GPUs and for modules of all kinds."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Any

import numpy as np

from semsearch.encoder.config import Kind, Layout
from semsearch.encoder.fingerprint import weight_files
from semsearch.encoder.quiet import quiet
from semsearch.encoder.tokens import TextTokenizer
from semsearch.errors import EncoderError, MissingExtraError
from semsearch.types import Embeddings, Ids


def is_installed() -> bool:
    """Whether torch and sentence-transformers are there; neither is imported."""
    return all(importlib.util.find_spec(name) for name in ("torch", "sentence_transformers"))


def has_cuda() -> bool:
    """Whether torch is there and sees a GPU."""
    if not is_installed():
        return False
    import torch

    return bool(torch.cuda.is_available())


def load_model(layout: Layout, device: str, trust_remote_code: bool, **model_kwargs: Any) -> Any:
    """The directory as a float32 SentenceTransformer, nothing printed.

    Raises:
        MissingExtraError: torch or sentence-transformers is not installed.
        EncoderError: sentence-transformers cannot load it.
    """
    if not is_installed():
        raise MissingExtraError(f"torch (needed to run {layout.path})", "train")
    with quiet():
        from sentence_transformers import SentenceTransformer

        try:
            model = SentenceTransformer(
                str(layout.path),
                device=device,
                trust_remote_code=trust_remote_code,
                local_files_only=True,
                model_kwargs={"use_safetensors": True, **model_kwargs},
            )
        except Exception as error:
            raise EncoderError(
                f"{layout.path}: sentence-transformers cannot load it: {_first_line(error)}"
            ) from error
    # Weights saved in half precision are computed with in full, as ONNX Runtime does.
    return model.float().eval()


class TorchRuntime:
    """The modules as sentence-transformers runs them, a last Normalize left out."""

    name = "torch"
    precision = "float32"

    def __init__(self, layout: Layout, device: str, trust_remote_code: bool = False) -> None:
        weight_files(layout)  # raises where there are only pickled ones
        model = load_model(layout, device, trust_remote_code)
        self._layout = layout
        self._model = _with_choices(model, layout)
        self.budget = 32768 if device.startswith("cuda") else 2048
        self.tokenizer = _tokenizer(model, layout)
        try:
            self.dim = int(self.run([""], "document").shape[1])
        except RuntimeError as error:
            raise EncoderError(
                f"{layout.path}: sentence-transformers cannot run it: {_first_line(error)}"
            ) from error

    def prepare(self, texts: Sequence[str], kind: Kind) -> tuple[list[Any], Ids]:
        # Only the order matters for batching; sentence-transformers splits the texts itself.
        prompt = self._layout.prompts[kind]
        texts_and_prompt = [prompt + text for text in texts] if prompt else texts
        lengths = [len(encoding) for encoding in self.tokenizer.encode(texts_and_prompt)]
        return list(texts), np.array(lengths, np.int64)

    def run(self, items: Sequence[Any], kind: Kind) -> Embeddings:
        encode = getattr(self._model, f"encode_{kind}")
        embeddings = encode(
            list(items),
            prompt=self._layout.prompts[kind],
            batch_size=len(items),
            show_progress_bar=False,
            convert_to_numpy=True,
            normalize_embeddings=False,
        )
        return np.asarray(embeddings, dtype=np.float32)


def _with_choices(model: Any, layout: Layout) -> Any:
    """The model with the pooling and length that were asked for, without its last Normalize."""
    from sentence_transformers import SentenceTransformer

    modules = list(model)
    if type(modules[-1]).__name__ == "Normalize":
        modules.pop()
    if "pooling" in layout.changed:
        modules = _with_pooling(modules, layout)
    with quiet():
        chosen = SentenceTransformer(modules=modules, device=str(model.device))
    if "max_length" in layout.changed:
        chosen.max_seq_length = layout.max_length
    return chosen.eval()


def _with_pooling(modules: list[Any], layout: Layout) -> list[Any]:
    """The modules with the pooling of the layout, and with the layers that it is over."""
    body, *others = modules
    chosen = [body]
    for module in others:
        kind = type(module).__name__
        if kind == "Pooling":
            if layout.pooling.layers:
                chosen.append(_layer_pooling(_width(module), layout))
                body.auto_model.config.output_hidden_states = True
            chosen.append(_pooling(module, layout))
        elif kind != "WeightedLayerPooling":
            chosen.append(module)
    return chosen


def _layer_pooling(width: int, layout: Layout) -> Any:
    import torch

    try:
        from sentence_transformers.sentence_transformer.modules import WeightedLayerPooling
    except ImportError:  # before 5.5
        from sentence_transformers.models import WeightedLayerPooling

    weights = torch.nn.Parameter(torch.tensor(layout.pooling.layers), requires_grad=False)
    return WeightedLayerPooling(width, len(weights) - 1, layer_start=0, layer_weights=weights)


def _width(pooling: Any) -> int:
    return int(getattr(pooling, "embedding_dimension", 0) or pooling.word_embedding_dimension)


def _pooling(module: Any, layout: Layout) -> Any:
    return type(module)(
        _width(module),
        pooling_mode=layout.pooling.modes[0],
        include_prompt=layout.pooling.include_prompt,
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]


def _tokenizer(model: Any, layout: Layout) -> TextTokenizer:
    """A copy of the tokenizer that sentence-transformers made, whatever it made it from."""
    from tokenizers import Tokenizer

    backend = getattr(model.tokenizer, "backend_tokenizer", None)
    if backend is None and isinstance(model.tokenizer, Tokenizer):
        backend = model.tokenizer
    if backend is None:
        raise EncoderError(f"{layout.path}: its tokenizer is of no kind that `tokenizers` runs.")
    return TextTokenizer(Tokenizer.from_str(backend.to_str()), layout)
