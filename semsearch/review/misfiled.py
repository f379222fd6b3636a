"""Phrasings that belong to another standard question than the one they are filed under.

What a misfiled phrasing looks like is learnt from the bank itself: phrasings are moved to another
standard question at random, on paper, and a logistic regression learns to tell them from the
phrasings as they are. So no threshold is a cosine that suits one encoder or one bank. Where
standard questions overlap, those as they are often look moved, and only what is clearer is named.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from semsearch.review.bank import Filed, Floats, blocks, supports
from semsearch.review.density import Density
from semsearch.types import Ids

PRIOR = 0.01
"""Share of the phrasings that is taken to be misfiled before anything is looked at."""

_NEIGHBOURS = 32
_MOVED = 20_000  # phrasings that are moved on paper at most
_LEAST = 40  # phrasings to learn from


@dataclass(frozen=True, slots=True)
class Misfiled:
    """Phrasings as they are judged.

    Attributes:
        sure: (n,) probability that the phrasing is misfiled; nan where nothing can be said.
        other: (n,) the standard question that supports it most, besides its own.
        own_support, other_support: (n,) mean cosine of the three nearest phrasings of either.
    """

    sure: Floats
    other: Ids
    own_support: Floats
    other_support: Floats


@dataclass(frozen=True, slots=True)
class _Elsewhere:
    """The two standard questions, besides its own, that support each phrasing most; all (n, 2)."""

    question: Ids
    support: Floats
    nearest: Floats


def judge(
    bank: Filed, seed: int = 0, progress: Callable[[int, int], None] | None = None
) -> Misfiled:
    """Judge every phrasing.

    Args:
        progress: called with (phrasings compared so far, phrasings to compare).
    """
    n, home = len(bank), bank.at_home
    elsewhere = _elsewhere(bank, progress)
    judged = np.flatnonzero(np.isfinite(home.support))
    sure = np.full(n, np.nan)
    if len(judged) >= _LEAST:
        density = Density.of(bank)
        as_filed = _features(
            bank, density, judged, bank.question[judged], elsewhere.question[judged, 0],
            home.support[judged], home.nearest[judged],
            elsewhere.support[judged, 0], elsewhere.nearest[judged, 0],
        )  # fmt: skip
        random = np.random.default_rng(seed)
        moved = np.sort(random.permutation(judged)[:_MOVED])
        sure[judged] = _learn(as_filed, _moved(bank, density, elsewhere, moved, random))
    return Misfiled(sure, elsewhere.question[:, 0], home.support, elsewhere.support[:, 0])


def _elsewhere(bank: Filed, progress: Callable[[int, int], None] | None) -> _Elsewhere:
    n = len(bank)
    question = np.zeros((n, 2), np.int64)
    support, nearest = np.zeros((n, 2)), np.zeros((n, 2))
    width = min(_NEIGHBOURS, n - int(bank.sizes.max()))
    for block in blocks(n, n):
        similar = bank.vectors[block] @ bank.vectors.T
        for line, number in zip(similar, bank.question[block].tolist(), strict=True):
            line[bank.rows(number)] = -np.inf
        columns = np.argpartition(-similar, width - 1, axis=1)[:, :width]
        scores = np.take_along_axis(similar, columns, 1).astype(np.float64)
        question[block], support[block], nearest[block] = _best_two(
            bank.question[columns], scores, bank.sizes
        )
        if progress is not None:
            progress(block.stop, n)
    return _Elsewhere(question, support, nearest)


def _best_two(questions: Ids, scores: Floats, sizes: Ids) -> tuple[Ids, Floats, Floats]:
    """The two standard questions with the most support among neighbours (m, w).

    A standard question of which fewer than three phrasings were found is given the last score
    that was found for those that were not: they have no more.
    """
    order = np.lexsort((-scores, questions), axis=1)
    questions = np.take_along_axis(questions, order, 1)
    scores = np.take_along_axis(scores, order, 1)
    m, w = questions.shape
    last = scores.min(axis=1, keepdims=True)
    new = np.ones((m, w), bool)
    new[:, 1:] = questions[:, 1:] != questions[:, :-1]
    sums = scores.copy()
    for ahead in (1, 2):
        there = np.zeros((m, w), bool)
        there[:, : w - ahead] = questions[:, : w - ahead] == questions[:, ahead:]
        follows = np.zeros((m, w))
        follows[:, : w - ahead] = scores[:, ahead:]
        sums += np.where(there, follows, np.where(sizes[questions] > ahead, last, 0.0))
    support = np.where(new, sums / np.minimum(sizes[questions], 3), -np.inf)
    best = np.argsort(-support, axis=1, kind="stable")[:, :2]
    if w == 1:
        best = np.repeat(best, 2, axis=1)
    found = np.take_along_axis(support, best, 1)
    alone = ~np.isfinite(found[:, 1])
    best[alone, 1], found[alone, 1] = best[alone, 0], found[alone, 0]
    return np.take_along_axis(questions, best, 1), found, np.take_along_axis(scores, best, 1)


def _moved(
    bank: Filed, density: Density, elsewhere: _Elsewhere, rows: Ids, random: np.random.Generator
) -> Floats:
    """Features (m, f) of phrasings that are moved to a standard question at random."""
    own = bank.question[rows]
    to = (own + random.integers(1, len(bank.keys), len(rows))) % len(bank.keys)
    support, nearest = np.empty(len(rows)), np.empty(len(rows))
    for place, (row, question) in enumerate(zip(rows.tolist(), to.tolist(), strict=True)):
        similar = (bank.of(question) @ bank.vectors[row])[None]
        (support[place],), (nearest[place],) = supports(similar)
    # What it is nearest to then: mostly where it came from.
    second = (elsewhere.question[rows, 0] == to).astype(np.int64)
    other = elsewhere.question[rows, second]
    other_support = elsewhere.support[rows, second]
    other_nearest = elsewhere.nearest[rows, second]
    back = bank.at_home.support[rows] >= other_support
    other = np.where(back, own, other)
    other_support = np.where(back, bank.at_home.support[rows], other_support)
    other_nearest = np.where(back, bank.at_home.nearest[rows], other_nearest)
    return _features(bank, density, rows, to, other, support, nearest, other_support, other_nearest)


def _features(
    bank: Filed,
    density: Density,
    rows: Ids,
    filed: Ids,
    other: Ids,
    support: Floats,
    nearest: Floats,
    other_support: Floats,
    other_nearest: Floats,
) -> Floats:
    """What tells a misfiled phrasing (m, f): how much more at home it would be elsewhere.

    Where `filed` or `other` is what the bank itself says, the phrasing is left out of it.
    """
    home = bank.at_home

    def usual(question: Ids, found: Floats) -> Floats:
        return np.asarray((found - home.mean[question]) / home.spread[question])

    def likelihood(question: Ids) -> Floats:
        own = bank.question[rows] == question
        found = np.empty(len(rows))
        found[own] = density.log_likelihood(rows[own], question[own], own=True)
        found[~own] = density.log_likelihood(rows[~own], question[~own])
        return found

    def to_centre(question: Ids) -> Floats:
        own = (bank.question[rows] == question).astype(np.float64)
        sums = np.empty(len(rows))
        for block in blocks(len(rows), 4 * bank.vectors.shape[1]):
            sums[block] = np.einsum(
                "ij,ij->i", bank.vectors[rows[block]], bank.sums[question[block]]
            )
        return np.asarray((sums - own) / np.maximum(bank.sizes[question] - own, 1))

    ratio = likelihood(other) - likelihood(filed)
    return np.stack(
        [
            other_support - support,
            other_nearest - nearest,
            to_centre(other) - to_centre(filed),
            np.sign(ratio) * np.sqrt(np.abs(ratio)),
            support,
            usual(filed, support),
            usual(other, other_support),
        ],
        axis=1,
    )


def _learn(as_filed: Floats, moved: Floats) -> Floats:
    """The probability (n,) that a phrasing as it is filed was misfiled."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    features = np.concatenate([as_filed, moved])
    labels = np.repeat([0, 1], [len(as_filed), len(moved)])
    weights = np.where(labels == 1, PRIOR * len(as_filed) / len(moved), 1.0)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit(features, labels, logisticregression__sample_weight=weights)
    return np.asarray(model.predict_proba(as_filed)[:, 1], np.float64)
