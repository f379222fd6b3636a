"""What is masked: how much, whole words of which language, and in which runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from semsearch.errors import MissingExtraError
from semsearch.training import masking
from semsearch.training.masking import NGRAMS, choose, word_starts


def wordpiece(*words: str) -> Tokenizer:
    """A lower-casing BERT tokenizer that knows some words, and every letter."""
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    chinese = list("我们的订单还没有发货研究生命起源")
    vocabulary = ["[UNK]", *words, *letters, *("##" + letter for letter in letters), *chinese]
    ids = {token: number for number, token in enumerate(vocabulary)}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def words(tokenizer: Any, text: str) -> list[list[str]]:
    """The tokens of a text, put together to words as they are masked."""
    encoding = tokenizer.encode(text, add_special_tokens=False)
    starts = word_starts(text, encoding)
    found: list[list[str]] = []
    for token, start in zip(encoding.tokens, starts, strict=True):
        if start:
            found.append([])
        found[-1].append(token)
    return found


def test_the_pieces_of_a_word_are_one_word() -> None:
    found = words(wordpiece("re", "##fund", "##s"), "Refunds a b")
    assert found == [["re", "##fund", "##s"], ["a"], ["b"]]


def test_punctuation_is_a_word_even_without_a_blank_before_it() -> None:
    assert words(wordpiece("refund"), "refund,refund") == [["refund"], ["[UNK]"], ["refund"]]


def test_chinese_words_are_those_of_jieba() -> None:
    assert words(wordpiece(), "我们的订单还没有发货") == [
        ["我", "们"], ["的"], ["订", "单"], ["还"], ["没", "有"], ["发", "货"],
    ]  # fmt: skip


def test_the_words_of_mixed_text_keep_apart() -> None:
    found = words(wordpiece("card", "##s"), "Cards我们 cards")
    assert found == [["card", "##s"], ["我", "们"], ["card", "##s"]]


def test_accents_and_blanks_do_not_shift_chinese_words() -> None:
    text = "  é  ÉÉ　订单 é研究"
    assert words(wordpiece(), text)[-2:] == [["e"], ["研", "究"]]
    assert ["订", "单"] in words(wordpiece(), text)


def test_a_token_that_counts_the_blank_before_it_is_still_found_in_its_chinese_word() -> None:
    tokenizer = Tokenizer(models.Unigram([("<unk>", 0.0), ("▁我", -1), ("们", -1), ("的", -1)], 0))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    assert words(tokenizer, "们 我们的") == [["▁", "们"], ["▁我", "们"], ["的"]]


def test_a_text_without_tokens_has_no_words() -> None:
    assert word_starts("", wordpiece().encode("")).tolist() == []


def test_jieba_is_only_asked_for_where_there_is_chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> Any:
        raise MissingExtraError("jieba", "train")

    monkeypatch.setattr(masking, "_jieba", missing)
    assert len(words(wordpiece(), "a b ü")) == 3
    with pytest.raises(MissingExtraError, match="train"):
        words(wordpiece(), "订单")


def blocks_of(random: np.random.Generator, n: int = 4000) -> tuple[Any, Any, Any]:
    """Word starts and lengths of blocks of words of 1 to 4 tokens; and each token's word."""
    widths = random.integers(1, 5, size=(n, 16))
    lengths = widths.sum(axis=1)
    starts = np.zeros(int(lengths.sum()), np.bool_)
    starts[np.concatenate([[0], np.cumsum(widths.ravel())[:-1]])] = True
    return starts, lengths, np.cumsum(starts) - 1


@pytest.mark.parametrize("ngrams", [(1.0,), NGRAMS])
@pytest.mark.parametrize("rate", [0.15, 0.3])
def test_the_asked_share_of_the_tokens_is_chosen(ngrams: tuple[float, ...], rate: float) -> None:
    random = np.random.default_rng(0)
    starts, lengths, _ = blocks_of(random)
    chosen = choose(starts, lengths, random, ngrams=ngrams, rate=rate)
    assert chosen.mean() == pytest.approx(rate, rel=0.03)


@pytest.mark.parametrize("ngrams", [(1.0,), NGRAMS])
def test_all_tokens_of_a_word_are_chosen_together(ngrams: tuple[float, ...]) -> None:
    random = np.random.default_rng(1)
    starts, lengths, word = blocks_of(random)
    chosen = choose(starts, lengths, random, ngrams=ngrams)
    share = np.bincount(word, chosen) / np.bincount(word)
    assert set(share.tolist()) == {0.0, 1.0}


def test_every_block_has_its_share() -> None:
    random = np.random.default_rng(2)
    lengths = np.full(500, 60)
    chosen = choose(np.ones(500 * 60, np.bool_), lengths, random).reshape(500, 60)
    assert set(chosen.sum(axis=1).tolist()) == {9}


def test_of_blocks_too_short_for_their_share_some_are_left_out() -> None:
    chosen = choose(np.ones(30_000, np.bool_), np.full(15_000, 2), np.random.default_rng(0))
    asked = chosen.reshape(15_000, 2).sum(axis=1)
    assert set(asked.tolist()) == {0, 1}
    assert asked.mean() == pytest.approx(0.3, abs=0.02)


def test_a_word_that_is_larger_than_the_share_is_mostly_spared() -> None:
    starts = np.ones(100, np.bool_)
    starts[41:100] = False  # one word of 60 tokens, after 40 of one
    random = np.random.default_rng(0)
    masked = [choose(starts, np.array([100]), random)[40:] for _ in range(400)]
    # It is taken when it comes first, once in 41 times, or with little chance as the last one.
    assert 1 <= sum(bool(row.all()) for row in masked) < 80


def test_every_word_is_chosen_as_often_as_every_other() -> None:
    random = np.random.default_rng(3)
    chosen = choose(np.ones(20_000 * 40, np.bool_), np.full(20_000, 40), random, ngrams=NGRAMS)
    share = chosen.reshape(20_000, 40).mean(axis=0)
    assert np.abs(share - share.mean()).max() < 0.015


def test_runs_are_as_long_as_macbert_has_them() -> None:
    """Of 1 to 4 words 40, 30, 20 and 10 per cent, where they are too few to touch each other."""
    words = 2_000_000
    starts, lengths = np.ones(words, np.bool_), np.full(words // 2000, 2000)
    chosen = choose(starts, lengths, np.random.default_rng(4), ngrams=NGRAMS, rate=0.01)
    edges = np.flatnonzero(np.diff(chosen.astype(np.int8), prepend=0, append=0))
    runs = np.bincount(edges[1::2] - edges[::2], minlength=5)
    assert runs[1:5] / runs.sum() == pytest.approx(NGRAMS, abs=0.02)


def test_runs_end_with_their_block() -> None:
    lengths = np.full(30_000, 3)
    starts = np.ones(90_000, np.bool_)
    chosen = choose(starts, lengths, np.random.default_rng(5), ngrams=(0, 0, 0, 1.0))
    asked = chosen.reshape(30_000, 3).sum(axis=1)
    assert set(asked.tolist()) == {0, 3}  # a run of 4 words is cut at 3


def test_a_block_begins_with_a_word_even_if_it_was_cut_within_one() -> None:
    starts = np.array([True, False, False, False])
    random = np.random.default_rng(0)
    found = {tuple(choose(starts, np.array([2, 2]), random).tolist()) for _ in range(200)}
    assert (True, True, False, False) in found and (False, False, True, True) in found


def test_chance_decides() -> None:
    starts, lengths, _ = blocks_of(np.random.default_rng(0), 50)
    one, again, other = (choose(starts, lengths, np.random.default_rng(s)) for s in (1, 1, 2))
    assert (one == again).all()
    assert (one != other).any()
