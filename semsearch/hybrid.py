"""The rank by vectors and by what counts beside them: words, and a classifier.

Vectors say what is meant, words say what is named. A standard question counts
(1 - weight) * cosine + weight * share of the query's words (a convex combination, Bruch et al.
2023, arXiv:2210.11934), and in an improved index what its classifier adds; the score that is shown
stays the cosine. All are found: the best by vectors, and the best by words and by the classifier,
whose cosine is then taken of their stored vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from semsearch.classifier import Classifier, Opinion
from semsearch.lexical import Lexicon, Shares
from semsearch.ranking import VERBATIM, Counts, Ranked, Search, rank
from semsearch.store import PhrasingRow
from semsearch.store.rows import ID_BITS, load_vectors
from semsearch.types import Ids, Scores, Vectors

DEPTH = 10
"""How many standard questions are taken by vectors, at least."""

MOST = 8
"""How many more are taken by words, at most, and by a classifier."""

Exact: TypeAlias = Callable[[Ids], Ranked]
"""Standard questions by id (n,) to the score and the best phrasing of each, best first."""

Kept: TypeAlias = Callable[[Ids, Vectors], tuple[Scores, Ids] | None]
"""Standard questions by id (q,) and a query (d,) to the scores and labels of all their phrasings
(n,), None where only the rows say them."""


class Rows(Protocol):
    """What gives phrasings: a `BankReader`, or a bank that is only tried."""

    def phrasings(self, ids: Iterable[int]) -> dict[int, PhrasingRow]: ...

    def phrasings_of(self, question_ids: Sequence[int]) -> Mapping[int, Sequence[PhrasingRow]]: ...


@dataclass(frozen=True)
class Beside:
    """What counts beside vectors in a search.

    Attributes:
        lexicon: of all phrasings; None where words do not count.
        weight: of the share of a query's words, below 1; 0 where they do not count.
        classifier: None where the index was not improved.
        among: ids of the standard questions that may be found, None where all may that the lexicon
            and the classifier know.
    """

    lexicon: Lexicon | None
    weight: float
    classifier: Classifier | None = None
    among: Ids | None = None

    @classmethod
    def of(
        cls,
        lexicon: Lexicon | None,
        weight: float,
        classifier: Classifier | None,
        among: Ids | None = None,
    ) -> Beside | None:
        """None where nothing counts beside vectors."""
        if lexicon is None and classifier is None:
            return None
        return cls(lexicon, weight if lexicon is not None else 0.0, classifier, among)

    def shares(self, text: str, gone: Ids | None = None) -> Shares | None:
        """What standard questions have of the words of a query; see `Lexicon.shares`."""
        return None if self.lexicon is None else self.lexicon.shares(text, gone)


def opinions_of(
    beside: Beside | None, texts: Sequence[str], queries: Vectors
) -> Sequence[Opinion | None]:
    """What the classifier says of each of m queries (m, d)."""
    if beside is None or beside.classifier is None:
        return [None] * len(texts)
    return beside.classifier.opinions(texts, queries)


def rank_beside(
    reader: Rows,
    search: Search,
    kept: Kept,
    texts: Sequence[str],
    queries: Vectors,
    k: int,
    total: int,
    counts: Counts | None,
    beside: Beside | None,
    opinions: Sequence[Opinion | None],
) -> list[Ranked]:
    """`ranking.rank` with what counts beside the vectors; inside `reader.reading()`.

    Args:
        texts: the m queries whose vectors are `queries` (m, d).
        beside: None ranks by vectors alone.
        opinions: m, see `opinions_of`.

    Raises:
        CorruptIndexError: a row that was looked at is damaged.
    """
    if beside is None:
        return rank(search, queries, k, total, counts)
    near = rank(search, queries, max(k, DEPTH), total, counts)
    found = []
    for text, query, ranked, opinion in zip(texts, queries, near, opinions, strict=True):
        exact = exactly(reader, kept, query, counts)
        shares = beside.shares(text)
        found.append(fuse(ranked, shares, exact, k, beside.weight, beside.among, opinion))
    return found


def fuse(
    near: Ranked,
    shares: Shares | None,
    exact: Exact,
    k: int,
    weight: float,
    among: Ids | None = None,
    opinion: Opinion | None = None,
) -> Ranked:
    """The k best by all.

    Args:
        near: the best by vectors; whatever is not in it scores at most as its last does.
        shares: what standard questions have of the query's words.
        opinion: what the classifier says of the query.
    """
    mine = near.labels >> ID_BITS
    others = _others(shares, opinion, mine, among)
    scores, labels = near.scores, near.labels
    if len(others) and len(scores):
        # Only what could still come among the k best is worth the reading of its rows.
        most = np.concatenate([scores, np.full(len(others), scores[-1])])
        both, _ = _together(most, np.concatenate([mine, others]), shares, weight, opinion)
        together, possible = both[: len(mine)], both[len(mine) :]
        bar = np.sort(together)[-k] if len(together) >= k else -np.inf
        if (possible > bar).any():
            more = exact(others[possible > bar])
            scores = np.concatenate([scores, more.scores])
            labels = np.concatenate([labels, more.labels])
    together, lexical = _together(scores, labels >> ID_BITS, shares, weight, opinion)
    order = np.lexsort((-scores, -together))[:k]
    return Ranked(scores[order], labels[order], None if lexical is None else lexical[order])


def _others(shares: Shares | None, opinion: Opinion | None, mine: Ids, among: Ids | None) -> Ids:
    """Standard questions besides those found by vectors that may come first."""
    others = np.zeros(0, np.int64)
    if shares is not None:
        others, _ = shares.best(MOST, mine, among)
    if opinion is not None:
        # The classifier may know some that were removed since.
        there = shares.questions if among is None and shares is not None else among
        likely = opinion.best(MOST, np.concatenate([mine, others]), there)
        others = np.concatenate([others, likely])
    return others


def _together(
    scores: Scores,
    questions: Ids,
    shares: Shares | None,
    weight: float,
    opinion: Opinion | None,
) -> tuple[NDArray[np.float64], Scores | None]:
    """What standard questions (n,) count in all, and what they have of the query's words."""
    together = np.asarray(scores, np.float64)
    lexical = None
    if shares is not None:
        lexical = shares.of(questions)
        together = (1 - weight) * together + weight * lexical
    if opinion is not None:
        # Who asks in the very words of a phrasing gets its answer, whatever was learnt.
        together = together + np.where(scores >= VERBATIM, 0.0, opinion.of(questions))
    return together, lexical


def exactly(reader: Rows, kept: Kept, query: Vectors, counts: Counts | None) -> Exact:
    """What standard questions score for a query (d,), by the index or else by their rows."""

    def exact(questions: Ids) -> Ranked:
        found = kept(questions, query)
        if found is None:
            return _of_rows(reader, questions, query, counts)
        return scored(*found, counts)

    return exact


def _of_rows(reader: Rows, questions: Ids, query: Vectors, counts: Counts | None) -> Ranked:
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
