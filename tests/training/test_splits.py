"""What is held out shares no sentence with what is left to train on."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semsearch.errors import DataError
from semsearch.training.components import folded
from semsearch.training.examples import Examples
from semsearch.training.phrasings import BankPhrasings, read_bank_examples
from semsearch.training.reading import read_examples
from semsearch.training.splits import split, split_bank

By = Literal["group", "sentence"]

rows = st.tuples(st.sampled_from("aAbcdefgh"), st.sampled_from("ABCdefgh"), st.integers(0, 5))


def pairs_of(*texts: str, groups: list[int] | None = None) -> Examples:
    """Pairs from words of two letters."""
    columns = {"anchor": [text[0] for text in texts], "positive": [text[1] for text in texts]}
    return Examples("pairs", columns, groups=None if groups is None else np.array(groups))


def folds(examples: Examples) -> set[str]:
    return {folded(text) for text in examples.texts}


@given(st.lists(rows, min_size=2, max_size=40), st.integers(0, 5), st.sampled_from([0.1, 0.4]))
@pytest.mark.parametrize("by", ["group", "sentence"])
def test_no_sentence_and_no_group_is_on_both_sides(
    by: By, drawn: list[tuple[str, str, int]], seed: int, share: float
) -> None:
    examples = pairs_of(*(a + b for a, b, _ in drawn), groups=[group for *_, group in drawn])
    try:
        found = split(examples, share, seed=seed, by=by)
    except DataError as error:
        assert "hang together" in str(error)
        return
    train, dev, dropped = found
    assert len(train) + len(dev) + dropped == len(examples)
    assert len(train) and len(dev)
    assert not folds(train) & folds(dev)
    if by == "group":
        assert train.groups is not None and dev.groups is not None
        assert not set(train.groups.tolist()) & set(dev.groups.tolist())
    again = split(examples, share, seed=seed, by=by)
    assert (train.sha256, dev.sha256) == (again.train.sha256, again.dev.sha256)


@pytest.mark.parametrize(("n_dev", "expected"), [(None, 20), (7, 7)])
def test_as_many_rows_are_held_out_as_asked_for(n_dev: int | None, expected: int) -> None:
    examples = Examples("sentences", {"sentence": [str(n) for n in range(100)]})
    train, dev, dropped = split(examples, 0.2, n_dev=n_dev)
    assert (len(train), len(dev), dropped) == (100 - expected, expected, 0)
    assert list(map(int, dev.texts)) == sorted(map(int, dev.texts))


def test_another_seed_holds_out_others() -> None:
    examples = Examples("sentences", {"sentence": [str(n) for n in range(100)]})
    assert split(examples, seed=0).dev.texts != split(examples, seed=1).dev.texts


def test_by_sentence_a_group_may_be_on_both_sides() -> None:
    texts = [f"{chr(0x4E00 + n)}{chr(0x5E00 + n)}" for n in range(40)]
    examples = pairs_of(*texts, groups=[n // 20 for n in range(40)])
    found = split(examples, 0.1, by="sentence")
    assert len(found.dev) == 4 and found.dropped == 0
    by_group = split(examples, 0.5, by="group")
    assert by_group.dev.groups is not None and len(set(by_group.dev.groups.tolist())) == 1


def test_one_large_component_is_cut_where_sentences_recur_least() -> None:
    # A chain: each row shares a sentence with the next one.
    chain = [chr(0x4E00 + n) for n in range(101)]
    examples = pairs_of(*(a + b for a, b in pairwise(chain)))
    train, dev, dropped = split(examples, 0.1)
    assert len(dev) == 10 and 1 <= dropped <= 20
    assert len(train) == 90 - dropped
    assert not folds(train) & folds(dev)
    star = pairs_of(*("x" + text for text in chain[:50]), *(text * 2 for text in chain[50:60]))
    assert split(star, 0.5, seed=1).dropped == 0


@pytest.mark.parametrize("groups", [None, [0] * 50])
def test_what_hangs_together_by_one_sentence_cannot_be_split(groups: list[int] | None) -> None:
    examples = pairs_of(*("x" + chr(0x4E00 + n) for n in range(50)), groups=groups)
    with pytest.raises(DataError, match="cannot hold out 5 of 50 examples: 50 of them hang"):
        split(examples)


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0])
def test_a_share_is_part_of_the_whole(share: float) -> None:
    with pytest.raises(DataError, match="a share to hold out is above 0 and below 1"):
        split(pairs_of("ab", "cd"), share)


def test_one_side_is_never_empty() -> None:
    with pytest.raises(DataError, match="cannot hold out 1 of 1 examples"):
        split(pairs_of("ab"))
    with pytest.raises(DataError, match="cannot hold out 2 of 2 examples"):
        split(pairs_of("ab", "cd"), n_dev=2)


def bank(sizes: list[int], shared: int = 0) -> BankPhrasings:
    """A bank whose first `shared` phrasings, but for their case, are in all questions."""
    texts = [
        f"Text {place}"[: 99 if group % 2 else None] if place < shared else f"{group} {place}"
        for group, size in enumerate(sizes)
        for place in range(size)
    ]
    texts = [text.upper() if row % 2 else text for row, text in enumerate(texts)]
    groups = np.repeat(np.arange(len(sizes)), sizes)
    return BankPhrasings(tuple(texts), groups, tuple(map(str, range(len(sizes)))))


@given(
    st.lists(st.integers(1, 8), min_size=2, max_size=8),
    st.integers(0, 2),
    st.integers(0, 5),
    st.sampled_from(["phrasing", "question"]),
)
def test_no_text_of_a_bank_is_on_both_sides(
    sizes: list[int], shared: int, seed: int, by: Literal["phrasing", "question"]
) -> None:
    whole = bank(sizes, shared)
    try:
        train, dev = split_bank(whole, 0.3, seed=seed, by=by)
    except DataError as error:
        assert "hold out" in str(error) or "held out" in str(error)
        return
    assert len(train) and len(dev)
    assert not set(map(folded, train.texts)) & set(map(folded, dev.texts))
    if by == "phrasing":
        assert len(train) + len(dev) == len(whole)
        assert set(train.groups.tolist()) == set(whole.groups.tolist())
    else:
        assert not set(train.groups.tolist()) & set(dev.groups.tolist())


def test_a_standard_question_keeps_its_own_text() -> None:
    whole = bank([5] * 20)
    train, dev = split_bank(whole, 0.5)
    own = {text for text in whole.texts if text.endswith(" 0")}
    assert own <= set(train.texts)
    assert 40 <= len(dev) <= 60


def test_small_questions_give_a_phrasing_now_and_then() -> None:
    train, dev = split_bank(bank([2] * 200), 0.1)
    assert 25 <= len(dev) <= 55
    assert len(np.unique(dev.groups)) == len(dev)
    assert len(train) + len(dev) == 400


def test_a_bank_without_further_phrasings_has_none_to_hold_out() -> None:
    with pytest.raises(DataError, match="none of 5 phrasings can be held out"):
        split_bank(bank([1] * 5), 0.5)


@pytest.mark.data
@pytest.mark.parametrize(
    ("file", "shape"),
    [
        ("sts_en/stsbenchmark/train", "scored"),
        ("nli/snli_cad/train", "labelled"),
        ("paraphrase/flickr8k_captions/dev", "pairs"),
    ],
)
def test_shared_data_is_split_without_loss(data_dir: Path, file: str, shape: str) -> None:
    examples = read_examples([data_dir / f"{file}.parquet"], shape)  # type: ignore[arg-type]
    train, dev, dropped = split(examples)
    assert dropped == 0 and len(dev) == pytest.approx(len(examples) / 10, abs=10)
    assert not folds(train) & folds(dev)


@pytest.mark.data
def test_banking77_gives_queries_for_every_question(data_dir: Path) -> None:
    folder = data_dir / "faq/banking77"
    whole = read_bank_examples(folder / "bank.parquet", phrasings=folder / "train.parquet")
    train, dev = split_bank(whole)
    assert len(np.unique(dev.groups)) == 77 and 900 < len(dev) < 1100
    assert not set(map(folded, train.texts)) & set(map(folded, dev.texts))
