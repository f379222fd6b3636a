"""The light way: a linear map behind the encoder, in closed form.

Directions along which standard questions differ are stretched, those along which the phrasings of
one differ are not. The directions are those of a ridge regression from embeddings to standard
questions, which is linear discriminant analysis with a shrunk covariance (Hastie, Buja and
Tibshirani 1995, "Penalized Discriminant Analysis"). B of it, (d, classes), gives the metric
(1 - beta) I + beta B Bᵀ, both of one size; its root is the map. No gradient, no torch, seconds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from semsearch.improvement.asking import ranks
from semsearch.improvement.judging import SHALLOW
from semsearch.ranking import Score
from semsearch.types import Embeddings, Ids, Vectors

Kernel = NDArray[np.float32]

_RIDGES = (0.1, 1.0)
_BETAS = (0.3, 0.6, 0.9)
_FOLDS = 5
_SMALL = 2000  # phrasings; of a larger bank one fold is asked
_ASKED = 1500


@dataclass(frozen=True, slots=True)
class Choice:
    """How strongly a map bends: `ridge` evens the directions out, `beta` 0 changes nothing."""

    ridge: float
    beta: float


_NO_MAP = Choice(_RIDGES[0], 0.0)


def unit(embeddings: Embeddings) -> Vectors:
    """Rows (n, d) at length 1."""
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    return np.asarray(embeddings / np.maximum(lengths, 1e-12), np.float32)


def fit(vectors: Vectors, questions: Ids, choice: Choice) -> Kernel:
    """The map (d, d) for unit vectors (n, d) of phrasings, of standard questions (n,)."""
    return _root(_directions(vectors, questions, choice.ridge), choice.beta)


def choose(vectors: Vectors, questions: Ids, score: Score, seed: int) -> Choice:
    """The choice whose map finds most phrasings that it was not fitted on.

    By cross-validation, of large banks one fold, over the phrasings whose standard questions have
    others. Banks grow: a map that loses more than `SHALLOW` where whole standard questions were
    left out, those of a fold, is not taken. Of equal choices the gentlest is.
    """
    rng = np.random.default_rng(seed)
    _, group, counts = np.unique(questions, return_inverse=True, return_counts=True)
    several = counts[group] > 1
    known = _folds(rng.permutation(np.flatnonzero(several)), len(vectors))
    new = [
        np.flatnonzero(np.isin(group, some))
        for some in _folds(rng.permutation(np.flatnonzero(counts > 1)), len(vectors))
    ]
    found, kept = (_right(vectors, questions, score, folds) for folds in (known, new))
    gentle = [_NO_MAP, *(Choice(ridge, beta) for beta, ridge in product(_BETAS, _RIDGES))]
    least = kept[_NO_MAP] - SHALLOW * sum(min(len(fold), _ASKED) for fold in new)
    allowed = [choice for choice in gentle if kept[choice] >= least]
    return max(allowed, key=lambda choice: found[choice])


def _folds(shuffled: Ids, n: int) -> list[Ids]:
    """Parts of rows or standard questions of a bank of n phrasings."""
    parts = np.array_split(shuffled, _FOLDS)[: _FOLDS if n <= _SMALL else 1]
    return [part for part in parts if len(part)]


def _right(
    vectors: Vectors, questions: Ids, score: Score, folds: Sequence[Ids]
) -> dict[Choice, int]:
    """First hits that are right, of rows that are asked after a map of all others."""
    right: dict[Choice, int] = defaultdict(int)
    for fold in folds:
        left = np.setdiff1d(np.arange(len(vectors)), fold)
        asked = np.sort(fold[:_ASKED])
        for choice, mapped in _tried(vectors, vectors[left], questions[left]):
            places = ranks(mapped[asked], questions[asked], mapped, questions, score, asked)
            right[choice] += int((places == 1).sum())
    return right


def _tried(vectors: Vectors, learnt: Vectors, questions: Ids) -> Iterator[tuple[Choice, Vectors]]:
    """Each choice, with vectors (n, d) as its map of what is learnt (m, d) makes them."""
    yield _NO_MAP, vectors
    for ridge in _RIDGES:
        directions = _directions(learnt, questions, ridge)
        for beta in _BETAS:
            yield Choice(ridge, beta), unit(vectors @ _root(directions, beta))


def _directions(vectors: Vectors, questions: Ids, ridge: float) -> NDArray[np.float64]:
    """(d, classes): the coefficients of a ridge regression to standard questions.

    Each phrasing weighs the root of what would give all standard questions one weight, so that
    large ones lead without drowning the others.
    """
    rows = vectors.astype(np.float64)
    _, group, counts = np.unique(questions, return_inverse=True, return_counts=True)
    weights = 1 / np.sqrt(counts[group])
    weights /= weights.sum()
    centred = rows - weights @ rows
    weighted = weights[:, None] * centred
    spread = centred.T @ weighted
    sums = np.zeros((len(counts), rows.shape[1]))
    np.add.at(sums, group, weighted)
    even = max(float(np.trace(spread)) / len(spread), 1e-12)
    return np.linalg.solve(spread + ridge * even * np.eye(len(spread)), sums.T)


def _root(directions: NDArray[np.float64], beta: float) -> Kernel:
    metric = directions @ directions.T
    size = float(np.trace(metric)) / len(metric)
    metric = (1 - beta) * np.eye(len(metric)) + beta * metric / max(size, 1e-300)
    values, axes = np.linalg.eigh(metric)
    return np.asarray((axes * np.sqrt(np.maximum(values, 0))) @ axes.T, np.float32)
