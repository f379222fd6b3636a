"""Banks of vectors: standard questions are clouds, and whoever plants a fault knows where it is."""

from __future__ import annotations

import numpy as np

from semsearch.review.bank import Filed
from semsearch.types import Ids, Vectors

QUESTIONS, EACH, DIM = 40, 12, 24


def clouds(seed: int = 0, spread: float = 0.5) -> tuple[Vectors, Ids]:
    """Unit vectors (n, d) around a centre for each standard question, and which (n,)."""
    random = np.random.default_rng(seed)
    question = np.repeat(np.arange(QUESTIONS), EACH)
    centres = random.normal(size=(QUESTIONS, DIM))
    vectors = centres[question] + spread * random.normal(size=(len(question), DIM))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32), question


def filed(vectors: Vectors, question: Ids, answers: list[str] | None = None) -> Filed:
    """The bank in which phrasing i, called `text i`, is filed under a number."""
    order = np.argsort(question, kind="stable")
    n = int(question.max()) + 1
    names = [f"question {number}" for number in range(n)]
    return Filed(
        vectors[order],
        question[order],
        [f"text {row}" for row in order],
        [f"k{number}" for number in range(n)],
        names,
        answers or [""] * n,
    )
