"""What changes between two indexes, and what of it matters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from semsearch import Index, StandardQuestion
from semsearch.calibration import calibrate
from semsearch.errors import BadRowsError, DataError
from semsearch.evaluation import difference
from semsearch.evaluation.difference import Answer, Change, compare
from semsearch.tables import write_table
from tests.calibration.conftest import BANK
from tests.calibration.conftest import LABELLED as CALIBRATION

QUERIES = ["parcel delivery package", "card stolen bank", "refund money back", "weather today"]
SWAPPED = [
    replace(q, key={"parcel": "card", "card": "parcel"}.get(q.key, q.key)) for q in BANK
]  # two answers stand under each other's key


@pytest.fixture
def pair(tmp_path: Path, tiny_encoder_dir: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    """Make an index of a bank; closed afterwards."""
    made: list[Index] = []

    def build(bank: list[StandardQuestion]) -> Index:
        made.append(Index.build(bank, tmp_path / f"i{len(made)}", encoder=tiny_encoder_dir))
        return made[-1]

    yield build
    for index in made:
        index.close()


def _rows(texts: list[str], keys: list[str] | None = None) -> list[dict[str, str]]:
    if keys is None:
        return [{"text": text} for text in texts]
    return [{"text": text, "key": key} for text, key in zip(texts, keys, strict=True)]


def test_the_same_index_changes_nothing(pair: Any) -> None:
    index = pair(BANK)
    found = compare(index, index, _rows(QUERIES))
    assert found.changes == () and found.same == found.queries == 4
    assert found.right is None and found.to_dict()["better"] is None


def test_changes_are_counted_by_kind_and_as_often_as_they_are_asked(pair: Any) -> None:
    changed = [
        replace(q, answer="Another one.") if q.key == "refund" else q
        for q in BANK
        if q.key != "parcel"
    ]
    found = compare(pair(BANK), pair(changed), _rows([*QUERIES, QUERIES[2], QUERIES[2]]))
    assert found.counts == {"changed": 1, "reworded": 3, "newly answered": 0, "newly refused": 0}
    assert found.same == 2 and found.queries == 6
    first = found.changes[0]
    assert first.query == QUERIES[2] and first.count == 3 and first.kind == "reworded"
    assert found.changes[1].before.key == "parcel" != found.changes[1].after.key


def test_labels_say_what_is_better_and_what_is_worse(pair: Any) -> None:
    rows = _rows(QUERIES[:3], ["parcel", "card", "refund"])
    a, b = pair(BANK), pair(SWAPPED)
    worse = compare(a, b, rows)
    assert worse.labelled and worse.right == pytest.approx((1.0, 1 / 3))
    assert worse.judged(better=False) == 2 and worse.judged(better=True) == 0
    assert worse.interval is not None and worse.interval[0] == pytest.approx(-1)
    better = compare(b, a, rows)
    assert better.judged(better=True) == 2 and better.right == pytest.approx((1 / 3, 1.0))


def test_a_calibration_answers_and_refuses_anew(pair: Any) -> None:
    a, b = pair(BANK), pair(BANK)
    calibrate(b, CALIBRATION, precision=0.99)
    asked = [row["text"] for row in CALIBRATION]
    refused = compare(a, b, _rows(asked))
    answered = compare(b, a, _rows(asked))
    assert refused.counts["newly refused"] == answered.counts["newly answered"] > 0
    assert refused.same + sum(refused.counts.values()) == len(asked)
    none = compare(a, b, CALIBRATION)
    assert none.judged(better=True) > 0, "what has no answer is rightly refused"


def test_without_a_shared_key_texts_are_compared(pair: Any) -> None:
    renamed = [replace(q, key=f"new-{q.key}", question=q.question.upper()) for q in BANK]
    found = compare(pair(BANK), pair(renamed), _rows(QUERIES[:2], ["parcel", "new-card"]))
    assert found.right == (1.0, 1.0)
    assert found.by_text and not found.changes and found.to_dict()["compared_by"] == "text"


def test_the_most_important_comes_first() -> None:
    sure, unsure = (Answer("a", "A?", "", True, score) for score in (0.9, 0.2))
    nothing = Answer("b", "B?", "", False, 0.99)
    often = Change("often", 9, "newly refused", unsure, nothing)
    surely = Change("surely", 1, "newly refused", sure, nothing)
    assert often.importance == pytest.approx(1.8) and surely.importance == pytest.approx(0.9)


def test_worse_ones_come_before_all(pair: Any) -> None:
    texts = [QUERIES[0], QUERIES[1], *[QUERIES[1]] * 5]
    found = compare(pair(BANK), pair(SWAPPED), _rows(texts, ["parcel", *["parcel"] * 6]))
    assert [change.better for change in found.changes] == [False, True]
    assert [change.count for change in found.changes] == [1, 6]


def test_every_kind_of_queries_is_read(pair: Any, tmp_path: Path) -> None:
    index = pair(BANK)
    (tmp_path / "q.txt").write_text("\n".join(QUERIES))
    assert compare(index, index, tmp_path / "q.txt").queries == 4
    log = [{"query": text, "key": "whatever was found", "at": 1} for text in QUERIES]
    write_table(tmp_path / "log.jsonl", log)
    found = compare(index, index, tmp_path / "log.jsonl")
    assert found.queries == 4 and not found.labelled
    expected = [{"query": text, "expected": "card"} for text in QUERIES]
    write_table(tmp_path / "labelled.jsonl", expected)
    assert compare(index, index, tmp_path / "labelled.jsonl").labelled
    with pytest.raises(BadRowsError):
        compare(index, index, _rows(["x"], ["nowhere"]))
    with pytest.raises(BadRowsError):
        compare(index, index, _rows(["x", ""]))
    assert len(compare(index, index, _rows(["x", ""]), skip_bad=True).skipped) == 1
    with pytest.raises(DataError, match="there is no such file"):
        compare(index, index, tmp_path / "none.csv")


def test_many_queries_are_asked_in_parts(pair: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(difference, "_QUERIES_AT_ONCE", 3)
    a, b = pair(BANK), pair(SWAPPED)
    seen: list[tuple[int, int]] = []
    rows = _rows([f"{text} {n}" for n in range(2) for text in QUERIES])
    found = compare(a, b, rows, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(3, 8), (6, 8), (8, 8)] and found.queries == 8
