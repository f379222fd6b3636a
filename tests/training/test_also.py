from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from semsearch.errors import BadRowsError, DataError
from semsearch.tables import write_table
from semsearch.training.also import read_also
from semsearch.training.examples import Examples
from semsearch.training.preparing import Sources, prepare
from semsearch.training.tasks import Task


def scored(n: int, first: int = 0) -> list[dict[str, Any]]:
    return [
        {"sentence1": f"one {i}", "sentence2": f"two {i}", "score": i % 6}
        for i in range(first, first + n)
    ]


@pytest.fixture
def overlap(tmp_path: Path) -> str:
    write_table(tmp_path / "overlap.csv", scored(40))
    return str(tmp_path / "overlap.csv")


@pytest.fixture
def sentences(tmp_path: Path) -> str:
    (tmp_path / "main.txt").write_text("\n".join(f"main {i}" for i in range(50)))
    return str(tmp_path / "main.txt")


def read(
    tables: Any, judged: Any = None, held_out: Any = None, drop: bool = False, **reading: Any
) -> tuple[Task, ...]:
    return read_also(tables, judged or {}, held_out, drop=drop, reading=reading)


def test_each_table_is_read_as_its_objective_needs_it(overlap: str, tmp_path: Path) -> None:
    nli = [
        {"premise": f"p {i // 2}", "hypothesis": f"h {i}", "label": kind}
        for i, kind in enumerate(["entailment", "contradiction"] * 20)
    ]
    write_table(tmp_path / "nli.csv", nli)
    tables = [("regression", overlap), ("supervised-simcse", str(tmp_path / "nli.csv"))]
    one, two = read(tables, columns={"sentence": "colour"}, score_range=(0, 9))
    assert (one.examples.shape, len(one.examples), one.batch_size) == ("scored", 40, 16)
    assert one.examples.scores is not None
    assert one.examples.scores.max() == 1, "the score range of the main table was taken"
    assert (two.examples.shape, len(two.examples), two.batch_size) == ("triplets", 20, 20)


def test_what_the_encoder_is_judged_by_is_not_learnt_here_either(overlap: str) -> None:
    others = Examples("scored", {"sentence1": ["one 3"], "sentence2": ["two 3"]})
    with pytest.raises(DataError, match=r"overlap.csv: 1 of 40 scored have a pair that is in t"):
        read([("regression", overlap)], {"t": others})
    (task,) = read([("regression", overlap)], {"t": others}, drop=True)
    assert len(task.examples) == 39


def test_what_was_held_out_is_left_out_without_being_asked(
    overlap: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    held_out = Examples("sentences", {"sentence": ["one 3", "TWO 4", "other"]})
    (task,) = read([("regression", overlap)], held_out=held_out)
    assert len(task.examples) == 38
    assert "2 examples of" in caplog.text
    everything = Examples("sentences", {"sentence": [f"one {i}" for i in range(40)]})
    with pytest.raises(DataError, match=r"overlap.csv: all 40 scored are in the evaluation data"):
        read([("regression", overlap)], held_out=everything)


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        ("distil", "distil cannot be learnt beside another objective"),
        ("triplet", "overlap.csv"),
    ],
)
def test_what_cannot_be_learnt_here_is_refused(objective: str, message: str, overlap: str) -> None:
    with pytest.raises(DataError, match=message):
        read([(objective, overlap)])


def test_bad_rows_are_told_and_skipped_as_in_the_main_table(overlap: str, tmp_path: Path) -> None:
    write_table(
        tmp_path / "bad.csv", [*scored(20), {"sentence1": "a", "sentence2": "", "score": 1}]
    )
    table = [("regression", str(tmp_path / "bad.csv"))]
    with pytest.raises(BadRowsError, match=r"bad.csv:22: empty sentence2"):
        read(table)
    (task,) = read(table, skip_bad=True)
    assert len(task.examples) == 20


def test_too_few_examples_are_told_by_their_file(tmp_path: Path) -> None:
    write_table(tmp_path / "few.csv", [{"anchor": "a", "positive": "b", "negative": "c"}])
    with pytest.raises(DataError, match=r"few.csv: 1 triplets do not fill a batch of 2"):
        read([("supervised-simcse", str(tmp_path / "few.csv"))])


def test_a_run_prepares_them_with_its_main_table(
    sentences: str, overlap: str, tmp_path: Path
) -> None:
    write_table(tmp_path / "test.csv", scored(5))
    sources = Sources(
        (sentences,), tests=(str(tmp_path / "test.csv"),), also=(("cosent", overlap),),
        drop_leaks=True,
    )  # fmt: skip
    prepared = prepare("simcse", sources)
    (task,) = prepared.also
    assert task.objective == "cosent" and len(task.examples) == 35


def test_a_bank_is_paired_once_where_other_tables_are_in_the_run(
    overlap: str, tmp_path: Path
) -> None:
    rows = [
        {"key": f"k{i}", "question": f"one {i}", "answer": "So.", "相似问": f"how {i}\nwhy {i}"}
        for i in range(10)
    ]
    write_table(tmp_path / "faq.csv", rows)
    sources = Sources(bank=str(tmp_path / "faq.csv"), dev_share=0.3)
    alone = prepare("contrastive", sources, rounds=3)
    both = prepare(
        "contrastive",
        Sources(bank=sources.bank, dev_share=0.3, also=(("regression", overlap),)),
        rounds=3,
    )
    assert (alone.rounds, both.rounds) == (3, 1)
    assert len(both.also[0].examples) == 40
