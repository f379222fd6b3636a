"""Standard questions with other wordings, in two languages, and what is learnt from them."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

SMALL = """
# paying
Can I pay later? | I am broke till Friday = 可以延期付款吗 / 这几天手头紧 / 缓几天行不
I paid twice. | you took it two times = 重复付款了 / 扣了我两回

# thanks
Thank you. = 谢谢 / 谢了
"""


@pytest.fixture
def sayings(recipe: Callable[[str], ModuleType]) -> ModuleType:
    return recipe("sayings")


@pytest.fixture
def small(sayings: ModuleType, tmp_path: Path):
    (tmp_path / "small.txt").write_text(SMALL, encoding="utf-8")
    return sayings.read(tmp_path)


def test_topics_are_read_with_all_wordings(small) -> None:
    assert [len(topic) for topic in small.topics] == [2, 1]
    paying = small.topics[0][0]
    assert paying.english == ("Can I pay later?", "I am broke till Friday")
    assert paying.chinese == ("可以延期付款吗", "这几天手头紧", "缓几天行不")


@pytest.mark.parametrize("line", ["# topic\nno Chinese", "Hello. = 你好"])
def test_a_line_that_is_neither_is_named(sayings: ModuleType, tmp_path: Path, line: str) -> None:
    (tmp_path / "bad.txt").write_text(line, encoding="utf-8")
    with pytest.raises(ValueError, match=rf"bad.txt, line {line.count(chr(10)) + 1}"):
        sayings.read(tmp_path)


def test_every_wording_has_the_meaning_of_the_standard_question(small) -> None:
    rows = small.translations(2)
    assert len(rows) == 2 * (5 + 4 + 3)
    assert rows.count(("Can I pay later?", "这几天手头紧")) == 2
    assert ("Can I pay later?", "I am broke till Friday") in rows
    assert {english for english, _ in rows} == {"Can I pay later?", "I paid twice.", "Thank you."}


def test_triplets_are_one_question_twice_and_another_of_its_topic(small) -> None:
    rows = small.triplets(200, random.Random(0))
    assert rows == small.triplets(200, random.Random(0))
    one, two = ({*saying.english, *saying.chinese} for saying in small.topics[0])
    for anchor, positive, negative in rows:
        assert len({anchor, positive, negative}) == 3
        assert ({anchor, positive} <= one and negative in two) or (
            {anchor, positive} <= two and negative in one
        )
    chinese = sum(all(_is_chinese(text) for text in row) for row in rows)
    assert 0.5 < chinese / len(rows) < 0.9
    assert all(_is_chinese(row[1]) == _is_chinese(row[2]) for row in rows)


def test_held_out_topics_are_not_learnt_from(sayings: ModuleType) -> None:
    whole = sayings.read()
    learnt, held_out = whole.part(held_out=False), whole.part(held_out=True)
    assert len(learnt.topics) == len(whole.topics) - len(whole.topics) // sayings.HELD_OUT
    assert len(held_out.topics) > 0.9 * len(whole.topics) / sayings.HELD_OUT
    said, asked = (
        {text for pair in part.translations() for text in pair} for part in (learnt, held_out)
    )
    assert not said & asked
    assert len(whole.some(0.01).topics) < len(whole.some(0.5).topics) < len(whole.topics)


def test_the_sayings_are_whole(sayings: ModuleType) -> None:
    """Every wording is of one language, without a sign of the format, and once in its topic."""
    for topic in sayings.read().topics:
        said = [text for saying in topic for text in saying.wordings]
        assert len(set(said)) == len(said), topic
        for saying in topic:
            for text in saying.wordings:
                assert text and not re.search(r"[{}\[\]=|]|\s/|/\s", text), text
            assert not any(_is_chinese(text) for text in saying.english), saying
            assert all(_is_chinese(text) for text in saying.chinese), saying


def test_what_is_held_out_is_asked_of_the_standard_question(small) -> None:
    assert small.in_chinese() == [
        ("这几天手头紧", "可以延期付款吗"),
        ("缓几天行不", "可以延期付款吗"),
        ("扣了我两回", "重复付款了"),
        ("谢了", "谢谢"),
    ]


def test_a_wording_finds_the_nearest_standard_question(
    small, recipe: Callable[[str], ModuleType]
) -> None:
    held_out = recipe("held_out")
    near = {"这几天手头紧": 0, "缓几天行不": 1, "扣了我两回": 1, "谢了": 2}
    near["I am broke till Friday"] = 0
    questions = [saying for topic in small.topics for saying in topic]
    for number, saying in enumerate(questions):
        near |= {saying.english[0]: number, saying.chinese[0]: number}
    near["you took it two times"] = 0

    class Knowing:
        def encode(self, texts: list[str]) -> np.ndarray:
            return np.eye(3, dtype=np.float32)[[near[text] for text in texts]]

    assert held_out.found(Knowing(), small) == {"zh": 3 / 4, "en": 1 / 2, "zh in en": 6 / 7}


def _is_chinese(text: str) -> bool:
    return re.search(r"[\u4e00-\u9fff]", text) is not None
