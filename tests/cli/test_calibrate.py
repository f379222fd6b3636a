"""`semsearch calibrate`: what people type, and what they see then."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from semsearch import Index
from semsearch.tables import write_table
from tests.calibration.conftest import BANK, LABELLED
from tests.cli.conftest import invoke

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, tiny_encoder_dir: Path) -> Path:
    path = tmp_path_factory.mktemp("built") / "faq"
    Index.build(BANK, path, encoder=tiny_encoder_dir).close()
    return path


@pytest.fixture
def run(tmp_path: Path, built: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in a folder with an index and a table of labelled queries."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(built, tmp_path / "faq")
    write_table(tmp_path / "labelled.csv", LABELLED)

    return invoke


def test_it_prints_the_curve_and_the_operating_point(run: Run) -> None:
    result = run("calibrate", "faq", "labelled.csv")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == (
        "faq: calibrated on labelled.csv, 24 queries that have an answer and 22 that have none; "
        "score top3"
    )
    assert lines[1].startswith("words count") and " of 84 held-out queries " in lines[1]
    assert lines[3].split() == ["confidence", "coverage", "precision", "95%", "interval", "refused"]
    assert any(line.startswith("answers from confidence 0.") for line in lines)
    assert lines[-1].startswith("  calibration error  0.")
    assert any("of 22 queries that have none are refused" in line for line in lines)


def test_without_labels_it_says_what_the_figures_are_worth(run: Run) -> None:
    result = run("calibrate", "faq")
    assert result.exit_code == 0 and "calibrated on the bank itself" in result.stdout
    assert "note: Made of the bank itself" in result.stderr


def test_too_few_labels_for_a_precision_are_said_to_be_too_few(run: Run) -> None:
    result = run("calibrate", "faq", "labelled.csv", "--precision", "0.99")
    assert result.exit_code == 0 and "too few to promise a precision of 0.99" in result.stderr


def test_json_has_stable_names(run: Run) -> None:
    found = json.loads(run("calibrate", "faq", "labelled.csv", "--json").stdout)
    assert list(found) == [
        "index", "source", "queries", "skipped", "score", "lexical", "unanswerable", "point",
        "threshold", "promised", "measured", "calibration_error", "curve", "reliability",
        "notes", "made",
    ]  # fmt: skip
    assert list(found["measured"]) == ["precision", "coverage", "right", "refused"]
    assert list(found["measured"]["precision"]) == ["value", "low", "high", "n"]
    assert list(found["curve"][0]) == [
        "confidence", "coverage", "precision", "low", "high", "refused"
    ]  # fmt: skip


def test_query_refuses_and_shows_what_it_refused_when_asked_to(run: Run) -> None:
    run("calibrate", "faq", "labelled.csv")
    right = run("query", "faq", "parcel delivery package now")
    assert right.exit_code == 0 and right.stdout.startswith("confidence 0.9")
    refused = run("query", "faq", "hello and thanks")
    assert refused.exit_code == 1 and refused.stdout.startswith("no answer (confidence 0.")
    assert len(refused.stdout.splitlines()) == 1
    shown = run("query", "faq", "hello and thanks", "--refused")
    assert shown.exit_code == 1 and "\n1. 0." in shown.stdout
    found = json.loads(run("query", "faq", "hello and thanks", "--refused", "--json").stdout)
    assert found["answered"] is False and found["hits"] and found["confidence"] < 0.5


def test_info_and_evaluate_know_of_the_calibration(run: Run) -> None:
    assert "calibration  None" in run("info", "faq").stdout
    run("calibrate", "faq", "labelled.csv", "--coverage", "0.5")
    assert "on labelled.csv, coverage 0.5: answers from confidence 0." in run("info", "faq").stdout
    facts = json.loads(run("info", "faq", "--json").stdout)["calibration"]
    assert facts["point"] == "coverage 0.5" and facts["queries"]["answerable"] == 24
    evaluated = run("evaluate", "faq", "labelled.csv").stdout
    assert "answers from confidence 0." in evaluated and "right refusal" in evaluated


def test_a_report_is_a_page_with_two_plots(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    result = run("calibrate", "faq", "labelled.csv", "--report", "trust")
    assert result.exit_code == 0 and "trust: tables and plots" in result.stdout
    names = sorted(path.name for path in (tmp_path / "trust").iterdir())
    assert names == ["calibration.json", "calibration.md", "precision.png", "reliability.png"]
    page = (tmp_path / "trust" / "calibration.md").read_text("utf-8")
    assert "Expected calibration error 0." in page
    for name in ("precision.png", "reliability.png"):
        assert (tmp_path / "trust" / name).read_bytes().startswith(b"\x89PNG")
        assert name in page


def test_remove_answers_everything_again(run: Run) -> None:
    run("calibrate", "faq", "labelled.csv")
    assert "its calibration is removed" in run("calibrate", "faq", "--remove").stdout
    assert "it was not calibrated" in run("calibrate", "faq", "--remove").stdout
    assert json.loads(run("calibrate", "faq", "--remove", "--json").stdout)["removed"] is False
    assert run("query", "faq", "hello and thanks").exit_code == 0


def test_columns_can_be_named_and_bad_rows_are_listed_with_their_lines(
    run: Run, tmp_path: Path
) -> None:
    rows = [{"frage": row["text"], "ziel": row["key"] or "none"} for row in LABELLED]
    write_table(tmp_path / "own.csv", [*rows, {"frage": "lost", "ziel": "nowhere"}])
    names = ("own.csv", "--column", "frage", "--key", "ziel", "--none", "none")
    result = run("calibrate", "faq", *names)
    assert result.exit_code == 2
    first, last = result.stderr.splitlines()
    assert first == "line 48: key 'nowhere' is not in the index" and "--skip-bad" in last
    skipped = run("calibrate", "faq", *names, "--skip-bad")
    assert skipped.exit_code == 0 and "skipped 1 bad rows" in skipped.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        "faq --precision 0.9 --coverage 0.9",
        "faq --precision 1.5",
        "faq labelled.csv --remove",
        "nowhere",
        "faq nowhere.csv",
    ],
)
def test_what_cannot_be_done_ends_with_exit_code_2(run: Run, arguments: str) -> None:
    result = run("calibrate", *arguments.split())
    assert result.exit_code == 2 and result.stderr and "Traceback" not in result.stderr
