"""From a log to what is missing, and back into the bank."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.metrics import adjusted_mutual_info_score

from semsearch import Index, StandardQuestion
from semsearch.calibration import calibrate
from semsearch.cli import cli
from semsearch.encoder import Encoder
from semsearch.errors import DataError
from semsearch.gaps import Gap, Gaps, clusters, gaps
from semsearch.gaps.clusters import cluster, cut_of
from semsearch.querylog import Record
from semsearch.tables import read_bank, write_table
from tests.calibration.conftest import BANK, LABELLED
from tests.review.banks import clouds, filed

ASKED = [
    "buy spend money stolen", "stolen buy spend money", "Stolen buy spend money!",
    "how do i spend money stolen buy", "hello hold hour", BANK[0].question, BANK[1].phrasings[0],
]  # fmt: skip


@pytest.fixture
def built(tmp_path: Path, tiny_encoder: Encoder) -> Path:
    Index.build(BANK, tmp_path / "faq", encoder=tiny_encoder).close()
    return tmp_path / "faq"


def test_the_cut_tells_clouds_apart() -> None:
    vectors, question = clouds()
    labels = cluster(vectors, cut_of(filed(vectors, question)))
    assert adjusted_mutual_info_score(question, labels) > 0.95


def test_the_first_text_is_in_the_first_cluster_and_two_runs_agree() -> None:
    vectors, _ = clouds()
    labels = cluster(vectors, 0.5)
    assert labels[0] == 0 and np.array_equal(labels, cluster(vectors, 0.5))


def test_more_texts_than_are_linked_at_once_join_what_they_are_near(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    vectors, question = clouds(0, 0.3)
    order = np.random.default_rng(0).permutation(len(vectors))
    monkeypatch.setattr(clusters, "AT_ONCE", 200)
    labels = cluster(vectors[order], 0.5)
    assert adjusted_mutual_info_score(question[order], labels) > 0.95


def test_what_is_asked_alike_is_one_gap_with_its_volume(built: Path) -> None:
    with Index.open(built) as index:
        found = gaps(index, [Record(text) for text in ASKED], min_score=0.9)
    first = found.gaps[0]
    assert (first.volume, first.question) == (3, "stolen buy spend money")
    assert first.queries == ("stolen buy spend money", "buy spend money stolen")
    assert (found.asked, found.distinct) == (7, 6)
    assert found.unanswered == sum(gap.volume for gap in found.gaps) + found.alone


def test_what_has_an_answer_is_no_gap(built: Path) -> None:
    with Index.open(built) as index:
        records = [Record(BANK[0].question, answered=False)] * 3
        assert gaps(index, records, min_score=0.9).unanswered == 0


def test_an_index_that_is_not_calibrated_says_what_to_do(built: Path) -> None:
    with Index.open(built) as index, pytest.raises(DataError, match="semsearch calibrate"):
        gaps(index, [Record("x")])


def test_a_calibrated_index_says_itself_what_it_has_no_answer_to(built: Path) -> None:
    with Index.open(built) as index:
        calibrate(index, LABELLED, precision=0.95)
        texts = [row["text"] for row in LABELLED]
        refused = {r.query for r in index.search(texts, 1) if r.refused}
        found = gaps(index, [Record(text) for text in texts], least=1)
    assert {query for gap in found.gaps for query in gap.queries} == refused != set()


def test_a_gap_that_is_filled_is_gone(built: Path, tmp_path: Path) -> None:
    log = tmp_path / "asked.csv"
    write_table(log, [{"text": text} for text in ASKED])
    run = CliRunner().invoke
    shown = run(cli, ["gaps", str(built), str(log), "--min-score", "0.9",
                      "--out", str(tmp_path / "new.csv")])  # fmt: skip
    assert shown.exit_code == 0 and "3 ×" in shown.stdout
    rows = read_bank(tmp_path / "new.csv").questions
    assert [row.answer for row in rows] == [""] * len(rows)
    answered = [StandardQuestion(r.key, r.question, "Filled.", r.phrasings) for r in rows]
    with Index.open(built) as index:
        assert index.add(answered).added == len(rows) == 1
    again = run(cli, ["gaps", str(built), str(log), "--min-score", "0.9", "--json"])
    assert json.loads(again.stdout)["gaps"] == []


def test_phrasings_that_are_missing_go_to_a_table_of_phrasings(tmp_path: Path) -> None:
    write_table(tmp_path / "bank.csv", [{"key": one.key, "question": one.question}
                                        for one in BANK])  # fmt: skip
    gap = Gap("ask", ("ask", "say"), 2, BANK[0].key, BANK[0].question, 0.9, "phrasing")
    found = Gaps("faq", "log", 2, 2, 2, (gap,), 0, 0.5)
    assert found.write_phrasings(tmp_path / "more.csv") == 2
    assert found.write_questions(tmp_path / "new.csv") == 0
    bank = read_bank(tmp_path / "bank.csv", phrasings=tmp_path / "more.csv")
    assert bank.questions[0].phrasings == ("ask", "say")


def test_json_has_stable_names(built: Path) -> None:
    with Index.open(built) as index:
        found = gaps(index, [Record(text) for text in ASKED], min_score=0.9).to_dict()
    assert list(found) == [
        "index", "log", "asked", "distinct", "unanswered", "alone", "same_from", "gaps"
    ]  # fmt: skip
    assert list(found["gaps"][0]) == [
        "question", "queries", "volume", "key", "nearest", "score", "missing"
    ]  # fmt: skip


def test_torn_lines_of_a_log_do_not_keep_gaps_from_it(
    built: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = tmp_path / "log.jsonl"
    log.write_bytes(Record("a", "t").to_line() + b'{"time": "x')
    with Index.open(built) as index, caplog.at_level(logging.WARNING):
        assert gaps(index, log, min_score=1.1).asked == 1
    assert "1 lines are torn" in caplog.text
