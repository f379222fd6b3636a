"""`semsearch review`: what people see, and the exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from semsearch import Index, StandardQuestion
from semsearch.cli import cli
from semsearch.encoder import Encoder
from tests.calibration.conftest import BANK


def _review(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["review", "faq", *arguments])


@pytest.fixture
def faulty(tmp_path: Path, tiny_encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    other = StandardQuestion("other", BANK[1].question, "No, never.")
    Index.build([*BANK, other], "faq", encoder=tiny_encoder).close()


@pytest.mark.usefixtures("faulty")
def test_a_fault_is_shown_with_both_answers_and_exit_code_1() -> None:
    result = _review()
    assert result.exit_code == 1, result.output
    assert "faq: 13 standard questions, 61 phrasings: " in result.stdout
    assert "1.00  one question, two answers" in result.stdout
    assert f"  answer    No, never.\n  other     {BANK[1].answer}\n" in result.stdout
    assert "→ Decide which answer is right, and keep one of the two." in result.stdout


@pytest.mark.usefixtures("faulty")
def test_remarks_are_shown_when_asked_for_and_the_rest_counted() -> None:
    assert "few phrasings" not in _review().stdout
    assert "few phrasings" in _review("--remarks").stdout
    assert "more: --show" in _review("--remarks", "--show", "1").stdout


@pytest.mark.usefixtures("faulty")
def test_json_and_page_hold_all_of_it() -> None:
    result = _review("--json", "--html", "review.html")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert found["kinds"]["contradiction"] == 1
    html = Path("review.html").read_text("utf-8")
    assert all(one["evidence"].split("(")[0] in html for one in found["findings"])


def test_a_bank_without_faults_is_exit_code_0(
    tmp_path: Path, tiny_encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Index.build(BANK, "faq", encoder=tiny_encoder).close()
    result = _review()
    assert result.exit_code == 0 and "0 faults" in result.stdout
