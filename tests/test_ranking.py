"""Standard questions are ranked exactly as if every phrasing had been scored."""

from __future__ import annotations

import numpy as np
import pytest

from semsearch.ranking import VERBATIM, Counts, rank
from semsearch.store.rows import label_of
from semsearch.types import Ids, Scores, Vectors


class Exact:
    """Brute force over phrasings; remembers how deep it was asked to look."""

    def __init__(self, labels: Ids, vectors: Vectors) -> None:
        self.labels, self.vectors = labels, vectors
        self.deepest = 0

    def __call__(self, queries: Vectors, n: int) -> tuple[Scores, Ids]:
        self.deepest = max(self.deepest, n)
        scores = queries @ self.vectors.T
        order = np.lexsort((np.broadcast_to(self.labels, scores.shape), -scores), axis=1)[:, :n]
        return np.take_along_axis(scores, order, 1), self.labels[order]


def _bank(
    n_questions: int, per_question: tuple[int, int], seed: int, dim: int = 16
) -> tuple[Ids, Vectors]:
    random = np.random.default_rng(seed)
    labels, vectors = [], []
    for question in range(1, n_questions + 1):
        centre = random.normal(size=dim)
        for _ in range(random.integers(*per_question)):
            labels.append(label_of(question, len(labels) + 1))
            vectors.append(centre + 0.7 * random.normal(size=dim))
    unit = np.array(vectors, np.float32)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    return np.array(labels, np.int64), unit


def _reference(labels: Ids, scores: Scores, k: int, top: int) -> list[tuple[int, float]]:
    """Score every question over all its phrasings; the plainest possible code."""
    found: dict[int, list[float]] = {}
    for label, score in zip(labels.tolist(), scores.tolist(), strict=True):
        found.setdefault(label >> 32, []).append(score)
    means = {
        question: max(values) if max(values) > VERBATIM else float(np.mean(best[:top]))
        for question, values in found.items()
        if (best := sorted(values, reverse=True))
    }
    return sorted(means.items(), key=lambda item: (-item[1], item[0]))[:k]


@pytest.mark.parametrize("top", [1, 3])
@pytest.mark.parametrize("per_question", [(1, 2), (1, 6), (40, 90)])
@pytest.mark.parametrize("k", [1, 5, 30])
def test_ranks_as_if_every_phrasing_was_scored(
    top: int, per_question: tuple[int, int], k: int
) -> None:
    labels, vectors = _bank(60, per_question, seed=k)
    queries = np.random.default_rng(1).normal(size=(40, 16)).astype(np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    counts = Counts(labels) if top == 3 else None

    ranked = rank(Exact(labels, vectors), queries, k, len(labels), counts)

    for row, found in enumerate(ranked):
        expected = _reference(labels, vectors @ queries[row], k, top)
        assert [int(label) >> 32 for label in found.labels] == [q for q, _ in expected]
        np.testing.assert_allclose(found.scores, [s for _, s in expected], atol=1e-5)


def test_looks_deeper_when_one_question_crowds_out_the_others() -> None:
    """One standard question with 500 near-identical phrasings must not hide the second best."""
    crowd = np.tile(np.array([1, 0, 0], np.float32), (500, 1))
    others = np.array([[0.6, 0.8, 0], [0, 0, 1]], np.float32)
    vectors = np.concatenate([crowd, others])
    labels = np.array(
        [label_of(1, n + 1) for n in range(500)] + [label_of(2, 501), label_of(3, 502)], np.int64
    )
    search = Exact(labels, vectors)
    (found,) = rank(search, np.array([[1, 0, 0]], np.float32), 3, len(labels), None)
    assert [int(label) >> 32 for label in found.labels] == [1, 2, 3]
    assert search.deepest == len(labels)


def test_does_not_look_at_everything_when_the_answer_is_clear() -> None:
    labels, vectors = _bank(400, (3, 8), seed=3)
    search = Exact(labels, vectors)
    rank(search, vectors[:5], 3, len(labels), None)
    assert search.deepest < len(labels) / 4


def test_the_phrasing_shown_is_the_closest_one() -> None:
    labels, vectors = _bank(20, (4, 8), seed=5)
    for counts in (None, Counts(labels)):
        (found,) = rank(Exact(labels, vectors), vectors[7:8], 1, len(labels), counts)
        assert int(found.labels[0]) == int(labels[7])


def test_top3_takes_what_there_is_when_a_question_has_fewer_phrasings() -> None:
    labels = np.array([label_of(1, 1), label_of(2, 2), label_of(2, 3)], np.int64)
    vectors = np.array([[1, 0], [0.8, 0.6], [0.6, 0.8]], np.float32)
    query = np.array([[0.96, 0.28]], np.float32)
    (found,) = rank(Exact(labels, vectors), query, 2, 3, Counts(labels))
    np.testing.assert_allclose(found.scores, [0.96, (0.936 + 0.8) / 2], atol=1e-6)


def test_a_query_in_the_words_of_a_phrasing_gets_its_answer() -> None:
    """Three near phrasings of another question must not outweigh one that is the query itself."""
    angles = np.array([0.0, 1.2, 1.3, 0.5, 0.55, 0.6])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    labels = np.array([label_of(1 + (n > 2), n + 1) for n in range(6)], np.int64)
    search, query = Exact(labels, vectors), np.array([[1, 0]], np.float32)
    (found,) = rank(search, query, 2, len(labels), Counts(labels))
    assert [int(label) >> 32 for label in found.labels] == [1, 2]
    assert found.scores[0] == pytest.approx(1)
    turned = np.array([[np.cos(0.1), np.sin(0.1)]], np.float32)
    (found,) = rank(search, turned, 2, len(labels), Counts(labels))
    assert [int(label) >> 32 for label in found.labels] == [2, 1]


def test_an_empty_bank_finds_nothing() -> None:
    empty = Exact(np.zeros(0, np.int64), np.zeros((0, 2), np.float32))
    (found,) = rank(empty, np.ones((1, 2), np.float32), 5, 0, None)
    assert len(found.labels) == 0
