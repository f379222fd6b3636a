"""What is a word: the same for what is stored and what is asked."""

from __future__ import annotations

import pytest

from semsearch.terms import terms


@pytest.mark.parametrize("text", ["AX-200", "ax200", "AX 200", "ax_200", "ＡＸ－２００"])
def test_a_code_is_the_same_however_it_is_written(text: str) -> None:
    assert set(terms(text)) == {"ax", "200", "ax200"}


def test_other_codes_share_their_parts_only() -> None:
    assert set(terms("E4021")) & set(terms("E4022")) == {"e"}
    assert set(terms("iPhone 13 mini")) & set(terms("iphone13")) == {"iphone", "13", "iphone13"}


def test_chinese_is_pairs_of_characters_and_latin_in_it_words() -> None:
    assert terms("错误E4021怎么办") == ["错误", "怎么", "么办", "e", "4021", "e4021"]
    assert terms("退") == ["退"] and terms("のし") == ["のし"]
    assert terms("3号线") == ["号线", "3"], "what stands between is no part of a code"


def test_words_and_numbers_side_by_side_are_no_codes() -> None:
    assert terms("order 12 34 come back") == ["order", "12", "order12", "34", "come", "back"]
    assert terms("a, 1") == ["a", "1"]
    assert "450bt" in terms("HD-450BT") and "4021a" in terms("4021-A")


def test_text_without_words_has_none() -> None:
    assert terms("") == [] and terms("?! — 🙂") == []
