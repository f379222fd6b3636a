"""Where the right standard question comes for phrasings and queries, by exact search."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from semsearch.ranking import VERBATIM, Score
from semsearch.types import Ids, Vectors

_CELLS = 1 << 24  # similarities that are held at a time: bounds memory
_GONE = -4.0  # below any cosine


def ranks(
    queries: Vectors,
    expected: Ids,
    vectors: Vectors,
    questions: Ids,
    score: Score,
    rows: Ids | None = None,
) -> NDArray[np.int64]:
    """The place of the right standard question, 1 for the first, by the rule of every search.

    Args:
        queries: (m, d).
        expected: (m,) ids of standard questions.
        vectors: (n, d) of all phrasings.
        questions: (n,) ids of their standard questions.
        score: how standard questions are scored.
        rows: (m,) given, the queries are phrasings themselves, and are not found by themselves nor
            by the same words in their own standard question.

    Returns:
        (m,); one that has no phrasing left comes behind all others.
    """
    order = np.argsort(questions, kind="stable")
    ids, starts, sizes = np.unique(questions[order], return_index=True, return_counts=True)
    group = np.repeat(np.arange(len(ids)), sizes)
    own = np.searchsorted(ids, expected)
    sorted_vectors = np.ascontiguousarray(vectors[order])
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    found = np.empty(len(queries), np.int64)
    step = max(1, _CELLS // max(1, len(vectors)))
    for first in range(0, len(queries), step):
        part = slice(first, first + step)
        similar = (queries[part] @ sorted_vectors.T).astype(np.float64)
        if rows is not None:
            gone = (group == own[part, None]) & (similar >= VERBATIM)
            gone[np.arange(len(similar)), place[rows[part]]] = True
            similar[gone] = _GONE
        scores = _scores(similar, starts, sizes, score)
        mine = np.take_along_axis(scores, own[part, None], 1)
        ahead = scores > mine
        # Of two that are equal, the one that came first is found first.
        ahead |= (scores == mine) & (np.arange(len(ids)) < own[part, None])
        found[part] = 1 + ahead.sum(axis=1)
    return found


def question_scores(
    queries: Vectors, vectors: Vectors, questions: Ids, score: Score
) -> tuple[Ids, NDArray[np.float64]]:
    """Ids (K,) of standard questions, ascending, and what each scores for each query (m, K).

    Args:
        queries: (m, d).
        vectors: (n, d) of all phrasings.
        questions: (n,) ids of their standard questions.
    """
    order = np.argsort(questions, kind="stable")
    ids, starts, sizes = np.unique(questions[order], return_index=True, return_counts=True)
    by_question = np.ascontiguousarray(vectors[order])
    step = max(1, _CELLS // max(1, len(vectors)))
    parts = [
        _scores((queries[n : n + step] @ by_question.T).astype(np.float64), starts, sizes, score)
        for n in range(0, len(queries), step)
    ]
    return ids, np.concatenate(parts)


def _scores(
    similar: NDArray[np.float64], starts: Ids, sizes: Ids, score: Score
) -> NDArray[np.float64]:
    """(m, standard questions) of similarities (m, n), whose columns lie by standard question."""
    best = np.maximum.reduceat(similar, starts, axis=1)
    if score == "best":
        return np.asarray(best)
    mean = np.empty_like(best)
    for number, (start, size) in enumerate(zip(starts.tolist(), sizes.tolist(), strict=True)):
        top = similar[:, start : start + size]
        if size > 3:
            top = np.partition(top, size - 3, axis=1)[:, -3:]
        real = top > _GONE / 2
        counted = real.sum(axis=1)
        total = np.where(real, top, 0.0).sum(axis=1)
        mean[:, number] = np.where(counted > 0, total / np.maximum(counted, 1), _GONE)
    return np.where(best >= VERBATIM, best, mean)
