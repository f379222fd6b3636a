"""No batch holds two rows of a group or a text twice, and an epoch holds every row it can."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semsearch.errors import DataError
from semsearch.training.batches import batch_count, group_batches, plan
from semsearch.training.components import folded, in_order, text_ids
from semsearch.training.examples import Examples
from semsearch.training.phrasings import pairs_within, read_bank_examples
from semsearch.training.reading import read_examples
from semsearch.types import Ids

drawn_rows = st.lists(
    st.tuples(st.integers(0, 6), st.sampled_from("abcdeF"), st.sampled_from("ABCghijklm")),
    min_size=1,
    max_size=40,
)


def sizes_of(*sizes: int) -> Ids:
    """Groups of these sizes."""
    return np.repeat(np.arange(len(sizes)), sizes)


def batches_of(groups: Ids, batch_size: int, seed: int = 0, **options: Any) -> list[list[int]]:
    """Batches of rows that have no text in common."""
    n_batches = batch_count(groups, batch_size, **options)
    texts = np.arange(len(groups))[:, None]
    return plan(texts, groups, batch_size, n_batches, np.random.default_rng(seed))


@given(drawn_rows, st.integers(1, 9), st.integers(0, 3), st.booleans())
def test_no_batch_has_two_rows_of_a_group_or_with_a_common_text(
    rows: list[tuple[int, str, str]], batch_size: int, seed: int, drop_last: bool
) -> None:
    groups = in_order(group for group, *_ in rows)
    texts = text_ids([[one for _, one, _ in rows], [two for *_, two in rows]])
    n_batches = batch_count(groups, batch_size, drop_last=drop_last)
    batches = plan(texts, groups, batch_size, n_batches, np.random.default_rng(seed))
    assert len(batches) == n_batches
    seen = [row for batch in batches for row in batch]
    assert len(set(seen)) == len(seen)
    for batch in batches:
        assert 1 <= len(batch) <= batch_size
        assert len({groups[row] for row in batch}) == len(batch)
        held = [{folded(rows[row][1]), folded(rows[row][2])} for row in batch]
        assert sum(map(len, held)) == len(set().union(*held))


@given(st.lists(st.integers(1, 9), min_size=1, max_size=30), st.integers(1, 9), st.integers(0, 3))
def test_every_row_is_in_an_epoch_unless_batches_would_be_half_empty(
    sizes: list[int], batch_size: int, seed: int
) -> None:
    groups = sizes_of(*sizes)
    batches = batches_of(groups, batch_size, seed)
    held, needed = sum(map(len, batches)), max(-(-len(groups) // batch_size), max(sizes))
    # A group gives a row to each batch at most.
    assert held == np.minimum(sizes, len(batches)).sum()
    if len(groups) >= needed * batch_size / 2:
        assert len(batches) == needed and held == len(groups)
    elif len(batches) > 1:
        assert held >= len(batches) * batch_size / 2


@pytest.mark.parametrize(
    ("sizes", "batch_size", "lengths"),
    [
        ([1] * 10, 4, [4, 4, 2]),
        ([1] * 8, 4, [4, 4]),
        ([2] * 6, 4, [4, 4, 4]),
        ([3, 3, 3, 3], 4, [4, 4, 4]),
        ([4, 4, 4], 4, [3, 3, 3, 3]),
        ([1, 1], 4, [2]),
        ([1, 2, 2, 2, 2], 8, [5, 4]),
    ],
)
def test_batches_are_full_where_the_groups_allow_it(
    sizes: list[int], batch_size: int, lengths: list[int]
) -> None:
    assert [len(batch) for batch in batches_of(sizes_of(*sizes), batch_size)] == lengths


@given(st.lists(st.integers(1, 9), min_size=1, max_size=30), st.integers(1, 9), st.integers(0, 3))
def test_with_drop_last_no_batch_is_short(sizes: list[int], batch_size: int, seed: int) -> None:
    groups = sizes_of(*sizes)
    batches = batches_of(groups, batch_size, seed, drop_last=True)
    assert len(batches) <= len(groups) // batch_size
    most = next(
        t for t in range(len(groups), -1, -1) if np.minimum(sizes, t).sum() >= t * batch_size
    )
    assert len(batches) == most
    assert all(len(batch) == batch_size for batch in batches)


def test_rows_of_a_large_group_take_turns_over_the_epochs() -> None:
    groups = sizes_of(30, *[1] * 10)
    seen = Counter(
        row for seed in range(200) for batch in batches_of(groups, 8, seed) for row in batch
    )
    assert len(seen) == len(groups)
    assert all(seen[row] == 200 for row in range(30, 40))


def test_rows_meet_others_in_another_epoch() -> None:
    groups = sizes_of(*[4] * 50)
    one, two = batches_of(groups, 10, 0), batches_of(groups, 10, 1)
    assert {frozenset(batch) for batch in one}.isdisjoint(frozenset(batch) for batch in two)
    # Nor do the rows of one group meet the same groups throughout an epoch.
    met = [{groups[row] for row in batch} for batch in one if 0 in groups[batch]]
    assert len(met) == 4 and len(set.union(*met)) > 20


@pytest.mark.parametrize(("sizes", "count"), [([100, 1, 1, 1], 3), ([100, 100], 100), ([100], 1)])
def test_there_are_as_many_batches_as_are_half_full(sizes: list[int], count: int) -> None:
    assert batch_count(sizes_of(*sizes), 4) == count


def test_no_rows_make_no_batches() -> None:
    assert batches_of(sizes_of(), 4) == []


@pytest.fixture(scope="module")
def pairs() -> Examples:
    """Pairs of 30 groups; a text is common to two of them."""
    anchors = [f"anchor {row}" for row in range(90)]
    anchors[40] = "ANCHOR 3"
    positives = [f"positive {row}" for row in range(90)]
    groups = np.arange(90) // 3 + 1000
    return Examples("pairs", {"anchor": anchors, "positive": positives}, groups=groups)


def sampler_of(examples: Examples, batch_size: int = 8, seed: int = 0, **options: Any) -> Any:
    datasets = pytest.importorskip("datasets")
    pytest.importorskip("sentence_transformers")
    columns = {**examples.columns, "label": [0.5] * len(examples)}
    make = group_batches(examples.groups)
    return make(
        datasets.Dataset.from_dict(columns),
        batch_size=batch_size,
        drop_last=options.get("drop_last", False),
        valid_label_columns=["label"],
        generator=None,
        seed=seed,
    )


def test_the_sampler_is_what_the_trainer_takes(pairs: Examples) -> None:
    sampler = sampler_of(pairs)
    from sentence_transformers.base.sampler import DefaultBatchSampler

    assert isinstance(sampler, DefaultBatchSampler)
    batches = list(sampler)
    assert len(batches) == len(sampler) == 12
    assert sorted(row for batch in batches for row in batch) == list(range(90))
    assert pairs.groups is not None
    for batch in batches:
        assert len(set(pairs.groups[batch].tolist())) == len(batch)
        assert not {3, 40} <= set(batch)
    assert len(sampler_of(pairs, drop_last=True)) == 11


def test_seed_and_epoch_alone_decide_the_order(pairs: Examples) -> None:
    one, same, other = sampler_of(pairs), sampler_of(pairs), sampler_of(pairs, seed=1)
    first = list(one)
    assert first == list(one) == list(same)
    assert first != list(other)
    one.set_epoch(1)
    assert list(one) != first
    same.set_epoch(1)
    assert list(one) == list(same)


def test_without_groups_only_texts_are_kept_apart() -> None:
    columns = {"sentence": ["a", "A", "b", "c"], "again": ["a", "A", "b", "c"]}
    sampler = group_batches(None)
    datasets = pytest.importorskip("datasets")
    batches = list(sampler(datasets.Dataset.from_dict(columns), 2, False))
    assert sorted(row for batch in batches for row in batch) == [0, 1, 2, 3]
    assert all(set(batch) != {0, 1} for batch in batches)


def test_groups_of_another_dataset_are_refused(pairs: Examples) -> None:
    datasets = pytest.importorskip("datasets")
    with pytest.raises(DataError, match="90 groups do not go with 1 rows"):
        group_batches(pairs.groups)(datasets.Dataset.from_dict({"anchor": ["a"]}), 8, False)


def test_training_arguments_that_hold_it_can_be_pickled_and_shown(pairs: Examples) -> None:
    made = group_batches(pairs.groups)
    again = pickle.loads(pickle.dumps(made))
    assert again.groups.tolist() == made.groups.tolist()  # type: ignore[union-attr]
    assert repr(made) == "GroupBatches()"


@pytest.fixture
def trainer(pairs: Examples, tiny_encoder_dir: Path, tmp_path: Path) -> Iterator[Any]:
    """A trainer of sentence-transformers, and in `trainer.seen` the anchors of every batch."""
    st_library = pytest.importorskip("sentence_transformers")
    pytest.importorskip("accelerate")
    datasets = pytest.importorskip("datasets")
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    model = st_library.SentenceTransformer(str(tiny_encoder_dir), device="cpu")
    seen: list[list[str]] = []

    class Loss(MultipleNegativesRankingLoss):  # type: ignore[misc]
        def forward(self, features: Any, labels: Any) -> Any:
            texts = model.tokenizer.batch_decode(features[0]["input_ids"], skip_special_tokens=True)
            seen.append(texts)
            return super().forward(features, labels)

    arguments = st_library.SentenceTransformerTrainingArguments(
        output_dir=str(tmp_path),
        per_device_train_batch_size=8,
        num_train_epochs=2,
        use_cpu=True,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        batch_sampler=group_batches(pairs.groups),
        dataloader_pin_memory=False,
    )
    trainer = st_library.SentenceTransformerTrainer(
        model=model,
        args=arguments,
        train_dataset=datasets.Dataset.from_dict(dict(pairs.columns)),
        loss=Loss(model),
    )
    trainer.seen = seen
    yield trainer


def test_a_trainer_sees_every_row_in_every_epoch_in_another_order(trainer: Any) -> None:
    trainer.train()
    assert len(trainer.seen) == 24
    first, second = trainer.seen[:12], trainer.seen[12:]
    for epoch in (first, second):
        texts = sorted(text for batch in epoch for text in batch)
        assert len(texts) == 90
    assert first != second


@pytest.mark.data
@pytest.mark.parametrize("batch_size", [32, 256])
def test_caption_groups_make_full_batches(data_dir: Path, batch_size: int) -> None:
    path = data_dir / "paraphrase/flickr8k_captions/dev.parquet"
    examples = read_examples([path], "pairs")
    assert examples.groups is not None
    groups = in_order(examples.groups)
    texts = text_ids(examples.columns.values())
    n_batches = batch_count(groups, batch_size)
    batches = plan(texts, groups, batch_size, n_batches, np.random.default_rng(0))
    assert sum(map(len, batches)) == len(examples)
    assert [len(batch) for batch in batches[:-1]] == [batch_size] * (len(batches) - 1)
    for batch in batches:
        # A few images have the same caption twice.
        distinct = sum(len(np.unique(texts[row])) for row in batch)
        assert len(np.unique(texts[batch])) == distinct


@pytest.mark.data
def test_an_epoch_on_banking77_leaves_no_pair_out(data_dir: Path) -> None:
    folder = data_dir / "faq/banking77"
    bank = read_bank_examples(folder / "bank.parquet", phrasings=folder / "train.parquet")
    pairs = pairs_within(bank)
    assert pairs.groups is not None
    groups = in_order(pairs.groups)
    n_batches = batch_count(groups, 64)
    texts = text_ids(pairs.columns.values())
    batches = plan(texts, groups, 64, n_batches, np.random.default_rng(0))
    assert sum(map(len, batches)) == len(pairs)
