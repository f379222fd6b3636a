"""Where the right standard question comes: held against the search that answers queries."""

from __future__ import annotations

import numpy as np
import pytest

from semsearch.ann import Neighbours
from semsearch.improvement.asking import ranks
from semsearch.ranking import Counts, Score, rank


def _bank(seed: int, n: int = 60, dim: int = 8) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(n, dim)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors, random.integers(1, 14, n)


@pytest.mark.parametrize("score", ["best", "top3"])
@pytest.mark.parametrize("seed", range(5))
def test_a_rank_is_the_place_that_a_search_gives(seed: int, score: Score) -> None:
    vectors, questions = _bank(seed)
    queries = _bank(seed + 100, 20)[0]
    queries[0] = vectors[7]  # word for word
    labels = questions << 32 | np.arange(1, len(questions) + 1)
    near = Neighbours.build(labels, vectors)
    counts = Counts(labels) if score == "top3" else None
    found = rank(near.search, queries, 99, len(labels), counts)
    for expected in np.unique(questions):
        places = ranks(queries, np.full(20, expected), vectors, questions, score)
        wanted = [1 + (one.labels >> 32).tolist().index(expected) for one in found]
        assert places.tolist() == wanted


@pytest.mark.parametrize("score", ["best", "top3"])
def test_a_phrasing_that_is_asked_is_not_found_by_itself(score: Score) -> None:
    vectors, questions = _bank(3)
    vectors[5], questions[5] = vectors[4], questions[4]  # the same words twice
    rows = np.arange(len(vectors))
    found = ranks(vectors, questions, vectors, questions, score, rows)
    for row in rows:
        same = (questions == questions[row]) & (vectors @ vectors[row] > 1 - 1e-4)
        same[row] = True
        if (questions[~same] == questions[row]).any():
            alone = ranks(vectors[[row]], questions[[row]], vectors[~same], questions[~same], score)
            assert found[row] == alone[0]


def test_a_question_with_no_phrasing_left_comes_last() -> None:
    vectors, questions = _bank(4)
    questions[0] = 99
    places = ranks(vectors[:1], questions[:1], vectors, questions, "top3", np.array([0]))
    assert places[0] == len(np.unique(questions))
