"""Phrasings that were moved are found, and those that were not are left alone."""

from __future__ import annotations

import numpy as np
import pytest

from semsearch.review import misfiled
from semsearch.review.bank import NEAREST
from tests.review.banks import EACH, QUESTIONS, clouds, filed


def test_moved_phrasings_are_found_with_where_they_came_from() -> None:
    vectors, question = clouds()
    moved = {5: 30, 100: 2, 301: 11}
    true = question.copy()
    for row, to in moved.items():
        question[row] = to
    bank = filed(vectors, question)
    judged = misfiled.judge(bank)
    order = np.argsort(-judged.sure)
    first = {int(bank.texts[row].split()[1]): int(judged.other[row]) for row in order[:3]}
    assert first == {row: int(true[row]) for row in moved}
    assert judged.sure[order[2]] > 10 * judged.sure[order[3]]


def test_nothing_is_named_in_a_clean_bank_however_it_overlaps() -> None:
    for spread in (0.3, 0.6, 1.0):
        judged = misfiled.judge(filed(*clouds(1, spread)))
        assert (judged.sure >= 0.5).sum() <= 1


def test_two_runs_agree() -> None:
    bank = filed(*clouds())
    assert np.array_equal(misfiled.judge(bank).sure, misfiled.judge(bank).sure)


def test_supports_are_those_of_a_plain_loop() -> None:
    bank = filed(*clouds(2, 1.5))
    judged = misfiled.judge(bank)
    similar = bank.vectors @ bank.vectors.T
    np.fill_diagonal(similar, -np.inf)
    for row in (0, 77, 400):
        by_question = [
            np.sort(similar[row, bank.rows(number)])[-NEAREST:].mean()
            for number in range(QUESTIONS)
        ]
        own = bank.question[row]
        assert judged.own_support[row] == pytest.approx(by_question[own], abs=1e-5)
        by_question[own] = -np.inf
        assert judged.other[row] == int(np.argmax(by_question))
        assert judged.other_support[row] == pytest.approx(max(by_question), abs=1e-5)


def test_a_phrasing_that_is_alone_is_not_judged() -> None:
    vectors, question = clouds()
    question = np.append(question, QUESTIONS)
    judged = misfiled.judge(filed(np.append(vectors, vectors[:1], axis=0), question))
    assert np.isnan(judged.sure[-1]) and np.isfinite(judged.sure[:-1]).all()


def test_too_small_a_bank_is_not_judged() -> None:
    vectors, question = clouds()
    few = question < 2
    judged = misfiled.judge(filed(vectors[few], question[few]))
    assert len(judged.sure) == 2 * EACH and np.isnan(judged.sure).all()
