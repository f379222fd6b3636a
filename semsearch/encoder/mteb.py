"""What mteb asks of an encoder, so that `mteb.evaluate(Encoder.load(…), tasks)` works as it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from semsearch.encoder.layout import Kind
from semsearch.encoder.modules import Normalize
from semsearch.types import Embeddings, Scores, Vectors

if TYPE_CHECKING:
    from mteb.models import ModelMeta

    from semsearch.encoder.encoder import Encoder

_FRAMEWORKS = {"onnx": "ONNX", "torch": "PyTorch"}


def unpack(batches: Any, task: Mapping[str, Any]) -> tuple[list[str], Kind]:
    """The texts of mteb's batches, and the kind that its `prompt_type` stands for.

    Raises:
        TypeError: this is no call of mteb, but one with an unknown argument.
    """
    if "task_metadata" not in task:
        raise TypeError(f"encode() got an unexpected keyword argument {next(iter(task))!r}")
    texts = [text for batch in batches for text in batch["text"]]
    return texts, "query" if task.get("prompt_type") == "query" else "document"


def similarity(left: Embeddings, right: Embeddings) -> Scores:
    """Cosine of every row (n, d) with every other (m, d): (n, m)."""
    cosines: Scores = _unit(left) @ _unit(right).T
    return cosines


def similarity_pairwise(left: Embeddings, right: Embeddings) -> Scores:
    """Cosine of each row (n, d) with its partner (n, d): (n,)."""
    cosines: Scores = np.einsum("nd,nd->n", _unit(left), _unit(right))
    return cosines


def model_meta(encoder: Encoder) -> ModelMeta:
    """How mteb files the results: by the last part of the name, and by fingerprint.

    mteb takes results from its cache where both are the same.
    """
    from mteb.models import ModelMeta
    from mteb.models.model_meta import ScoringFunction

    meta: ModelMeta = ModelMeta.create_empty(
        {
            "name": f"semsearch/{PurePath(encoder.source).name}",
            "revision": encoder.fingerprint.digest,
            "embed_dim": encoder.dim,
            "max_tokens": encoder.max_length,
            "framework": [_FRAMEWORKS[encoder.runtime]],
            "similarity_fn_name": ScoringFunction.COSINE,
        }
    )
    return meta


def _unit(embeddings: Embeddings) -> Vectors:
    return Normalize()(np.atleast_2d(np.asarray(embeddings, np.float32)))
