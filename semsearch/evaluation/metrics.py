"""How alike two vectors are, and how well that agrees with people; all figures times 100."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from semsearch.errors import DataError
from semsearch.evaluation.tasks import Aggregation
from semsearch.types import Embeddings, Ids

Metric = Literal["spearman", "pearson"]
Similarity = Literal["cosine", "dot", "euclidean", "manhattan"]
Values = NDArray[np.float64]

_ROWS = 4096  # rows compared at a time: bounds memory


def similarity(a: Embeddings, b: Embeddings, kind: Similarity = "cosine") -> Values:
    """How alike the rows of two matrices are; higher is more alike, distances are negated.

    Args:
        a: (n, d) numbers.
        b: (n, d) numbers, row i compared with row i of a.

    Returns:
        (n,) float64; the cosine with a row of zeros is 0.
    """
    if a.shape != b.shape:
        raise DataError(f"rows of {a.shape} and {b.shape} cannot be compared one by one.")
    parts = [
        _alike(a[start : start + _ROWS], b[start : start + _ROWS], kind)
        for start in range(0, len(a), _ROWS)
    ]
    return np.concatenate(parts) if parts else np.empty(0)


def _alike(a: NDArray[Any], b: NDArray[Any], kind: Similarity) -> Values:
    x: Values = np.asarray(a, np.float64)
    y: Values = np.asarray(b, np.float64)
    if kind == "euclidean":
        return np.asarray(-np.sqrt(((x - y) ** 2).sum(axis=1)), np.float64)
    if kind == "manhattan":
        return np.asarray(-np.abs(x - y).sum(axis=1), np.float64)
    dots: Values = np.einsum("ij,ij->i", x, y)
    if kind == "dot":
        return dots
    norms = np.sqrt(np.einsum("ij,ij->i", x, x) * np.einsum("ij,ij->i", y, y))
    # Rounded, so that all pairs of equal sentences tie; they differ by an ulp otherwise.
    return np.asarray(np.round(dots / np.maximum(norms, 1e-300), 12), np.float64)


def ranks(values: NDArray[Any]) -> Values:
    """(n,) values to their ranks from 1 on; equal values share the mean of their ranks."""
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2)[group], np.float64)


def correlation(predicted: Values, gold: Values, metric: Metric = "spearman") -> float:
    """The correlation of predictions with gold scores, times 100.

    Args:
        predicted: (n,) finite numbers.
        gold: (n,) finite numbers.

    Raises:
        DataError: fewer than two pairs, values that are not finite, or all equal: there is no
            correlation then.
    """
    check(predicted, gold)
    x, y = (ranks(predicted), ranks(gold)) if metric == "spearman" else (predicted, gold)
    # Brought to one scale first, so that squares neither overflow nor vanish.
    x, y = (_centred(np.asarray(side, np.float64)) for side in (x, y))
    return float(np.clip(100 * (x @ y) / np.sqrt((x @ x) * (y @ y)), -100, 100))


def check(predicted: Values, gold: Values) -> None:
    """Raise DataError where two arrays have no correlation."""
    if np.shape(predicted) != np.shape(gold) or np.ndim(gold) != 1:
        raise DataError(f"{len(predicted)} predictions do not go with {len(gold)} gold scores.")
    if len(gold) < 2:
        count = "one pair has" if len(gold) == 1 else "no pairs have"
        raise DataError(f"{count} no correlation: at least two are needed.")
    for what, values in (("predictions", predicted), ("gold scores", gold)):
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            raise DataError(
                f"{len(bad)} of {len(values)} {what} are NaN or infinite, the first at pair "
                f"{bad[0] + 1}."
            )
        if np.ptp(values) == 0:
            raise DataError(
                f"all {len(values)} {what} are {float(values[0]):g}: what is constant "
                "correlates with nothing."
            )


def subsets_of(names: Sequence[str]) -> list[tuple[str, Ids]]:
    """The subsets in order of appearance, each with the numbers of its pairs."""
    ids: dict[str, list[int]] = {}
    for number, name in enumerate(names):
        ids.setdefault(name, []).append(number)
    return [(name, np.asarray(rows, np.int64)) for name, rows in ids.items()]


def aggregate(
    predicted: Values,
    gold: Values,
    subsets: Sequence[str],
    metric: Metric = "spearman",
    aggregation: Aggregation = "all",
) -> float:
    """One figure for a task with subsets.

    Args:
        predicted: (n,) finite numbers.
        gold: (n,) finite numbers.
        subsets: the subset of each pair.
        aggregation: "all" correlates all pairs at once, as SimCSE (Gao et al. 2021,
            arXiv:2104.08821, appendix B) and MTEB do; "mean" averages over the subsets, "wmean"
            weights them by their pairs, as SentEval does (Conneau and Kiela 2018,
            arXiv:1803.05449).

    Raises:
        DataError: there is no correlation, of all pairs or of one subset.
    """
    if aggregation == "all":
        return correlation(predicted, gold, metric)
    parts = subsets_of(subsets)
    if not parts:
        raise DataError("no pairs have no correlation: at least two are needed.")
    figures = []
    for name, rows in parts:
        try:
            figures.append(correlation(predicted[rows], gold[rows], metric))
        except DataError as error:
            raise DataError(f"subset {name or 'without a name'}: {error}") from None
    return float(np.average(figures, weights=weights(parts, aggregation)))


def weights(parts: Sequence[tuple[str, Ids]], aggregation: Aggregation) -> Values:
    """What each subset counts."""
    sizes = np.array([len(rows) for _, rows in parts], np.float64)
    return sizes if aggregation == "wmean" else np.ones_like(sizes)


def _centred(x: Values) -> Values:
    centred = x - x.mean()
    return np.asarray(centred / np.abs(centred).max())
