"""`semsearch pretrain`: what people type, and what they see."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from semsearch.cli import cli
from semsearch.encoder import Encoder
from semsearch.tables import write_table
from tests.training.corpus import made_corpus

pytest.importorskip("torch")
pytest.importorskip("sentence_transformers")

Run = Callable[..., Result]

TINY = ("--layers", "1", "--width", "32", "--heads", "2", "--vocab-size", "150",
        "--max-length", "32", "--batch-tokens", "512", "--device", "cpu")  # fmt: skip


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `semsearch pretrain` in a folder with `texts.txt` and `texts.csv`."""
    monkeypatch.chdir(tmp_path)
    Path("texts.txt").write_text("\n".join(made_corpus(300)), encoding="utf-8")
    write_table(
        tmp_path / "texts.csv", [{"no": n, "body": t} for n, t in enumerate(made_corpus(9))]
    )
    runner = CliRunner()

    def invoke(*arguments: str) -> Result:
        result = runner.invoke(cli, ["pretrain", *arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), (
            result.exception
        )
        return result

    return invoke


def test_a_text_file_becomes_an_encoder_and_the_result_is_said(run: Run) -> None:
    result = run("texts.txt", "base", *TINY, "--steps", "30")
    assert result.exit_code == 0, result.output
    first, second = result.stdout.splitlines()
    assert first.startswith("base: 30 steps in ")
    assert second.startswith("  masked tokens: perplexity 1") and " after, on " in second
    assert Encoder.load("base").encode(["refund"]).shape == (1, 32)


def test_json_is_what_training_json_holds(run: Run) -> None:
    result = run("texts.txt", "base", *TINY, "--steps", "2", "--masking", "ngram", "--json")
    found = json.loads(result.stdout)
    assert found.pop("path") == "base"
    assert found == json.loads(Path("base/training.json").read_text(encoding="utf-8"))
    assert found["settings"]["masking"] == "ngram"


def test_what_is_typed_is_what_is_done(run: Run) -> None:
    result = run(
        "texts.txt", "texts.csv", "base", *TINY, "--column", "body", "--epochs", "0.2",
        "--dev", "texts.csv", "--learning-rate", "0.002", "--schedule", "cosine", "--warmup", "0.1",
        "--rate", "0.2", "--dropout", "0.1", "--precision", "float32", "--seed", "5", "--json",
    )  # fmt: skip
    assert result.exit_code == 2  # a text file has no columns
    assert "texts.txt" in result.stderr
    result = run(
        "texts.txt", "base", *TINY, "--epochs", "0.2", "--dev", "texts.txt", "--json",
    )  # fmt: skip
    assert result.exit_code == 2 and "too few" in result.stderr
    dev = ("--dev", "dev.txt")
    Path("dev.txt").write_text("track the parcel\nclose the account\n")
    result = run(
        "texts.txt", "base", *TINY, *dev, "--epochs", "0.2",
        "--learning-rate", "0.002", "--schedule", "cosine", "--warmup", "0.1",
        "--rate", "0.2", "--dropout", "0.1", "--precision", "float32", "--seed", "5", "--json",
    )  # fmt: skip
    report = json.loads(result.stdout)
    chosen: dict[str, Any] = {"layers": 1, "width": 32, "heads": 2, "vocab_size": 150,
        "max_length": 32, "batch_tokens": 512, "epochs": 0.2, "learning_rate": 0.002,
        "schedule": "cosine", "warmup": 0.1, "rate": 0.2, "dropout": 0.1, "precision": "float32",
        "seed": 5, "steps": None, "minutes": None, "encoder": None}  # fmt: skip
    assert chosen.items() <= report["settings"].items()
    assert report["texts"] == 300 and report["precision"] == "float32"


def test_a_table_and_an_encoder_to_start_from(run: Run, tiny_encoder_dir: Path) -> None:
    result = run(
        "texts.csv", "base", "--column", "body", "--encoder", str(tiny_encoder_dir),
        "--max-length", "32", "--batch-tokens", "128", "--steps", "2", "--json",
    )  # fmt: skip
    report = json.loads(result.stdout)
    assert report["settings"]["encoder"] == str(tiny_encoder_dir)
    assert report["vocabulary"] > 3000 and report["texts"] == 8


def test_ctrl_c_keeps_what_was_done_and_resume_goes_on(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from semsearch.cli import output

    def press(self: Any, done: int, total: int, loss: float | None = None) -> None:
        if loss is not None and done == 3:
            os.kill(os.getpid(), signal.SIGINT)

    arguments = ("texts.txt", "base", *TINY, "--steps", "6")
    with monkeypatch.context() as patch:
        patch.setattr(output.ProgressBar, "__call__", press)
        result = run(*arguments)
    assert result.exit_code == 130
    assert "--resume" in result.stderr and not Path("base").exists()
    again = run(*arguments)
    assert again.exit_code == 2 and "--resume" in again.stderr
    assert run(*arguments, "--resume").exit_code == 0
    assert Path("base/model.safetensors").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("missing.txt", "base"), "missing.txt"),
        (("texts.csv", "base"), "no text column"),
        (("texts.txt", "base", "--steps", "3", "--minutes", "1"), "give one"),
        (("texts.txt", "base", "--width", "30", "--heads", "4"), "cannot be shared by 4 heads"),
        (("texts.txt", "base", "--encoder", "minilm", "--layers", "2"), "leave them out"),
        (("texts.txt", "base", "--vocab-size", "20"), "does not hold the"),
        (("texts.txt", "base", "--encoder", "./nowhere"), "nowhere: no such directory"),
        (("texts.txt", "base", "--batch-tokens", "64"), "does not hold a block of 128"),
        (("texts.txt", "base", "--resume"), "no run to resume"),
        (("texts.txt", "texts.csv"), "texts.csv: already there"),
        (("empty.txt", "base"), "holds no text"),
        (("one.txt", "base"), "too few"),
    ],
)
def test_bad_input_is_one_line(run: Run, arguments: tuple[str, ...], message: str) -> None:
    Path("empty.txt").write_text("\n \n")
    Path("one.txt").write_text("only one\n")
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1 and result.stderr.startswith("semsearch: ")
    assert result.stdout == "" and not Path("base").exists()


def test_a_start_that_cannot_be_leaves_nothing_that_must_be_resumed(run: Run) -> None:
    assert run("texts.txt", "base", *TINY, "--vocab-size", "20").exit_code == 2
    assert run("texts.txt", "base", *TINY, "--steps", "2").exit_code == 0


def test_help_names_the_papers_way_of_masking() -> None:
    text = " ".join(CliRunner().invoke(cli, ["pretrain", "--help"]).stdout.split())
    assert "[token|word|ngram]" in text and "[default: word]" in text
    assert "jieba" in text
