"""How sure a measure is: percentile bootstrap intervals over items, always over the same draws.

Two arrays of one length are resampled with the same indices for the same seed, so a difference
between two encoders is judged pair by pair (Efron and Tibshirani 1993, ch. 13 and 16;
Koehn 2004, "Statistical Significance Tests for Machine Translation Evaluation").
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semsearch.errors import DataError
from semsearch.evaluation.metrics import Metric, Values, subsets_of, weights
from semsearch.evaluation.tasks import Aggregation
from semsearch.types import Ids

DRAWS = 1000

# Indices that are drawn at a time: bounds memory, and keeps correlations in the cache.
_CELLS = 2_000_000
_CORRELATED = 200_000


def resamples(
    n: int, seed: int | Sequence[int] = 0, draws: int = DRAWS, cells: int = _CELLS
) -> Iterator[Ids]:
    """Draws of n items with replacement, as (some, n) index arrays, `draws` rows in total.

    How many come at a time has no influence on what is drawn.
    """
    if n < 1:
        raise DataError("there is nothing to draw from: 0 items.")
    if draws < 1:
        raise DataError(f"{draws} draws give no interval. Take at least 1.")
    random = np.random.default_rng(seed)
    step = max(1, cells // n)
    for start in range(0, draws, step):
        yield random.integers(0, n, (min(step, draws - start), n), dtype=np.int64)


def mean_interval(values: NDArray[Any], seed: int = 0, draws: int = DRAWS) -> tuple[float, float]:
    """The 95% interval of a mean: of accuracies (0/1 per item), reciprocal ranks, and so on.

    Args:
        values: (n,) numbers or booleans, one per item.
        seed: the same seed gives the same interval.

    Raises:
        DataError: no values, or some that are not finite.
    """
    items = np.asarray(values, np.float64)
    if items.ndim != 1 or not np.isfinite(items).all():
        raise DataError("an interval needs one finite number per item.")
    return interval(
        np.concatenate([items[rows].mean(axis=1) for rows in resamples(len(items), seed, draws)])
    )


def difference_interval(
    a: NDArray[Any], b: NDArray[Any], seed: int = 0, draws: int = DRAWS
) -> tuple[float, float]:
    """The 95% interval of mean(a) - mean(b), both measured on the same items.

    Args:
        a: (n,) numbers or booleans, one per item.
        b: (n,) the same items measured with something else.

    Raises:
        DataError: different numbers of items, none, or some that are not finite.
    """
    if np.shape(a) != np.shape(b):
        raise DataError(f"a paired comparison needs the same items: {len(a)} against {len(b)}.")
    return mean_interval(np.asarray(a, np.float64) - np.asarray(b, np.float64), seed, draws)


def interval(drawn: Values) -> tuple[float, float]:
    """The middle 95% of drawn values; draws that gave none (NaN) are left out."""
    real = drawn[~np.isnan(drawn)]
    if not len(real):
        raise DataError("no draw gave a value: there are too few different items.")
    low, high = np.quantile(real, (0.025, 0.975))
    return float(low), float(high)


def correlation_draws(
    predictions: Values,
    gold: Values,
    metric: Metric = "spearman",
    seed: int | Sequence[int] = 0,
    draws: int = DRAWS,
) -> Values:
    """The correlation of each row of predictions in draws of pairs, the same pairs for each row.

    Every draw is ranked anew: ranks of the whole set would be those of another sample. Sorting
    is not needed for it: the draw's count of every value, summed up, gives its ranks.

    Args:
        predictions: (rows, n).
        gold: (n,).

    Returns:
        (rows, draws), times 100; NaN where a draw holds one value only.
    """
    measure = _Spearman if metric == "spearman" else _Pearson
    sides = [measure(row) for row in (gold, *predictions)]
    parts = []
    for rows in resamples(len(gold), seed, draws, _CORRELATED):
        counts = _counts(rows)
        y, y_size = sides[0](counts)
        weighted = y * counts
        drawn = np.empty((len(predictions), len(rows)))
        for number, side in enumerate(sides[1:]):
            x, x_size = side(counts)
            with np.errstate(invalid="ignore", divide="ignore"):
                drawn[number] = np.einsum("ij,ij->j", x, weighted) / np.sqrt(x_size * y_size)
        parts.append(100 * drawn)
    return np.concatenate(parts, axis=1)


def aggregate_draws(
    predictions: Values,
    gold: Values,
    subsets: Sequence[str],
    metric: Metric = "spearman",
    aggregation: Aggregation = "all",
    seed: int | Sequence[int] = 0,
    draws: int = DRAWS,
) -> Values:
    """`correlation_draws` of a task with subsets; those that are averaged are drawn one by one."""
    if aggregation == "all":
        return correlation_draws(predictions, gold, metric, seed, draws)
    parts = subsets_of(subsets)
    root = [seed] if isinstance(seed, int) else list(seed)
    drawn = [
        correlation_draws(predictions[:, rows], gold[rows], metric, [*root, number], draws)
        for number, (_, rows) in enumerate(parts)
    ]
    return np.asarray(np.average(drawn, axis=0, weights=weights(parts, aggregation)))


def _counts(rows: Ids) -> Values:
    """(draws, n) indices to (n, draws): how often each item was drawn."""
    some, n = rows.shape
    cells = rows * some + np.arange(some)[:, None]
    flat = np.bincount(cells.ravel(), minlength=n * some)
    return flat.reshape(n, some).astype(np.float64)


class _Spearman:
    """The ranks of one array in any draw from it."""

    def __init__(self, values: Values) -> None:
        _, self._group, sizes = np.unique(values, return_inverse=True, return_counts=True)
        self._order = np.argsort(self._group, kind="stable")
        self._starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])

    def __call__(self, counts: Values) -> tuple[Values, Values]:
        """(n, draws) counts to centred ranks (n, draws), and the sum of their squares (draws,)."""
        drawn = counts[self._order]
        if len(self._starts) < len(counts):
            drawn = np.add.reduceat(drawn, self._starts, axis=0)
        rank = np.cumsum(drawn, axis=0)
        rank -= (drawn - 1) / 2 + (len(counts) + 1) / 2
        return rank[self._group], np.einsum("ij,ij,ij->j", drawn, rank, rank)


class _Pearson:
    """The values of one array, centred in any draw from it."""

    def __init__(self, values: Values) -> None:
        self._values = values - values.mean()

    def __call__(self, counts: Values) -> tuple[Values, Values]:
        """As `_Spearman`, of the values themselves."""
        x = self._values[:, None] - (self._values @ counts) / len(counts)
        return x, np.einsum("ij,ij,ij->j", counts, x, x)
