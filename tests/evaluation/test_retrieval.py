"""Answer quality: what is counted right, wrong and refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semsearch import Index
from semsearch.encoder import Encoder
from semsearch.errors import BadRowsError, DataError
from semsearch.evaluation.bootstrap import mean_interval
from semsearch.evaluation.retrieval import ERROR_COLUMNS, Measure, evaluate
from semsearch.tables import derived_key, write_table

BANK = [
    {"key": "refund", "question": "How do I get a refund?", "phrasing": "money back"},
    {"key": "parcel", "question": "Where is my parcel?", "phrasing": "track package"},
    {"key": "card", "question": "My card was stolen", "phrasing": "lost card"},
    {"key": "hours", "question": "营业时间", "phrasing": "几点开门"},
]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Encoder) -> Iterator[Index]:
    path = tmp_path_factory.mktemp("bank") / "index"
    with Index.build(BANK, path, encoder=tiny_encoder, score="best") as index:
        yield index


def row(text: str, key: str) -> dict[str, str]:
    return {"text": text, "key": key}


def test_a_phrasing_of_the_bank_is_answered_right(index: Index) -> None:
    report = evaluate(index, [row("lost card", "card"), row("几点开门", "hours")])
    assert {name: m.value for name, m in report.measures.items()} == {
        "accuracy_at_1": 1.0,
        "recall_at_5": 1.0,
        "mrr": 1.0,
    }
    assert report.wrong == []


def test_a_wrong_first_hit_counts_by_its_rank(index: Index) -> None:
    labelled = [row("lost card", key) for key in ("refund", "parcel", "card", "hours")]
    report = evaluate(index, labelled)
    assert sorted(outcome.rank or 0 for outcome in report.outcomes) == [1, 2, 3, 4]
    assert report.measures["accuracy_at_1"].value == 1 / 4
    assert report.measures["recall_at_5"].value == 1.0
    assert report.measures["mrr"].value == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 4) / 4)
    cut = evaluate(index, labelled, k=2)
    assert cut.measures["mrr"].value == pytest.approx((1 + 1 / 2) / 4)
    assert cut.measures["recall_at_5"].value == 1.0, "whatever k is"


def test_recall_at_5_looks_no_further_than_5_hits(tmp_path: Path, tiny_encoder: Encoder) -> None:
    bank = [{"key": f"k{n}", "question": f"question {n} about a card"} for n in range(9)]
    with Index.build(bank, tmp_path / "index", encoder=tiny_encoder) as index:
        report = evaluate(index, [row("lost card", f"k{n}") for n in range(9)], k=9)
    assert sorted(outcome.rank or 0 for outcome in report.outcomes) == list(range(1, 10))
    assert report.measures["recall_at_5"].value == pytest.approx(5 / 9)
    assert report.measures["mrr"].value == pytest.approx(sum(1 / n for n in range(1, 10)) / 9)


def test_queries_that_expect_nothing_count_only_with_a_threshold(index: Index) -> None:
    labelled = [row("lost card", "card"), row("weather on friday", "")]
    report = evaluate(index, labelled)
    assert report.answerable == 1
    assert [m.n for m in report.measures.values()] == [1, 1, 1]
    assert report.wrong == []
    strict = evaluate(index, labelled, min_score=-1)
    assert [outcome.mistake for outcome in strict.wrong] == ["should have refused"]


def test_a_threshold_gives_precision_coverage_and_right_refusals(index: Index) -> None:
    labelled = [
        row("lost card", "card"),  # the very words: answered, right
        row("track package", "card"),  # answered, wrong
        row("几点开门", "hours"),  # answered, right
        row("zzz zzz", "refund"),  # refused, although an answer was expected
        row("zzz", ""),  # refused, as expected
        row("money back", ""),  # answered, although none was expected
    ]
    report = evaluate(index, labelled, min_score=0.999)
    assert [outcome.mistake for outcome in report.outcomes] == [
        None, "wrong answer", None, "refused", None, "should have refused",
    ]  # fmt: skip
    found = {name: (m.value, m.n) for name, m in report.measures.items()}
    assert found["precision"] == (2 / 4, 4)
    assert found["coverage"] == (3 / 4, 4)
    assert found["right_refusal"] == (1 / 2, 2)
    assert found["accuracy_at_1"][1] == 4, "the threshold does not touch the ranks"


def test_a_measure_of_no_queries_is_none_and_not_a_number(index: Index) -> None:
    report = evaluate(index, [row("weather", "")], min_score=0.9999)
    assert report.measures["accuracy_at_1"] == Measure(None, None, None, 0)
    assert report.measures["precision"] == Measure(None, None, None, 0)
    assert report.measures["right_refusal"].value == 1.0


def test_intervals_are_the_bootstrap_of_the_queries_and_come_out_the_same_again(
    index: Index,
) -> None:
    labelled = [row("lost card", key) for key in ("card", "parcel", "card", "hours", "card")] * 4
    report, again = evaluate(index, labelled, seed=3), evaluate(index, labelled, seed=3)
    accuracy = report.measures["accuracy_at_1"]
    right = np.array([1.0, 0, 1, 0, 1] * 4)
    assert (accuracy.low, accuracy.high) == mean_interval(right, seed=3, draws=1000)
    assert accuracy.low is not None and accuracy.high is not None and accuracy.value is not None
    assert accuracy.low < accuracy.value < accuracy.high
    assert report.measures == again.measures


def test_errors_say_what_was_found_instead(index: Index) -> None:
    labelled = [row("lost card", "hours"), row("lost card", "card"), row("几点开门", "")]
    first, last = evaluate(index, labelled, min_score=0.5).errors()
    assert tuple(first) == ERROR_COLUMNS
    assert (first["line"], first["text"], first["mistake"]) == (1, "lost card", "wrong answer")
    assert (first["expected_key"], first["expected_question"]) == ("hours", "营业时间")
    assert (first["found_key"], first["found_question"]) == ("card", "My card was stolen")
    assert (first["found_phrasing"], first["score"]) == ("lost card", 1.0)
    assert first["expected_rank"] in (2, 3, 4)
    assert last["mistake"] == "should have refused"
    assert last["expected_key"] is None and last["expected_rank"] is None


def test_an_expected_key_that_the_index_has_not_is_a_bad_row(index: Index) -> None:
    labelled = [row("lost card", "card"), row("lost card", "cart"), row("", "card")]
    with pytest.raises(BadRowsError, match="2 bad rows") as caught:
        evaluate(index, labelled)
    assert [str(problem) for problem in caught.value.problems] == [
        "line 2: key 'cart' is not in the index",
        "line 3: empty text",
    ]
    report = evaluate(index, labelled, skip_bad=True)
    assert len(report.outcomes) == 1 and report.skipped == caught.value.problems
    with pytest.raises(DataError, match="all of its 1 rows are bad"):
        evaluate(index, labelled[1:2], skip_bad=True)


def test_none_stands_for_no_answer(index: Index) -> None:
    rows = [{"text": "weather", "question_id": -1}, {"text": "lost card", "question_id": "card"}]
    with pytest.raises(BadRowsError):
        evaluate(index, rows)
    assert evaluate(index, rows, none="-1").answerable == 1


@pytest.mark.parametrize(
    ("texts", "keys"),
    [
        ("text", "key"),
        ("query", "expected"),
        ("question", "id"),
        ("问句", "编号"),
        ("Text", "question_id"),
        ("sentence", "Expected Key"),
    ],
)
def test_columns_are_recognised_by_their_usual_names(index: Index, texts: str, keys: str) -> None:
    report = evaluate(index, [{keys: "card", texts: "lost card", "note": "x"}])
    assert report.measures["accuracy_at_1"].value == 1.0


def test_other_columns_can_be_named(index: Index) -> None:
    rows = [{"utterance by user": "lost card", "label": "card", "id": "row-1"}]
    report = evaluate(index, rows, column="utterance by user", key="label")
    assert report.measures["accuracy_at_1"].value == 1.0
    with pytest.raises(DataError, match="'label' is named for texts and keys"):
        evaluate(index, rows, column="label", key="label")
    with pytest.raises(DataError, match=r"no text column .* Pass --column"):
        evaluate(index, rows, key="label")
    with pytest.raises(DataError, match=r"no key column .* Pass --key"):
        evaluate(index, [{"text": "lost card", "label": "card"}])


def test_the_errors_of_one_run_are_queries_for_the_next(index: Index, tmp_path: Path) -> None:
    report = evaluate(index, [row("lost card", "hours"), row("lost card", "card")])
    write_table(tmp_path / "wrong.csv", report.errors(), columns=ERROR_COLUMNS)
    again = evaluate(index, tmp_path / "wrong.csv")
    assert [outcome.query.key for outcome in again.outcomes] == ["hours"]


def test_a_bank_without_keys_is_labelled_with_its_questions(
    tmp_path: Path, tiny_encoder: Encoder
) -> None:
    bank = [{"question": "Where is my parcel?"}, {"question": "My card was stolen"}]
    with Index.build(bank, tmp_path / "index", encoder=tiny_encoder) as index:
        report = evaluate(index, [row("stolen card", "my card was  stolen")])
    assert report.outcomes[0].query.key == derived_key("My card was stolen")


def test_the_score_can_be_another_than_the_index_says(index: Index) -> None:
    labelled = [row("lost card", "card")]
    assert evaluate(index, labelled).score == "best"
    assert evaluate(index, labelled, score="top3").score == "top3"


@pytest.mark.parametrize("wrong", [{"k": 0}, {"min_score": float("nan")}, {"score": "worst"}])
def test_values_out_of_range_are_refused(index: Index, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"k must|score must"):
        evaluate(index, [row("lost card", "card")], **wrong)


def test_progress_ends_at_the_number_of_queries(index: Index) -> None:
    seen: list[tuple[int, int]] = []
    evaluate(index, [row("lost card", "card")] * 3, progress=lambda *now: seen.append(now))
    assert seen[-1] == (3, 3)
