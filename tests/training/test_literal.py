"""Targets that keep how strange words are spelt."""

from __future__ import annotations

import numpy as np
import pytest

from semsearch.errors import DataError
from semsearch.training.examples import Examples
from semsearch.training.literal import STRANGE, pieces, spelling, strangeness, with_literal
from semsearch.training.teacher import Targets


def unit(*rows: list[float]) -> np.ndarray:
    vectors = np.array(rows, np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def pairs(*rows: tuple[str, str]) -> Examples:
    anchors, positives = zip(*rows, strict=True)
    return Examples("pairs", {"anchor": anchors, "positive": positives})


def test_chinese_is_taken_by_characters_and_the_rest_by_words() -> None:
    assert pieces("花呗的limit是ABC-12！") == ["花", "呗", "的", "limit", "是", "abc", "12"]
    assert pieces("¿?") == []


def test_neighbours_are_strange_that_hardly_any_text_has() -> None:
    known = ["我的卡"] * (STRANGE + 1)
    shares = strangeness([*known, "我的花呗", "卡", ""])
    assert shares.dtype == np.float32
    np.testing.assert_allclose(shares, [*[0] * len(known), 2 / 3, 0, 0])
    assert strangeness(["我的卡"] * STRANGE).tolist() == [1] * STRANGE


def test_texts_are_as_near_as_they_share_words() -> None:
    made = spelling(["花呗还款", "还款花呗花", "花呗开通", "天气", "!"], 4096)
    cosines = made @ made.T
    np.testing.assert_allclose(np.diag(cosines), [1, 1, 1, 1, 0], atol=1e-5)
    assert cosines[0, 1] == pytest.approx(1, abs=1e-5)
    assert cosines[0, 2] == pytest.approx(0.5, abs=0.05)
    assert cosines[0, 3] == pytest.approx(0, abs=0.05)


def test_only_translations_with_strange_words_move() -> None:
    known = [("my card", "我的卡")] * (STRANGE + 1)
    known += [(f"my card {number}", "我的卡") for number in range(STRANGE + 1)]
    examples = pairs(*known, ("huabei", "花呗"), ("spelt", "spelt"))
    rows = np.arange(len(examples), dtype=np.int64)
    rows[: STRANGE + 1] = 0
    vectors = unit(*np.random.default_rng(0).normal(size=(len(examples), 64)).tolist())
    moved = with_literal(Targets(vectors, rows), examples, 2.0)
    np.testing.assert_array_equal(moved.vectors[: len(vectors)], vectors)
    np.testing.assert_array_equal(moved.rows, rows)
    assert moved.positives is not None
    found = moved.vectors[moved.positives]
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    cosines = (found * vectors[rows]).sum(axis=1)
    np.testing.assert_allclose(cosines[:-2], 1, atol=1e-6)
    assert 0.2 < cosines[-2] < 0.7  # a third of it is the teacher's
    assert moved.positives[-1] == rows[-1]


def test_a_target_keeps_its_length() -> None:
    vectors = 3 * unit([1.0, 2.0, 3.0, 4.0])
    moved = with_literal(Targets(vectors, np.zeros(1, np.int64)), pairs(("a", "花呗")), 1.0)
    assert np.linalg.norm(moved.vectors[1]) == pytest.approx(3, abs=1e-5)


def test_sentences_have_no_translations() -> None:
    sentences = Examples("sentences", {"sentence": ["a"]})
    with pytest.raises(DataError, match="--literal goes with pairs"):
        with_literal(Targets(unit([1.0, 2.0]), np.zeros(1, np.int64)), sentences, 1.0)
