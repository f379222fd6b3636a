"""Test pairs that were trained on are found whatever their order and spelling, and dropped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from semsearch.errors import DataError
from semsearch.evaluation import data, leakage
from semsearch.evaluation.tasks import TASKS


@pytest.mark.parametrize(
    "pair",
    [
        ("My card", "A refund"),
        ("A refund", "My card"),
        ("my CARD", "a  refund "),
        ("ｍｙ ｃａｒｄ", "A\u3000refund"),
    ],
)
def test_order_case_width_and_spaces_do_not_hide_a_pair(pair: tuple[str, str]) -> None:
    assert leakage.key(*pair) == leakage.key("My card", "A refund")


def test_other_words_are_another_pair() -> None:
    assert leakage.key("My card", "A refund") != leakage.key("My card", "A refund?")
    assert leakage.key("My", "card A") != leakage.key("My card", "A")


def test_leaked_pairs_are_dropped_and_counted(tmp_path: Path) -> None:
    table = tmp_path / "train.csv"
    table.write_text("premise,hypothesis,label\nB,a,entailment\nx,y,neutral\n", encoding="utf-8")
    pairs = data.Pairs(
        TASKS["STS12"],
        ("a", "c", "A"),
        ("b", "d", "b"),
        np.array([1.0, 2.0, 3.0]),
        ("s", "t", "s"),
        {"missing score": 4},
    )
    kept = leakage.drop(pairs, leakage.seen([table]))
    assert (kept.first, kept.second, kept.subsets) == (("c",), ("d",), ("t",))
    assert kept.gold.tolist() == [2]
    assert kept.dropped == {"missing score": 4, leakage.REASON: 2}
    assert leakage.drop(kept, set()).dropped == kept.dropped


def test_a_training_file_without_sentences_is_an_error(tmp_path: Path) -> None:
    table = tmp_path / "train.csv"
    table.write_text("key,answer\n1,2\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"train.csv: no column called sentence1"):
        leakage.seen([table])


@pytest.mark.data
def test_known_overlaps_of_the_shared_data_are_found(data_dir: Path) -> None:
    known = {"STS-B": 12, "STS-B-dev": 7, "STS12": 1002, "STS13": 597, "STS14": 1861, "STS16": 197}
    seen = leakage.seen([data_dir / "sts_en/stsbenchmark/train.parquet"])
    found = {
        name: leakage.drop(data.load(TASKS[name], data_dir), seen).dropped[leakage.REASON]
        for name in known
    }
    assert found == known
