"""Measure one index: what it finds of the true neighbours, how fast, in how much memory."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from semsearch.ann import Neighbours, using_threads
from semsearch.evaluation.bootstrap import mean_interval
from semsearch.tuning.outcome import Trial
from semsearch.types import Ids, Scores, Vectors

_BATCHES = 3
_EQUAL = 1e-5
"""Scores no further apart are equal: one of two phrasings with the same words is no miss."""


@dataclass(frozen=True, slots=True)
class Truth:
    """Queries, and how near their true neighbours are."""

    queries: Vectors  # (m, d)
    kth: Scores  # (m,) score of the k-th neighbour
    k: int

    @classmethod
    def of(cls, exact: Neighbours, queries: Vectors, k: int) -> Truth:
        scores, _ = exact.search(queries, k)
        return cls(queries, scores[:, -1], k)

    def recalls(self, rows: Ids, vectors: Vectors) -> NDArray[np.float64]:
        """(m,) share of the k neighbours among the rows (m, k) that were found; -1 pads."""
        scores = np.einsum("md,mkd->mk", self.queries, vectors[rows])
        near = (scores >= self.kth[:, None] - _EQUAL) & (rows >= 0)
        shares: NDArray[np.float64] = near.sum(axis=1) / self.k
        return shares


def measure(
    neighbours: Neighbours, truth: Truth, vectors: Vectors, setting: str, built: float, seed: int
) -> Trial:
    """Everything that there is to know of one setting.

    Args:
        neighbours: over the rows of `vectors` (n, d), labelled by row.
        built: seconds that it took to make.
        seed: of the interval.
    """
    _, rows = neighbours.search(truth.queries, truth.k)
    found = truth.recalls(rows, vectors)
    low, high = mean_interval(found, seed)
    with using_threads(1):
        latencies = _latencies(neighbours, truth)
        qps_1 = _qps(neighbours, truth)
    return Trial(
        setting=setting,
        recall=float(found.mean()),
        recall_low=low,
        recall_high=high,
        p50_ms=float(np.percentile(latencies, 50)),
        p99_ms=float(np.percentile(latencies, 99)),
        qps_1=qps_1,
        qps_all=_qps(neighbours, truth),
        bytes_per_vector=neighbours.size_bytes / len(neighbours),
        build_seconds=built,
    )


def _latencies(neighbours: Neighbours, truth: Truth) -> list[float]:
    """Milliseconds of each query by itself."""
    found = []
    for query in truth.queries:
        started = perf_counter()
        neighbours.search(query[None], truth.k)
        found.append(1000 * (perf_counter() - started))
    return found


def _qps(neighbours: Neighbours, truth: Truth) -> float:
    seconds = []
    for _ in range(_BATCHES):
        started = perf_counter()
        neighbours.search(truth.queries, truth.k)
        seconds.append(perf_counter() - started)
    return len(truth.queries) / float(np.median(seconds))
