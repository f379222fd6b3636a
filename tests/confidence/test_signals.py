"""Signals: each says the surer, the larger; none depends on what is padded."""

from __future__ import annotations

import numpy as np
import pytest

from semsearch.confidence import SIGNALS, Nearest, signals
from semsearch.confidence.words import pairs, words


def _near(
    scores: list[float], questions: list[int], hit: int, sizes: int = 3
) -> tuple[Nearest, np.ndarray, np.ndarray, np.ndarray]:
    """One query, and vectors whose cosine with it are the scores."""
    near = Nearest(
        np.array([scores], np.float32),
        np.array([questions]),
        np.full((1, len(scores)), sizes),
        np.array([hit]),
        np.array([[-0.5, 2.0]]),
    )
    query = np.array([[1.0, 0, 0]], np.float32)
    finite = np.where(np.isfinite(scores), scores, 0).astype(np.float32)
    every = np.stack([finite, np.sqrt(1 - finite**2), np.zeros_like(finite)], axis=1)
    read = [np.where((c >= 0)[:, :, None], every[c], 0).astype(np.float32) for c in near.read()]
    return near, query, *read


def _named(
    scores: list[float],
    questions: list[int],
    hit: int,
    *,
    text: str = "lost card",
    around: tuple[str, ...] = ("lost card",),
    of_hit: tuple[str, ...] = ("lost card",),
    sizes: int = 3,
) -> dict[str, float]:
    near, query, first, second = _near(scores, questions, hit, sizes)
    row = signals(near, query, first, second, [text], [around], [of_hit])[0]
    return dict(zip(SIGNALS, row.tolist(), strict=True))


def test_the_score_is_the_mean_of_the_three_nearest_as_in_ranking() -> None:
    found = _named([0.9, 0.8, 0.7, 0.6, 0.5], [7, 7, 7, 9, 7], 7)
    assert found["score"] == pytest.approx(0.8)
    assert found["best"] == pytest.approx(0.9)
    assert found["best_margin"] == pytest.approx(0.9 - 0.6)
    # The other standard question has three phrasings, two of which are at most 0.5.
    assert found["margin"] == pytest.approx(0.8 - (0.6 + 0.5 + 0.5) / 3)


def test_a_phrasing_word_for_word_scores_one() -> None:
    found = _named([1.0, 0.4, 0.3, 0.2], [7, 9, 7, 7], 7)
    assert found["score"] == pytest.approx(1.0) and found["margin"] > 0.5


def test_a_standard_question_of_one_phrasing_is_not_held_to_three() -> None:
    found = _named([0.9, 0.5], [7, 9], 7, sizes=1)
    assert found["score"] == pytest.approx(0.9) and found["margin"] == pytest.approx(0.4)
    assert found["vote"] == 1.0


def test_the_vote_counts_no_more_neighbours_than_the_hit_has_phrasings() -> None:
    assert _named([0.9, 0.8, 0.7, 0.6], [7, 9, 7, 7], 7)["vote"] == pytest.approx(2 / 3)


def test_what_is_missing_has_no_influence() -> None:
    whole = _named([0.9, 0.8, 0.7, 0.6], [7, 7, 9, 9], 7)
    padded = _named([0.9, 0.8, 0.7, 0.6, -np.inf, -np.inf], [7, 7, 9, 9, -1, -1], 7)
    for name in SIGNALS:
        if name != "background":
            assert padded[name] == pytest.approx(whole[name]), name
    assert np.isfinite(list(padded.values())).all()


def test_a_query_as_near_as_its_neighbours_are_to_one_another_is_in_their_midst() -> None:
    inside = _named([0.9, 0.9, 0.9], [7, 7, 7], 7)
    outside = _named([0.5, 0.5, 0.5], [7, 7, 7], 7)
    assert inside["tightness"] > outside["tightness"]
    assert inside["density"] > outside["density"]


def test_words_and_pairs_say_what_two_texts_share() -> None:
    found = _named(
        [0.9, 0.8], [7, 9], 7, text="my lost card", around=("lost card", "my parcel"),
        of_hit=("lost card",),
    )  # fmt: skip
    assert found["known_words"] == 1.0
    assert found["hit_words"] == pytest.approx(2 / 3)
    assert found["same_words"] == pytest.approx(2 / 3)
    assert 0 < found["same_pairs"] < 1


def test_chinese_is_split_into_pairs_of_characters() -> None:
    assert words("怎么退款 iPhone15？") == {"怎么", "么退", "退款", "iphone15"}
    assert words("退") == {"退"}
    assert pairs("A b") == {"a ", " b"}
    assert words("") == frozenset() and len(pairs("")) == 1


def test_many_queries_get_what_each_gets_alone() -> None:
    alone = [_near(s, q, h) for s, q, h in (([0.9, 0.8], [7, 9], 7), ([0.7, 0.6], [9, 9], 9))]
    near = Nearest(
        *(np.concatenate([getattr(one[0], name) for one in alone])
          for name in ("scores", "questions", "sizes", "hits", "opinions"))
    )  # fmt: skip
    first, second = near.read()
    width = max(part.shape[1] for part in (first, second))
    assert width == 2
    together = signals(
        near, *(np.concatenate([one[n] for one in alone]) for n in (1, 2, 3)),
        ["lost card"] * 2, [("lost card",)] * 2, [("lost card",)] * 2,
    )  # fmt: skip
    single = [signals(*one, ["lost card"], [("lost card",)], [("lost card",)])[0] for one in alone]
    assert together == pytest.approx(np.stack(single))
