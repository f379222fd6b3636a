"""What a step of a pre-training adds up to, in one part or in several."""

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

from semsearch.training.masked_batches import MaskedBatches  # noqa: E402
from semsearch.training.mlm import MaskedLoss, new_masked_lm  # noqa: E402
from semsearch.training.mlm_trainer import Plan, make_trainer  # noqa: E402
from semsearch.training.trainer import Interrupt  # noqa: E402

TEXTS = [*made_corpus(600), *made_chinese(300)]


@pytest.fixture(scope="module")
def batches() -> MaskedBatches:
    tokenizer = bert_tokenizer(train_vocabulary(TEXTS, 250), 64)
    blocks = cut(TEXTS, tokenizer, 30)
    plan = Batches(blocks.lengths, 1024, 2, seed=0)
    return MaskedBatches(blocks, plan, tokenizer, "word", 0.15, seed=0)


def trained(batches: MaskedBatches, folder: Path, parts: int) -> dict[str, Any]:
    torch.manual_seed(0)
    model = new_masked_lm(len(batches.tokenizer), 1, 16, 2, 32, "eager")
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    plan = Plan(6, 1e-3, "linear", 0.2, 0.01, 0, "cpu", "float32", parts)
    trainer = make_trainer(
        model,
        MaskedLoss(model),
        batches,
        plan,
        folder,
        Interrupt(),
        save_seconds=1e9,
        progress=None,
    )
    trainer.train()
    return dict(model.state_dict())


def test_a_batch_in_parts_teaches_the_same_as_a_whole_one(
    batches: MaskedBatches, tmp_path: Path
) -> None:
    whole = trained(batches, tmp_path / "whole", 1)
    parts = trained(batches, tmp_path / "parts", 4)
    assert max((whole[name] - parts[name]).abs().max().item() for name in whole) < 1e-5


def test_more_parts_than_blocks_teach_the_same(batches: MaskedBatches, tmp_path: Path) -> None:
    single = replace(batches, batches=Batches(batches.blocks.lengths, 80, 2, seed=0))
    assert max(len(single[number]["labels"]) for number in range(6)) < 8
    whole = trained(single, tmp_path / "whole", 1)
    parts = trained(single, tmp_path / "parts", 8)
    assert max((whole[name] - parts[name]).abs().max().item() for name in whole) < 1e-5
