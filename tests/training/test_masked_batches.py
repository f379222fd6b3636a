"""Batches with masks: what is asked, and what stands there instead."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from semsearch.training.blocks import Batches, cut
from semsearch.training.vocabulary import bert_tokenizer, train_vocabulary
from tests.training.corpus import made_chinese, made_corpus

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from semsearch.training.masked_batches import MaskedBatches, special_tokens  # noqa: E402
from semsearch.training.mlm import MaskedLoss, dev_loss, new_masked_lm  # noqa: E402

TEXTS = [*made_corpus(600), *made_chinese(300)]


@pytest.fixture(scope="module")
def batches() -> MaskedBatches:
    tokenizer = bert_tokenizer(train_vocabulary(TEXTS, 250), 64)
    blocks = cut(TEXTS, tokenizer, 30)
    plan = Batches(blocks.lengths, 1024, 2, seed=0)
    return MaskedBatches(blocks, plan, tokenizer, "word", 0.15, seed=0)


def epoch(batches: MaskedBatches) -> dict[str, Any]:
    """All tokens of an epoch, flat, with the original ones under "original"."""
    read = [batches[number] for number in range(len(batches))]
    flat = {name: torch.cat([batch[name].flatten() for batch in read]) for name in read[0]}
    asked = flat["labels"] != -100
    flat["original"] = torch.where(asked, flat["labels"], flat["input_ids"])
    return flat


def test_of_the_tokens_to_guess_eight_tenths_are_masked_and_a_tenth_each_is_random_or_stays(
    batches: MaskedBatches,
) -> None:
    flat = epoch(batches)
    asked = flat["labels"] != -100
    given, wanted = flat["input_ids"][asked], flat["labels"][asked]
    masked = (given == batches.tokenizer.mask_token_id).float().mean().item()
    same = (given == wanted).float().mean().item()
    assert masked == pytest.approx(0.8, abs=0.02)
    assert same == pytest.approx(0.1, abs=0.02)
    assert 1 - masked - same == pytest.approx(0.1, abs=0.02)
    others = given[(given != wanted) & (given != batches.tokenizer.mask_token_id)]
    assert len(others.unique()) > 100  # of the whole vocabulary


@pytest.mark.parametrize("masking", ["token", "word", "ngram"])
def test_a_seventh_of_the_tokens_is_asked_and_never_a_special_one(
    batches: MaskedBatches, masking: Any
) -> None:
    flat = epoch(replace(batches, masking=masking))
    special = torch.isin(flat["original"], torch.tensor([0, 2, 3]))
    asked = flat["labels"] != -100
    assert not (asked & special).any()
    assert asked[~special].float().mean().item() == pytest.approx(0.15, abs=0.01)


def test_whole_words_are_asked_together(batches: MaskedBatches) -> None:
    tokenizer = batches.tokenizer
    for number in range(len(batches)):
        for ids, labels in zip(*(batches[number][n] for n in ("input_ids", "labels")), strict=True):
            original = torch.where(labels == -100, ids, labels).tolist()
            tokens = tokenizer.convert_ids_to_tokens(original)
            asked = (labels != -100).tolist()
            for place, token in enumerate(tokens):
                if token.startswith("##"):
                    assert asked[place] == asked[place - 1], tokens
                if tokens[place : place + 2] == ["订", "单"]:
                    assert asked[place] == asked[place + 1], tokens


def test_single_tokens_are_asked_apart(batches: MaskedBatches) -> None:
    flat = epoch(replace(batches, masking="token"))
    tokens = batches.tokenizer.convert_ids_to_tokens(flat["original"].tolist())
    asked = (flat["labels"] != -100).tolist()
    inner = [place for place, token in enumerate(tokens) if token.startswith("##")]
    assert any(asked[place] != asked[place - 1] for place in inner)


def test_texts_stand_whole_between_their_special_tokens(batches: MaskedBatches) -> None:
    tokenizer = batches.tokenizer
    known = {" ".join(tokenizer.tokenize(text)) for text in made_chinese(300)}
    found = set()
    for number in range(len(batches)):
        batch = batches[number]
        original = torch.where(batch["labels"] == -100, batch["input_ids"], batch["labels"])
        for ids, attention in zip(original.tolist(), batch["attention_mask"].tolist(), strict=True):
            n = sum(attention)
            assert attention == [1] * n + [0] * (len(ids) - n)
            assert ids[0] == tokenizer.cls_token_id and ids[n - 1] == tokenizer.sep_token_id
            assert set(ids[n:]) <= {tokenizer.pad_token_id}
            found.add(" ".join(tokenizer.convert_ids_to_tokens(ids[1 : n - 1])))
    shorter = {text for text in known if len(text.split()) <= 30}
    assert shorter and shorter <= found


def test_a_batch_has_the_same_masks_whenever_it_is_read(batches: MaskedBatches) -> None:
    torch.manual_seed(1)
    first = batches[5]["input_ids"]
    batches[6], torch.rand(3)
    assert torch.equal(first, batches[5]["input_ids"])


def test_a_text_has_other_masks_every_epoch(batches: MaskedBatches) -> None:
    def masks(first: int) -> dict[str, tuple[bool, ...]]:
        found = {}
        for number in range(first, first + len(batches)):
            batch = batches[number]
            asked = batch["labels"] != -100
            original = torch.where(asked, batch["labels"], batch["input_ids"])
            for ids, row in zip(original.tolist(), asked.tolist(), strict=True):
                found[str([i for i in ids if i])] = tuple(row[: sum(map(bool, ids))])
        return found

    one, two = masks(0), masks(len(batches))
    assert one.keys() == two.keys()
    assert sum(one[text] == two[text] for text in one) < 0.1 * len(one)


def test_seeds_mask_differently(batches: MaskedBatches) -> None:
    one, two = batches[0], replace(batches, seed=1)[0]
    assert not torch.equal(one["labels"], two["labels"])


def test_special_tokens_are_those_of_the_tokenizer(tiny_encoder_dir: Path) -> None:
    from transformers import AutoTokenizer

    assert special_tokens(AutoTokenizer.from_pretrained(tiny_encoder_dir)) == ([2], [3])


def test_the_dev_loss_of_a_model_that_knows_nothing_is_that_of_guessing(
    batches: MaskedBatches,
) -> None:
    torch.manual_seed(0)
    model = new_masked_lm(len(batches.tokenizer), 1, 16, 2, 32, None)
    value, asked = dev_loss(model, MaskedLoss(model), batches)
    assert value == pytest.approx(float(torch.tensor(len(batches.tokenizer)).log()), abs=0.1)
    assert asked == int((epoch(batches)["labels"] != -100).sum())
    assert dev_loss(model, MaskedLoss(model), batches)[0] == value
