"""Phrasings that belong to another standard question than the one they are filed under.

What a misfiled phrasing looks like is learnt from the bank itself: phrasings are moved to another
standard question at random, on paper, and a logistic regression learns to tell them from the
phrasings as they are. So no threshold is a cosine that suits one encoder or one bank. Where
standard questions overlap, those as they are often look moved, and only what is clearer is named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semsearch.review.bank import NEAREST, Filed, Floats, blocks
from semsearch.review.density import Density
from semsearch.review.wording import Wording
from semsearch.types import Ids

PRIOR = 0.0075
"""Share of the phrasings that is taken to be misfiled before anything is looked at."""

_NEIGHBOURS = 32
_LIKELY = 3
_MOVED = 20_000  # phrasings that are moved on paper at most
_PENALISED = 10_000  # phrasings that weigh as much as the penalty on the weights
_MOST = 0.2  # share of the phrasings that may seem misfiled
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


@dataclass(frozen=True, slots=True)
class _Models:
    """What makes a phrasing likely under a standard question."""

    bank: Filed
    density: Density
    wording: Wording

    def ratios(self, rows: Ids, one: Ids, other: Ids) -> tuple[Floats, Floats]:
        """How much likelier phrasings (m,) are under one (m,) than another (m,): vector, words."""

        def of_vectors(question: Ids) -> Floats:
            own = self.bank.question[rows] == question
            found = np.empty(len(rows))
            found[own] = self.density.log_likelihood(rows[own], question[own], own=True)
            found[~own] = self.density.log_likelihood(rows[~own], question[~own])
            return found

        words = self.wording.log_likelihood
        return of_vectors(one) - of_vectors(other), words(rows, one) - words(rows, other)


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
        models = _Models(bank, Density.of(bank), Wording.of(bank))
        as_filed = _features(
            models, judged, bank.question[judged], elsewhere.question[judged, 0],
            home.support[judged], home.nearest[judged],
            elsewhere.support[judged, 0], elsewhere.nearest[judged, 0],
        )  # fmt: skip
        random = np.random.default_rng(seed)
        moved = np.sort(random.permutation(judged)[:_MOVED])
        sure[judged] = _learn(as_filed, _moved(models, elsewhere, moved, random))
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
        for row, likely in enumerate(_likely(bank.question[columns], scores), block.start):
            line = similar[row - block.start]
            found = [(*_support(line[bank.rows(number)]), number) for number in likely.tolist()]
            found.sort(key=lambda one: (-one[0], one[2]))
            best = (found * 2)[:2]  # twice the same one where there is no other
            support[row], nearest[row], question[row] = zip(*best, strict=True)
        if progress is not None:
            progress(block.stop, n)
    return _Elsewhere(question, support, nearest)


def _support(similar: NDArray[np.float32]) -> tuple[float, float]:
    """Mean of the best three of some cosines (m,), and the best."""
    if len(similar) > NEAREST:
        similar = np.partition(similar, len(similar) - NEAREST)[-NEAREST:]
    return float(similar.mean()), float(similar.max())


def _likely(questions: Ids, scores: Floats) -> Iterator[Ids]:
    """Of each row of neighbours (m, w), the standard questions that may support it most.

    They are those of which most was found: the sum of what they are nearer by than the last one.
    """
    above = scores - scores.min(axis=1, keepdims=True)
    for found, gains in zip(questions, above, strict=True):
        names, place = np.unique(found, return_inverse=True)
        total = np.bincount(place, gains)
        best = np.zeros(len(names))
        np.maximum.at(best, place, gains)
        # By the best one, too: of a standard question with one phrasing no more can be found.
        chosen = {*np.argsort(-total)[:_LIKELY].tolist(), *np.argsort(-best)[:_LIKELY].tolist()}
        yield names[sorted(chosen)]


def _moved(
    models: _Models, elsewhere: _Elsewhere, rows: Ids, random: np.random.Generator
) -> Floats:
    """Features (m, f) of phrasings that are moved to a standard question at random."""
    bank = models.bank
    own = bank.question[rows]
    to = (own + random.integers(1, len(bank.keys), len(rows))) % len(bank.keys)
    support, nearest = np.empty(len(rows)), np.empty(len(rows))
    for place, (row, question) in enumerate(zip(rows.tolist(), to.tolist(), strict=True)):
        support[place], nearest[place] = _support(bank.of(question) @ bank.vectors[row])
    # What it is nearest to then: mostly where it came from.
    second = (elsewhere.question[rows, 0] == to).astype(np.int64)
    other = elsewhere.question[rows, second]
    other_support = elsewhere.support[rows, second]
    other_nearest = elsewhere.nearest[rows, second]
    back = bank.at_home.support[rows] >= other_support
    other = np.where(back, own, other)
    other_support = np.where(back, bank.at_home.support[rows], other_support)
    other_nearest = np.where(back, bank.at_home.nearest[rows], other_nearest)
    return _features(models, rows, to, other, support, nearest, other_support, other_nearest)


def _features(
    models: _Models,
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
    bank, home = models.bank, models.bank.at_home

    def to_centre(question: Ids) -> Floats:
        own = (bank.question[rows] == question).astype(np.float64)
        sums = np.empty(len(rows))
        for block in blocks(len(rows), 4 * bank.vectors.shape[1]):
            sums[block] = np.einsum(
                "ij,ij->i", bank.vectors[rows[block]], bank.sums[question[block]]
            )
        return np.asarray((sums - own) / np.maximum(bank.sizes[question] - own, 1))

    of_vector, of_words = models.ratios(rows, other, filed)
    return np.stack(
        [
            other_support - support,
            other_nearest - nearest,
            to_centre(other) - to_centre(filed),
            np.sign(of_vector) * np.sqrt(np.abs(of_vector)),
            of_words,
            support,
            # Where it is filed it may itself have changed what is usual; elsewhere it has not.
            (other_support - home.mean[other]) / home.spread[other],
        ],
        axis=1,
    )


def _learn(as_filed: Floats, moved: Floats) -> Floats:
    """The probability (n,) that a phrasing as it is filed was misfiled.

    What is misfiled must not teach what is well filed. So phrasings that look more moved than half
    of the moved ones do are set aside, and twice their share is how many are misfiled, besides
    `PRIOR`: of a well filed bank there are next to none.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    n = len(as_filed)
    features = np.concatenate([as_filed, moved])
    labels = np.repeat([0, 1], [n, len(moved)])
    # The penalty is the same however large the bank is.
    model = make_pipeline(StandardScaler(), LogisticRegression(C=_PENALISED / n, max_iter=1000))

    def fit(well_filed: Floats, misfiled: float) -> None:
        weights = np.concatenate([well_filed, np.full(len(moved), misfiled / len(moved))])
        model.fit(features, labels, logisticregression__sample_weight=weights)

    fit(np.ones(n), n)
    scores = model.decision_function(features)
    aside = scores[:n] >= np.median(scores[n:])
    share = PRIOR + min(2 * float(aside.mean()), _MOST)
    fit(np.where(aside, 0.0, 1.0), share * n)
    return np.asarray(model.predict_proba(as_filed)[:, 1], np.float64)
