from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semsearch.training.examples import Examples
from semsearch.training.feeding import Feed, dataset, feed_of
from semsearch.training.tasks import Task
from semsearch.training.teacher import Targets
from tests.training.made import made_examples

torch = pytest.importorskip("torch")
pytest.importorskip("datasets")
pytest.importorskip("sentence_transformers")

PAIRS = Examples("pairs", {"anchor": ["card", "fee", "card"], "positive": ["卡", "fee", "银行卡"]})
TARGETS = Targets(np.eye(2, 32, dtype=np.float32), np.array([0, 1, 0]))


def inputs(n: int, width: int) -> dict[str, Any]:
    ids = torch.arange(n * width).reshape(n, width)
    return {
        "sentence_input_ids": ids,
        "sentence_attention_mask": torch.ones_like(ids),
        "sentence_modality": "text",
        "label": torch.arange(n),
        "dataset_name": "distil",
    }


def test_a_batch_comes_in_parts_that_add_up_to_it() -> None:
    whole = inputs(8, 5)
    parts = Feed(None, None, 8, at_once=3).parts(whole)  # type: ignore[arg-type]
    assert [len(part["label"]) for part, _ in parts] == [2, 3, 3]
    assert [share for _, share in parts] == [2 / 8, 3 / 8, 3 / 8]
    for name in ("sentence_input_ids", "sentence_attention_mask", "label"):
        assert torch.equal(torch.cat([part[name] for part, _ in parts]), whole[name])
    assert all(part["dataset_name"] == "distil" for part, _ in parts)


@pytest.mark.parametrize(
    ("at_once", "sizes"), [(40, [8]), (20, [4, 4]), (5, [1] * 8), (1, [1] * 8)]
)
def test_tokens_at_once_are_counted_with_their_padding(at_once: int, sizes: list[int]) -> None:
    feed = Feed(None, None, 1, at_once=at_once, in_tokens=True)  # type: ignore[arg-type]
    assert [len(part["label"]) for part, _ in feed.parts(inputs(8, 5))] == sizes


def test_a_batch_stays_whole_where_there_is_memory_for_it() -> None:
    for at_once in (None, 8, 100):
        ((part, share),) = Feed(None, None, 8, at_once=at_once).parts(inputs(8, 5))  # type: ignore[arg-type]
        assert share == 1 and len(part["label"]) == 8


def test_targets_are_named_by_their_number() -> None:
    rows = dataset(Task("distil", PAIRS, 2, targets=TARGETS))
    assert rows.column_names == ["anchor", "positive", "label"]
    assert rows["label"][:] == [0, 1, 0]


def test_sides_taken_apart_have_the_target_of_their_pair() -> None:
    rows = dataset(Task("distil", PAIRS, batch_tokens=9, targets=TARGETS), apart=True)
    assert rows["sentence"][:] == ["卡", "fee", "银行卡", "card"], "card and fee are there once"
    assert rows["label"][:] == [0, 1, 0, 0]


def test_a_budget_is_shared_by_the_devices(tiny_encoder_dir: Path) -> None:
    from semsearch.encoder.trainable import trainable_model

    model = trainable_model(tiny_encoder_dir)
    task = Task("distil", PAIRS, batch_tokens=24, targets=TARGETS)
    feed = feed_of(task, model, lambda *_: None, devices=2, at_once=None)
    assert feed.in_tokens and feed.batches.budget == 12  # type: ignore[attr-defined]
    assert feed.batches.lengths.tolist() == [3, 3, 5, 3]  # type: ignore[attr-defined]


def test_sentences_of_a_topic_come_together(tiny_encoder_dir: Path) -> None:
    from semsearch.encoder.trainable import trainable_model

    model = trainable_model(tiny_encoder_dir)
    task = Task("distil", PAIRS, batch_tokens=24, targets=TARGETS, topics=2)
    feed = feed_of(task, model, lambda *_: None, devices=1, at_once=None)
    one, other = feed.batches.topics[[0, 1]].tolist()  # type: ignore[attr-defined]
    assert {one, other} == {0, 1}
    assert feed.batches.topics.tolist() == [one, other, one, one]  # type: ignore[attr-defined]


def test_a_score_a_label_and_a_second_view_go_with_their_sentences() -> None:
    scored, labelled = made_examples("scored", 5), made_examples("labelled", 5)
    assert scored.scores is not None
    assert dataset(Task("cosent", scored, 2))["label"][:] == scored.scores.tolist()
    assert dataset(Task("classification", labelled, 2))["label"][:] == [0, 1, 2, 0, 1]
    views = dataset(Task("simcse", made_examples("sentences", 5), 2))
    assert views.column_names == ["sentence", "again"]
    assert views["sentence"][:] == views["again"][:]
