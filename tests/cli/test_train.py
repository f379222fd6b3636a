"""`semsearch train`: what people type, what they get, and what is said when it cannot be done."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from semsearch.cli import cli
from semsearch.encoder import Encoder
from semsearch.tables import write_table
from semsearch.training.student import make_student

pytest.importorskip("torch")
pytest.importorskip("sentence_transformers")

Train = Callable[..., Result]

WORDS = ["card", "lost", "money", "refund", "order", "track", "parcel", "phone", "reset", "fee"]


@pytest.fixture
def train(tmp_path: Path, tiny_encoder_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Train:
    """Run `semsearch train` with the tiny encoder, in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments: str) -> Result:
        words = ["train", *arguments, "--encoder", str(tiny_encoder_dir), "--device", "cpu"]
        result = CliRunner().invoke(cli, words)
        assert result.exception is None or isinstance(result.exception, SystemExit), (
            result.exception
        )
        return result

    return invoke


def texts(n: int, seed: int = 0) -> list[str]:
    random = np.random.default_rng(seed)
    return [f"{' '.join(random.choice(WORDS, 3))} {number}" for number in range(n)]


def scored(n: int) -> list[dict[str, Any]]:
    return [
        {"sentence1": one, "sentence2": two, "score": row % 6}
        for row, (one, two) in enumerate(zip(texts(n), texts(n, 1), strict=True))
    ]


def nli(n: int) -> list[dict[str, Any]]:
    kinds = ("entailment", "neutral", "contradiction")
    return [
        {"premise": row["sentence1"], "hypothesis": row["sentence2"], "label": kinds[number % 3]}
        for number, row in enumerate(scored(n))
    ]


def triplets(n: int) -> list[dict[str, Any]]:
    columns = (texts(n), texts(n, 1), texts(n, 2))
    return [
        {"anchor": one, "positive": two, "negative": three}
        for one, two, three in zip(*columns, strict=True)
    ]


def test_the_result_is_told_saved_and_used(train: Train, tmp_path: Path) -> None:
    write_table(tmp_path / "pairs.csv", scored(60))
    result = train("pairs.csv", "mine", "--objective", "cosent", "--steps", "4", "--checks", "2")
    assert result.exit_code == 0, result.output
    assert "mine: 4 steps in" in result.stdout
    assert "before," in result.stdout and "after," in result.stdout and "on 6" in result.stdout
    runner = CliRunner()
    write_table(tmp_path / "faq.csv", [{"question": "lost card", "answer": "Call."}])
    assert runner.invoke(cli, ["build", "faq.csv", "--encoder", "mine"]).exit_code == 0
    answer = runner.invoke(cli, ["query", "index/faq", "my card is lost"])
    assert answer.exit_code == 0 and "Call." in answer.stdout
    facts = json.loads(runner.invoke(cli, ["encoder", "mine", "--json"]).stdout)
    assert facts["pooling"] == "mean"


def test_as_json_there_is_one_document(train: Train, tmp_path: Path) -> None:
    write_table(tmp_path / "nli.csv", nli(60))
    result = train(
        "nli.csv", "mine", "--objective", "classification", "--steps", "2", "--dev-share", "0.3",
        "--pooling", "max", "--json",
    )  # fmt: skip
    report = json.loads(result.stdout)
    assert report["path"] == "mine" and report["steps"] == 2
    assert report["settings"]["pooling"] == "max"
    assert report["examples"]["labels"] == ["entailment", "neutral", "contradiction"]
    assert report == {
        "path": "mine",
        **json.loads((tmp_path / "mine" / "training.json").read_text()),
    }


def test_a_student_of_fewer_layers_learns_from_its_teacher(train: Train, tmp_path: Path) -> None:
    (tmp_path / "sentences.txt").write_text("\n".join(texts(80)), encoding="utf-8")
    (tmp_path / "vocab.txt").write_text("\n".join([*WORDS, *"0123456789"]), encoding="utf-8")
    result = train(
        "sentences.txt", "small", "--objective", "distil", "--layers", "1", "--vocab", "vocab.txt",
        "--steps", "3",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "with the teacher's" in result.stdout
    config = json.loads((tmp_path / "small" / "config.json").read_text())
    assert config["num_hidden_layers"] == 1
    assert config["vocab_size"] == 5 + len(WORDS) + 10


def test_a_student_learns_by_everything_at_once(
    train: Train, tmp_path: Path, tiny_encoder_dir: Path
) -> None:
    from sentence_transformers import SentenceTransformer

    (tmp_path / "vocab.txt").write_text("\n".join([*WORDS, *"0123456789卡费"]), encoding="utf-8")
    pairs = [(text, " ".join(text.split()[::-1])) for text in texts(150)]
    pairs += [(text, text) for text in texts(40, 4)]
    write_table(tmp_path / "en-zh.csv", [{"anchor": one, "positive": two} for one, two in pairs])
    write_table(tmp_path / "overlap.csv", scored(40))
    write_table(tmp_path / "nli.csv", triplets(40))
    result = train(
        "en-zh.csv", "small", "--objective", "distil", "--shape", "pairs", "--layers", "1",
        "--vocab", "vocab.txt", "--dim", "16", "--dims", "8", "--batch-tokens", "256",
        "--topics", "3", "--distance", "cosine", "--similarities", "2", "--ranking", "0.1",
        "--learning-rate", "1e-3", "--embedding-rate", "3e-3", "--epochs", "7", "--dev-share", "0",
        "--literal", "0.2", "--also", "regression=overlap.csv",
        "--also", "supervised-simcse=nli.csv",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "small" / "training.json").read_text())
    losses = [loss for _, loss in report["losses"]]
    assert np.median(losses[-12:]) < 0.7 * np.median(losses[:12]), losses
    assert [task["sources"][0]["path"] for task in report["also"]] == ["overlap.csv", "nli.csv"]
    assert all(len(task["sources"][0]["sha256"]) == 64 for task in report["also"])
    card = (tmp_path / "small" / "README.md").read_text(encoding="utf-8")
    assert "- overlap.csv: 40 rows" in card and "- nli.csv: 40 rows" in card

    asked = ["my card is lost", "the refund of the order", "卡"]
    on_onnx, on_torch = (
        Encoder.load(tmp_path / "small", runtime=runtime).encode(asked)
        for runtime in ("onnx", "torch")
    )
    assert on_onnx.shape == (3, 16)
    np.testing.assert_allclose(on_onnx, on_torch, atol=1e-4)
    plain = SentenceTransformer(str(tmp_path / "small"), device="cpu").encode(asked)
    np.testing.assert_allclose(plain, on_torch, atol=1e-4)


def test_leaks_of_a_table_beside_are_told_or_dropped(train: Train, tmp_path: Path) -> None:
    for name, rows in (("main", scored(60)[20:]), ("more", scored(20)), ("test", scored(3))):
        write_table(tmp_path / f"{name}.csv", rows)
    arguments = ("main.csv", "mine", "--objective", "cosent", "--also", "regression=more.csv",
                 "--evaluate", "test.csv", "--steps", "2")  # fmt: skip
    result = train(*arguments)
    assert result.exit_code == 2
    assert "more.csv: 3 of 20 scored have a pair that is in test.csv" in result.stderr
    dropped = train(*arguments, "--drop-leaks")
    assert dropped.exit_code == 0, dropped.output
    report = json.loads((tmp_path / "mine" / "training.json").read_text())
    assert report["also"][0]["n"] == 17


def test_a_run_that_was_refused_is_not_in_the_way(train: Train, tmp_path: Path) -> None:
    (tmp_path / "sentences.txt").write_text("\n".join(texts(40)), encoding="utf-8")
    arguments = ("sentences.txt", "mine", "--objective", "distil", "--steps", "1")
    refused = train(*arguments, "--batch-tokens", "4")
    assert refused.exit_code == 2
    assert "is more than --batch-tokens 4. Pass more" in refused.stderr
    assert train(*arguments, "--batch-tokens", "64").exit_code == 0


def test_a_map_needs_a_teacher_of_the_students_dimensions(
    train: Train, tmp_path: Path, tiny_encoder_dir: Path
) -> None:
    reduction = np.eye(16, 32, dtype=np.float32)
    make_student(tiny_encoder_dir, tmp_path / "narrow", reduction=reduction)
    (tmp_path / "sentences.txt").write_text("\n".join(texts(40)), encoding="utf-8")
    arguments = ("sentences.txt", "mine", "--objective", "distil", "--teacher", "narrow")
    result = train(*arguments, "--dim", "8")
    assert result.exit_code == 2
    assert "reduces the teacher's 16 dimensions, and" in result.stderr
    assert not list(tmp_path.glob("mine*"))


def test_a_run_without_held_out_examples_claims_nothing(train: Train, tmp_path: Path) -> None:
    write_table(tmp_path / "pairs.csv", scored(20))
    result = train(
        "pairs.csv", "mine", "--objective", "regression", "--dev-share", "0", "--steps", "1"
    )
    assert result.exit_code == 0, result.output
    assert "nothing was held out" in result.stdout


def test_a_worse_result_is_warned_of(train: Train, tmp_path: Path) -> None:
    pairs = [{"anchor": f"{a} {b}", "positive": f"{b} {a}"} for a in WORDS for b in WORDS if a < b]
    write_table(tmp_path / "dev.csv", pairs)
    write_table(tmp_path / "pairs.csv", [{"anchor": a, "positive": b} for a, b in
                                         zip(texts(60), texts(60, 5), strict=True)])  # fmt: skip
    result = train(
        "pairs.csv", "mine", "--objective", "contrastive", "--dev", "dev.csv", "--steps", "8",
        "--learning-rate", "0.5", "--checks", "1",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "warning: worse than" in result.stderr


@pytest.mark.parametrize(
    ("rows", "words", "message"),
    [
        ([{**row, "label": "neutral"} for row in nli(20)], "classification", "label"),
        ([{"premise": "a", "label": "x"}], "classification", "no column called sentence2"),
        (nli(20), "classification --labels entailment,neutral", "line 4"),
        ([*triplets(20), {"anchor": "a", "positive": "b", "negative": ""}], "triplet", "line 22"),
        (scored(7), "regression --batch-size 16", "do not fill a batch of 16"),
        ([*scored(20), {**scored(1)[0], "sentence2": "x" * 100_000}], "cosent", "line 22"),
        ([*scored(20), {**scored(1)[0], "score": "NaN"}], "angle", "line 22"),
        ([*scored(20), {**scored(1)[0], "score": "much"}], "regression", "much"),
        ([*scored(20), {**scored(1)[0], "score": 7}], "regression --score-range 0,5", "7"),
        (scored(20), "regression --column score=nota", "no column 'nota'"),
        (scored(20), "regression --layers 0,9", "has the layers 0 to 1"),
        (scored(20), "regression --dims 64", "32 dimensions"),
        (scored(20), "contrastive --mine-hard 1", "neither 0 nor 1"),
        (scored(20), "regression --mine-hard 1", "--mine-hard goes with"),
        (scored(20), "regression --resume", "no run to resume"),
        (scored(20), "regression --truncate middle", "middle"),
        (scored(20), "simcse --dropout 0", "--dropout 0.1"),
        (scored(20), "cosent --also simcse=train.csv --dropout 0", "--dropout 0.1"),
        (scored(20), "cosent --batch-tokens 64", "--batch-tokens goes with the objective distil"),
        (scored(20), "cosent --dim 16", "--dim goes with the objective distil"),
        (scored(20), "cosent --distance cosine", "--distance goes with the objective distil"),
        (scored(20), "cosent --similarities 2", "--similarities goes with the objective distil"),
        (scored(20), "cosent --ranking 0.1", "--ranking goes with the objective distil"),
        (scored(20), "distil --topics 4", "--topics goes with --batch-tokens"),
        (scored(20), "distil --literal 1", "--literal goes with --batch-tokens"),
        (scored(40), "distil --literal 1 --batch-tokens 64", "--literal goes with pairs"),
        (scored(20), "distil --batch-tokens 64 --batch-size 8", "in place of --batch-size"),
        (scored(40), "distil --dim 33 --batch-tokens 64", "32 dimensions, the student 33"),
        (scored(9), "distil --dim 30 --batch-tokens 64", "too few to reduce"),
        (nli(20), "classification --dims 8", "--dims does not go with classification"),
        (scored(20), "cosent --also distil=train.csv", "is not OBJECTIVE=TABLE with one of"),
        (scored(20), "cosent --also train.csv", "is not OBJECTIVE=TABLE with one of"),
        (scored(20), "cosent --also triplet=train.csv", "train.csv: no column called"),
        (scored(20), "cosent --also regression=none.csv", "none.csv"),
    ],
)
def test_bad_input_is_one_clear_line_before_anything_is_trained(
    train: Train, tmp_path: Path, rows: list[dict[str, Any]], words: str, message: str
) -> None:
    write_table(tmp_path / "train.csv", rows)
    objective, *others = words.split()
    result = train("train.csv", "mine", "--objective", objective, *others)
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert "Traceback" not in result.output
    assert not (tmp_path / "mine").exists()


def test_a_finished_encoder_is_not_overwritten(train: Train, tmp_path: Path) -> None:
    write_table(tmp_path / "pairs.csv", scored(40))
    arguments = ("pairs.csv", "mine", "--objective", "cosent", "--steps", "1")
    assert train(*arguments).exit_code == 0
    before = (tmp_path / "mine" / "model.safetensors").read_bytes()
    again = train(*arguments)
    assert again.exit_code == 2 and "already there" in again.stderr
    assert (tmp_path / "mine" / "model.safetensors").read_bytes() == before


@pytest.mark.slow
def test_two_processes_share_a_run(tmp_path: Path, tiny_encoder_dir: Path) -> None:
    write_table(tmp_path / "pairs.csv", scored(100))
    done = subprocess.run(
        [
            sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2",
            "--master-port", "29731", "-m", "semsearch", "train", "pairs.csv", "mine",
            "--objective", "cosent", "--encoder", str(tiny_encoder_dir), "--device", "cpu",
            "--epochs", "1", "--batch-size", "16",
        ],
        cwd=tmp_path, capture_output=True, text=True, timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("mine:") == 1, done.stdout
    report = json.loads((tmp_path / "mine" / "training.json").read_text())
    assert report["steps"] in (5, 6), "a step learns from 16 pairs, 8 in each process"
