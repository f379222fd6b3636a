"""Banks and indexes give phrasings, and pairs of them that stay within a standard question."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semsearch import Index
from semsearch.encoder import Encoder
from semsearch.errors import BadRowsError, DataError, IndexNotFoundError
from semsearch.training.phrasings import BankPhrasings, pairs_within, read_bank_examples

BANK = "key,question,answer,phrasings\n1,lost card,x,card gone|LOST  card\n2,refund,y,\n"


@pytest.fixture
def bank_path(tmp_path: Path) -> Path:
    path = tmp_path / "bank.csv"
    path.write_text(BANK, encoding="utf-8")
    return path


def bank_of(*sizes: int) -> BankPhrasings:
    texts = [f"{group}-{place}" for group, size in enumerate(sizes) for place in range(size)]
    groups = np.repeat(np.arange(len(sizes)), sizes)
    return BankPhrasings(tuple(texts), groups, tuple(map(str, range(len(sizes)))), ({"path": "b"},))


def test_a_table_gives_phrasings_once_with_their_question(bank_path: Path) -> None:
    found = read_bank_examples(bank_path)
    assert found.texts == ("lost card", "card gone", "refund")
    assert found.groups.tolist() == [0, 0, 1]
    assert found.keys == ("1", "2")
    assert found.sources[0]["path"] == str(bank_path) and found.sources[0]["rows"] == 2
    assert len(found.take([2, 0])) == 2 and found.take([2, 0]).texts == ("refund", "lost card")


def test_a_second_table_of_phrasings_is_read_with_its_checksum(
    bank_path: Path, tmp_path: Path
) -> None:
    more = tmp_path / "more.csv"
    more.write_text("question_id,text\n2,money back\n", encoding="utf-8")
    found = read_bank_examples(bank_path, phrasings=more)
    assert found.texts == ("lost card", "card gone", "refund", "money back")
    assert found.sources[0]["phrasings"]["path"] == str(more)


def test_an_index_gives_the_same_phrasings_without_its_encoder(
    bank_path: Path, tmp_path: Path, tiny_encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    Index.build(bank_path, tmp_path / "index", encoder=tiny_encoder).close()
    monkeypatch.setattr(Encoder, "load", None)
    found, expected = read_bank_examples(tmp_path / "index"), read_bank_examples(bank_path)
    assert (found.texts, found.keys) == (expected.texts, expected.keys)
    assert found.groups.tolist() == expected.groups.tolist()
    again = read_bank_examples(tmp_path / "index")
    assert found.sources[0]["sha256"] == again.sources[0]["sha256"] != ""


def test_a_directory_that_is_no_index_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(IndexNotFoundError):
        read_bank_examples(tmp_path)


def test_an_index_takes_no_columns(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is an index, which has its phrasings and no columns"):
        read_bank_examples(tmp_path, question="q")


def test_bad_rows_of_a_bank_are_refused_or_counted(tmp_path: Path) -> None:
    path = tmp_path / "bank.csv"
    path.write_text(BANK + "3,,z,\n", encoding="utf-8")
    with pytest.raises(BadRowsError, match=r"bank\.csv:4: empty question"):
        read_bank_examples(path)
    found = read_bank_examples(path, skip_bad=True)
    assert len(found) == 3 and found.sources[0]["bad_rows"] == 1


def test_an_endless_phrasing_is_refused_or_counted(tmp_path: Path) -> None:
    path = tmp_path / "bank.csv"
    path.write_text(BANK + f"3,{'long ' * 20_000},z,\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"key '3' has a phrasing of 99,999 characters, at most"):
        read_bank_examples(path)
    found = read_bank_examples(path, skip_bad=True)
    assert len(found) == 3 and found.sources[0]["endless_phrasings"] == 1


def test_each_phrasing_is_an_anchor_once_in_a_round_with_a_new_partner() -> None:
    bank = bank_of(4, 1, 2)
    pairs = pairs_within(bank, seed=3, rounds=3)
    anchors, positives = pairs.columns["anchor"], pairs.columns["positive"]
    expected = [text for text in bank.texts if text != "1-0"]
    for start in range(0, 18, 6):
        assert list(anchors[start : start + 6]) == expected
    partners = defaultdict(set)
    for anchor, positive in zip(anchors, positives, strict=True):
        partners[anchor].add(positive)
    assert all(len(partners[f"0-{place}"]) == 3 for place in range(4))
    assert partners["2-0"] == {"2-1"}
    assert pairs.sources == ({"path": "b", "questions_of_one_phrasing": 1},)


@given(
    st.lists(st.integers(1, 6), min_size=1, max_size=6).filter(lambda sizes: max(sizes) > 1),
    st.integers(0, 9),
    st.integers(1, 4),
)
def test_pairs_stay_within_a_question_and_never_pair_a_text_with_itself(
    sizes: list[int], seed: int, rounds: int
) -> None:
    bank = bank_of(*sizes)
    pairs = pairs_within(bank, seed, rounds)
    assert len(pairs) == rounds * sum(size for size in sizes if size > 1)
    assert pairs.groups is not None
    rows = zip(*pairs.columns.values(), pairs.groups, strict=True)
    for anchor, positive, group in rows:
        assert anchor != positive
        assert anchor.split("-")[0] == positive.split("-")[0] == str(group)
    assert pairs.sha256 == pairs_within(bank, seed, rounds).sha256


def test_another_seed_gives_other_pairs() -> None:
    bank = bank_of(9)
    assert pairs_within(bank, 0).sha256 != pairs_within(bank, 1).sha256


def test_a_bank_without_pairs_is_an_error() -> None:
    with pytest.raises(DataError, match="no standard question of the bank has two phrasings"):
        pairs_within(bank_of(1, 1))
    with pytest.raises(DataError, match="at least one round, not 0"):
        pairs_within(bank_of(2), rounds=0)


@pytest.mark.data
def test_banking77_makes_a_pair_of_every_phrasing(data_dir: Path) -> None:
    folder = data_dir / "faq/banking77"
    bank = read_bank_examples(folder / "bank.parquet", phrasings=folder / "train.parquet")
    assert len(bank.keys) == 77 and len(bank) > 10_000
    assert len(pairs_within(bank, rounds=2)) == 2 * len(bank)
