"""What runs an encoder's body, pooling and modules: one protocol, three runtimes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeAlias

from semsearch.encoder.layout import Kind
from semsearch.encoder.tokens import TextTokenizer
from semsearch.types import Embeddings, Ids

Batch: TypeAlias = tuple[Ids, Sequence[Any]]
"""Which texts are encoded together, and their items."""


class Runtime(Protocol):
    """Everything of an encoder but the last Normalize."""

    name: str  # "onnx", "openvino" or "torch"
    precision: str  # "float32", "bfloat16", "float16", "int8"
    dim: int
    budget: int  # tokens per batch, padding included
    tokenizer: TextTokenizer

    def prepare(self, texts: Sequence[str], kind: Kind) -> tuple[list[Any], Ids]:
        """Items for `run`, and their lengths (n,) by which they are batched."""
        ...

    def run_all(self, batches: Iterable[Batch], kind: Kind) -> Iterator[tuple[Ids, Embeddings]]:
        """(n, dim) float32 for each batch, in their order."""
        ...
