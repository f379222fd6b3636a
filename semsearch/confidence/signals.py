"""Signals of whether the top hit is right, each larger the surer it is.

All are read off what a search finds anyway: the scores of the nearest phrasings and the standard
questions they are of, and the vectors and words of the nearest few. None depends on the size of the
bank or on which standard question it is, so they hold after a sync, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from semsearch.confidence.words import pairs, words
from semsearch.ranking import VERBATIM
from semsearch.types import Ids, Scores, Vectors

Signals: TypeAlias = NDArray[np.float64]
"""(m, len(SIGNALS)), a row for each query."""

SIGNALS = (
    "score",  # cosine of the hit: mean of its three nearest phrasings
    "margin",  # how far the next standard question is behind
    "best",  # cosine of the hit's nearest phrasing
    "best_margin",  # how far the nearest phrasing of any other is behind
    "vote",  # share of the nearest phrasings that are the hit's
    "share",  # softmax of the hit's score among all that were found
    "contrast",  # how far the ten next standard questions are behind, on average
    "background",  # how far the 20th to 60th nearest phrasing are behind
    "density",  # whether the query is as near to its neighbours as they are to one another
    "tightness",  # the same among the hit's own phrasings
    "centre",  # cosine with the mean of the hit's nearest phrasings
    "known_words",  # share of the query's words that the nearest phrasings have
    "hit_words",  # share that the hit's nearest phrasings have
    "same_words",  # overlap with one of the hit's phrasings, by words (Jaccard)
    "same_pairs",  # the same, by pairs of characters (Dice)
    "learnt",  # log-probability of the hit by the classifier of an improved index
    "learnt_margin",  # how far the likeliest other is behind
)

WIDTH = 100
"""How many phrasings are looked at, where the bank has so many."""

_AROUND = 10  # nearest phrasings that are read
_OF_HIT = 5  # nearest phrasings of the hit that are read
_TEMPERATURE = 0.05


@dataclass(frozen=True, slots=True)
class Nearest:
    """The w nearest phrasings of m queries, best first, and which standard question was found.

    Attributes:
        scores: (m, w), -inf where there are fewer.
        questions: (m, w) the ids of their standard questions, -1 where there are fewer.
        sizes: (m, w) how many phrasings those standard questions have, at least 1.
        hits: (m,) the id of the standard question that is the top hit.
        opinions: (m, 2) what a classifier says of the hit, 0 where there is none.
    """

    scores: Scores
    questions: Ids
    sizes: Ids
    hits: Ids
    opinions: NDArray[np.float64]

    @property
    def of_hit(self) -> NDArray[np.bool_]:
        """(m, w): which of them are phrasings of the hit."""
        return np.asarray(self.questions == self.hits[:, None])

    def read(self) -> tuple[Ids, Ids]:
        """Columns of the phrasings whose text and vector count: nearest (m, 10), hit's (m, 5).

        Both have fewer columns where w is less; -1 where a query has fewer.
        """
        m, w = self.scores.shape
        columns = np.broadcast_to(np.arange(w), (m, w))
        around = np.where(self.questions >= 0, columns, -1)[:, :_AROUND]
        first = np.argsort(~self.of_hit, axis=1, kind="stable")[:, :_OF_HIT]
        return around, np.where(np.take_along_axis(self.of_hit, first, 1), first, -1)


def signals(
    near: Nearest,
    queries: Vectors,
    around: Vectors,
    of_hit: Vectors,
    texts: Sequence[str],
    around_texts: Sequence[Sequence[str]],
    hit_texts: Sequence[Sequence[str]],
) -> Signals:
    """Everything that tells a right top hit from a wrong one.

    Args:
        near: what was found; every query has found something.
        queries: (m, d).
        around: (m, a, d) vectors of the columns that `near.read()` names first, 0 where none.
        of_hit: (m, b, d) vectors of the columns that it names second, 0 where none.
        texts: the queries.
        around_texts: the texts of `around`, query by query, without those that are missing.
        hit_texts: the texts of `of_hit`, likewise.

    Returns:
        (m, len(SIGNALS)) float64.
    """
    scores, lowest = _filled(near.scores)
    mine = near.of_hit
    real = near.questions >= 0
    by_question, own = _by_question(near, scores, lowest)
    others = np.sort(np.where(own, -np.inf, by_question), axis=1)[:, ::-1]
    score = np.where(own, by_question, -np.inf).max(axis=1)
    best = _first(scores, mine, lowest)
    other = _first(scores, real & ~mine, lowest)
    size = np.where(mine, near.sizes, 1).max(axis=1)
    voters = np.arange(scores.shape[1]) < np.minimum(_AROUND, size)[:, None]
    softmax = np.exp((by_question - score[:, None]) / _TEMPERATURE).sum(axis=1)
    background = scores[:, 20:60].mean(axis=1) if scores.shape[1] > 20 else lowest
    n_around = np.minimum(real.sum(axis=1), _AROUND)
    n_hit = np.minimum(mine.sum(axis=1), _OF_HIT)
    mean_around = np.einsum("mad,md->m", around, queries) / n_around
    mean_hit = np.einsum("mbd,md->m", of_hit, queries) / np.maximum(n_hit, 1)
    centre = of_hit.sum(axis=1)
    length = np.linalg.norm(centre, axis=1)
    columns = [
        score,
        score - _or(others[:, 0], lowest),
        best,
        best - other,
        (mine & voters).sum(axis=1) / voters.sum(axis=1),
        1 / softmax,
        score - _or(_mean(others[:, :10]), lowest),
        score - background,
        mean_around - _mutual(around, n_around, np.asarray(mean_around)),
        mean_hit - _mutual(of_hit, n_hit, np.ones(len(scores))),
        np.einsum("md,md->m", centre, queries) / np.maximum(length, 1e-9),
    ]
    overlaps = [_overlap(*row) for row in zip(texts, around_texts, hit_texts, strict=True)]
    words_in = np.array(overlaps).reshape(len(scores), 4)
    return np.column_stack([*columns, words_in, near.opinions])


def _filled(scores: Scores) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scores in which missing ones are as low as the lowest that was found, and that lowest."""
    wide = scores.astype(np.float64)
    lowest = np.where(np.isfinite(wide), wide, np.inf).min(axis=1)
    return np.where(np.isfinite(wide), wide, lowest[:, None]), lowest


def _by_question(
    near: Nearest, scores: NDArray[np.float64], lowest: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """What each standard question that was found scores, by the mean of its three best.

    Returns:
        Both (m, w), a column for each standard question of a query, in no order of use: scores,
        -inf pads; and which column is the hit's.
    """
    m, w = scores.shape
    # Stable, so that the phrasings of a standard question stay in the order of their scores.
    order = np.argsort(near.questions, axis=1, kind="stable")
    questions = np.take_along_axis(near.questions, order, 1)
    sizes = np.take_along_axis(near.sizes, order, 1)
    ordered = np.take_along_axis(scores, order, 1)
    new = np.ones((m, w), bool)
    new[:, 1:] = questions[:, 1:] != questions[:, :-1]
    group = np.cumsum(new, axis=1) - 1
    columns = np.broadcast_to(np.arange(w), (m, w))
    place = columns - np.maximum.accumulate(np.where(new, columns, 0), axis=1)
    counted = (place < 3) & (questions >= 0)
    rows = np.broadcast_to(np.arange(m)[:, None], (m, w))
    sums, seen = np.zeros((m, w)), np.zeros((m, w))
    np.add.at(sums, (rows, group), np.where(counted, ordered, 0.0))
    np.add.at(seen, (rows, group), counted)
    needed, first = np.ones((m, w)), np.full((m, w), -np.inf)
    needed[rows[new], group[new]] = np.minimum(sizes[new], 3)
    first[rows[new], group[new]] = ordered[new]
    missing = np.maximum(needed - seen, 0)
    found = (sums + missing * lowest[:, None]) / np.maximum(needed, seen)
    found = np.where(first >= VERBATIM, first, found)
    own = np.zeros((m, w), bool)
    own[rows[new], group[new]] = questions[new] == near.hits[:, None].repeat(w, 1)[new]
    return np.where(seen > 0, found, -np.inf), own


def _first(
    scores: NDArray[np.float64], mask: NDArray[np.bool_], otherwise: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The best score under a mask, query by query."""
    return np.where(mask.any(axis=1), np.where(mask, scores, -np.inf).max(axis=1), otherwise)


def _or(values: NDArray[np.float64], otherwise: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.isfinite(values), values, otherwise)


def _mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean of the finite ones of each row, -inf where there is none."""
    real = np.isfinite(values)
    n = real.sum(axis=1)
    sums = np.where(real, values, 0.0).sum(axis=1)
    return np.where(n > 0, sums / np.maximum(n, 1), -np.inf)


def _mutual(
    vectors: Vectors, n: NDArray[np.int64], alone: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Mean cosine among the first n unit vectors of each query; `alone` where n is 1 or less."""
    total = np.square(np.linalg.norm(vectors.sum(axis=1), axis=1)) - n
    return np.where(n > 1, total / np.maximum(n * (n - 1), 1), alone)


def _overlap(
    text: str, around: Sequence[str], of_hit: Sequence[str]
) -> tuple[float, float, float, float]:
    """known_words, hit_words, same_words, same_pairs."""
    own, own_pairs = words(text), pairs(text)
    theirs = [words(other) for other in of_hit]
    known = frozenset[str]().union(*map(words, around))
    hit_known = frozenset[str]().union(*theirs)
    n = max(len(own), 1)
    return (
        len(own & known) / n,
        len(own & hit_known) / n,
        max((len(own & other) / max(len(own | other), 1) for other in theirs), default=0.0),
        max(
            (
                2 * len(own_pairs & other) / max(len(own_pairs) + len(other), 1)
                for other in map(pairs, of_hit[:3])
            ),
            default=0.0,
        ),
    )
