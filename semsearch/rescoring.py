"""Candidates of an index that keeps vectors coarsely, scored by the vectors as they are stored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from semsearch.ranking import Counts
from semsearch.types import Ids, Scores, Vectors

MOST = 256
"""Candidates of a query that are scored again; what comes behind them keeps its score."""


class Searchable(Protocol):
    """What is searched and counted: a View, a Selection, or either scored again."""

    def __len__(self) -> int: ...

    @property
    def counts(self) -> Counts: ...

    def search(self, queries: Vectors, n: int) -> tuple[Scores, Ids]: ...

    def of(self, questions: Ids, query: Vectors) -> tuple[Scores, Ids] | None: ...


@dataclass(frozen=True)
class Rescored:
    """Searched and counted as what finds the candidates is.

    Attributes:
        stored: gives the vectors (n, d) of labels (n,) as they were encoded.
    """

    candidates: Searchable
    stored: Callable[[Ids], Vectors]

    def __len__(self) -> int:
        return len(self.candidates)

    @property
    def counts(self) -> Counts:
        """How many phrasings each standard question has."""
        return self.candidates.counts

    def search(self, queries: Vectors, n: int) -> tuple[Scores, Ids]:
        """n candidates of each query (m, d), best first: scores and labels, both (m, n)."""
        scores, labels = self.candidates.search(queries, n)
        scores, near = scores.copy(), labels[:, :MOST]
        distinct, place = np.unique(near, return_inverse=True)
        place = place.reshape(near.shape)
        first = int(distinct[0] < 0) if len(distinct) else 0  # label -1 pads
        vectors = self.stored(distinct[first:])
        for row, query in enumerate(queries):
            found = near[row] >= 0
            scores[row, : near.shape[1]][found] = vectors[place[row, found] - first] @ query
        order = np.lexsort((labels, -scores), axis=1)
        return np.take_along_axis(scores, order, 1), np.take_along_axis(labels, order, 1)

    def of(self, questions: Ids, query: Vectors) -> tuple[Scores, Ids] | None:
        """None: only the rows say what standard questions score."""
        return None
