"""How likely words are, and that they tell what vectors do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from semsearch.review import misfiled
from semsearch.review.bank import Filed
from semsearch.review.wording import Wording
from tests.review.banks import clouds, filed


def _bank(texts: list[str], question: list[int]) -> Filed:
    vectors = np.eye(len(texts), dtype=np.float32)
    return replace(filed(vectors, np.array(question)), texts=texts)


def test_likelihood_is_that_of_the_paper() -> None:
    bank = _bank(["lost card", "card stolen", "late refund", "refund my card"], [0, 0, 1, 1])
    found = Wording.of(bank).log_likelihood(np.array([0, 0]), np.array([0, 1]))
    # "lost" stands in one phrasing of four, "card" in three; belief is worth three phrasings.
    own = (0 + 3 * 1 / 4) / (1 + 3) * (1 + 3 * 3 / 4) / (1 + 3)  # without the phrasing itself
    other = (0 + 3 * 1 / 4) / (2 + 3) * (1 + 3 * 3 / 4) / (2 + 3)
    assert found == pytest.approx(np.log([own, other]) / np.sqrt(2))


def test_chinese_counts_by_pairs_of_characters_and_no_word_by_nothing() -> None:
    bank = _bank(["挂失银行卡", "银行卡丢了", "退款多久", "退款到账", "?!"], [0, 0, 1, 1, 1])
    rows = np.array([1, 4])
    likely = Wording.of(bank)
    ratio = likely.log_likelihood(rows, np.zeros(2, int)) - likely.log_likelihood(
        rows, np.ones(2, int)
    )
    assert ratio[0] > 0
    assert ratio[1] == 0


def test_a_phrasing_that_only_its_words_betray_is_found() -> None:
    vectors, question = clouds(3, 1.5)
    true = question.copy()
    moved = {7: 21, 200: 5, 333: 14}
    for row, to in moved.items():
        question[row] = to
    without = filed(vectors, question)
    rows = [int(text.split()[1]) for text in without.texts]
    bank = replace(without, texts=[f"please topic{true[row]} now{row % 7}" for row in rows])

    def found(bank: Filed) -> int:
        order = np.argsort(-misfiled.judge(bank).sure)[:3]
        return len({rows[row] for row in order} & set(moved))

    assert found(bank) == 3
    assert found(without) < 3
