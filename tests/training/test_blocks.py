"""Text as blocks, and blocks as batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semsearch.errors import DataError
from semsearch.training.blocks import Batches, cut
from semsearch.training.vocabulary import bert_tokenizer, train_vocabulary
from tests.training.corpus import made_chinese, made_corpus

pytest.importorskip("transformers")

TEXTS = [*made_corpus(60), *made_chinese(30)]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return bert_tokenizer(train_vocabulary(TEXTS, 300), 64)


def decoded(tokenizer: Any, texts: list[str], room: int) -> list[list[str]]:
    blocks = cut(texts, tokenizer, room)
    parts = [blocks.ids[a:b] for a, b in zip(blocks.bounds, blocks.bounds[1:], strict=False)]
    return [tokenizer.convert_ids_to_tokens(part.tolist()) for part in parts]


def test_no_token_is_lost_and_no_block_too_long(tokenizer: Any) -> None:
    for room in (1, 2, 7, 30, 500):
        found = decoded(tokenizer, TEXTS, room)
        assert max(map(len, found)) <= room
        assert min(map(len, found)) >= 1
        flat = [token for block in found for token in block]
        assert flat == [token for text in TEXTS for token in tokenizer.tokenize(text)]


def test_sentences_share_a_block_as_long_as_they_fit(tokenizer: Any) -> None:
    text = "close the account. reset the password. track the parcel. cancel the payment"
    assert [" ".join(block) for block in decoded(tokenizer, [text], 8)] == [
        "close the account . reset the password .",
        "track the parcel . cancel the payment",
    ]


def test_chinese_sentences_end_without_a_blank(tokenizer: Any) -> None:
    found = decoded(tokenizer, ["怎么申请退款？我们的订单还没有发货。"], 12)
    assert ["".join(block) for block in found] == ["怎么申请退款？", "我们的订单还没有发货。"]


def test_a_number_with_a_point_is_no_end_of_a_sentence(tokenizer: Any) -> None:
    assert len(decoded(tokenizer, ["the refund 3.14 the account"], 7)) == 1


def test_no_block_holds_parts_of_two_texts(tokenizer: Any) -> None:
    assert decoded(tokenizer, ["the parcel", "the refund"], 30) == [
        ["the", "parcel"],
        ["the", "refund"],
    ]


def test_a_sentence_longer_than_a_block_is_cut_at_a_word(tokenizer: Any) -> None:
    found = decoded(tokenizer, ["parcelsy the refund " * 5], 7)
    assert not [block for block in found if block[0].startswith("##")]


def test_a_word_longer_than_a_block_is_cut_all_the_same(tokenizer: Any) -> None:
    found = decoded(tokenizer, ["qzqzqzqzqz" * 3], 8)
    assert len(found) > 1 or found == [["[UNK]"]]
    assert max(map(len, found)) <= 8


def test_every_token_is_a_word_where_whole_words_are_not_asked_for(tokenizer: Any) -> None:
    assert cut(TEXTS, tokenizer, 30, whole_words=False).starts.all()
    assert not cut(TEXTS, tokenizer, 30).starts.all()


def test_a_tokenizer_that_was_saved_cutting_and_padding_does_neither(
    tiny_encoder_dir: Path,
) -> None:
    from transformers import AutoTokenizer

    saved = AutoTokenizer.from_pretrained(tiny_encoder_dir)
    assert saved.backend_tokenizer.padding or saved.backend_tokenizer.truncation
    blocks = cut(["refund " * 50, "refund"], saved, 60)
    assert blocks.lengths.tolist() == [50, 1]


def test_texts_without_a_token_are_refused(tokenizer: Any) -> None:
    with pytest.raises(DataError, match="no token"):
        cut([" ", "\u200b"], tokenizer, 30)


def test_progress_reaches_the_number_of_texts(tokenizer: Any) -> None:
    seen: list[tuple[int, int]] = []
    cut(["the parcel"] * 2500, tokenizer, 30, progress=lambda *at: seen.append(at))
    assert seen == [(1000, 2500), (2000, 2500), (2500, 2500)]


def lengths() -> Any:
    return np.random.default_rng(0).integers(1, 63, size=5000)


def test_every_block_comes_once_an_epoch() -> None:
    batches = Batches(lengths(), 2048, 2, seed=1)
    for epoch in range(3):
        start = epoch * len(batches)
        rows = np.concatenate([batches[start + i] for i in range(len(batches))])
        assert sorted(rows.tolist()) == list(range(5000))


def test_batches_hold_their_budget_and_next_to_no_padding() -> None:
    blocks = lengths()
    batches = Batches(blocks, 2048, 2, seed=1)
    area = [len(batches[i]) * (2 + blocks[batches[i]].max()) for i in range(len(batches))]
    assert max(area) <= 2048
    assert np.median(area) > 0.95 * 2048
    assert (blocks + 2).sum() / sum(area) > 0.98


def test_a_block_larger_than_the_budget_is_a_batch_of_its_own() -> None:
    batches = Batches(np.array([90, 3]), 50, 2, seed=0)
    assert sorted(batches[i].tolist() for i in range(len(batches))) == [[0], [1]]


def test_a_batch_is_the_same_whenever_it_is_asked_for() -> None:
    one, other = (Batches(lengths(), 2048, 2, seed=1) for _ in range(2))
    numbers = [0, 3 * len(one) + 1, 7, len(one)]
    first = {number: one[number].tolist() for number in numbers}
    assert first == {number: other[number].tolist() for number in reversed(numbers)}


def test_epochs_and_seeds_differ() -> None:
    batches = Batches(lengths(), 2048, 2, seed=1)
    other = Batches(lengths(), 2048, 2, seed=2)
    sets = [
        frozenset(b[i].tolist()) for b, i in ((batches, 0), (batches, len(batches)), (other, 0))
    ]
    assert len(set(sets)) == 3
    # Long and short batches are mixed over an epoch.
    sizes = [len(batches[i]) for i in range(len(batches))]
    assert np.abs(np.diff(sizes)).mean() > 5
