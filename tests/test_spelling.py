"""What a text is made of, and what that says for standard questions."""

from __future__ import annotations

import numpy as np
import pytest

from semsearch.spelling import SCALE, Spelling, Vocabulary, pieces


def test_a_word_counts_with_its_pieces_and_their_ends() -> None:
    found = pieces("Cards")
    assert found[0] == "cards"
    assert {" c", " ca", " car", "card", "rds ", "s "} <= set(found)
    assert "cards" in found and " cards" not in found and len(set(found)) == len(found)
    assert pieces("no") == ["no"] and pieces("?!") == []


def test_words_that_come_together_count_as_a_pair() -> None:
    assert pieces("my no of it")[-3:] == ["my no", "no of", "of it"]


def test_a_slip_of_the_pen_and_another_form_have_most_pieces() -> None:
    right = set(pieces("transfer"))
    for other in ("transfers", "trasfer", "transfering"):
        assert len(right & set(pieces(other))) > len(right) / 2
    assert len(right & set(pieces("refund"))) < len(right) / 5


def test_of_chinese_pairs_count_and_each_character() -> None:
    assert pieces("退款吗") == ["退款", "退", "款", "款吗", "吗", "退款 款吗"]
    assert set(pieces("AX200 退款")) >= {"ax200", "退款", "退"}


def test_a_text_is_endless_but_not_what_is_read_of_it() -> None:
    words = " ".join(f"w{n}x" for n in range(5000))
    assert 0 < len(pieces(words)) < 2000
    assert 0 < len(pieces("ab" + "c" * 100_000 + "d" * 100_000)) < 300


@pytest.fixture
def texts() -> list[str]:
    return ["the card is lost", "lost my card", "top up by card", "卡丢了", "我的卡丢了怎么办", ""]


def test_it_is_the_tf_idf_of_scikit_learn(texts: list[str]) -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer

    made = TfidfVectorizer(analyzer=pieces, binary=True).fit(texts)
    known = tuple(made.get_feature_names_out().tolist())
    vocabulary = Vocabulary(known, made.idf_.astype(np.float32))
    asked = [*texts, "lost card unheard-of 丢"]
    wanted = SCALE * made.transform(asked).toarray()
    for text, row in zip(asked, wanted, strict=True):
        places, values = vocabulary.row(pieces(text))
        mine = np.zeros(len(known))
        mine[places] = values
        np.testing.assert_allclose(mine, row, atol=1e-6)


def test_what_it_says_is_the_sum_over_the_pieces_that_it_knows() -> None:
    weights = np.array([[2, 0], [0, 4]], np.float16)
    spelling = Spelling(Vocabulary(("up", "by"), np.array([3, 4], np.float32)), weights)
    said = spelling.logits(["up", "by up", "no", ""])
    wanted = [[2, 0], [2 * 3 / 5, 4 * 4 / 5], [0, 0], [0, 0]]
    np.testing.assert_allclose(said, SCALE * np.array(wanted), atol=1e-6)
    assert said.dtype == np.float32
