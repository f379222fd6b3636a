"""The lexical baseline: words for English, characters for Chinese."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from semsearch.evaluation import data, lexical, metrics
from semsearch.evaluation.tasks import TASKS, Task


def pairs_of(
    rows: list[tuple[str, str]], task: Task = TASKS["STS-B"], gold: list[float] | None = None
) -> data.Pairs:
    first, second = zip(*rows, strict=True)
    scores = np.array(gold if gold is not None else range(len(rows)), np.float64)
    return data.Pairs(task, first, second, scores, ("",) * len(rows))


def test_shared_words_count_whatever_their_case_and_rare_ones_count_more() -> None:
    rows = [("The card", "the CARD"), ("the card", "the bank"), ("a card", "my card"), ("the", "x")]
    same, common, rare, none = lexical.predict(pairs_of(rows))
    assert same == 1 and 0 < common < 1 and 0 < rare < 1 and none == 0


def test_chinese_is_compared_by_characters() -> None:
    rows = [("退款怎么办", "怎么退款"), ("退款怎么办", "你好")]
    some, none = lexical.predict(pairs_of(rows, TASKS["BQ"]))
    assert some > 0.5 and none == 0
    assert lexical.predict(pairs_of(rows)).tolist() == [0, 0]  # as words, nothing is shared


def test_sentences_without_a_word_are_like_nothing() -> None:
    assert lexical.predict(pairs_of([("!!", "!!"), ("?", "!")])).tolist() == [0, 0]


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "expected"), [("STS-B-zh", 67.6), ("LCQMC", 59.5), ("BQ", 39.5), ("ATEC", 24.8)]
)
def test_chinese_test_sets_are_solved_this_well_by_counting_characters(
    data_dir: Path, name: str, expected: float
) -> None:
    pairs = data.load(TASKS[name], data_dir)
    found = metrics.correlation(lexical.predict(pairs), pairs.gold)
    assert found == pytest.approx(expected, abs=1)
