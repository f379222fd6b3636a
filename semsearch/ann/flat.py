"""One query against every vector, at the speed of memory."""

from __future__ import annotations

import numpy as np

from semsearch.types import Ids, Mask, Scores, Vectors


def nearest(
    vectors: Vectors, query: Vectors, n: int, hidden: Mask | None = None
) -> tuple[Scores, Ids]:
    """The n rows with the largest inner product.

    FAISS takes one thread for one query; BLAS takes all, and the time is that of reading the
    vectors: benchmarks/flat.py.

    Args:
        vectors: (m, d).
        query: (d,).
        hidden: (m,) rows that must not be found.

    Returns:
        Scores (1, n) descending, equal ones by row, and rows (1, n); row -1 pads.
    """
    scores = vectors @ query
    if hidden is not None:
        scores[hidden] = -np.inf
    rows = np.arange(len(scores)) if n >= len(scores) else np.argpartition(-scores, n - 1)[:n]
    rows = rows[np.lexsort((rows, -scores[rows]))]
    rows = rows[scores[rows] > -np.inf]
    padding = (0, n - len(rows))
    return (
        np.pad(scores[rows], padding, constant_values=-np.inf)[None],
        np.pad(rows, padding, constant_values=-1)[None],
    )
