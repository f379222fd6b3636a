"""`semsearch evaluate`: what people type, and what they see."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from semsearch import Index
from semsearch.cli import cli
from semsearch.tables import read_table, write_table

Run = Callable[..., Result]

DEMO = Path(__file__).parents[2] / "index" / "demo"
BANK = [
    {"key": "parcel", "question": "Where is my parcel?", "phrasing": "track package"},
    {"key": "card", "question": "My card was stolen", "phrasing": "lost card"},
]
QUERIES = [
    {"text": "lost card", "key": "card"},
    {"text": "track package", "key": "card"},
    {"text": "weather", "key": ""},
]


@pytest.fixture
def run(tmp_path: Path, tiny_encoder_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command in a folder with an index and a table of queries."""
    monkeypatch.chdir(tmp_path)
    Index.build(BANK, "index/faq", encoder=tiny_encoder_dir, score="best").close()
    write_table(tmp_path / "test.csv", QUERIES)

    def invoke(*arguments: str) -> Result:
        result = CliRunner().invoke(cli, ["evaluate", *arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), (
            result.exception
        )
        return result

    return invoke


def test_each_measure_is_a_line_with_its_interval_and_counts(run: Run) -> None:
    result = run("index/faq", "test.csv")
    assert result.exit_code == 0, result.output
    head, accuracy, recall, mrr = result.stdout.splitlines()
    assert head == ("index/faq: 3 queries, 2 that expect an answer, 1 that expect none; score best")
    assert accuracy.split()[:2] == ["accuracy@1", "0.500"]
    assert "[0.000, 1.000]  1 of 2 that expect an answer" in accuracy
    assert recall.split()[:2] == ["recall@5", "1.000"]
    assert mrr.split()[:2] == ["MRR@10", "0.750"] and " 2 that expect an answer" in mrr


def test_a_threshold_adds_what_refusing_wins_and_loses(run: Run) -> None:
    lines = run("index/faq", "test.csv", "--min-score", "0.9999").stdout.splitlines()
    assert "answers from 0.9999" in lines[0]
    assert "0.500" in lines[4] and "1 of 2 that got an answer" in lines[4]
    assert "1.000" in lines[5] and "2 of 2 that expect an answer" in lines[5]
    assert lines[6].startswith("right answer ") and "1 of 2 that expect an answer" in lines[6]
    assert "1.000" in lines[7] and "1 of 1 that expect none" in lines[7]


def test_json_has_stable_names(run: Run) -> None:
    plain = json.loads(run("index/faq", "test.csv", "--json").stdout)
    assert list(plain) == [
        "index", "queries", "answerable", "unanswerable", "skipped", "score", "k", "min_score",
        "threshold", "wrong", "measures",
    ]  # fmt: skip
    assert list(plain["measures"]) == ["accuracy_at_1", "recall_at_5", "mrr"]
    strict = json.loads(run("index/faq", "test.csv", "--json", "--min-score", "1").stdout)
    assert list(strict["measures"])[3:] == [
        "precision", "coverage", "right_answer", "right_refusal"
    ]  # fmt: skip
    assert list(strict["measures"]["precision"]) == ["value", "low", "high", "n"]


def test_errors_are_written_to_a_table(run: Run, tmp_path: Path) -> None:
    result = run("index/faq", "test.csv", "--errors", "wrong.csv")
    assert "wrong.csv: 1 wrong ones" in result.stdout
    (wrong,) = read_table(tmp_path / "wrong.csv").rows
    assert wrong.values["text"] == "track package" and wrong.values["found_key"] == "parcel"
    assert wrong.values["line"] == "3" and wrong.values["expected_rank"] == "2"
    piped = run("index/faq", "test.csv", "--errors", "wrong.jsonl", "--json")
    assert json.loads(piped.stdout)["wrong"] == 1


def test_a_key_that_the_index_has_not_is_listed_with_its_line(run: Run, tmp_path: Path) -> None:
    write_table(tmp_path / "test.csv", [*QUERIES, {"text": "lost card", "key": "cart"}])
    refused = run("index/faq", "test.csv")
    assert refused.exit_code == 2 and not refused.stdout
    assert "line 5: key 'cart' is not in the index" in refused.stderr
    assert "--skip-bad" in refused.stderr
    skipped = run("index/faq", "test.csv", "--skip-bad")
    assert skipped.exit_code == 0 and "skipped 1 bad rows" in skipped.stderr
    assert "3 queries" in skipped.stdout


def test_minus_one_can_stand_for_no_answer(run: Run, tmp_path: Path) -> None:
    write_table(tmp_path / "test.csv", [{"text": "weather", "question_id": "-1"}, *QUERIES[:0]])
    assert run("index/faq", "test.csv").exit_code == 2
    result = run("index/faq", "test.csv", "--none", "-1")
    assert result.exit_code == 0 and "no queries that expect an answer" in result.stdout


@pytest.mark.parametrize("arguments", ["index/none test.csv", "index/faq none.csv"])
def test_what_is_not_there_is_one_line_and_exit_code_2(run: Run, arguments: str) -> None:
    result = run(*arguments.split())
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1 and "there is no" in result.stderr


@pytest.mark.parametrize("name", ["shop", "bank_zh"])
def test_the_sample_queries_work_as_they_are(run: Run, tiny_encoder_dir: Path, name: str) -> None:
    Index.build(DEMO / f"{name}.csv", f"index/{name}", encoder=tiny_encoder_dir).close()
    result = run(f"index/{name}", str(DEMO / f"{name}_queries.csv"), "--min-score", "0.5")
    assert result.exit_code == 0, result.output
    assert "40 queries, 32 that expect an answer, 8 that expect none" in result.stdout
