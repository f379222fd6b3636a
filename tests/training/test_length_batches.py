"""Every sentence is in an epoch once, with others of its length, and no batch is over budget."""

from __future__ import annotations

import pickle
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semsearch.encoder.trainable import trainable_model
from semsearch.errors import DataError
from semsearch.training.length_batches import LengthBatches, cuts, token_lengths
from semsearch.types import Ids

datasets = pytest.importorskip("datasets")
pytest.importorskip("sentence_transformers")


def sampler_of(lengths: Ids, budget: int, seed: int = 0, epoch: int = 0) -> Any:
    dataset = datasets.Dataset.from_dict({"sentence": [""] * len(lengths)})
    sampler = LengthBatches(lengths, budget)(dataset, 1, False, seed=seed)
    sampler.set_epoch(epoch)
    return sampler


def random_lengths(n: int = 500) -> Ids:
    return np.random.default_rng(0).integers(3, 30, n)


@given(st.lists(st.integers(1, 20), min_size=1, max_size=60), st.integers(20, 90))
def test_a_batch_is_as_large_as_its_padded_tokens_allow(lengths: list[int], budget: int) -> None:
    rows = np.array(lengths)
    bounds = cuts(rows, budget)
    assert bounds[0] == 0 and bounds[-1] == len(rows)
    for start, end in pairwise(bounds):
        assert end > start
        assert (end - start) * rows[start:end].max() <= budget
        if end < len(rows):
            assert (end - start + 1) * rows[start : end + 1].max() > budget


def test_every_row_is_in_an_epoch_once() -> None:
    lengths = random_lengths()
    for epoch in range(3):
        batches = list(sampler_of(lengths, 120, epoch=epoch))
        assert sorted(row for batch in batches for row in batch) == list(range(500))
        assert all(len(batch) * lengths[batch].max() <= 120 for batch in batches)
        padding = sum(len(batch) * lengths[batch].max() - lengths[batch].sum() for batch in batches)
        assert padding < 0.02 * lengths.sum()


def test_seed_and_epoch_alone_decide_the_order() -> None:
    lengths = random_lengths()
    first = list(sampler_of(lengths, 120))
    assert list(sampler_of(lengths, 120)) == first
    for other in (sampler_of(lengths, 120, seed=1), sampler_of(lengths, 120, epoch=1)):
        met = {frozenset(batch) for batch in other}
        assert len(met & {frozenset(batch) for batch in first}) < len(first) / 4
    long = [int(lengths[batch].max()) for batch in first]
    assert long != sorted(long), "batches of one length follow each other"


def test_all_epochs_have_as_many_batches_of_the_same_shapes() -> None:
    lengths = random_lengths()
    shapes = [
        sorted((len(batch), int(lengths[batch].max())) for batch in sampler)
        for sampler in (sampler_of(lengths, 120, epoch=epoch) for epoch in range(4))
    ]
    assert len(sampler_of(lengths, 120)) == len(shapes[0])
    assert all(shape == shapes[0] for shape in shapes)
    assert len(set(shapes[0])) <= len(np.unique(lengths)) + 1


def test_batches_of_topics() -> None:
    lengths = random_lengths(2_000)
    topics = np.random.default_rng(1).integers(0, 10, 2_000)
    dataset = datasets.Dataset.from_dict({"sentence": [""] * 2_000})
    epochs = []
    for epoch in range(3):
        sampler = LengthBatches(lengths, 240, topics)(dataset, 1, False, seed=0)
        sampler.set_epoch(epoch)
        epochs.append(list(sampler))
        assert len(sampler) == len(epochs[-1])
        assert sorted(row for batch in epochs[-1] for row in batch) == list(range(2_000))
        for batch in epochs[-1]:
            assert len(batch) * lengths[batch].max() <= 240
            assert np.ptp(topics[batch]) <= 1
    alone = np.mean([np.ptp(topics[batch]) == 0 for batch in epochs[0]])
    assert alone > 0.9, "batches have one topic"
    met = set(map(frozenset, epochs[0])) & set(map(frozenset, epochs[1]))
    assert len(met) < len(epochs[0]) / 4
    padded = sum(len(batch) * lengths[batch].max() for batch in epochs[0])
    assert padded < 1.25 * lengths.sum()


def test_a_sentence_over_the_budget_is_refused() -> None:
    with pytest.raises(DataError, match="a sentence of 29 tokens is more than --batch-tokens 28"):
        LengthBatches(random_lengths(), 28)


def test_lengths_of_another_dataset_are_refused() -> None:
    with pytest.raises(DataError, match="500 lengths do not go with 1 rows"):
        LengthBatches(random_lengths(), 100)(datasets.Dataset.from_dict({"s": ["a"]}), 8, False)


def test_training_arguments_that_hold_it_can_be_pickled_and_shown() -> None:
    again = pickle.loads(pickle.dumps(LengthBatches(random_lengths(), 100)))
    assert again.lengths.tolist() == random_lengths().tolist()
    assert repr(again) == "LengthBatches(budget=100)"


@pytest.mark.parametrize("truncate", ["head", "tail", "head+tail", "windows"])
def test_lengths_are_those_of_what_the_model_reads(truncate: str, tiny_encoder_dir: Path) -> None:
    model = trainable_model(tiny_encoder_dir, max_length=12, truncate=truncate)
    texts = ["my card", "我的卡丢了", "how do i pay the fee of the order " * 4, "a"]
    read = [int(model.preprocess([text])["attention_mask"].sum()) for text in texts]
    assert token_lengths(model, texts).tolist() == read
    assert (max(read) > 12) == (truncate == "windows")
