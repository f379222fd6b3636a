"""Operating points: what is counted, what is promised, and what is not."""

from __future__ import annotations

import numpy as np
import pytest

from semsearch.calibration.choosing import choose
from semsearch.calibration.points import Curve, Judged, measure, reliability, share


def _judged(
    confidence: list[float], right: list[int], answerable: list[int] | None = None
) -> Judged:
    with_ = np.array(answerable or [1] * len(right), bool)
    return Judged(
        np.array(confidence, float), np.array(right, bool), with_, np.ones(len(right)), ~with_
    )


MIXED = _judged(
    [0.9, 0.8, 0.7, 0.6, 0.5, 0.4], [1, 1, 0, 1, 0, 0], [1, 1, 1, 1, 0, 0]
)  # fmt: skip


def test_each_share_is_of_the_queries_it_is_meant_of() -> None:
    found = measure(MIXED, 0.65)
    assert found["precision"].value == pytest.approx(2 / 3) and found["precision"].n == 3
    assert found["coverage"].value == pytest.approx(3 / 4)
    assert found["right"].value == pytest.approx(2 / 4)
    assert found["refused"].value == 1.0 and found["refused"].n == 2


def test_the_interval_is_wilsons() -> None:
    # 8 of 10: 0.490 to 0.943 in any table of Wilson intervals.
    found = share(np.array([1] * 8 + [0] * 2, bool), np.ones(10))
    assert (found.low, found.high) == (
        pytest.approx(0.4902, abs=1e-4),
        pytest.approx(0.9433, abs=1e-4),
    )


def test_queries_that_count_unevenly_are_worth_fewer() -> None:
    hits = np.array([1] * 8 + [0] * 2, bool)
    even, uneven = share(hits, np.ones(10)), share(hits, np.array([5.0] + [1.0] * 9))
    assert even.low is not None and uneven.low is not None and uneven.value is not None
    assert uneven.value - uneven.low > 0.8 - even.low


def test_no_queries_have_no_share() -> None:
    assert share(np.zeros(0, bool), np.zeros(0)).value is None


def test_the_curve_agrees_with_what_is_measured_at_each_threshold() -> None:
    curve = Curve.of(MIXED)
    assert curve.thresholds[-1] == 0 and curve.coverage[-1] == 1
    for at, threshold in enumerate(curve.thresholds):
        found = measure(MIXED, float(threshold))
        assert curve.precision[at] == pytest.approx(found["precision"].value)
        assert curve.coverage[at] == pytest.approx(found["coverage"].value)
        assert curve.refused[at] == pytest.approx(found["refused"].value)
        assert curve.right[at] == pytest.approx(found["right"].value)


def test_coverage_is_reached_at_the_highest_threshold_that_does() -> None:
    point = choose(MIXED, None, 0.5, None)
    assert point.name == "coverage 0.5" and 0.7 < point.threshold < 0.8
    assert choose(MIXED, None, 0.51, None).threshold < 0.7


def test_balance_counts_right_answers_double() -> None:
    # Refusing one more would cost one of two right answers and win one of three refusals.
    judged = _judged([0.9, 0.6, 0.5, 0.3, 0.2], [1, 1, 0, 0, 0], [1, 1, 0, 0, 0])
    assert 0.5 < choose(judged, None, None, None).threshold < 0.6
    mixed = _judged([0.9, 0.5, 0.6, 0.3, 0.2], [1, 1, 0, 0, 0], [1, 1, 0, 0, 0])
    assert 0.3 < choose(mixed, None, None, None).threshold < 0.5


def test_a_precision_is_promised_by_the_lower_end_of_its_interval() -> None:
    random = np.random.default_rng(0)
    confidence = random.random(4000)
    judged = _judged(confidence.tolist(), (random.random(4000) < confidence).astype(int).tolist())
    point = choose(judged, 0.9, None, None)
    found = measure(judged, point.threshold)["precision"]
    assert point.promised and found.low is not None and found.low >= 0.9
    # Of this data the precision from t on is (1 + t) / 2, so the point lies a little above 0.8.
    assert 0.8 < point.threshold < 0.88


def test_too_few_queries_promise_nothing_and_say_how_many_would() -> None:
    judged = _judged([0.9] * 20 + [0.1] * 10, [1] * 20 + [0] * 10)
    point = choose(judged, 0.95, None, None)
    assert point.promised is False
    assert "30 queries with an answer are too few to promise a precision of 0.95" in point.notes[0]
    assert "About 150 like them would do" in point.notes[0]
    assert measure(judged, point.threshold)["precision"].value == 1.0


def test_a_precision_that_nothing_reaches_is_said_to_be_out_of_reach() -> None:
    judged = _judged([0.9, 0.8] * 50, [1, 0] * 25 + [0, 1] * 25)
    point = choose(judged, 0.95, None, None)
    assert point.promised is False and "reached at no confidence" in point.notes[0]


def test_a_promise_for_more_unanswerable_queries_answers_less() -> None:
    random = np.random.default_rng(0)
    confidence = random.random(4000)
    right = random.random(4000) < confidence
    judged = Judged(confidence, right, right, np.ones(4000), ~right)
    asis, worse = (choose(judged, 0.9, None, u).threshold for u in (None, 0.8))
    assert worse > asis
    weights = judged.at_share(0.8).weights
    assert weights[~right].sum() == pytest.approx(0.8) and weights.sum() == pytest.approx(1)


def test_a_promise_for_queries_made_of_the_bank_holds_if_all_of_them_are_hard() -> None:
    # 500 right answers; of 1,000 queries without one, the 500 hard ones look as sure as these.
    confidence = np.concatenate([np.linspace(0.5, 1, 500), np.linspace(0.2, 0.9, 500)])
    confidence = np.concatenate([confidence, np.linspace(0, 0.3, 500)])
    right = np.arange(1500) < 500
    easy = np.arange(1500) >= 1000
    both = Judged(confidence, right, right, np.ones(1500), easy)
    only_hard = Judged(confidence, right, right, (~easy).astype(float), np.zeros(1500, bool))
    only_easy = Judged(confidence, right, right, np.ones(1500), ~right)
    point, hard, easy_point = (choose(j, 0.9, None, 0.5) for j in (both, only_hard, only_easy))
    assert point.threshold == hard.threshold > 0.6
    assert easy_point.threshold < point.threshold  # none is marked as hard: all stay as they are


def test_calibration_error_is_the_mean_gap_between_confidence_and_truth() -> None:
    bins, error = reliability(_judged([0.95] * 4 + [0.15] * 4, [1, 1, 1, 0, 0, 0, 0, 0]))
    assert [row["right"] for row in bins] == [0.0, 0.75]
    assert error == pytest.approx((0.15 + 0.2) / 2)
