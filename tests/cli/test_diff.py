"""`semsearch diff` and `--lexical`: what people type, and what they see."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import Result

from semsearch import Index
from semsearch.tables import write_table
from tests.calibration.conftest import BANK
from tests.calibration.test_mixing import BANK as CODES
from tests.cli.conftest import invoke

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, tiny_encoder_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in a folder with two indexes and queries."""
    monkeypatch.chdir(tmp_path)
    Index.build(BANK, "a", encoder=tiny_encoder_dir).close()
    changed = [replace(q, answer="New.") if q.key == "card" else q for q in BANK]
    Index.build([q for q in changed if q.key != "parcel"], "b", encoder=tiny_encoder_dir).close()
    write_table(tmp_path / "queries.csv", [
        {"text": "parcel delivery package", "key": "parcel"},
        {"text": "card stolen bank", "key": "card"},
        {"text": "refund money back", "key": "refund"},
    ])  # fmt: skip

    return invoke


def test_changes_are_shown_and_the_exit_code_says_that_there_are_some(run: Run) -> None:
    result = run("diff", "a", "b", "queries.csv")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[0] == "3 queries: 1 the same, 1 changed, 1 reworded"
    assert lines[1].startswith("right: 1.000 before, 0.667 after, -0.333 [")
    assert lines[1].endswith("; 0 better, 1 worse")
    assert lines[3] == "changed, worse: parcel delivery package"
    assert lines[4].startswith("  - 0.") and lines[4].endswith(" parcel delivery package? (parcel)")
    assert lines[5].startswith("  + 0.") and not lines[5].endswith("(parcel)")
    assert lines[-2:] == ["  - About card.", "  + New."]


def test_nothing_changes_against_itself(run: Run) -> None:
    result = run("diff", "a", "a", "queries.csv")
    assert result.exit_code == 0 and result.stdout.splitlines()[0] == "3 queries: 3 the same"


def test_json_has_stable_names(run: Run) -> None:
    result = run("diff", "a", "b", "queries.csv", "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert list(found) == [
        "a", "b", "queries", "skipped", "same", "changed", "reworded", "newly_answered",
        "newly_refused", "better", "worse", "right", "difference", "compared_by", "changes",
    ]  # fmt: skip
    assert list(found["changes"][0]) == [
        "query", "count", "kind", "better", "expected", "importance", "before", "after"
    ]  # fmt: skip
    assert list(found["changes"][0]["after"]) == ["answered", "key", "question", "answer", "sure"]


def test_only_the_first_are_shown_unless_all_are_asked_for(run: Run, tmp_path: Path) -> None:
    rows = [{"text": "parcel delivery" + " " * n + " package"} for n in range(30)]
    write_table(tmp_path / "many.csv", rows)
    shown = run("diff", "a", "b", "many.csv").stdout
    assert shown.splitlines()[0] == "30 queries: 0 the same, 30 changed"
    assert shown.count("(parcel)") == 20 and shown.endswith("… and 10 more; --all prints them\n")
    assert run("diff", "a", "b", "many.csv", "--all").stdout.count("(parcel)") == 30


def test_bad_input_is_one_line_and_exit_code_2(run: Run) -> None:
    for arguments in (("a", "nowhere", "queries.csv"), ("a", "b", "none.csv")):
        result = run("diff", *arguments)
        assert result.exit_code == 2 and len(result.stderr.strip().splitlines()) == 1


def test_words_are_counted_when_they_are_asked_for(
    run: Run, tmp_path: Path, tiny_encoder_dir: Path
) -> None:
    Index.build(CODES, "codes", encoder=tiny_encoder_dir).close()
    result = run("query", "codes", "order b-14 now", "-k", "1", "--lexical", "on")
    assert "what is B14" in result.stdout and "words: 0." in result.stdout
    found = json.loads(run("query", "codes", "b14", "--json", "--lexical", "on").stdout)
    assert 0 < found["hits"][0]["lexical"] <= 1
    write_table(tmp_path / "codes.csv", [{"text": "my order says c-19", "key": "C19"}])
    shown = run("evaluate", "codes", "codes.csv", "--lexical", "on").stdout
    assert "accuracy@1     1.000" in shown
    assert run("query", "codes", "x", "--lexical", "maybe").exit_code == 2


def test_calibrate_says_whether_words_count_and_info_too(run: Run, tiny_encoder_dir: Path) -> None:
    Index.build(CODES, "codes", encoder=tiny_encoder_dir).close()
    result = run("calibrate", "codes")
    assert result.exit_code == 0 and "\nwords count (weight 0." in result.stdout
    assert "words count (weight 0." in run("info", "codes").stdout
    assert "words do not count (asked for)" in run("calibrate", "codes", "--lexical", "off").stdout
