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
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise EncoderError(
                f"{layout.path}: sentence-transformers cannot load it: {reason[:300]}"
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
        self.dim = int(self.run([""], "document").shape[1])

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
    for position, module in enumerate(modules):
        if type(module).__name__ == "Pooling" and "pooling" in layout.changed:
            modules[position] = _pooling(module, layout)
    with quiet():
        chosen = SentenceTransformer(modules=modules, device=str(model.device))
    if "max_length" in layout.changed:
        chosen.max_seq_length = layout.max_length
    return chosen.eval()


def _pooling(module: Any, layout: Layout) -> Any:
    width = getattr(module, "embedding_dimension", None) or module.word_embedding_dimension
    return type(module)(
        width,
        pooling_mode=layout.pooling.modes[0],
        include_prompt=layout.pooling.include_prompt,
    )


def _tokenizer(model: Any, layout: Layout) -> TextTokenizer:
    """A copy of the tokenizer that sentence-transformers made, whatever it made it from."""
    from tokenizers import Tokenizer

    backend = getattr(model.tokenizer, "backend_tokenizer", None)
    if backend is None and isinstance(model.tokenizer, Tokenizer):
        backend = model.tokenizer
    if backend is None:
        raise EncoderError(f"{layout.path}: its tokenizer is of no kind that `tokenizers` runs.")
    return TextTokenizer(Tokenizer.from_str(backend.to_str()), layout)
