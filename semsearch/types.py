"""The nouns that every part shares: standard questions, hits and array aliases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

Embeddings: TypeAlias = NDArray[np.float32]
"""(n, d) float32, as the pooling gave them."""

Vectors: TypeAlias = NDArray[np.float32]
"""(n, d) float32, unit length: what is indexed."""

Ids: TypeAlias = NDArray[np.int64]
Scores: TypeAlias = NDArray[np.float32]
Mask: TypeAlias = NDArray[np.bool_]

RuntimeName: TypeAlias = Literal["auto", "onnx", "openvino", "torch"]
Precision: TypeAlias = Literal["auto", "float32", "bfloat16", "int8"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
RUNTIMES: tuple[RuntimeName, ...] = get_args(RuntimeName)
Device: TypeAlias = Literal["cpu", "cuda", "auto"]
Pooling: TypeAlias = Literal[
    "cls", "mean", "max", "first-last-avg", "last-2-avg", "weighted-last-4"
]
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)
TRUNCATIONS = ("head", "tail", "head+tail", "windows")
"""What may be read of a long text, by name; A+B tokens (256+254) is another one."""

Fields: TypeAlias = Mapping[str, Any]
"""The owner's other columns; values are JSON scalars (str, int, float, bool, None)."""


@dataclass(frozen=True, slots=True)
class StandardQuestion:
    """Canonical wording with an answer, and the other ways to ask it.

    `phrasings` holds the other wordings only; the question itself is always the first phrasing.
    """

    key: str
    question: str
    answer: str = ""
    phrasings: tuple[str, ...] = ()
    fields: Fields = field(default_factory=dict)

    @property
    def texts(self) -> tuple[str, ...]:
        """Every distinct phrasing, the question first."""
        return tuple(dict.fromkeys((self.question, *self.phrasings)))


@dataclass(frozen=True, slots=True)
class Hit:
    """A standard question that was found; `score` is a cosine, higher is better."""

    rank: int
    key: str
    question: str
    answer: str
    score: float
    phrasing: str
    fields: Fields


@dataclass(frozen=True, slots=True)
class Result:
    """What one query found, best first.

    Attributes:
        hits: what passed `min_score`; none where the query was refused, unless asked for.
        confidence: the probability that the top hit is right, None where nothing is calibrated.
        refused: whether that is below the operating point of the index.
    """

    query: str
    hits: tuple[Hit, ...]
    confidence: float | None = None
    refused: bool = False

    @property
    def answered(self) -> bool:
        """Whether any hit passed `min_score` and the query was not refused."""
        return bool(self.hits) and not self.refused

    def without_refused_hits(self) -> Result:
        """The same, without hits where the query was refused."""
        return replace(self, hits=()) if self.refused else self

    def to_dict(self) -> dict[str, Any]:
        """The stable JSON form: query, answered, confidence, hits."""
        return {
            "query": self.query,
            "answered": self.answered,
            "confidence": None if self.confidence is None else round(self.confidence, 4),
            "hits": [
                {
                    "rank": hit.rank,
                    "key": hit.key,
                    "question": hit.question,
                    "answer": hit.answer,
                    "score": hit.score,
                    "phrasing": hit.phrasing,
                    "fields": dict(hit.fields),
                }
                for hit in self.hits
            ],
        }
