"""What runs an encoder's body, pooling and modules: one protocol, two runtimes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from semsearch.encoder.layout import Kind
from semsearch.encoder.tokens import TextTokenizer
from semsearch.types import Embeddings, Ids


class Runtime(Protocol):
    """Everything of an encoder but the last Normalize."""

    name: str  # "onnx" or "torch"
    precision: str  # "float32"
    dim: int
    budget: int  # tokens per batch, padding included
    tokenizer: TextTokenizer

    def prepare(self, texts: Sequence[str], kind: Kind) -> tuple[list[Any], Ids]:
        """Items for `run`, and their lengths (n,) by which they are batched."""
        ...

    def run(self, items: Sequence[Any], kind: Kind) -> Embeddings:
        """(n, dim) float32 for one batch of items."""
        ...
