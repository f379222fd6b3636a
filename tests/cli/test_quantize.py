"""`semsearch quantize`: what people type, and what they see."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from semsearch.cli import cli
from semsearch.tables import write_table

pytest.importorskip("onnx")

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, tiny_encoder_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `semsearch quantize`; `minilm` stands for the tiny encoder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "semsearch.encoder.encoder.resolve",
        lambda source, **_: tiny_encoder_dir if str(source) == "minilm" else Path(source),
    )
    runner = CliRunner()

    def invoke(*arguments: str) -> Result:
        result = runner.invoke(cli, ["quantize", *arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), (
            result.exception
        )
        return result

    return invoke


def test_it_says_what_was_saved_and_what_it_costs(run: Run) -> None:
    result = run("minilm", "out")
    assert result.exit_code == 0, result.output
    size, cosine = result.stdout.splitlines()
    assert size == "out: 0.7 MiB before, 0.3 MiB now"
    texts = "  cosine to the float32 vectors of 34 texts: "
    assert re.fullmatch(texts + r"mean (0\.999\d|1\.0000), min 0\.999\d", cosine)
    assert result.stderr == ""
    encoder = CliRunner().invoke(cli, ["encoder", "out", "--json"])
    assert json.loads(encoder.stdout)["runtime"] == "onnx"


def test_texts_of_a_file_are_compared_each_once(run: Run, tmp_path: Path) -> None:
    rows = [{"id": n, "body": text} for n, text in enumerate(["my card", "我的订单", "my card"])]
    write_table(tmp_path / "texts.csv", rows)
    result = run("minilm", "out", "--texts", "texts.csv", "--column", "body", "--json")
    found = json.loads(result.stdout)
    assert (found["path"], found["n_texts"]) == ("out", 2)
    assert found["size_bytes"] < found["size_before_bytes"]
    assert 0.99 < found["min_cosine"] <= found["mean_cosine"] < 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("minilm out --min-cosine 1", "where 1 is asked for. Nothing was written."),
        ("minilm out --texts none.txt", "none.txt"),
        ("minilm full", "full: already there"),
        ("nowhere out", "nowhere"),
    ],
)
def test_what_cannot_be_is_one_line(run: Run, tmp_path: Path, arguments: str, message: str) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    result = run(*arguments.split())
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith("semsearch: ") and message in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full"]
