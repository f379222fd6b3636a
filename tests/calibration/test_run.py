"""Calibrate an index: what is stored, what it answers then, and when the calibration goes."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from semsearch import Index, StandardQuestion
from semsearch.calibration import calibrate, fitting, prior, remove
from semsearch.calibration.examples import Examples, Mask, labelled
from semsearch.cli import cli
from semsearch.confidence import SIGNALS, Calibration
from semsearch.confidence.signals import Signals
from semsearch.errors import (
    BadRowsError,
    CorruptIndexError,
    DataError,
    IndexBusyError,
    StorageError,
)
from semsearch.evaluation.queries import LabelledQuery
from semsearch.evaluation.retrieval import evaluate
from semsearch.lock import write_lock
from semsearch.store import BankReader, BankWriter
from semsearch.writing import writing
from tests.calibration.conftest import BANK, LABELLED
from tests.conftest import build_tiny_encoder

ASKED = ["parcel delivery package now", "hello and thanks", "stolen bank card"]


@pytest.fixture
def index(tmp_path: Path, built: Path) -> Iterator[Index]:
    with Index.open(shutil.copytree(built, tmp_path / "faq")) as index:
        yield index


def test_an_index_is_calibrated_on_itself(index: Index) -> None:
    report = calibrate(index)
    made = report.calibration
    assert made.source == "the bank itself" and made.unanswerable == 0.5
    assert made.queries["answerable"] == 60 and made.point == "balance"
    assert 0 < made.threshold < 1 and 0 <= report.error < 0.3
    assert report.measured["precision"].n and report.measured["refused"].n
    assert "Labelled queries of real users are worth more" in report.notes[0]


def test_an_index_is_calibrated_on_labels(index: Index) -> None:
    report = calibrate(index, LABELLED)
    assert report.calibration.queries == {"answerable": 24, "unanswerable": 22}
    assert report.calibration.unanswerable is None and report.notes == ()
    assert report.measured["coverage"].n == 24 and report.measured["refused"].n == 22


def test_labels_that_repeat_are_no_more_evidence(index: Index) -> None:
    once, thrice = calibrate(index, LABELLED), calibrate(index, LABELLED * 3)
    assert thrice.calibration.queries == once.calibration.queries
    assert thrice.calibration.model == once.calibration.model
    assert thrice.measured == once.measured and thrice.error == once.error
    assert thrice.notes == (
        "92 of 138 labelled queries repeat others: they count as what is asked often, not as more "
        "evidence.",
    )
    unsure = index.search(["hello parcel"], refused=True)[0].confidence
    calibrate(index, LABELLED + [row for row in LABELLED if row["key"]] * 5)
    surer = index.search(["hello parcel"], refused=True)[0].confidence
    assert unsure is not None and surer is not None and unsure < surer


def test_labels_that_contradict_each_other_are_named(index: Index) -> None:
    first = next(row for row in LABELLED if row["key"])
    other = next(row for row in LABELLED if row["key"] not in ("", first["key"]))
    report = calibrate(index, [*LABELLED, first | {"key": other["key"]}])
    assert report.notes == (
        "2 labelled queries expect what others of the same text do not, the first on line 1: at "
        "most one of a text can be right.",
    )


def test_standard_questions_of_one_text_are_said(tmp_path: Path, built: Path) -> None:
    with Index.open(shutil.copytree(built, tmp_path / "faq")) as index:
        first, *others = index.questions()
        index.add([replace(first, key="twin", phrasings=())])
        report = calibrate(index)
    said = f"2 of {len(others) + 2} standard questions have the text of another"
    assert report.notes[0].startswith(said)


def test_a_log_tells_how_many_queries_have_no_answer(index: Index, tmp_path: Path) -> None:
    shares = []
    for wanted in (True, False):
        asked = [row["text"] for row in LABELLED if bool(row["key"]) is wanted] * 6
        log = tmp_path / f"{wanted}.txt"
        log.write_text("\n".join(asked) + "\n", encoding="utf-8")
        report = calibrate(index, log=log)
        share = report.calibration.unanswerable
        assert share is not None and report.notes[0].startswith(f"Of {len(asked)} logged queries")
        shares.append(share)
        assert index.info()["calibration"]["unanswerable"] == share
    assert shares[0] < 0.5 and shares[0] + 0.3 < shares[1]


def test_a_log_that_is_worded_otherwise_is_left_out(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prior, "_APART", 0.0)
    (log := tmp_path / "log.txt").write_text(
        "".join(f"{word} {row['text']}\n" for row in LABELLED for word in ("ok", "so", "but")),
        encoding="utf-8",
    )
    alone, with_log = calibrate(index), calibrate(index, log=log)
    assert with_log.notes[0].startswith(f"The {3 * len(LABELLED)} logged queries are worded")
    assert with_log.notes[1:] == alone.notes
    assert with_log.calibration.model == alone.calibration.model
    assert with_log.calibration.unanswerable == alone.calibration.unanswerable
    labelled, both = calibrate(index, LABELLED), calibrate(index, LABELLED, log=log)
    assert both.calibration.model == labelled.calibration.model


def test_a_log_is_no_share_that_was_given(index: Index, tmp_path: Path) -> None:
    (log := tmp_path / "log.txt").write_text("hello\n" * 99, encoding="utf-8")
    with pytest.raises(ValueError, match="given, or estimated"):
        calibrate(index, log=log, unanswerable=0.2)
    with pytest.raises(DataError, match="99 logged queries are too few"):
        calibrate(index, log=log)
    assert index.info()["calibration"] is None


def test_a_search_gives_the_confidence_and_refuses_below_the_point(index: Index) -> None:
    before = index.search(ASKED, 2)
    assert [result.confidence for result in before] == [None] * 3
    threshold = calibrate(index, LABELLED, lexical="off").calibration.threshold
    shown = index.search(ASKED, 2, refused=True)
    assert [result.hits for result in shown] == [result.hits for result in before]
    for result, kept in zip(shown, index.search(ASKED, 2), strict=True):
        assert result.confidence is not None and 0 < result.confidence < 1
        assert result.refused == (result.confidence < threshold)
        assert kept.answered == (not result.refused) and bool(kept.hits) == kept.answered
        assert result.to_dict()["answered"] is kept.answered
    assert len({result.refused for result in shown}) == 2, "some are answered, some are not"


def test_min_score_takes_the_place_of_the_operating_point(index: Index) -> None:
    calibrate(index, LABELLED, precision=0.99)
    assert not all(result.answered for result in index.search(ASKED))
    assert all(result.answered for result in index.search(ASKED, min_score=-1))


def test_many_queries_get_the_confidence_that_each_gets_alone(index: Index) -> None:
    calibrate(index)
    texts = [f"{text} {n}" for n in range(200) for text in ASKED]  # more than are asked at once
    together = [result.confidence for result in index.search(texts)]
    alone = [index.search(text)[0].confidence for text in texts[-4:]]
    assert together[-4:] == pytest.approx(alone, abs=1e-4)


def test_two_runs_with_one_seed_agree(index: Index, built: Path, tmp_path: Path) -> None:
    with Index.open(shutil.copytree(built, tmp_path / "again")) as other:
        for queries in (None, LABELLED):
            one, two = calibrate(index, queries, seed=3), calibrate(other, queries, seed=3)
            assert one.calibration.model == two.calibration.model
            assert one.calibration.threshold == two.calibration.threshold


def test_what_is_asked_for_is_what_is_measured(index: Index) -> None:
    report = calibrate(index, coverage=0.5)
    assert report.measured["coverage"].value == pytest.approx(0.5, abs=0.02)
    assert report.calibration.point == "coverage 0.5"
    strict = calibrate(index, precision=0.99)
    assert strict.promised is False and "a precision of 0.99" in strict.notes[-1].lower()
    with pytest.raises(ValueError, match="not both"):
        calibrate(index, precision=0.9, coverage=0.9)
    with pytest.raises(ValueError, match="between 0 and 1"):
        calibrate(index, unanswerable=1.5)


def test_more_queries_without_an_answer_lower_the_confidence(index: Index) -> None:
    few, many = (
        (calibrate(index, unanswerable=share), index.search(ASKED[0])[0].confidence)[1]
        for share in (0.05, 0.6)
    )
    assert few is not None and many is not None and few > many


def test_labels_without_refusals_take_them_from_the_bank(index: Index) -> None:
    report = calibrate(index, LABELLED[:24])
    assert report.calibration.unanswerable == 0.05 and "held out instead" in report.notes[0]
    assert report.measured["coverage"].n == 24 and report.measured["refused"].n > 0


def test_labels_that_stand_in_the_bank_are_said_to_tell_little(index: Index) -> None:
    copied = [{"text": text, "key": q.key} for q in BANK for text in q.texts[:2]]
    assert any("word for word" in note for note in calibrate(index, copied).notes)


def test_what_cannot_be_learnt_from_is_refused_in_one_line(
    index: Index, tmp_path: Path, tiny_encoder_dir: Path
) -> None:
    with pytest.raises(DataError, match="19 labelled queries are too few"):
        calibrate(index, LABELLED[:19])
    with pytest.raises(DataError, match="no labelled query expects an answer"):
        calibrate(index, LABELLED[24:] * 2)
    with pytest.raises(BadRowsError) as caught:
        calibrate(index, [*LABELLED, {"text": "?", "key": "nowhere"}, {"text": "", "key": "card"}])
    assert [problem.reason for problem in caught.value.problems] == [
        "key 'nowhere' is not in the index", "empty text"
    ]  # fmt: skip
    single = [StandardQuestion(str(n), f"question {n}") for n in range(30)]
    with (
        Index.build(single, tmp_path / "single", encoder=tiny_encoder_dir) as bare,
        pytest.raises(DataError, match="Give labelled queries"),
    ):
        calibrate(bare)
    with (
        Index.build(single[:1], tmp_path / "one", encoder=tiny_encoder_dir) as one,
        pytest.raises(DataError, match="nothing can be learnt from 1"),
    ):
        calibrate(one)


def _labelled(signals: Signals, right: Mask, answerable: Mask) -> Examples:
    """Of a text each."""
    queries = [LabelledQuery(str(row), "1") for row in range(len(right))]
    return labelled(signals, right, answerable, queries)


def test_no_signal_speaks_against_the_hit() -> None:
    random = np.random.default_rng(0)
    signals = random.normal(size=(400, len(SIGNALS)))
    right = signals[:, 0] - signals[:, 1] + random.normal(size=400) > 0
    model = fitting.fit(_labelled(signals, right, np.ones(400, bool)))
    assert model.weights[0] > 0.5 and model.weights[1] == 0 and min(model.weights) >= 0


def _rare(share: float) -> Examples:
    """Signal 0 tells answerable from not; signal 1, right from wrong among the answerable."""
    random = np.random.default_rng(0)
    answerable = np.arange(4000) % 2 == 0
    signals = random.normal(size=(4000, len(SIGNALS)))
    right = answerable & (signals[:, 1] + random.normal(size=4000) > -1.5)
    signals[:, 0] += 2 * answerable
    weights = np.where(answerable, 1 - share, share) / 2000
    made = _labelled(signals, right, answerable)
    return replace(made, weights=weights)


def test_what_has_no_answer_is_learnt_well_however_rare_it_is() -> None:
    rare, common = fitting.fit(_rare(0.05)), fitting.fit(_rare(fitting.BALANCE))
    ratio = [model.weights[0] / model.weights[1] for model in (rare, common)]
    assert ratio[0] == pytest.approx(ratio[1], rel=1e-6)
    more = fitting.fit(_rare(0.8))
    assert more.weights[0] / more.weights[1] != pytest.approx(ratio[1], rel=0.1)


@pytest.mark.parametrize("share", [0.05, 0.2, 0.6])
def test_confidence_is_as_high_as_right_hits_are_many(share: float) -> None:
    examples = _rare(share)
    confidence = fitting.fit(examples).confidence(examples.signals)
    weights = examples.weights / examples.weights.sum()
    assert weights @ confidence == pytest.approx(weights @ examples.right, abs=0.005)


def test_a_bank_that_never_finds_itself_is_refused_in_one_line() -> None:
    signals = np.zeros((30, len(SIGNALS)))
    with pytest.raises(DataError, match="0 of 30 queries find the right"):
        fitting.fit(_labelled(signals, np.zeros(30, bool), np.ones(30, bool)))


def test_a_calibration_can_be_removed(index: Index) -> None:
    calibrate(index)
    assert remove(index) and not remove(index)
    assert index.search(ASKED)[0].confidence is None and index.info()["calibration"] is None


def test_info_says_when_from_what_and_how_good(index: Index) -> None:
    calibrate(index, LABELLED)
    facts = json.loads(json.dumps(index.info()["calibration"]))
    assert facts["source"] == "rows" and facts["point"] == "balance" and not facts["old"]
    assert facts["measured"]["precision"]["value"] is not None and facts["changed_since"] == 0


def test_evaluate_counts_what_a_calibrated_index_refuses(index: Index) -> None:
    calibrate(index, LABELLED)
    report = evaluate(index, LABELLED)
    assert report.threshold == index.info()["calibration"]["threshold"]
    refused = sum(not result.answered for result in index.search([r["text"] for r in LABELLED]))
    assert refused == sum(not outcome.answered for outcome in report.outcomes) > 0
    assert report.measures["accuracy_at_1"].n == 24, "whatever is refused"


def test_a_change_keeps_the_calibration_and_says_when_it_is_old(index: Index) -> None:
    calibrate(index)
    added = [StandardQuestion("one", "something new")]
    assert index.add(added).warnings == ()
    more = [StandardQuestion(f"n{n}", f"new {n}", phrasings=(f"newer {n}",)) for n in range(8)]
    (warning,) = index.add(more).warnings
    assert warning.kind == "calibration" and "28% of the phrasings changed" in warning.message
    assert index.info()["calibration"]["old"]
    assert index.search(ASKED)[0].confidence is not None
    assert index.compact() is None and index.search(ASKED)[0].confidence is not None


def test_a_rebuild_drops_the_calibration_with_another_encoder_only(
    index: Index, tmp_path: Path, tiny_encoder_dir: Path
) -> None:
    calibrate(index)
    same = Index.build(BANK, index.path, encoder=tiny_encoder_dir, rebuild=True)
    assert same.info()["calibration"] is not None
    other = build_tiny_encoder(tmp_path / "other", seed=3)
    with Index.build(BANK, index.path, encoder=other, rebuild=True) as rebuilt:
        (warning,) = rebuilt.report.warnings
        assert warning.kind == "calibration" and "dropped" in warning.message
        assert rebuilt.info()["calibration"] is None
        calibrate(rebuilt)
    with Index.build(BANK, index.path, score="best") as scored:
        assert [warning.kind for warning in scored.report.warnings] == ["calibration"]
        assert scored.info()["calibration"] is None
    same.close()


def test_another_score_than_the_calibrated_one_refuses_nothing(
    index: Index, caplog: pytest.LogCaptureFixture
) -> None:
    calibrate(index, LABELLED)
    results = index.search(ASKED, score="best")
    assert all(result.answered and result.confidence is None for result in results)
    assert "calibration is for --score top3" in caplog.text
    calibrate(index, LABELLED, score="best")
    assert index.search(ASKED, score="best")[0].confidence is not None


def test_an_index_without_the_row_of_a_calibration_is_read_as_before(index: Index) -> None:
    """As every index that was built before there were calibrations."""
    from semsearch.store import meta as meta_table

    path = index.path / "questions.db"
    with sqlite3.connect(path) as connection:
        rows = dict(connection.execute("SELECT name, value FROM meta WHERE name != 'checksum'"))
        del rows["calibration"]
        connection.execute("DELETE FROM meta WHERE name = 'calibration'")
        connection.execute(
            "UPDATE meta SET value = ? WHERE name = 'checksum'", (str(meta_table._checksum(rows)),)
        )
    connection.close()
    with Index.open(index.path) as old:
        assert old.search(ASKED)[0].answered and old.info()["calibration"] is None
        calibrate(old)
        assert old.search(ASKED)[0].confidence is not None


def test_a_flipped_byte_of_a_calibration_is_noticed(index: Index) -> None:
    calibrate(index)
    with sqlite3.connect(index.path / "questions.db") as connection:
        connection.execute(
            "UPDATE meta SET value = replace(value, '\"threshold\": 0', '\"threshold\": 1') "
            "WHERE name = 'calibration'"
        )
    connection.close()
    with pytest.raises(CorruptIndexError, match="checksum"):
        index.search(ASKED)


def test_a_calibration_of_another_version_is_not_applied(index: Index) -> None:
    stored = calibrate(index).calibration.to_dict()
    assert Calibration.from_dict(json.loads(json.dumps(stored))).to_dict() == stored
    with writing(index.path) as change:
        change.calibrate({**stored, "version": 99})
    with pytest.raises(CorruptIndexError, match="semsearch calibrate"):
        index.search(ASKED)
    assert "another version" in index.info()["calibration"]["problem"]
    told = CliRunner().invoke(cli, ["info", str(index.path)])
    assert told.exit_code == 0 and "semsearch calibrate" in told.output
    (warning,) = index.add([StandardQuestion("one", "something new")]).warnings
    assert warning.kind == "calibration" and "another version" in warning.message
    assert remove(index) and index.search(ASKED)[0].answered


def test_a_calibrated_index_answers_however_few_are_left(index: Index) -> None:
    calibrate(index)
    index.remove([question.key for question in BANK[2:]])
    for keys in ([BANK[1].key], [BANK[0].key]):
        assert all(r.confidence is not None for r in index.search(ASKED, refused=True))
        index.remove(keys)
    assert all(not r.hits and r.confidence is None for r in index.search(ASKED))
    single = [StandardQuestion("one", "something new")]
    index.add(single)
    (found,) = index.search("something", refused=True)
    assert found.hits and found.confidence is not None and 0 <= found.confidence <= 1


def test_labels_are_weighed_by_the_share_that_is_said_to_have_no_answer(index: Index) -> None:
    low, high = (calibrate(index, LABELLED, unanswerable=share) for share in (0.05, 0.9))
    assert (low.calibration.unanswerable, high.calibration.unanswerable) == (0.05, 0.9)
    curves = [report.curve.precision[-1] for report in (low, high)]
    # Answering everything, the precision is the accuracy times the share that has an answer.
    assert curves[0] / curves[1] == pytest.approx(0.95 / 0.1)


def test_a_calibration_that_cannot_be_written_leaves_the_last_one(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = calibrate(index).calibration

    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch, pytest.raises(StorageError, match="full"):
        patch.setattr(BankWriter, "_put", full)
        calibrate(index, LABELLED)
    assert index.info()["calibration"]["made"] == before.made
    assert index.verify().ok and index.search(ASKED)[0].confidence is not None


def test_one_writer_at_a_time(index: Index) -> None:
    with write_lock(index.path, 0.0), pytest.raises(IndexBusyError):
        calibrate(index)
    assert index.info()["calibration"] is None


def test_a_calibration_of_an_index_that_was_encoded_again_is_not_stored(
    index: Index, tmp_path: Path
) -> None:
    stored = calibrate(index).calibration.to_dict()
    reader = BankReader(index.path)
    with reader.reading() as before:
        pass
    reader.close()
    other = build_tiny_encoder(tmp_path / "other", seed=3)
    Index.build(BANK, index.path, encoder=other, rebuild=True).close()
    with writing(index.path) as change, pytest.raises(IndexBusyError, match="Calibrate again"):
        change.calibrate(stored, before)


def test_a_calibrated_query_imports_nothing_heavy(index: Index) -> None:
    calibrate(index)
    code = (
        "import sys\nfrom semsearch import Index\n"
        f"with Index.open({str(index.path)!r}) as index:\n"
        "    assert index.search('lost card')[0].confidence is not None\n"
        "slow = {'torch', 'sklearn', 'scipy', 'pandas', 'matplotlib', 'sqlite_utils'}\n"
        "assert not slow & set(sys.modules), slow & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
