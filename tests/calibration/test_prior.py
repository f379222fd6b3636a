from __future__ import annotations

import numpy as np
import pytest

from semsearch.calibration import prior
from semsearch.calibration.examples import Examples
from semsearch.confidence import SIGNALS
from semsearch.errors import DataError

_N = 6000
_SURE = {"right": 2.0, "wrong": 0.0, "hard": 0.0, "easy": -2.0}
_ALIKE = {"right": 0.0, "wrong": 1.0, "hard": -1.0, "easy": 0.0}


def _signals(kinds: list[str], seed: int) -> np.ndarray:
    """Two signals tell the kinds apart, though they overlap; the others are noise."""
    random = np.random.default_rng(seed)
    values = random.normal(size=(len(kinds), len(SIGNALS)), scale=3)
    for column, centres in enumerate((_SURE, _ALIKE)):
        values[:, column] = random.normal(size=len(kinds)) + [centres[kind] for kind in kinds]
    return values


def _kinds(n: int, unanswerable: float, hard: float, seed: int) -> list[str]:
    """Of those with an answer nine in ten find it."""
    shares = [
        0.9 * (1 - unanswerable), 0.1 * (1 - unanswerable),
        unanswerable * hard, unanswerable * (1 - hard),
    ]  # fmt: skip
    return np.random.default_rng(seed).choice(list(_SURE), size=n, p=shares).tolist()


@pytest.fixture(scope="module")
def examples() -> Examples:
    """Half of the queries have no answer, half of those are on a topic of the bank."""
    kinds = np.array(_kinds(_N, 0.5, 0.5, 0))
    right, every = kinds == "right", np.ones(_N, bool)
    answerable = np.isin(kinds, ("right", "wrong"))
    weights = np.where(answerable, 3.0, 0.5)  # whatever they weigh
    return Examples(
        _signals(kinds.tolist(), 1), right, answerable, weights, np.arange(_N), every,
        kinds == "easy",
    )  # fmt: skip


@pytest.mark.parametrize("hard", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("unanswerable", [0.02, 0.1, 0.35, 0.6, 0.85])
def test_the_share_without_an_answer_is_found_without_labels(
    examples: Examples, unanswerable: float, hard: float
) -> None:
    asked = _signals(_kinds(3000, unanswerable, hard, 2), 3)
    found = prior.estimate(asked, examples)
    assert found.share == pytest.approx(unanswerable, abs=0.04)
    if unanswerable >= 0.35:
        assert found.hard == pytest.approx(hard, abs=0.15)
    assert found.believed


def test_the_estimate_is_a_share_when_nothing_or_everything_has_an_answer(
    examples: Examples,
) -> None:
    for unanswerable in (0.0, 1.0):
        asked = _signals(_kinds(500, unanswerable, 0.5, 4), 5)
        found = prior.estimate(asked, examples)
        assert 0.01 <= found.share <= 0.95 and 0 < found.hard < 1
        assert found.share == pytest.approx(unanswerable, abs=0.1)
        assert found.share < prior.cautious(found.share) < 1


def test_queries_that_look_like_no_example_are_not_believed(examples: Examples) -> None:
    """They have an answer, but are worded otherwise, and seem to have none."""
    asked = _signals(_kinds(1000, 0.5, 0.5, 8), 9)
    believed = prior.estimate(asked, examples)
    otherwise = asked.copy()
    otherwise[:, 0] -= 1.0
    otherwise[:, 2] += 2.0
    found = prior.estimate(otherwise, examples)
    assert believed.believed and not found.believed
    assert found.share > 0.6 and found.apart > 0.6 > believed.apart
    assert prior.estimate(otherwise, examples) == found
    often = np.repeat(otherwise[:99], 20, axis=0)  # too few to tell
    assert (
        np.isnan(prior.estimate(often, examples).apart) and prior.estimate(often, examples).believed
    )


def test_few_queries_estimate_nothing(examples: Examples) -> None:
    with pytest.raises(DataError, match="99 logged queries are too few"):
        prior.estimate(_signals(["right"] * 99, 5), examples)


def test_without_an_example_of_a_query_without_an_answer_nothing_is_told(
    examples: Examples,
) -> None:
    with pytest.raises(DataError, match="--unanswerable"):
        prior.estimate(examples.signals, examples[examples.answerable])


def test_examples_that_weigh_nothing_are_no_kind(examples: Examples) -> None:
    without_easy = Examples(
        examples.signals, examples.right, examples.answerable,
        np.where(examples.topic, 0.0, examples.weights), examples.groups, examples.judged,
        examples.topic,
    )  # fmt: skip
    asked = _signals(_kinds(3000, 0.4, 1.0, 6), 7)
    found = prior.estimate(asked, without_easy)
    assert found.share == pytest.approx(0.4, abs=0.04) and found.hard > 0.9 and found.believed


def test_likelihoods_give_the_shares_of_their_kinds() -> None:
    random = np.random.default_rng(8)
    kinds = random.choice(3, size=5000, p=[0.2, 0.5, 0.3])
    values = random.normal(size=5000) + 2.0 * kinds
    likelihoods = np.exp(-np.square(values[:, None] - 2.0 * np.arange(3)) / 2)
    assert prior.shares(likelihoods) == pytest.approx([0.2, 0.5, 0.3], abs=0.03)
