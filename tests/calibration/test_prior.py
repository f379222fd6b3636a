from __future__ import annotations

import numpy as np
import pytest

from semsearch.calibration import prior
from semsearch.calibration.assembling import Assembled
from semsearch.calibration.examples import Examples
from semsearch.confidence import SIGNALS
from semsearch.errors import DataError

_N = 4000


def _signals(right: np.ndarray, seed: int) -> np.ndarray:
    """Right hits have higher signals, with an overlap."""
    random = np.random.default_rng(seed)
    values = random.normal(size=(len(right), len(SIGNALS)), scale=3)
    values[:, 0] = random.normal(size=len(right)) + 2 * right
    return values


def _assemble(share: float | None) -> Assembled:
    """Of the answerable nine in ten find the right answer."""
    share = 0.1 if share is None else share
    answerable = np.arange(_N) % 2 == 0
    right = answerable & (np.arange(_N) % 20 != 0)
    weights = np.where(answerable, 1 - share, share)
    every = np.ones(_N, bool)
    examples = Examples(
        _signals(right, 0), right, answerable, weights, np.arange(_N), every, ~answerable
    )
    return Assembled(examples, {}, share, share, ())


@pytest.mark.parametrize("unanswerable", [0.02, 0.1, 0.35, 0.6, 0.85])
def test_the_share_without_an_answer_is_found_without_labels(unanswerable: float) -> None:
    answerable = np.random.default_rng(1).random(3000) >= unanswerable
    right = answerable & (np.random.default_rng(2).random(3000) < 0.9)
    share, fitted = prior.estimate(_signals(right, 3), _assemble)
    assert share == pytest.approx(unanswerable, abs=0.05)
    assert fitted.assumed == share


def test_the_estimate_is_a_share_when_nothing_or_everything_has_an_answer() -> None:
    for right in (np.zeros(500, bool), np.ones(500, bool)):
        share, _ = prior.estimate(_signals(right, 4), _assemble)
        assert 0.01 <= share <= 0.95


def test_few_queries_estimate_nothing() -> None:
    with pytest.raises(DataError, match="99 logged queries are too few"):
        prior.estimate(_signals(np.ones(99, bool), 5), _assemble)


def test_confidences_of_the_share_they_were_fitted_for_stay() -> None:
    random = np.random.default_rng(6)
    confidence = random.beta(0.5, 0.5, size=5000)
    assert prior.share_right(confidence, 0.5) == pytest.approx(0.5, abs=0.03)
