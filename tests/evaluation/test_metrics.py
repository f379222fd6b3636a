"""Similarities and correlations: equal to scipy's, and clear about what has no correlation."""

from __future__ import annotations

import numpy as np
import pytest

from semsearch.errors import DataError
from semsearch.evaluation import metrics


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("metric", ["spearman", "pearson"])
def test_correlations_equal_those_of_scipy_with_ties(seed: int, metric: metrics.Metric) -> None:
    stats = pytest.importorskip("scipy.stats")
    random = np.random.default_rng(seed)
    n = int(random.integers(2, 3000))
    gold = random.integers(0, 6, n) * 1.0
    gold[:2] = 0, 5
    predicted = np.round(random.normal(size=n) + 0.3 * gold, seed % 3) * 10.0 ** (seed - 4)
    predicted[:2] = predicted.min() - 1, predicted.max() + 1
    expected = {"spearman": stats.spearmanr, "pearson": stats.pearsonr}[metric](predicted, gold)
    assert metrics.correlation(predicted, gold, metric) == pytest.approx(
        100 * expected.statistic, abs=1e-9
    )


def test_equal_values_share_the_mean_of_their_ranks() -> None:
    assert metrics.ranks(np.array([3.0, 1.0, 3.0, 3.0, 2.0])).tolist() == [4, 1, 4, 4, 2]


@pytest.mark.parametrize("kind", ["cosine", "dot", "euclidean", "manhattan"])
def test_similarities_equal_those_of_scipy(kind: metrics.Similarity) -> None:
    distance = pytest.importorskip("scipy.spatial.distance")
    a, b = np.random.default_rng(0).normal(size=(2, 50, 7)).astype(np.float32)
    x, y = a.astype(float), b.astype(float)
    expected = {
        "cosine": lambda p, q: 1 - distance.cosine(p, q),
        "dot": lambda p, q: p @ q,
        "euclidean": lambda p, q: -distance.euclidean(p, q),
        "manhattan": lambda p, q: -distance.cityblock(p, q),
    }[kind]
    found = metrics.similarity(a, b, kind)
    assert found == pytest.approx([expected(p, q) for p, q in zip(x, y, strict=True)], abs=1e-9)


def test_pairs_of_equal_sentences_tie_whatever_their_length() -> None:
    rows = np.random.default_rng(0).normal(size=(500, 384)).astype(np.float32)
    assert set(metrics.similarity(rows, rows.copy())) == {1.0}


def test_a_row_of_zeros_is_like_nothing() -> None:
    assert metrics.similarity(np.zeros((1, 3), np.float32), np.ones((1, 3), np.float32)) == [0]


def test_many_rows_are_compared_in_parts_with_the_same_result(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a, b = np.random.default_rng(0).normal(size=(2, 50, 7)).astype(np.float32)
    whole = metrics.similarity(a, b)
    monkeypatch.setattr(metrics, "_ROWS", 7)
    assert (metrics.similarity(a, b) == whole).all()


def test_matrices_of_different_shapes_are_refused() -> None:
    with pytest.raises(DataError, match=r"\(2, 3\) and \(2, 4\)"):
        metrics.similarity(np.ones((2, 3), np.float32), np.ones((2, 4), np.float32))


@pytest.mark.parametrize("metric", ["spearman", "pearson"])
@pytest.mark.parametrize(
    ("predicted", "gold", "message"),
    [
        ([], [], "no pairs have no correlation"),
        ([1.0], [1.0], "one pair has no correlation"),
        ([1.0, 1.0, 1.0], [1.0, 2.0, 3.0], "all 3 predictions are 1"),
        ([1.0, 2.0, 3.0], [4.0, 4.0, 4.0], "all 3 gold scores are 4"),
        ([1.0, float("nan"), 2.0], [1.0, 2.0, 3.0], "1 of 3 predictions are NaN"),
        ([1.0, 2.0, 3.0], [1.0, 2.0, float("nan")], "gold scores are NaN.* at pair 3"),
        ([1.0, 2.0], [1.0, 2.0, 3.0], "2 predictions do not go with 3"),
    ],
)
def test_what_has_no_correlation_is_a_clear_error(
    metric: metrics.Metric, predicted: list[float], gold: list[float], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        metrics.correlation(np.array(predicted), np.array(gold), metric)


def test_aggregations_differ_as_their_names_say() -> None:
    random = np.random.default_rng(0)
    gold = random.normal(size=90)
    predicted = gold + random.normal(size=90)
    subsets = ["a"] * 60 + ["b"] * 30
    predicted[60:] += 5  # another level: hurts only where subsets are concatenated
    a = metrics.correlation(predicted[:60], gold[:60])
    b = metrics.correlation(predicted[60:], gold[60:])
    assert metrics.aggregate(predicted, gold, subsets) == metrics.correlation(predicted, gold)
    mean = metrics.aggregate(predicted, gold, subsets, aggregation="mean")
    assert mean == pytest.approx((a + b) / 2) and mean > metrics.correlation(predicted, gold)
    wmean = metrics.aggregate(predicted, gold, subsets, aggregation="wmean")
    assert wmean == pytest.approx((2 * a + b) / 3)


def test_a_subset_without_a_correlation_is_named() -> None:
    predicted, gold = np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 3.0])
    with pytest.raises(DataError, match="subset b: one pair"):
        metrics.aggregate(predicted, gold, ["a", "a", "b"], aggregation="mean")
    with pytest.raises(DataError, match="no pairs"):
        metrics.aggregate(np.empty(0), np.empty(0), [], aggregation="mean")
