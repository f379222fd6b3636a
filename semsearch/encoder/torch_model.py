"""An encoder as a SentenceTransformer, with what was chosen for it."""

from __future__ import annotations

import importlib.util
from typing import Any

from semsearch.encoder.layout import Layout
from semsearch.encoder.pooling import Pooling
from semsearch.encoder.quiet import quiet
from semsearch.encoder.tokens import TextTokenizer
from semsearch.errors import EncoderError, MissingExtraError


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
                f"{layout.path}: sentence-transformers cannot load it: {first_line(error)}"
            ) from error
    # Weights saved in half precision are computed with in full, as ONNX Runtime does.
    return model.float().eval()


def with_choices(model: Any, layout: Layout, normalized: bool = False) -> Any:
    """The model with what was chosen for it; without its last Normalize unless `normalized`."""
    from sentence_transformers import SentenceTransformer

    modules = list(model)
    if type(modules[-1]).__name__ == "Normalize" and not normalized:
        modules.pop()
    if "pooling" in layout.changed:
        modules = _with_pooling(modules, layout)
    with quiet():
        chosen = SentenceTransformer(
            modules=modules,
            device=str(model.device),
            prompts=model.prompts,
            default_prompt_name=model.default_prompt_name,
            similarity_fn_name=model.similarity_fn_name,
        )
    if "max_length" in layout.changed:
        chosen.max_seq_length = layout.max_length
    if "truncation" in layout.changed:
        chosen.tokenizer.truncation_side = layout.truncation.side
    return chosen


def _with_pooling(modules: list[Any], layout: Layout) -> list[Any]:
    """The modules with the pooling of the layout, and with the layers that it is over."""
    body, *others = modules
    body.auto_model.config.output_hidden_states = bool(layout.pooling.layers)
    chosen = [body]
    for module in others:
        kind = type(module).__name__
        if kind == "Pooling":
            if layout.pooling.layers:
                chosen.append(_layer_pooling(_width(module), layout.pooling))
            chosen.append(_pooling(module, layout))
        elif kind != "WeightedLayerPooling":
            chosen.append(module)
    return chosen


def _layer_pooling(width: int, pooling: Pooling) -> Any:
    """Over the layers from the first that counts on, so that only these are ever trained."""
    import torch

    try:
        from sentence_transformers.sentence_transformer.modules import WeightedLayerPooling
    except ImportError:  # before 5.5
        from sentence_transformers.models import WeightedLayerPooling

    start, weights = pooling.counted
    return WeightedLayerPooling(
        width,
        len(pooling.layers) - 1,
        layer_start=start,
        layer_weights=torch.nn.Parameter(torch.tensor(weights)),
    )


def _width(pooling: Any) -> int:
    return int(getattr(pooling, "embedding_dimension", 0) or pooling.word_embedding_dimension)


def _pooling(module: Any, layout: Layout) -> Any:
    return type(module)(
        _width(module),
        pooling_mode=layout.pooling.modes[0],
        include_prompt=layout.pooling.include_prompt,
    )


def first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]


def tokenizer_of(model: Any, layout: Layout) -> TextTokenizer:
    """A copy of the tokenizer that sentence-transformers made, whatever it made it from."""
    from tokenizers import Tokenizer

    backend = getattr(model.tokenizer, "backend_tokenizer", None)
    if backend is None and isinstance(model.tokenizer, Tokenizer):
        backend = model.tokenizer
    if backend is None:
        raise EncoderError(f"{layout.path}: its tokenizer is of no kind that `tokenizers` runs.")
    return TextTokenizer(Tokenizer.from_str(backend.to_str()), layout)
