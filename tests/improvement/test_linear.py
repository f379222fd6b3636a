"""The light way: a linear map that is chosen by what it was not fitted on."""

from __future__ import annotations

import numpy as np
import pytest

from semsearch.improvement import linear
from semsearch.improvement.asking import ranks
from semsearch.improvement.linear import Choice, choose, fit, unit


def _bank(signal: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """30 standard questions of 12 phrasings: 6 of 48 dimensions say which, the others are noise."""
    random = np.random.default_rng(seed)
    centres = np.zeros((30, 48))
    centres[:, :6] = random.normal(size=(30, 6)) * signal
    questions = np.repeat(np.arange(1, 31), 12)
    noise = random.normal(size=(360, 48))
    return unit((centres[questions - 1] + noise).astype(np.float32)), questions


def _accuracy(vectors: np.ndarray, questions: np.ndarray) -> float:
    rows = np.arange(len(vectors))
    return float((ranks(vectors, questions, vectors, questions, "top3", rows) == 1).mean())


@pytest.mark.parametrize("seed", range(3))
def test_a_map_finds_more_phrasings_that_it_was_not_fitted_on(seed: int) -> None:
    vectors, questions = _bank(1.5, seed)
    learnt = np.arange(len(vectors)) % 3 > 0
    choice = choose(vectors[learnt], questions[learnt], "top3", 0)
    kernel = fit(vectors[learnt], questions[learnt], choice)
    before = ranks(vectors[~learnt], questions[~learnt], vectors, questions, "top3",
                   np.flatnonzero(~learnt))  # fmt: skip
    mapped = unit(vectors @ kernel)
    after = ranks(mapped[~learnt], questions[~learnt], mapped, questions, "top3",
                  np.flatnonzero(~learnt))  # fmt: skip
    assert (after == 1).mean() > (before == 1).mean() + 0.05
    assert kernel.shape == (48, 48) and kernel.dtype == np.float32


def test_no_bend_leaves_the_vectors_as_they_are() -> None:
    vectors, questions = _bank(1.5)
    kernel = fit(vectors, questions, Choice(ridge=1.0, beta=0.0))
    assert np.allclose(unit(vectors @ kernel), vectors, atol=1e-6)


def test_of_equal_choices_the_gentlest_is_taken() -> None:
    vectors, questions = _bank(50.0)  # every phrasing finds its standard question as it is
    assert _accuracy(vectors, questions) == 1.0
    assert choose(vectors, questions, "top3", 0).beta == 0.0


@pytest.mark.parametrize("seed", range(3))
def test_a_map_that_new_standard_questions_pay_for_is_left_out(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(seed)
    # Each has a direction of its own, so that what tells the known ones apart hides a new one.
    questions = np.repeat(np.arange(40), 10)
    vectors = unit((3 * np.eye(40, 64)[questions] + random.normal(size=(400, 64))).astype("f4"))
    assert choose(vectors, questions, "top3", 0).beta == 0.0
    monkeypatch.setattr(linear, "SHALLOW", 1.0)
    assert choose(vectors, questions, "top3", 0).beta > 0.0, "the known ones would gain"


@pytest.mark.parametrize("choice", [Choice(0.1, 0.9), Choice(1.0, 0.3)])
def test_few_phrasings_of_many_dimensions_give_a_finite_map(choice: Choice) -> None:
    vectors = unit(np.random.default_rng(0).normal(size=(6, 64)).astype(np.float32))
    kernel = fit(vectors, np.array([1, 1, 1, 2, 2, 2]), choice)
    assert np.isfinite(kernel).all() and np.linalg.norm(vectors @ kernel, axis=1).min() > 1e-3


def test_standard_questions_of_one_phrasing_do_not_stop_it() -> None:
    vectors, _ = _bank(1.5)
    kernel = fit(vectors, np.arange(len(vectors)), Choice(1.0, 0.6))
    assert np.isfinite(kernel).all()
