"""Standard questions that are the same one twice.

What the same question twice looks like is learnt from the bank itself: standard questions are
split in two at random, on paper, in parts of every size, and a logistic regression learns to tell
such a part beside its rest from a part beside the standard question most like it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from semsearch.review.bank import Filed, Floats, blocks, supports
from semsearch.types import Ids, Vectors

PRIOR = 0.05
"""Share of the standard questions that is taken to be there twice before anything is looked at."""

_ALIKE = 4  # standard questions that each is compared with
_SPLITS = 4000  # splits on paper at most
_LEAST = 10  # splits to learn from
_ROUNDS = 20
_SIZE = 6  # the feature: log2 of how many phrasings are compared


@dataclass(frozen=True, slots=True)
class Same:
    """Two standard questions that may be one.

    Attributes:
        one, other: their numbers; `other` has as many phrasings or more.
        sure: probability that they are the same; nan where the bank has too few phrasings to tell.
        similar: mean cosine of the phrasings of `one` to the three nearest of `other`.
        usual: what the phrasings of `other` have among themselves.
    """

    one: int
    other: int
    sure: float
    similar: float
    usual: float


def judge(bank: Filed, seed: int = 0) -> list[Same]:
    """Judge each standard question with those that are most like it; every pair once, by number."""
    alike = _alike(bank)
    pairs = sorted(
        {_ordered(bank, one, other) for one in range(len(alike)) for other in alike[one].tolist()}
    )
    found = [_in_parts(bank, one, other) for one, other in pairs]
    features = np.array([row for row, _ in found])
    same, different, of = _splits(bank, alike, np.random.default_rng(seed))
    sure = np.full(len(pairs), np.nan)
    if len(same) >= _LEAST:
        sure = _learn(pairs, features, same, different, of)
    return [
        Same(one, other, float(sure[number]), similar, float(bank.at_home.mean[other]))
        for number, ((one, other), (_, similar)) in enumerate(zip(pairs, found, strict=True))
    ]


def _ordered(bank: Filed, one: int, other: int) -> tuple[int, int]:
    low, high = sorted((one, other))
    return (low, high) if bank.sizes[low] <= bank.sizes[high] else (high, low)


def _alike(bank: Filed) -> Ids:
    """(K, a) the standard questions nearest each one, by their centres."""
    lengths = np.maximum(np.linalg.norm(bank.sums, axis=1, keepdims=True), 1e-9)
    centres = (bank.sums / lengths).astype(np.float32)
    n = len(centres)
    width = min(_ALIKE, n - 1)
    found = np.empty((n, width), np.int64)
    for block in blocks(n, n):
        similar = centres[block] @ centres.T
        similar[np.arange(len(similar)), np.arange(block.start, block.stop)] = -np.inf
        found[block] = np.argsort(-similar, axis=1, kind="stable")[:, :width]
    return found


def _in_parts(bank: Filed, one: int, other: int) -> tuple[list[float], float]:
    """As `_compare`, in parts no larger than the splits that are learnt from."""
    vectors = bank.of(one)
    largest = max(1, int(bank.sizes.max()) // 2)
    parts = np.array_split(vectors, -(-len(vectors) // largest))
    found = [_compare(part, bank, other) for part in parts]
    row = np.mean([row for row, _ in found], axis=0)
    return row.tolist(), float(np.mean([similar for _, similar in found]))


def _compare(
    vectors: Vectors, bank: Filed, other: int, gone: Ids | None = None
) -> tuple[list[float], float]:
    """What tells whether texts ask what a standard question asks, and their mean support by it.

    Args:
        vectors: (m, d), the texts.
        gone: phrasings of `other` that are taken out of it, by place.
    """
    theirs = bank.of(other)
    if gone is not None:
        theirs = np.delete(theirs, gone, axis=0)
    similar = vectors @ theirs.T
    support, nearest = supports(similar)
    back, _ = supports(similar.T)
    together = _together(vectors)
    home, spread = bank.at_home.mean[other], bank.at_home.spread[other]
    usual = (support.mean() - home) / spread
    apart = together - support.mean() if np.isfinite(together) else 0.0
    row = [
        float(support.mean()), float(usual), float(nearest.mean()), float(nearest.min()),
        float(back.mean() - home), float(apart), float(np.log2(len(vectors))),
    ]  # fmt: skip
    return row, float(support.mean())


def _together(vectors: Vectors) -> float:
    """Mean support of texts by each other, nan for a single one."""
    if len(vectors) < 2:
        return float("nan")
    similar = vectors @ vectors.T
    np.fill_diagonal(similar, -np.inf)
    return float(supports(similar)[0].mean())


def _splits(
    bank: Filed, alike: Ids, random: np.random.Generator
) -> tuple[Floats, Floats, list[tuple[int, int]]]:
    """Features of parts beside the rest of their own standard question, and beside each other one.

    Also which two standard questions each of the latter is of.
    """
    splittable = np.flatnonzero(bank.sizes > 1)
    each = max(1, min(6, _SPLITS // max(len(splittable), 1)))
    same, different, of = [], [], []
    for question in random.permutation(splittable)[:_SPLITS].tolist():
        size = int(bank.sizes[question])
        sizes = {size // 2} | {min(1 << step, size // 2) for step in range(each - 1)}
        for part in sorted(sizes):
            gone = random.permutation(size)[:part]
            vectors = bank.of(question)[gone]
            same.append(_compare(vectors, bank, question, gone)[0])
            for other in alike[question].tolist():
                different.append(_compare(vectors, bank, other)[0])
                of.append(_ordered(bank, question, other))
    return np.array(same), np.array(different), of


def _learn(
    pairs: list[tuple[int, int]],
    features: Floats,
    same: Floats,
    different: Floats,
    of: list[tuple[int, int]],
) -> Floats:
    """The probability (p,) that the two of a pair are the same.

    A pair that is the same must not teach what different ones look like, nor must its parts: what
    is found counts the less as different, until nothing changes any more.
    """
    number = {pair: place for place, pair in enumerate(pairs)}
    parents = np.array([number[pair] for pair in of])
    largest = int(same[:, _SIZE].max())
    step, step_same, step_different = (
        np.minimum(rows[:, _SIZE].astype(np.int64), largest) for rows in (features, same, different)
    )
    sure = _first_guess(pairs, features)  # whatever is most alike is set aside to begin with
    for _ in range(_ROUNDS):
        before, sure = sure, sure.copy()
        for size in np.unique(step).tolist():
            asked = step == size
            alike = np.abs(step_same - size) <= 1, np.abs(step_different - size) <= 1
            if alike[0].sum() < _LEAST:
                alike = np.ones(len(same), bool), np.ones(len(different), bool)
            sure[asked] = _one_size(
                features[asked], same[alike[0]], different[alike[1]],
                1 - before[asked], 1 - before[parents][alike[1]],
            )  # fmt: skip
        if np.abs(sure - before).max() < 0.01:
            break
    return sure


def _one_size(
    features: Floats, same: Floats, different: Floats, apart: Floats, apart_different: Floats
) -> Floats:
    """The probability (p,) that pairs are the same, learnt from parts of about their size.

    Args:
        apart, apart_different: how far the pairs, and those of `different`, count as different.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows = np.concatenate([features, different, same])
    labels = np.repeat([0, 1], [len(features) + len(different), len(same)])
    weights = np.concatenate([apart, apart_different])
    weights = np.concatenate([weights, np.full(len(same), weights.sum() / len(same))])
    model = make_pipeline(StandardScaler(), LogisticRegression(C=30.0, max_iter=2000))
    model.fit(rows, labels, logisticregression__sample_weight=weights)
    odds = model.decision_function(features) + np.log(PRIOR / (1 - PRIOR))
    return np.asarray(1 / (1 + np.exp(-odds)), np.float64)


def _first_guess(pairs: list[tuple[int, int]], features: Floats) -> Floats:
    """1 for the most alike pair of each standard question, 0 for the others."""
    best: dict[int, int] = {}
    for place, pair in enumerate(pairs):
        for question in pair:
            if question not in best or features[place, 1] > features[best[question], 1]:
                best[question] = place
    guess = np.zeros(len(pairs))
    guess[list(best.values())] = 1.0
    return guess
