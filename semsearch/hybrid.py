"""The rank by vectors and by words together.

Vectors say what is meant, words say what is named. A standard question counts
(1 - weight) * cosine + weight * share of the query's words (a convex combination, Bruch et al.
2023, arXiv:2210.11934); the score that is shown stays the cosine. Both are found: the best by
vectors, and the best by words, whose cosine is then taken of their stored vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np

from semsearch.lexical import Lexicon, Shares
from semsearch.ranking import Counts, Ranked, Search, rank
from semsearch.store import PhrasingRow
from semsearch.store.rows import ID_BITS, load_vectors
from semsearch.types import Ids, Scores, Vectors

DEPTH = 10
"""How many standard questions are taken by vectors, at least."""

MOST = 8
"""How many more are taken by words, at most."""

Exact: TypeAlias = Callable[[Ids], Ranked]
"""Standard questions by id (n,) to the score and the best phrasing of each, best first."""


class Rows(Protocol):
    """What gives phrasings: a `BankReader`, or a bank that is only tried."""

    def phrasings(self, ids: Iterable[int]) -> dict[int, PhrasingRow]: ...

    def phrasings_of(self, question_ids: Sequence[int]) -> Mapping[int, Sequence[PhrasingRow]]: ...


@dataclass(frozen=True)
class Words:
    """What words count in a search.

    Attributes:
        lexicon: of all phrasings.
        weight: of the share of a query's words, above 0 and below 1.
        among: ids of the standard questions that may be found, None where all may.
    """

    lexicon: Lexicon
    weight: float
    among: Ids | None = None


def rank_with_words(
    reader: Rows,
    search: Search,
    texts: Sequence[str],
    queries: Vectors,
    k: int,
    total: int,
    counts: Counts | None,
    words: Words | None,
) -> list[Ranked]:
    """`ranking.rank` with words beside the vectors; inside `reader.reading()`.

    Args:
        texts: the m queries whose vectors are `queries` (m, d).
        words: None ranks by vectors alone.

    Raises:
        CorruptIndexError: a row that was looked at is damaged.
    """
    if words is None:
        return rank(search, queries, k, total, counts)
    near = rank(search, queries, max(k, DEPTH), total, counts)
    found = []
    for text, query, ranked in zip(texts, queries, near, strict=True):

        def exact(questions: Ids, query: Vectors = query) -> Ranked:
            return of_rows(reader, questions, query, counts)

        shares = words.lexicon.shares(text)
        found.append(fuse(ranked, shares, exact, k, words.weight, words.among))
    return found


def fuse(
    near: Ranked, shares: Shares, exact: Exact, k: int, weight: float, among: Ids | None = None
) -> Ranked:
    """The k best by both.

    Args:
        near: the best by vectors; whatever is not in it scores at most as its last does.
        shares: what standard questions have of the query's words.
    """
    mine = near.labels >> ID_BITS
    lexical = shares.of(mine)
    scores, labels = near.scores, near.labels
    together = _together(scores, lexical, weight)
    others, theirs = shares.best(MOST, mine, among)
    if len(others) and len(scores):
        bar = np.sort(together)[-k] if len(together) >= k else -np.inf
        # Only what could still come among the k best is worth the reading of its rows.
        promising = _together(np.full(len(others), scores[-1]), theirs, weight) > bar
        if promising.any():
            more = exact(others[promising])
            scores, labels = (
                np.concatenate([scores, more.scores]),
                np.concatenate([labels, more.labels]),
            )
            lexical = shares.of(labels >> ID_BITS)
            together = _together(scores, lexical, weight)
    order = np.lexsort((-scores, -together))[:k]
    return Ranked(scores[order], labels[order], lexical[order])


def _together(scores: Scores, lexical: Scores, weight: float) -> Scores:
    return np.asarray((1 - weight) * scores + weight * lexical, np.float64)


def of_rows(reader: Rows, questions: Ids, query: Vectors, counts: Counts | None) -> Ranked:
    """What standard questions score, by the vectors of their rows."""
    rows = [row for found in reader.phrasings_of(questions.tolist()).values() for row in found]
    labels = np.array([row.label for row in rows], np.int64)
    vectors = load_vectors([row.vector for row in rows], len(query))
    return scored(vectors @ query, labels, counts)


def scored(scores: Scores, labels: Ids, counts: Counts | None) -> Ranked:
    """Standard questions by the scores (n,) of all their phrasings, whose labels are (n,)."""
    order = np.lexsort((labels, -scores))

    def search(_: Vectors, n: int) -> tuple[Scores, Ids]:
        return scores[order][None, :n], labels[order][None, :n]

    n_questions = len(np.unique(labels >> ID_BITS))
    (ranked,) = rank(search, np.zeros((1, 1), np.float32), n_questions, len(labels), counts)
    return ranked
