"""Words beside vectors: what is named is found, and scores stay cosines."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from semsearch import Index, SemsearchError, StandardQuestion, hybrid
from semsearch.hybrid import fuse, scored
from semsearch.lexical import WEIGHT, Shares
from semsearch.ranking import Ranked
from semsearch.selection import Selection
from semsearch.store import lexical as table
from semsearch.store.rows import label_of
from semsearch.view import View

CODES = ["E4021", "E4022", "E5001", "E1204", "QX-77", "AX-200"]
BANK = [
    StandardQuestion(f"{n}-{code}", f"{text} {code}?", code, (f"{more} {code}",), {"n": n})
    for n, (text, more) in enumerate(
        [("what about the order", "help order"), ("is the card stolen", "card lost"),
         ("price of", "how much is"), ("how to reset", "reset my")]
    )
    for code in CODES
]  # fmt: skip
QUERIES = ["my order says e-4022 now", "AX200 reset", "how much for qx77", "card", "hello"]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory, tiny_encoder_dir: Path) -> Path:
    path = tmp_path_factory.mktemp("hybrid") / "faq"
    Index.build(BANK, path, encoder=tiny_encoder_dir).close()
    return path


@pytest.fixture
def index(path: Path) -> Iterator[Index]:
    with Index.open(path) as index:
        yield index


def _brute(index: Index, query: str, score: str, weight: float) -> list[tuple[float, str]]:
    """Every standard question by both, without any cut."""
    hits = index.search(query, len(BANK), score=score, lexical="off")[0].hits  # type: ignore[arg-type]
    with index._reader.reading():
        assert index._view is not None
        shares = index._view.lexicon(index._reader).shares(query)
        ids = {row.key: row.id for row in index._reader.questions_by_key(index._view.meta).values()}
    both = [
        ((1 - weight) * hit.score + weight * shares.of(np.array([ids[hit.key]])).item(), hit.key)
        for hit in hits
    ]
    return sorted(both, key=lambda pair: -pair[0])


@pytest.mark.parametrize("score", ["best", "top3"])
@pytest.mark.parametrize("query", QUERIES)
def test_the_rank_is_that_of_all_standard_questions(
    index: Index, query: str, score: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hybrid, "DEPTH", 2)  # so that much must be found by words
    monkeypatch.setattr(hybrid, "MOST", len(BANK))
    (found,) = index.search([query], 3, score=score, lexical="on")  # type: ignore[arg-type]
    right = _brute(index, query, score, WEIGHT)
    together = [(1 - WEIGHT) * hit.score + WEIGHT * (hit.lexical or 0) for hit in found.hits]
    assert together == pytest.approx([value for value, _ in right[:3]], abs=1e-5)


def test_a_code_is_found_however_it_is_written(index: Index) -> None:
    for query, code in (("my order says e-4022 now", "E4022"), ("AX200 reset", "AX-200")):
        assert index.search(query, 1, lexical="on")[0].hits[0].key.endswith(code)


def test_the_score_stays_the_cosine_and_words_are_told(index: Index) -> None:
    off = {hit.key: hit for hit in index.search(QUERIES[0], len(BANK), lexical="off")[0].hits}
    hits = index.search(QUERIES[0], 5, lexical="on")[0].hits
    for hit in hits:
        assert hit.score == pytest.approx(off[hit.key].score, abs=1e-6)
        assert hit.lexical is not None and 0 <= hit.lexical <= 1
    assert max(hit.lexical or 0 for hit in hits) > 0.2
    shown = index.search(QUERIES[0], 1, lexical="on")[0].to_dict()["hits"][0]
    assert list(shown)[:6] == ["rank", "key", "question", "answer", "score", "lexical"]


def test_an_index_that_was_not_calibrated_answers_by_vectors_alone(index: Index) -> None:
    auto, off = (
        json.dumps([found.to_dict() for found in index.search(QUERIES, 5, lexical=lexical)])  # type: ignore[arg-type]
        for lexical in ("auto", "off")
    )
    assert auto == off and "lexical" not in auto
    assert index.info()["lexical"] is None


def test_a_condition_holds_for_what_words_find(index: Index) -> None:
    hits = index.search("e4022", len(BANK), where="n = 2", lexical="on")[0].hits
    assert len(hits) == len(CODES) and all(hit.fields["n"] == 2 for hit in hits)
    assert hits[0].key == "2-E4022"
    assert index.search("e4022", where="n = 9", lexical="on")[0].hits == ()


def test_who_asks_in_the_words_of_a_phrasing_gets_its_answer(index: Index) -> None:
    for question in BANK[::5]:
        for text in question.texts:
            assert index.search(text, 1, lexical="on")[0].hits[0].key == question.key


def test_newer_rows_are_found_and_removed_ones_are_not(
    tmp_path: Path, tiny_encoder_dir: Path
) -> None:
    with Index.build(BANK, tmp_path / "faq", encoder=tiny_encoder_dir) as index:
        index.add([StandardQuestion("new", "what of ZZ-9000")])
        assert index.search("zz9000?", 1, lexical="on")[0].hits[0].key == "new"
        index.remove(["new", "0-E4022", "1-E4022", "2-E4022", "3-E4022"])
        hits = index.search("zz9000 or E4022", len(BANK), lexical="on")[0].hits
        assert not any(hit.key == "new" or hit.key.endswith("E4022") for hit in hits)
        index.compact()
        assert index.search("e-5001", 1, lexical="on")[0].hits[0].key.endswith("E5001")
        assert index.verify().ok


@pytest.mark.parametrize("where", [None, "n < 3"])
def test_what_words_find_is_scored_by_the_index_as_by_its_rows(
    tmp_path: Path, tiny_encoder_dir: Path, where: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hybrid, "DEPTH", 1)
    with Index.build(BANK, tmp_path / "faq", encoder=tiny_encoder_dir) as index:
        index.add([StandardQuestion("new", "what of E4021 here", fields={"n": 1})])
        index.remove(["0-E4021"])
        by_index = index.search(QUERIES, 5, lexical="on", where=where)
        read = []
        for part in (View, Selection):
            monkeypatch.setattr(part, "of", lambda *_: read.append(1))
        by_rows = index.search(QUERIES, 5, lexical="on", where=where)
    assert read
    for one, other in zip(by_index, by_rows, strict=True):
        assert [hit.key for hit in one.hits] == [hit.key for hit in other.hits]
        assert [h.score for h in one.hits] == pytest.approx([h.score for h in other.hits], abs=1e-6)


def test_an_empty_index_finds_nothing(tmp_path: Path, tiny_encoder_dir: Path) -> None:
    with Index.build(BANK, tmp_path / "faq", encoder=tiny_encoder_dir) as index:
        index.remove([question.key for question in BANK])
        assert index.search("e4022", lexical="on")[0].hits == ()


def test_a_python_without_fts5_is_told_so_in_one_line(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "available", lambda _: False)
    with pytest.raises(SemsearchError, match="has no FTS5") as caught:
        index.search("e4022", lexical="on")
    assert "\n" not in str(caught.value)
    assert index.search("e4022")[0].hits


def test_what_it_may_be_is_said(index: Index) -> None:
    with pytest.raises(ValueError, match="lexical must be one of auto, on, off"):
        index.search("e4022", lexical="yes")  # type: ignore[arg-type]


def test_damaged_words_change_no_answer(
    path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import shutil
    import sqlite3

    other = shutil.copytree(path, tmp_path / "faq")
    with sqlite3.connect(other / "questions.db") as connection:
        connection.execute("UPDATE words_data SET block = zeroblob(20) WHERE id > 10")
    connection.close()
    with Index.open(path) as right, Index.open(other) as damaged, caplog.at_level(logging.WARNING):
        assert damaged.search(QUERIES, lexical="on") == right.search(QUERIES, lexical="on")
        assert "mend it with: semsearch compact" in caplog.text
        (problem,) = damaged.verify().problems
        assert "the table of words" in problem
        damaged.compact()
        assert damaged.verify().ok


def _ranked(scores: list[float], questions: list[int]) -> Ranked:
    labels = np.array([label_of(question, 1) for question in questions], np.int64)
    return Ranked(np.array(scores, np.float32), labels)


def test_rows_are_read_only_where_they_could_come_first() -> None:
    asked: list[list[int]] = []

    def exact(questions: np.ndarray) -> Ranked:
        asked.append(questions.tolist())
        return _ranked([0.3] * len(questions), questions.tolist())

    shares = Shares(np.array([1, 2, 3, 4]), np.array([0.5, 0.0, 1.0, 0.1], np.float32))
    near = _ranked([0.9, 0.4], [1, 2])
    assert (fuse(near, shares, exact, 1, 0.15).labels >> 32).tolist() == [1] and asked == []
    assert (fuse(near, shares, exact, 1, 0.9).labels >> 32).tolist() == [3] and asked == [[3]]
    found = fuse(near, shares, exact, 4, 0.15)
    assert (found.labels >> 32).tolist() == [1, 3, 2, 4] and found.lexical is not None
    assert found.scores.tolist() == pytest.approx([0.9, 0.3, 0.4, 0.3])


def test_questions_are_scored_by_the_rule_of_the_rank() -> None:
    labels = np.array([label_of(1, 1), label_of(2, 2), label_of(1, 3)], np.int64)
    found = scored(np.array([0.2, 0.5, 0.9], np.float32), labels, None)
    assert found.labels.tolist() == [label_of(1, 3), label_of(2, 2)]
    assert found.scores.tolist() == pytest.approx([0.9, 0.5])
