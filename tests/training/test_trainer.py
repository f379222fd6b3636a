"""Runs in tokens and runs of several tasks: whole, killed, out of memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semsearch.encoder import Encoder
from semsearch.errors import DataError, EncoderError
from semsearch.training.objectives import LossOptions
from semsearch.training.run import train
from semsearch.training.settings import Settings
from semsearch.training.tasks import Task, other_task
from semsearch.training.teacher import Targets, targets_of
from tests.training.made import made_examples
from tests.training.test_run import Killed, killing, largest_difference, weights

torch = pytest.importorskip("torch")
pytest.importorskip("sentence_transformers")

EXAMPLES = made_examples("pairs", 60)
STEPS = 2 * (12 + 6 + 2 + 1)  # batches of the main task, and of those beside it, in two epochs


def settings(encoder: Path, **others: Any) -> Settings:
    chosen: dict[str, Any] = {"epochs": 2, "batch_tokens": 64, "learning_rate": 1e-3, "checks": 4}
    loss = LossOptions(distance="cosine", similarities=2, ranking=0.1, dims=(16,))
    return Settings("distil", str(encoder), **{**chosen, "loss": loss, **others})


@pytest.fixture(scope="module")
def targets(other_tiny_encoder_dir: Path) -> Targets:
    return targets_of(EXAMPLES, Encoder.load(other_tiny_encoder_dir), 32)


def also() -> list[Task]:
    """One with weights of its own, one that lives on dropout, one with in-batch negatives."""
    return [
        other_task("classification", made_examples("labelled", 96, 1)),
        other_task("simcse", made_examples("sentences", 80, 2)),
        other_task("supervised-simcse", made_examples("triplets", 40, 3)),
    ]


@pytest.mark.parametrize("step", [5, 25])
@pytest.mark.parametrize("others", [0, 3])
def test_a_run_that_was_killed_ends_with_the_weights_of_one_that_was_not(
    others: int, step: int, targets: Targets, tiny_encoder_dir: Path, tmp_path: Path
) -> None:
    # Parts of batches, and an interval of checkpoints that no epoch is a multiple of.
    chosen = settings(tiny_encoder_dir, mini_batch=24, epochs=3 if not others else 2, checks=5)
    options: dict[str, Any] = {"targets": targets, "also": also()[:others], "device": "cpu"}
    whole = train(chosen, EXAMPLES, tmp_path / "unbroken", **options)
    with pytest.raises(Killed):
        train(chosen, EXAMPLES, tmp_path / "killed", progress=killing(step), **options)
    report = train(chosen, EXAMPLES, tmp_path / "killed", resume=True, **options)
    assert report.steps == whole.steps == (STEPS if others else 3 * 12)
    assert largest_difference(tmp_path / "unbroken", tmp_path / "killed") <= 1e-5
    assert not (tmp_path / "killed.training").exists()


def test_every_task_moves_the_weights(
    targets: Targets, tiny_encoder_dir: Path, tmp_path: Path
) -> None:
    chosen = settings(tiny_encoder_dir, steps=8)
    for name, tasks in (("alone", []), ("four", also())):
        train(chosen, EXAMPLES, tmp_path / name, targets=targets, also=tasks, device="cpu")
    assert largest_difference(tmp_path / "alone", tmp_path / "four") > 1e-4


def test_a_run_with_other_tables_beside_it_is_another_run(
    targets: Targets, tiny_encoder_dir: Path, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"targets": targets, "device": "cpu"}
    chosen, out = settings(tiny_encoder_dir), tmp_path / "out"
    with pytest.raises(Killed):
        train(chosen, EXAMPLES, out, also=also(), progress=killing(12), **options)
    with pytest.raises(DataError, match="started with other also"):
        train(chosen, EXAMPLES, out, also=also()[:2], resume=True, **options)


def test_the_report_and_the_card_name_what_was_learnt_beside(
    targets: Targets, tiny_encoder_dir: Path, tmp_path: Path
) -> None:
    chosen = settings(tiny_encoder_dir, steps=2)
    train(chosen, EXAMPLES, tmp_path / "out", targets=targets, also=also(), device="cpu")
    saved = json.loads((tmp_path / "out" / "training.json").read_text(encoding="utf-8"))
    assert [(task["objective"], task["n"], task["batch_size"]) for task in saved["also"]] == [
        ("classification", 96, 16),
        ("simcse", 80, 64),
        ("supervised-simcse", 40, 40),
    ]
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "2 steps of at most 64 tokens" in card
    for task in also():
        assert f"with {task.objective} in batches of {task.batch_size}:" in card
        assert task.examples.sha256 in card


@pytest.mark.parametrize("others", [0, 3])
def test_when_memory_runs_out_fewer_tokens_go_through_at_a_time(
    others: int,
    targets: Targets,
    tiny_encoder_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    from sentence_transformers import SentenceTransformer

    forward = SentenceTransformer.forward

    def small(self: Any, features: dict[str, Any], **options: Any) -> Any:
        # Of the columns of a batch two go through in one call.
        if self.training and features["input_ids"].numel() > (300 if others else 32):
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return forward(self, features, **options)

    chosen = settings(tiny_encoder_dir, epochs=1)
    options: dict[str, Any] = {"targets": targets, "also": also()[:others], "device": "cpu"}
    whole = train(chosen, EXAMPLES, tmp_path / "whole", **options)
    monkeypatch.setattr(SentenceTransformer, "forward", small)
    report = train(chosen, EXAMPLES, tmp_path / "out", **options)
    assert report.lowered == 1 and report.steps == whole.steps
    assert (
        "memory ran out with 64 tokens at a time: going on with 32; a step still learns from 64."
        in caplog.text
    )


def test_parts_of_a_batch_count_as_much_as_they_hold(
    targets: Targets, tiny_encoder_dir: Path, tmp_path: Path
) -> None:
    # Three sentences in parts of one and two, for a loss that is a mean over sentences.
    whole, parts = (
        train(
            settings(
                tiny_encoder_dir, steps=8, batch_tokens=20, mini_batch=mini_batch, dropout=0.0,
                precision="float32", loss=LossOptions(distance="cosine"),
            ),
            EXAMPLES, tmp_path / str(mini_batch), targets=targets, device="cpu",
        ).losses
        for mini_batch in (None, 13)
    )  # fmt: skip
    assert len(whole) == 8
    np.testing.assert_allclose(parts, whole, rtol=1e-4)


def test_word_embeddings_learn_at_their_own_rate(
    targets: Targets, tiny_encoder_dir: Path, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"targets": targets, "device": "cpu"}
    name = "embeddings.word_embeddings.weight"
    before = weights(tiny_encoder_dir)
    moved = {}
    for rate in (None, 1e-2):
        chosen = settings(tiny_encoder_dir, steps=4, embedding_rate=rate)
        train(chosen, EXAMPLES, tmp_path / str(rate), also=also(), **options)
        moved[rate] = {
            key: float(np.abs(value - before[key]).max())
            for key, value in weights(tmp_path / str(rate)).items()
        }
    assert moved[1e-2][name] > 5 * moved[None][name]
    layer = "encoder.layer.0.output.dense.weight"
    assert moved[1e-2][layer] < 2 * moved[None][layer]


def test_an_encoder_without_word_embeddings_cannot_have_a_rate_for_them(
    targets: Targets, tiny_encoder_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import BertModel

    def none(self: Any) -> Any:
        raise NotImplementedError

    monkeypatch.setattr(BertModel, "get_input_embeddings", none)
    chosen = settings(tiny_encoder_dir, embedding_rate=1e-2)
    with pytest.raises(EncoderError, match="Leave out --embedding-rate"):
        train(chosen, EXAMPLES, tmp_path / "out", targets=targets, device="cpu")
    assert list(tmp_path.iterdir()) == [], "a run that cannot begin is in the way of the next one"
