"""`semsearch query --log`: what is kept, and that the answer comes whatever becomes of the log."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from semsearch import Index
from semsearch.calibration import calibrate
from semsearch.cli import cli
from tests.calibration.conftest import BANK, LABELLED

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, tiny_encoder_dir: Path) -> Path:
    path = tmp_path_factory.mktemp("built") / "faq"
    with Index.build(BANK, path, encoder=tiny_encoder_dir) as index:
        calibrate(index, LABELLED, precision=0.95)
    return path


@pytest.fixture
def run(tmp_path: Path, built: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(built, tmp_path / "faq")

    def invoke(*arguments: str) -> Result:
        result = CliRunner().invoke(cli, ("query", "faq", *arguments))
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result

    return invoke


def _logged(path: str = "log.jsonl") -> list[dict[str, object]]:
    return [json.loads(line) for line in Path(path).read_text("utf-8").splitlines()]


def test_nothing_is_kept_unless_asked_for(run: Run, tmp_path: Path) -> None:
    run(BANK[0].question)
    assert [path.name for path in tmp_path.iterdir()] == ["faq"]


def test_a_refused_query_is_logged_with_what_was_found_but_not_shown(run: Run) -> None:
    shown = run("hello and thanks", "--log", "log.jsonl")
    assert shown.exit_code == 1 and shown.stdout == run("hello and thanks").stdout
    (record,) = _logged()
    assert record["answered"] is False and record["key"] and record["score"] is not None


def test_answers_are_the_same_with_a_log(run: Run) -> None:
    asked = (BANK[0].question, BANK[1].question, "--json", "-k", "2")
    assert run(*asked, "--log", "log.jsonl").stdout == run(*asked).stdout
    assert [record["key"] for record in _logged()] == [BANK[0].key, BANK[1].key]


def test_redaction_is_done_before_anything_is_kept(run: Run, tmp_path: Path) -> None:
    (tmp_path / "patterns.txt").write_text("(?P<order>HO-\\d+)\n", encoding="utf-8")
    run("mail a@b.de about HO-17", "--log", "log.jsonl", "--redact", "personal", "--redact",
        "patterns.txt")  # fmt: skip
    assert [record["query"] for record in _logged()] == ["mail [email] about [order]"]


def test_a_log_that_cannot_be_written_does_not_keep_the_answer_back(run: Run) -> None:
    process = subprocess.run(
        [sys.executable, "-m", "semsearch", "query", "faq", BANK[0].question, "--refused",
         "--log", "missing/log.jsonl"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert BANK[0].question in process.stdout
    assert process.stderr.splitlines()[-1].startswith("warning: missing/log.jsonl: not written")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--redact", "personal"), "give --log FILE"),
        (("--log-max", "1MB"), "give --log FILE"),
        (("--log", "log.jsonl", "--log-max", "much"), "'much' is no size; write 64MB, say."),
        (("--log", "log.jsonl", "--log-max", "1kB"), "'1kB' is less than 4096 bytes."),
        (("--log", "log.jsonl", "--redact", "none.txt"), "none.txt: there is no such file."),
    ],
)
def test_what_cannot_be_meant_is_one_clear_line(
    run: Run, arguments: tuple[str, ...], message: str
) -> None:
    result = run("x", *arguments)
    assert result.exit_code == 2 and message in result.stderr
    assert not Path("log.jsonl").exists()


def test_the_log_stays_within_its_size(run: Run, tmp_path: Path) -> None:
    for _ in range(3):
        run(*[f"{question.question} {'x' * 100}" for question in BANK], "--log", "log.jsonl",
            "--log-max", "5 kB")  # fmt: skip
    files = [path for path in tmp_path.iterdir() if path.name.startswith("log.jsonl")]
    assert sum(path.stat().st_size for path in files) <= 5000
