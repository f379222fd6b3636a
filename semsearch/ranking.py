"""From the nearest phrasings to the best standard questions.

A search returns phrasings; what counts are distinct standard questions. Each rule below takes the
n nearest phrasings of one query and says either which k standard questions are best, or that n was
too small to be sure. `rank` then asks for more, so no hit is ever lost to the cut.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from semsearch.types import Ids, Scores, Vectors

Score: TypeAlias = Literal["best", "top3"]
"""How a standard question is scored: by its best phrasing, or the mean of its three best."""

SCORES: tuple[Score, ...] = ("best", "top3")

Search: TypeAlias = Callable[[Vectors, int], tuple[Scores, Ids]]
"""(queries (m, d), n) → scores (m, n or more) descending, labels likewise, label -1 pads."""

VERBATIM = 1 - 1e-4
"""Cosine from which a query and a phrasing are the same words to the encoder."""

_QUESTION_BITS = 32
QUERIES_AT_ONCE = 512


@dataclass(frozen=True, slots=True)
class Ranked:
    """The best standard questions of one query, each with the label of its best phrasing."""

    scores: Scores  # (k,) descending, where vectors alone count
    labels: Ids  # (k,)
    lexical: Scores | None = None  # (k,) where words count, too: then they give the order


class Counts:
    """How many phrasings each standard question has."""

    def __init__(self, labels: Ids) -> None:
        """labels: (n,) of every phrasing that can be found."""
        self._questions, self._counts = np.unique(labels >> _QUESTION_BITS, return_counts=True)

    @property
    def questions(self) -> Ids:
        """Ids (q,) of the standard questions, ascending."""
        return np.asarray(self._questions, np.int64)

    def of(self, questions: Ids) -> Ids:
        """Counts (n,) for question ids (n,)."""
        found: Ids = self._counts[np.searchsorted(self._questions, questions)]
        return found


def rank(
    search: Search, queries: Vectors, k: int, total: int, counts: Counts | None
) -> list[Ranked]:
    """The k best standard questions of each query.

    Args:
        search: exact search over all phrasings.
        queries: (m, d).
        total: how many phrasings there are.
        counts: given, a standard question scores the mean of its three best phrasings (fewer
            where it has fewer), or its best where that is the query word for word; None, its best.
    """
    results: list[Ranked | None] = [None] * len(queries)
    for start in range(0, len(queries), QUERIES_AT_ONCE):
        open_ = np.arange(start, min(start + QUERIES_AT_ONCE, len(queries)))
        n = min(total, 4 * k + 16 if counts is None else 8 * k + 64)
        while len(open_) and total:
            scores, labels = search(queries[open_], n)
            for row, query in enumerate(open_):
                found = labels[row] >= 0
                results[query] = _settle(
                    scores[row][found], labels[row][found], k, counts, n >= total
                )
            open_ = np.array([query for query in open_ if results[query] is None], dtype=np.int64)
            n = min(total, 4 * n)
    nothing = Ranked(np.zeros(0, np.float32), np.zeros(0, np.int64))
    return [result or nothing for result in results]


def _settle(
    scores: Scores, labels: Ids, k: int, counts: Counts | None, everything: bool
) -> Ranked | None:
    if counts is None:
        return _by_best(scores, labels, k, everything)
    return _by_top3(scores, labels, k, counts, everything)


def _by_best(scores: Scores, labels: Ids, k: int, everything: bool) -> Ranked | None:
    _, first = np.unique(labels >> _QUESTION_BITS, return_index=True)
    if len(first) < k and not everything:
        return None
    best = np.sort(first)[:k]  # phrasings come best first, so do the first of each question
    return Ranked(scores[best], labels[best])


def _by_top3(
    scores: Scores, labels: Ids, k: int, counts: Counts, everything: bool
) -> Ranked | None:
    """The threshold algorithm: no phrasing that was not seen scores above the lowest that was."""
    questions, first, group = np.unique(
        labels >> _QUESTION_BITS, return_index=True, return_inverse=True
    )
    by_group = np.argsort(group, kind="stable")
    sizes = np.bincount(group, minlength=len(questions))
    place = np.empty(len(labels), np.int64)  # 0 for the best phrasing of its question, then 1, …
    place[by_group] = np.arange(len(labels)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    top = place < 3
    sums = np.bincount(group[top], weights=scores[top], minlength=len(questions))
    seen = np.minimum(sizes, 3)
    needed = np.minimum(counts.of(questions), 3)
    lowest = float(scores[-1]) if len(scores) else -np.inf
    # Who asks in the very words of a phrasing gets its answer, however few others are near.
    verbatim = scores[first] >= VERBATIM
    settled = verbatim | (seen >= needed)
    reachable = (sums + (needed - seen) * lowest) / needed
    reachable[seen >= needed] = (sums / needed)[seen >= needed]
    reachable[verbatim] = scores[first][verbatim]

    order = np.lexsort((questions, -reachable))[:k]
    if not everything:
        # Only when the k best are known exactly, and beat whatever was not seen.
        enough = len(order) == k and bool(settled[order].all())
        if not enough or reachable[order[-1]] < lowest:
            return None
    return Ranked(reachable[order].astype(np.float32), labels[first[order]])
