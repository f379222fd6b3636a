"""Questions that are put together of phrases in two languages."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

SMALL = """
# a comment
[things card]
the card = 卡 / 银行卡
[things bill]
the bill = 账单
my rent = 房租
[parts of card]
the number = 号码
[doings]
pay | paying | paid = 付 / 交 | bill
[asked of doings]
How do I {v} {n}? = 怎么{v}{n} / {n}怎么{v}
I {ven} {n} by mistake. = {v}错{n}了
[asked of bill]
Is {n} the same as {m}? = {n}就是{m}吗
[asked of card card-part]
What is {n}? = {n}是什么
"""


@pytest.fixture
def phrasebook(recipe: Callable[[str], ModuleType]) -> ModuleType:
    return recipe("phrasebook")


@pytest.fixture
def small(phrasebook: ModuleType, tmp_path: Path):
    path = tmp_path / "small.txt"
    path.write_text(SMALL, encoding="utf-8")
    return phrasebook.read(path)


def test_questions_are_all_that_fit_together(small) -> None:
    assert [question.english() for question in small.questions] == [
        "How do I pay the bill?",
        "I paid the bill by mistake.",
        "How do I pay my rent?",
        "I paid my rent by mistake.",
        "What is the card?",
        "Is my rent the same as the bill?",
        "What is the number of the card?",
    ]


def test_a_question_is_asked_in_every_way(small, monkeypatch, phrasebook: ModuleType) -> None:
    monkeypatch.setattr(phrasebook, "DECORATED", 0)
    rng = random.Random(0)
    asked = [{question.chinese(rng) for _ in range(100)} for question in small.questions]
    assert asked[0] == {"怎么付账单", "怎么交账单", "账单怎么付", "账单怎么交"}
    assert asked[5] == {"房租就是账单吗"}
    assert asked[6] == {"卡号码是什么", "卡的号码是什么", "银行卡号码是什么", "银行卡的号码是什么"}


def test_some_questions_begin_or_end_as_people_type(small) -> None:
    rng = random.Random(0)
    said = [small.questions[4].chinese(rng) for _ in range(2000)]
    plain = sum(text in ("卡是什么", "银行卡是什么") for text in said)
    assert 0.6 < plain / len(said) < 0.7
    assert {"请问卡是什么", "卡是什么啊"} <= set(said)
    assert all("是什么" in text for text in said)


def test_what_looks_alike_is_another_question_of_the_thing_or_the_asking(small) -> None:
    rng = random.Random(0)
    for question in small.questions[:4]:
        for _ in range(50):
            other = small.like(question, rng)
            assert other != question
            assert other.thing == question.thing or other.asked == question.asked


def test_the_phrasebook_is_whole(phrasebook: ModuleType) -> None:
    """Every class that is named is there, and every blank is one that is filled."""
    book = phrasebook.read()
    assert {name for doing in book.doings for name in doing.classes} <= book.things.keys()
    assert book.asked.keys() - {phrasebook.DOINGS} <= book.things.keys()
    rng = random.Random(0)
    for question in book.questions:
        english, chinese = question.english(), question.chinese(rng)
        assert not re.search(r"[{}=|/\u4e00-\u9fff]", english), english
        assert not re.search(r"[{}=|/]", chinese), chinese
        assert re.search(r"[\u4e00-\u9fff]", chinese), chinese


def test_no_two_questions_have_one_english(phrasebook: ModuleType) -> None:
    english = [question.english() for question in phrasebook.read().questions]
    assert len(set(english)) == len(english)


def test_translations_have_the_english_of_what_is_asked(small) -> None:
    rows = small.translations(3, random.Random(0))
    assert rows == small.translations(3, random.Random(0))
    english = [row[0] for row in rows]
    assert english.count("What is the card?") == 1
    doings = {question.english() for question in small.with_doings}
    assert sum(text in doings for text in english) == 3
    known = {question.english(): question for question in small.questions}
    assert all(
        any(_core(way, known[en]) in zh for way in known[en].asked.chinese) for en, zh in rows
    )
    assert len(small.translations(0, random.Random(0), share=0.5)) < len(small.alone)


def _core(way: str, question) -> str:
    """What no filling changes of a way of asking: its longest part between blanks."""
    return max(re.split(r"\{\w+\}", way), key=len)


def test_triplets_are_one_question_twice_and_another(
    phrasebook: ModuleType, recipe: Callable[[str], ModuleType]
) -> None:
    book = phrasebook.read()
    rows = book.triplets(300, random.Random(0))
    assert rows == book.triplets(300, random.Random(0))
    assert all(len(set(row)) == 3 for row in rows)
    overlap = recipe("overlap")
    near, far = (sum(overlap.overlap(row[0], row[n]) for row in rows) / len(rows) for n in (1, 2))
    assert near > far > 0.3, "the other one looks alike, too"


def test_two_questions_are_never_as_near_as_one_asked_twice(phrasebook: ModuleType) -> None:
    rows = phrasebook.read().scored(400, random.Random(0))
    same = [row for row in rows if row[2] == phrasebook.SAME]
    assert 0.35 < len(same) / len(rows) < 0.65
    assert all(0 <= row[2] <= phrasebook.ALIKE for row in rows if row not in same)
