"""The bank's own queries: what is held out is gone, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from semsearch import Index, StandardQuestion
from semsearch.calibration import selfmade
from semsearch.confidence import SIGNALS
from semsearch.store import BankReader
from tests.calibration.conftest import BANK

SCORE = SIGNALS.index("score")


@pytest.fixture(scope="module")
def made(built: Path) -> selfmade.SelfMade:
    return _made(built)


def _made(path: Path, **options: object) -> selfmade.SelfMade:
    reader = BankReader(path)
    with reader.reading() as meta:
        found = selfmade.make(reader, meta, by_top3=True, **options)  # type: ignore[arg-type]
    reader.close()
    return found


def test_each_phrasing_is_asked_once(made: selfmade.SelfMade) -> None:
    assert len(made.asked) == sum(len(question.texts) for question in BANK)
    assert made.asked.shape[1] == len(SIGNALS) and np.isfinite(made.asked).all()
    assert len(np.unique(made.asked_groups)) == len(BANK)


def test_a_held_out_phrasing_is_answered_as_an_index_without_it_would(
    made: selfmade.SelfMade, tmp_path: Path, tiny_encoder_dir: Path
) -> None:
    """The tenth phrasing of the bank, by building a bank that lacks it."""
    question = BANK[1]
    gone = question.texts[4]
    left = StandardQuestion(
        question.key, question.question, question.answer,
        tuple(text for text in question.phrasings if text != gone),
    )  # fmt: skip
    bank = [BANK[0], left, *BANK[2:]]
    with Index.build(bank, tmp_path / "faq", encoder=tiny_encoder_dir) as index:
        hit = index.search(gone, 1)[0].hits[0]
    assert (hit.key == question.key) == made.right[9]
    assert made.asked[9, SCORE] == pytest.approx(hit.score, abs=1e-5)


def test_a_question_held_out_whole_is_answered_by_another(
    made: selfmade.SelfMade, tmp_path: Path, tiny_encoder_dir: Path
) -> None:
    with Index.build([BANK[0], *BANK[2:]], tmp_path / "faq", encoder=tiny_encoder_dir) as index:
        scores = [result.hits[0].score for result in index.search(BANK[1].texts, 1)]
    of_it = made.alone[made.groups == made.asked_groups[5], SCORE]
    assert np.isin(np.round(of_it, 4), np.round(scores, 4)).all() and len(of_it)


def test_a_topic_held_out_leaves_less_than_a_question_held_out(made: selfmade.SelfMade) -> None:
    assert (made.topic[:, SCORE] <= made.alone[:, SCORE] + 1e-6).all()
    assert (made.topic[:, SCORE] < made.alone[:, SCORE] - 1e-6).any()


def test_a_phrasing_whose_question_lost_is_no_query_without_an_answer(
    made: selfmade.SelfMade,
) -> None:
    assert len(made.alone) == len(made.topic) == int(made.right.sum())


def test_a_phrasing_is_held_out_with_its_double(tmp_path: Path, tiny_encoder_dir: Path) -> None:
    """Texts that are one to the encoder would answer each other."""
    double = StandardQuestion("twice", "Lost my CARD", phrasings=("lost my card", "card gone"))
    with Index.build([*BANK, double], tmp_path / "faq", encoder=tiny_encoder_dir):
        made = _made(tmp_path / "faq")
    of_it = made.asked[made.asked_groups == made.asked_groups.max()]
    assert len(of_it) == 3 and (of_it[:, SIGNALS.index("best")] < 0.999).all()


def test_a_sample_of_a_large_bank_is_the_same_each_time(built: Path) -> None:
    one, two, other = (_made(built, limit=20, seed=seed) for seed in (1, 1, 2))
    assert len(one.asked) == 20
    assert np.array_equal(one.asked, two.asked) and not np.array_equal(one.asked, other.asked)


def test_two_standard_questions_are_enough(tmp_path: Path, tiny_encoder_dir: Path) -> None:
    with Index.build(BANK[:2], tmp_path / "faq", encoder=tiny_encoder_dir):
        made = _made(tmp_path / "faq")
    assert len(made.asked) == 10 and np.isfinite(made.topic).all()


def test_blocks_of_a_large_bank_give_the_same(
    built: Path, made: selfmade.SelfMade, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selfmade, "_CELLS", 7 * 60)
    assert _made(built).asked == pytest.approx(made.asked, abs=1e-6)
