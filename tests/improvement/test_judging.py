"""What is promoted: shown to be better, and nothing shown to be worse."""

from __future__ import annotations

import numpy as np
import pytest

from semsearch.improvement.judging import Figure, precision_at, verdict


def figure(of: str, measure: str, gain: float, low: float, high: float) -> Figure:
    return Figure(of, measure, 500, 0.8, 0.8 + gain, low, high)


BETTER = figure("phrasings", "accuracy_at_1", 0.02, 0.01, 0.03)


def test_what_is_shown_to_be_better_is_promoted() -> None:
    assert verdict([BETTER]) == (True, "accuracy@1 of phrasings gets better")
    labelled = figure("labelled", "accuracy_at_1", 0.02, 0.01, 0.03)
    assert verdict([labelled])[0]


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (figure("new questions", "accuracy_at_1", -0.03, -0.05, -0.01), "of new questions gets"),
        (figure("all", "precision", -0.02, -0.03, -0.01), "precision of all gets worse"),
        (figure("new questions", "accuracy_at_1", -0.02, -0.05, 0.01), "seems to get worse"),
    ],
)
def test_nothing_may_be_worse(other: Figure, why: str) -> None:
    promoted, reason = verdict([BETTER, other])
    assert not promoted and why in reason


@pytest.mark.parametrize("low", [0.0, -0.01])
def test_a_gain_that_may_be_chance_is_refused(low: float) -> None:
    promoted, reason = verdict([figure("phrasings", "accuracy_at_1", 0.01, low, 0.03)])
    assert not promoted and reason == "it is not shown to find more right answers"


def test_a_better_order_is_enough_where_no_first_hit_is_lost() -> None:
    order = figure("phrasings", "mrr", 0.01, 0.005, 0.015)
    same, fewer = (figure("phrasings", "accuracy_at_1", gain, -0.01, 0.01) for gain in (0, -0.001))
    assert verdict([same, order]) == (True, "MRR of phrasings gets better")
    assert not verdict([fewer, order])[0]


def test_new_questions_alone_prove_nothing() -> None:
    assert not verdict([figure("new questions", "accuracy_at_1", 0.02, 0.01, 0.03)])[0]


def test_precision_at_a_coverage_counts_answers_to_queries_that_have_none() -> None:
    confidence = np.array([0.9, 0.8, 0.7, 0.6, 0.5])
    right = np.array([1.0, 0.0, 1.0, 0.0, 1.0])
    answerable = np.array([1.0, 0.0, 1.0, 1.0, 1.0])
    weights = np.ones(5)
    assert precision_at(confidence, right, answerable, weights, 0.5) == pytest.approx(2 / 3)
    assert precision_at(confidence, right, answerable, weights, 0.25) == 1.0
    assert precision_at(confidence, right, answerable, weights, 1.0) == pytest.approx(3 / 5)
