"""Standard questions that are there twice are found, and those that are only near are not."""

from __future__ import annotations

import numpy as np
import pytest

from semsearch.review import same
from semsearch.review.bank import Filed
from tests.review.banks import EACH, QUESTIONS, clouds, filed


def _split(parts: dict[int, int], seed: int = 0) -> Filed:
    """A bank in which some phrasings of some questions are filed under a further one."""
    vectors, question = clouds(seed)
    for number, (of, count) in enumerate(parts.items()):
        question[of * EACH : of * EACH + count] = QUESTIONS + number
    return filed(vectors, question)


def _found(bank: Filed) -> set[frozenset[int]]:
    return {frozenset((pair.one, pair.other)) for pair in same.judge(bank) if pair.sure >= 0.5}


@pytest.mark.parametrize("count", [3, 6])
def test_a_question_in_two_parts_is_found(count: int) -> None:
    parts = {3: count, 17: count, 31: count}
    found = _found(_split(parts))
    assert found == {frozenset((of, QUESTIONS + n)) for n, of in enumerate(parts)}


def test_nothing_is_named_in_a_clean_bank() -> None:
    for seed in range(3):
        assert _found(filed(*clouds(seed, 0.8))) == set()


def test_many_copies_do_not_hide_each_other() -> None:
    """Half of the bank is there twice: what is the same must not teach what is different."""
    parts = dict.fromkeys(range(0, QUESTIONS, 2), EACH // 2)
    found = _found(_split(parts))
    planted = {frozenset((of, QUESTIONS + n)) for n, of in enumerate(parts)}
    assert len(found & planted) >= 0.9 * len(planted) and len(found - planted) <= 1


def test_a_bank_without_phrasings_is_not_judged() -> None:
    vectors, question = clouds()
    first = np.arange(0, len(question), EACH)
    judged = same.judge(filed(vectors[first], question[first]))
    assert all(np.isnan(pair.sure) for pair in judged)
