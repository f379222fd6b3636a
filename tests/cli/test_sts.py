"""`semsearch sts`: what people type, and what they see."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from semsearch.cli import cli
from semsearch.tables import write_table

Run = Callable[..., Result]

WORDS = [
    "card",
    "refund",
    "parcel",
    "account",
    "invoice",
    "password",
    "payment",
    "shipping",
    "order",
    "phone",
]


@pytest.fixture
def run(tmp_path: Path, tiny_encoder_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `semsearch sts` in a folder with `pairs.csv`; `minilm` stands for the tiny encoder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEMSEARCH_DATA", raising=False)
    monkeypatch.setattr(
        "semsearch.encoder.encoder.resolve",
        lambda source, **_: tiny_encoder_dir if str(source) == "minilm" else Path(source),
    )
    random = np.random.default_rng(0)
    rows = []
    for number in range(40):
        words = [str(word) for word in random.permutation(WORDS)]
        shared = number % 5
        rows.append(
            {
                "text_a": " ".join(words[:4]),
                "text_b": " ".join([*words[:shared], *words[4 : 8 - shared]]),
                "label": shared,
            }
        )
    write_table(tmp_path / "pairs.csv", rows)
    runner = CliRunner()

    def invoke(*arguments: str) -> Result:
        result = runner.invoke(cli, ["sts", "--draws", "50", *arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), (
            result.exception
        )
        return result

    return invoke


def test_own_pairs_give_a_table_with_the_baseline_first(run: Run) -> None:
    result = run("minilm", "--pairs", "pairs.csv")
    assert result.exit_code == 0, result.output
    title, header, lexical, encoder, *_ = result.stdout.splitlines()
    assert title.startswith("STS, English") and header.split() == ["pairs"]
    assert lexical.startswith("tf-idf  ") and encoder.startswith("minilm  ")
    assert result.stderr == ""


def test_json_is_one_document_with_stable_names(run: Run) -> None:
    result = run("minilm", "--pairs", "pairs.csv", "--whiten", "8", "--json")
    record = json.loads(result.stdout)
    assert list(record) == [
        "metric", "similarity", "aggregation", "compared_with", "bootstrap", "trained_on",
        "tasks", "skipped", "rows", "provenance",
    ]  # fmt: skip
    assert [row["label"] for row in record["rows"]] == [
        "tf-idf", "minilm", "minilm, whitened 8 on target"
    ]  # fmt: skip
    assert list(record["rows"][0]["scores"]["pairs"]) == [
        "value", "low", "high", "difference", "better"
    ]  # fmt: skip


def test_options_reach_the_run(run: Run) -> None:
    result = run(
        "minilm", "--pairs", "pairs.csv", "--first", "text_b", "--second", "text_a", "--gold",
        "label", "--pooling", "cls, mean", "--dims", "4,8", "--metric", "pearson", "--similarity",
        "dot", "--aggregation", "wmean", "--seed", "3", "--json",
    )  # fmt: skip
    record = json.loads(result.stdout)
    assert (record["metric"], record["similarity"]) == ("pearson", "dot")
    assert (record["aggregation"], record["bootstrap"]["seed"]) == ("wmean", 3)
    labels = [row["label"] for row in record["rows"]]
    assert len(labels) == 1 + 2 * 7 and "minilm, cls, PCA 8 on target" in labels
    assert record["compared_with"] == "minilm, cls"


def test_the_data_directory_comes_from_the_environment_too(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "data" / "sts_en" / "stsbenchmark"
    folder.mkdir(parents=True)
    (folder / "test.csv").write_bytes((tmp_path / "pairs.csv").read_bytes())
    given = run("minilm", "--tasks", "stsb", "--data", "data")
    monkeypatch.setenv("SEMSEARCH_DATA", "data")
    assert run("minilm", "--tasks", "stsb").stdout == given.stdout
    assert given.stdout.splitlines()[1].split() == ["STS-B"]
    group = run("minilm")  # en, of which the others have no data here
    assert group.exit_code == 0 and group.stdout.count("skipped ") == 6


def test_a_report_is_written_into_a_directory(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    result = run("minilm", "--pairs", "pairs.csv", "--report", "out")
    assert result.exit_code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "pairs.png", "scores.png", "sts.json", "sts.md"
    ]  # fmt: skip
    assert "sts.md" in result.stderr and "sts.md" not in result.stdout


def test_a_report_without_matplotlib_fails_before_anything_is_encoded(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setattr("semsearch.encoder.Encoder.load", None)
    result = run("minilm", "--pairs", "pairs.csv", "--report", "out")
    assert result.exit_code == 2 and "pip install 'semsearch[benchmarks]'" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("minilm --tasks STS99 --data .", "no STS task 'STS99'"),
        ("minilm --tasks STS15 --data .", "STS15: no sts_en/sts15"),
        ("minilm --tasks en --data .", "no task has data"),
        ("minilm --data nowhere", "nowhere"),
        ("minilm --pairs nothing.csv", "nothing.csv: there is no such file"),
        ("minilm --pairs pairs.csv --gold nope", "no column 'nope'"),
        ("minilm --gold label --data .", "--pairs"),
        ("minilm --pairs pairs.csv --whiten 64", "64 were asked for"),
        ("minilm --pairs pairs.csv --dims 4,x", "'4,x' is no list"),
        ("minilm --pairs pairs.csv --dims 0", "'0' is no list"),
        ("minilm --pairs pairs.csv --pooling sideways", "sideways"),
        ("minilm --pairs pairs.csv --whiten 4 --whiten-on none.txt", "none.txt"),
        ("minilm --pairs pairs.csv --trained-on none.csv", "none.csv"),
        ("./no-such-encoder --pairs pairs.csv", "no-such-encoder"),
    ],
)
def test_what_goes_wrong_is_one_line_and_exit_code_2(
    run: Run, arguments: str, message: str
) -> None:
    result = run(*arguments.split())
    assert result.exit_code == 2, result.output
    assert message in result.stderr and "Traceback" not in result.stderr
    assert result.stdout == ""
    if not result.stderr.startswith("Usage:"):
        assert len(result.stderr.splitlines()) == 1


def test_pairs_that_an_encoder_was_trained_on_are_reported(run: Run, tmp_path: Path) -> None:
    lines = (tmp_path / "pairs.csv").read_text(encoding="utf-8").splitlines()
    (tmp_path / "train.csv").write_text("\n".join(lines[:6]), encoding="utf-8")
    result = run("minilm", "--pairs", "pairs.csv", "--trained-on", "train.csv")
    assert "pairs: 5 of 40 pairs dropped: in the training files." in result.stdout
