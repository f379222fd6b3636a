"""Where an index is searched: on the CPU, or on GPUs once it is there.

A GPU finds candidates, from numbers of 16 bits or from codes. What is returned is scored again by
the vectors as the index keeps them, so scores are those of the CPU. Where every vector is looked
at, it is known by how much 16 bits may be wrong, and candidates are added until none that was left
out can belong to the n best.
"""

from __future__ import annotations

import logging
from threading import Lock
from typing import Any

import numpy as np

from semsearch.ann import gpu, placing
from semsearch.ann.library import faiss
from semsearch.ann.parameters import score
from semsearch.ann.twofold import dimension
from semsearch.types import Device, Ids, Mask, Scores, Vectors

_log = logging.getLogger("semsearch")

HALF_ERROR = 2.0**-10 + 2.0**-14
"""How far an inner product of unit vectors may be off whose numbers are rounded to 11 bits.

By Cauchy and Schwarz, 2**-11 for each of the two; the rest is for sums in float32.
"""


class Serving:
    """One index and, if it was moved, its copy on GPUs. It is moved at most once."""

    def __init__(self, index: Any, device: Device) -> None:
        """
        Args:
            index: a FAISS index over rows.
            device: "cuda" moves it with the first search; "auto" when its searches have taken the
                CPU as long as moving it would take, so that both take twice the better at most.
        """
        self._index, self._device = index, device
        self._cpu_seconds = 0.0
        self._settled = False
        self._resident: gpu.Resident | None = None
        self._lock = Lock()  # FAISS's GPU indexes take one search at a time

    def add_cpu_seconds(self, seconds: float) -> None:
        """A search took so long on the CPU."""
        self._cpu_seconds += seconds

    def search(
        self, queries: Vectors, n: int, hidden: Mask | None, visible: int
    ) -> tuple[Scores, Ids] | None:
        """The n best of each query (m, d), if GPUs can tell.

        Args:
            hidden: (rows,) that must not be found.
            visible: how many rows are left.

        Returns:
            Scores (m, n) descending and rows (m, n), -1 pads; or None, where the CPU has to search.
            Who gets fewer than there are was not searched to the end.

        Raises:
            DeviceError: "cuda" finds no GPU.
        """
        with self._lock:
            resident = self._there()
            if resident is None or n > resident.most:
                return None
            find = self._exact if resident.place.kind == "flat" else self._candidates
            try:
                return find(resident, queries, n, hidden, visible)
            except gpu.Failure as error:
                _log.warning("the GPU failed (%s): the CPU goes on", gpu.reason(error))
                self._resident = None
                return None

    def _there(self) -> gpu.Resident | None:
        if not self._settled and self._is_due():
            gpus = gpu.found(self._device)
            self._settled = True
            self._resident = gpu.moved(self._index, gpus) if gpus else None
        return self._resident

    def _is_due(self) -> bool:
        if self._device == "cuda":
            return True
        return self._cpu_seconds > placing.moving_seconds(
            self._index.ntotal, dimension(self._index)
        )

    def _exact(
        self, resident: gpu.Resident, queries: Vectors, n: int, hidden: Mask | None, visible: int
    ) -> tuple[Scores, Ids]:
        total = int(self._index.ntotal)
        most = min(resident.most, total)
        scores = np.full((len(queries), n), -np.inf, np.float32)
        rows = np.full((len(queries), n), -1, np.int64)
        open_ = np.arange(len(queries))
        m = min(most, _wanted(n, total, visible))
        while len(open_):
            rough, seen = resident.search(queries[open_], m)
            true, true_rows = self._scored(queries[open_], seen, n, hidden)
            scores[open_], rows[open_] = true, true_rows
            if m == most:
                break
            # What was not seen is no better than the worst that was, but for the rounding.
            open_ = open_[true[:, -1] < rough[:, -1] + HALF_ERROR]
            m = min(most, 4 * m)
        return scores, rows

    def _candidates(
        self, resident: gpu.Resident, queries: Vectors, n: int, hidden: Mask | None, visible: int
    ) -> tuple[Scores, Ids]:
        index = faiss().downcast_index(self._index)
        refines, total = isinstance(index, faiss().IndexRefine), int(index.ntotal)
        m = max(int(n * index.k_factor) if refines else n, _wanted(n, total, visible))
        rough, seen = resident.search(queries, min(m, resident.most, total))
        if resident.place.kind == "clusters" and not refines:
            return _best(rough, seen, n, hidden)  # codes are all that the index has
        return self._scored(queries, seen, n, hidden)

    def _scored(
        self, queries: Vectors, seen: Ids, n: int, hidden: Mask | None
    ) -> tuple[Scores, Ids]:
        return _best(score(self._index, queries, seen), seen, n, hidden)


def _wanted(n: int, total: int, visible: int) -> int:
    """Candidates among which there should be n that may be found, and as many more."""
    return min(total, int(np.ceil((2 * n + 16) * total / max(1, visible))))


def _best(scores: Scores, rows: Ids, n: int, hidden: Mask | None) -> tuple[Scores, Ids]:
    """The n best (m, n) of scores and rows (m, k) that may be found, equal ones by row."""
    rows = rows if hidden is None else np.where(hidden[rows] & (rows >= 0), -1, rows)
    scores = np.where(rows < 0, np.float32(-np.inf), scores)
    order = np.lexsort((rows, -scores), axis=1)[:, :n]
    best = np.take_along_axis(scores, order, 1), np.take_along_axis(rows, order, 1)
    short = ((0, 0), (0, n - best[0].shape[1]))
    return (
        np.pad(best[0], short, constant_values=-np.inf),
        np.pad(best[1], short, constant_values=-1),
    )
