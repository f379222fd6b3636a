"""Masked language models of every architecture, and their loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from semsearch.errors import EncoderError
from semsearch.training.vocabulary import bert_tokenizer, train_vocabulary
from tests.training.backbones import build_backbone
from tests.training.corpus import made_corpus

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from semsearch.training.mlm import (  # noqa: E402
    MaskedLoss,
    load_masked_lm,
    new_masked_lm,
    replace_vocabulary,
)

HEADS = ("bert", "roberta", "albert", "ernie", "electra", "distilbert", "modernbert")


def batch(rows: int = 3, width: int = 9) -> dict[str, Any]:
    """Ids, with padding in the second row, of which a third is asked for."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(5, 90, (rows, width), generator=generator)
    attention = torch.ones_like(ids)
    attention[1, 6:] = 0
    labels = torch.where(torch.rand(ids.shape, generator=generator) < 0.3, ids, -100)
    labels[attention == 0] = -100
    return {"input_ids": ids, "attention_mask": attention, "labels": labels}


@pytest.mark.parametrize("kind", HEADS)
def test_the_head_sees_masked_positions_only_and_the_loss_is_that_of_transformers(
    kind: str, tiny_encoder_dir: Path, tmp_path: Path
) -> None:
    body = build_backbone(kind, tmp_path / kind, tiny_encoder_dir, layers=2)
    model = load_masked_lm(body, kind, None).eval()
    loss = MaskedLoss(model)
    assert loss.sparse
    asked = int((batch()["labels"] != -100).sum())
    summed = loss(model, batch())
    model.zero_grad()
    summed.backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    expected = model(**batch()).loss  # the hook lets other calls alone
    expected.backward()
    assert summed.item() / asked == pytest.approx(expected.item(), abs=1e-5)
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            assert torch.allclose(gradients[name] / asked, parameter.grad, atol=1e-5), name


def test_the_head_is_spared_work() -> None:
    model = new_masked_lm(100, 1, 16, 2, 16, None)
    loss = MaskedLoss(model)
    seen: list[Any] = []
    model.cls.register_forward_hook(lambda module, inputs, output: seen.append(output.shape))
    loss(model, batch())
    assert seen == [(1, int((batch()["labels"] != -100).sum()), 100)]


def test_a_head_that_looks_around_is_left_to_see_everything() -> None:
    model = new_masked_lm(100, 1, 16, 2, 16, None).eval()
    decoder = model.cls.predictions
    decoder.register_forward_pre_hook(lambda module, inputs: (inputs[0].cumsum(dim=1),))
    loss = MaskedLoss(model)
    assert not loss.sparse
    asked = int((batch()["labels"] != -100).sum())
    expected = model(**batch()).loss.item()
    assert loss(model, batch()).item() / asked == pytest.approx(expected, abs=1e-5)


def test_looking_at_the_head_leaves_training_as_it_was() -> None:
    model = new_masked_lm(100, 1, 16, 2, 16, None).train()
    MaskedLoss(model)
    assert model.training


def test_an_architecture_without_a_head_is_refused(tiny_encoder_dir: Path, tmp_path: Path) -> None:
    body = build_backbone("xlnet", tmp_path / "xlnet", tiny_encoder_dir, layers=1)
    with pytest.raises(EncoderError, match=r"^mine: .* no masked language model for xlnet"):
        load_masked_lm(body, "mine", None)


def test_a_directory_without_weights_is_refused(tiny_encoder_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((tiny_encoder_dir / "config.json").read_bytes())
    with pytest.raises(EncoderError, match=r"^mine: Transformers cannot load it"):
        load_masked_lm(tmp_path, "mine", None)


def test_a_new_model_has_the_asked_shape() -> None:
    config = new_masked_lm(321, 3, 24, 4, 40, "eager").config
    assert (config.num_hidden_layers, config.hidden_size, config.num_attention_heads) == (3, 24, 4)
    assert (config.vocab_size, config.max_position_embeddings) == (321, 40)
    assert config.intermediate_size == 96


def test_tokens_that_both_vocabularies_have_keep_their_embedding() -> None:
    old = bert_tokenizer(train_vocabulary(made_corpus(50), 120), 32)
    new = bert_tokenizer(train_vocabulary(["refund the sun moon moon sun"] * 9, 60), 32)
    model = new_masked_lm(len(old), 1, 16, 2, 32, None)
    before = model.get_input_embeddings().weight.detach().clone()
    replace_vocabulary(model, old, new)
    after = model.get_input_embeddings().weight.detach()
    assert after.shape == (len(new), 16) and model.config.vocab_size == len(new)
    ids, known = new.get_vocab(), old.get_vocab()
    for token in ("[MASK]", "the", "s"):
        assert torch.equal(after[ids[token]], before[known[token]])
    pieces = old("moon", add_special_tokens=False)["input_ids"]
    assert len(pieces) > 1
    assert torch.allclose(after[ids["moon"]], before[pieces].mean(dim=0))
    logits = model(torch.tensor([[ids["moon"]]])).logits
    assert logits.shape == (1, 1, len(new))
    head = model.get_output_embeddings()
    assert head.weight.data_ptr() == model.get_input_embeddings().weight.data_ptr()
    assert MaskedLoss(model).sparse
