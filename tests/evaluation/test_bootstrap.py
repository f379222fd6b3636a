"""Bootstrap intervals: paired, repeatable, ranked anew in each draw, as wide as they should be."""

from __future__ import annotations

import time

import numpy as np
import pytest

from semsearch.errors import DataError
from semsearch.evaluation import bootstrap, metrics


def test_the_interval_of_a_mean_is_that_of_statistics_textbooks() -> None:
    values = np.random.default_rng(0).random(2000) < 0.7
    low, high = bootstrap.mean_interval(values)
    half = 1.96 * np.sqrt(values.mean() * (1 - values.mean()) / len(values))
    assert low == pytest.approx(values.mean() - half, abs=0.003)
    assert high == pytest.approx(values.mean() + half, abs=0.003)


def test_the_same_seed_gives_the_same_interval_and_another_another_one() -> None:
    values = np.random.default_rng(0).random(200)
    assert bootstrap.mean_interval(values, seed=3) == bootstrap.mean_interval(values, seed=3)
    assert bootstrap.mean_interval(values, seed=3) != bootstrap.mean_interval(values, seed=4)


def test_a_difference_is_judged_pair_by_pair() -> None:
    random = np.random.default_rng(0)
    a = random.random(500)
    b = a - 0.01 + random.normal(0, 0.01, 500)
    low, high = bootstrap.difference_interval(a, b)
    assert 0 < low < 0.01 < high  # although each mean alone is uncertain by 0.025
    assert bootstrap.difference_interval(a, a) == (0, 0)


@pytest.mark.parametrize("values", [[], [np.nan], [[1.0, 2.0]]])
def test_a_mean_of_nothing_has_no_interval(values: list[float]) -> None:
    with pytest.raises(DataError):
        bootstrap.mean_interval(np.array(values))


def test_a_difference_needs_the_same_items_and_an_interval_needs_draws() -> None:
    with pytest.raises(DataError, match="2 against 3"):
        bootstrap.difference_interval(np.ones(2), np.ones(3))
    with pytest.raises(DataError, match="0 draws"):
        bootstrap.mean_interval(np.ones(3), draws=0)


def test_what_is_drawn_does_not_depend_on_how_much_at_a_time() -> None:
    many = np.concatenate(list(bootstrap.resamples(7, 5, 100)))
    few = np.concatenate(list(bootstrap.resamples(7, 5, 100, cells=20)))
    assert many.shape == (100, 7) and (many == few).all()


@pytest.mark.parametrize("metric", ["spearman", "pearson"])
def test_every_draw_is_correlated_as_scipy_does_it_with_ranks_of_its_own(
    metric: metrics.Metric,
) -> None:
    stats = pytest.importorskip("scipy.stats")
    correlate = {"spearman": stats.spearmanr, "pearson": stats.pearsonr}[metric]
    random = np.random.default_rng(1)
    gold = random.integers(0, 4, 60) * 1.0
    predictions = np.round(random.normal(size=(3, 60)) + gold, 1)
    drawn = bootstrap.correlation_draws(predictions, gold, metric, seed=2, draws=40)
    rows = np.concatenate(list(bootstrap.resamples(60, 2, 40)))
    expected = [[100 * correlate(p[r], gold[r]).statistic for r in rows] for p in predictions]
    assert drawn == pytest.approx(np.array(expected), abs=1e-9)


def test_draws_of_one_value_only_are_left_out_of_an_interval() -> None:
    drawn = bootstrap.correlation_draws(np.array([[1.0, 2.0]]), np.array([1.0, 3.0]), draws=50)
    assert np.isnan(drawn).any() and bootstrap.interval(drawn[0]) == pytest.approx((100, 100))
    with pytest.raises(DataError, match="no draw"):
        bootstrap.interval(np.array([np.nan]))


def test_subsets_that_are_averaged_are_drawn_one_by_one() -> None:
    random = np.random.default_rng(0)
    gold = random.normal(size=80)
    predictions = gold + random.normal(size=(1, 80))
    subsets = ["a"] * 60 + ["b"] * 20
    figure = metrics.aggregate(predictions[0], gold, subsets, aggregation="wmean")
    drawn = bootstrap.aggregate_draws(predictions, gold, subsets, aggregation="wmean", seed=1)
    parts = [
        bootstrap.correlation_draws(predictions[:, :60], gold[:60], seed=[1, 0]),
        bootstrap.correlation_draws(predictions[:, 60:], gold[60:], seed=[1, 1]),
    ]
    assert drawn == pytest.approx((60 * parts[0] + 20 * parts[1]) / 80)
    low, high = bootstrap.interval(drawn[0])
    assert low < figure < high


def test_a_thousand_draws_of_20000_pairs_take_seconds() -> None:
    random = np.random.default_rng(0)
    gold = random.integers(0, 2, 20_000) * 1.0
    predictions = random.normal(size=(2, 20_000)) + gold
    started = time.perf_counter()
    bootstrap.correlation_draws(predictions, gold, draws=200)
    assert time.perf_counter() - started < 10  # 0.1 s where nothing else runs
