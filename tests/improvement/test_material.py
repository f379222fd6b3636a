"""What is learnt and what is held out: never the same text on both sides."""

from __future__ import annotations

import numpy as np
import pytest

from semsearch import StandardQuestion
from semsearch.evaluation.queries import LabelledQuery
from semsearch.improvement.material import Bank, Trial, arrange, share_for
from semsearch.store import PhrasingRow
from semsearch.training.components import folded
from tests.improvement.conftest import make_bank


def bank_of(questions: list[StandardQuestion]) -> Bank:
    rows, keys = [], {}
    for number, question in enumerate(questions, 1):
        keys[number] = question.key
        for text in question.texts:
            rows.append(PhrasingRow(len(rows) + 1, number, text, b"", 0))
    return Bank(rows, keys)


def arranged(bank: Bank, labelled: list[LabelledQuery], logged: list[LabelledQuery]) -> Trial:
    trial = arrange(bank, labelled, logged, seed=0)
    assert trial is not None
    return trial


def test_no_text_that_is_held_out_is_learnt() -> None:
    bank = bank_of(make_bank())
    held = bank.texts[5]
    logged = [LabelledQuery(text.upper(), "card") for text in bank.texts]
    labelled = [LabelledQuery(f"query {n}", "parcel") for n in range(20)]
    trial = arranged(bank, labelled, logged)
    asked = [bank.texts[row] for row in trial.phrasings] + [q.text for q in trial.labelled]
    learnt = {folded(text) for text in trial.learnt.texts}
    assert not learnt & {folded(text) for text in asked}
    assert len(trial.labelled) == 10 and held


def test_new_standard_questions_are_not_learnt_at_all() -> None:
    bank = bank_of(make_bank())
    trial = arranged(bank, [], [])
    new = set(bank.questions[trial.new].tolist())
    assert len(new) == 2
    assert not new & set(trial.learnt.questions.tolist())
    assert not new & set(bank.questions[trial.phrasings].tolist())
    assert set(trial.everything.questions.tolist()) == set(bank.questions.tolist())


def test_standard_questions_keep_two_phrasings_to_learn_from() -> None:
    bank = bank_of(make_bank(phrasings=4))
    trial = arranged(bank, [], [])
    left = dict(zip(*np.unique(trial.learnt.questions, return_counts=True), strict=True))
    for question in set(bank.questions[trial.phrasings].tolist()):
        assert left[question] >= 2


def test_queries_without_an_answer_are_asked_and_never_learnt() -> None:
    bank = bank_of(make_bank())
    nothing = [LabelledQuery(f"nothing {n}", None) for n in range(30)]
    trial = arranged(bank, nothing, [])
    assert list(trial.labelled) == nothing
    assert not {q.text for q in nothing} & set(trial.everything.texts)


def test_too_little_to_hold_out_is_no_trial() -> None:
    assert arrange(bank_of(make_bank(phrasings=1)), [], [], seed=0) is None


def test_a_lesson_has_the_phrasings_of_a_standard_question_together_and_once() -> None:
    bank = bank_of(make_bank())
    logged = [LabelledQuery(bank.texts[2].upper(), bank.keys[int(bank.questions[2])])]
    phrasings = arranged(bank, [], logged).everything.phrasings()
    pairs = zip(phrasings.texts, phrasings.groups.tolist(), strict=True)
    assert len(phrasings) == len({(folded(text), group) for text, group in pairs})
    assert (np.diff(phrasings.groups) >= 0).all() and len(phrasings.keys) == 24


def test_what_one_trial_asks_no_other_asks_again() -> None:
    bank = bank_of(make_bank())
    first = arranged(bank, [], [])
    before = np.concatenate([first.phrasings, first.new])
    second = arrange(bank, [], [], seed=1, asked_before=before)
    assert second is not None and len(second.phrasings) > 30 and len(second.new) > 0
    assert not set(before.tolist()) & {*second.phrasings.tolist(), *second.new.tolist()}
    learnt = {folded(text) for text in second.learnt.texts}
    assert not learnt & {folded(bank.texts[row]) for row in second.phrasings}


def test_five_trials_ask_every_phrasing_that_may_be_asked_once() -> None:
    bank = bank_of(make_bank())
    asked: list[int] = []
    for seed in range(5):
        trial = arrange(bank, [], [], seed, np.array(asked, np.int64))
        if trial is None:
            break
        assert len(trial.rows) > 0.5 * len(bank)
        asked += [*trial.phrasings.tolist(), *trial.new.tolist()]
    assert len(asked) == len(set(asked)) > 0.8 * len(bank)


@pytest.mark.parametrize(
    ("n", "share"), [(100, 0.2), (8000, 0.2), (9000, 0.2469), (11_000, 0.2020), (50_000, 0.2)]
)
def test_more_is_held_out_where_a_trial_then_asks_all_it_may(n: int, share: float) -> None:
    assert share_for(n) == pytest.approx(share, abs=1e-4)
