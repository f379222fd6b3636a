"""Vocabularies: what is in them, in which order, and what they write."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from tokenizers import Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import WordPiece

from semsearch.errors import DataError
from semsearch.training.vocabulary import SPECIAL, bert_tokenizer, train_vocabulary
from tests.training.corpus import made_chinese, made_corpus

TEXTS = [*made_corpus(300), *made_chinese(100)]


def encode(vocabulary: list[str], text: str) -> list[str]:
    pytest.importorskip("transformers")
    tokens: list[str] = bert_tokenizer(vocabulary, 64).tokenize(text)
    return tokens


def test_the_same_texts_give_the_same_tokens_in_the_same_order() -> None:
    first = train_vocabulary(TEXTS, 300)
    assert all(train_vocabulary(list(TEXTS), 300) == first for _ in range(4))


def test_special_tokens_come_first_and_no_token_comes_twice() -> None:
    vocabulary = train_vocabulary(TEXTS, 250)
    assert tuple(vocabulary[:5]) == SPECIAL
    assert len(set(vocabulary)) == len(vocabulary) == 250


def test_there_are_fewer_tokens_where_the_texts_do_not_hold_so_many() -> None:
    assert 100 < len(train_vocabulary(TEXTS, 50_000)) < 1_000


def test_words_that_are_frequent_are_one_token_and_others_are_pieces() -> None:
    vocabulary = train_vocabulary(TEXTS, 300)
    assert encode(vocabulary, "Refund the parcel") == ["refund", "the", "parcel"]
    pieces = encode(vocabulary, "refunds")
    assert pieces[0] == "refund" and pieces[1].startswith("##")


def test_everything_that_was_learnt_from_can_be_written() -> None:
    vocabulary = train_vocabulary(TEXTS, 300)
    tokens = [token for text in TEXTS for token in encode(vocabulary, text)]
    assert "[UNK]" not in tokens


def test_a_chinese_character_is_a_token_and_never_goes_on_within_a_word() -> None:
    vocabulary = train_vocabulary(TEXTS, 300)
    assert encode(vocabulary, "申请退款") == ["申", "请", "退", "款"]
    assert not [token for token in vocabulary if token.startswith("##") and token[2] >= "一"]


def test_words_are_lower_cased_without_accents() -> None:
    assert encode(train_vocabulary(["Café CAFÉ cafe"] * 3, 100), "CAFÉ") == ["cafe"]


def test_characters_that_next_to_never_occur_are_unknown() -> None:
    texts = ["the parcel " * 5_000, "€"]
    assert encode(train_vocabulary(texts, 100), "parcel €") == ["parcel", "[UNK]"]


def test_characters_stand_in_the_order_of_their_frequency() -> None:
    vocabulary = train_vocabulary(["aaab ccccc"], 20)
    assert vocabulary[5:8] == ["c", "a", "b"]


def test_pieces_that_occur_once_are_left_out() -> None:
    pieces = Counter(train_vocabulary(["zebra lion lion lion"], 100))
    assert pieces["lion"] and not pieces["zebra"]


def test_a_size_that_does_not_hold_the_characters_is_refused_with_one_that_does() -> None:
    with pytest.raises(DataError, match="a vocabulary of 20 tokens") as caught:
        train_vocabulary(TEXTS, 20)
    enough = int(str(caught.value).split("more than ")[1].rstrip(".").replace(",", ""))
    assert len(train_vocabulary(TEXTS, enough)) == enough
    with pytest.raises(DataError):
        train_vocabulary(TEXTS, enough - 1)


def test_what_a_word_is_may_be_as_another_tokenizer_has_it() -> None:
    cased: Any = Tokenizer(WordPiece(unk_token="[UNK]"))
    cased.normalizer = normalizers.BertNormalizer(lowercase=False)
    cased.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    vocabulary = train_vocabulary(["Paris paris Paris paris"] * 3, 100, like=cased)
    assert {"Paris", "paris"} <= set(vocabulary)


def test_a_text_is_written_between_cls_and_sep() -> None:
    pytest.importorskip("transformers")
    tokenizer = bert_tokenizer(train_vocabulary(TEXTS, 300), 32)
    assert tokenizer.convert_ids_to_tokens(tokenizer("refund")["input_ids"]) == [
        "[CLS]", "refund", "[SEP]",
    ]  # fmt: skip
    assert tokenizer.model_max_length == 32
    assert [tokenizer.pad_token_id, tokenizer.mask_token_id] == [0, 4]
