"""How vectors are indexed: asked for, kept, changed, and never at the cost of answers."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from semsearch import Index, StandardQuestion, rescoring, selection
from semsearch.ann import setting
from semsearch.errors import FactoryError
from semsearch.ranking import Counts, Score
from semsearch.store import BankReader
from semsearch.store import meta as meta_table

WORDS = ["refund", "parcel", "card", "track", "money", "lost", "hours", "open", "close", "time"]
GRAPH = "HNSW8_SQ8,RFlat efSearch=64,k_factor_rf=8"


def _bank(n: int, *, start: int = 0) -> list[StandardQuestion]:
    return [
        StandardQuestion(f"q{i}", f"{WORDS[i % 10]} {WORDS[i // 10 % 10]} {i}", f"answer {i}")
        for i in range(start, start + n)
    ]


@pytest.fixture
def path(tmp_path: Path, tiny_encoder_dir: Path) -> Path:
    Index.build(_bank(300), tmp_path / "faq", encoder=tiny_encoder_dir, factory=GRAPH).close()
    return tmp_path / "faq"


def _answers(index: Index, texts: Sequence[str]) -> list[list[str]]:
    return [[hit.key for hit in result.hits] for result in index.search(list(texts), 5)]


QUERIES = ["lost card 33", "open time", "money refund 4", "parcel", "track 77"]


def test_a_graph_answers_as_a_search_of_every_vector(path: Path, tiny_encoder_dir: Path) -> None:
    exact = Index.build(_bank(300), path.parent / "exact", encoder=tiny_encoder_dir)
    with exact, Index.open(path) as index:
        assert exact.info()["factory"] == "Flat"
        assert index.info()["factory"] == "HNSW8_SQ8,RFlat"
        assert index.info()["parameters"] == "efSearch=64,k_factor_rf=8"
        assert _answers(index, QUERIES) == _answers(exact, QUERIES)
        assert [_answers(index, [query])[0] for query in QUERIES] == _answers(exact, QUERIES)
        assert index.verify().ok


@pytest.mark.parametrize("exact_up_to", [0, selection.EXACT_UP_TO])
@pytest.mark.parametrize("score", ["best", "top3"])
def test_scores_are_of_the_stored_vectors_whatever_the_index_keeps(
    path: Path, tiny_encoder_dir: Path, score: Score, exact_up_to: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(selection, "EXACT_UP_TO", exact_up_to)
    monkeypatch.setattr(rescoring, "MOST", 300)
    exact = Index.build(_bank(300), path.parent / "exact", encoder=tiny_encoder_dir)
    texts = [*QUERIES, *(question.question for question in _bank(300)[::7])]
    with exact, Index.build(_bank(300), path, factory="SQ4") as coarse:
        for where in (None, "key < 'q2'"):
            one, other = (index.search(texts, 5, score=score, where=where)
                          for index in (exact, coarse))  # fmt: skip
            for right, found in zip(one, other, strict=True):
                assert [hit.score for hit in found.hits] == pytest.approx(
                    [hit.score for hit in right.hits], abs=1e-6
                )


def test_what_lies_far_off_is_not_scored_again() -> None:
    vectors = np.eye(8, dtype=np.float32)
    labels = np.arange(8, dtype=np.int64)

    class Candidates(list[int]):
        counts = Counts(labels)

        def search(self, queries: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
            found = np.where(np.arange(n) < 5, np.arange(n), -1)
            scores = np.where(found >= 0, -found / 10, -np.inf).astype(np.float32)
            return np.stack([scores] * len(queries)), np.stack([found] * len(queries))

    asked: list[list[int]] = []

    def stored(wanted: np.ndarray) -> np.ndarray:
        asked.append(wanted.tolist())
        return vectors[wanted]

    scores, found = rescoring.Rescored(Candidates(), stored).search(vectors[[2, 4]], 7)
    assert asked == [[0, 1, 2, 3, 4]], "each once, and nothing that pads"
    assert found[:, 0].tolist() == [2, 4] and scores[:, 0].tolist() == [1.0, 1.0]
    assert found[:, 5:].tolist() == [[-1, -1]] * 2 and np.isneginf(scores[:, 5:]).all()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rescoring, "MOST", 3)
        scores, found = rescoring.Rescored(Candidates(), stored).search(vectors[[4]], 5)
    assert asked[-1] == [0, 1, 2] and scores[0].tolist() == pytest.approx([0, 0, 0, -0.3, -0.4])


def test_a_sync_keeps_the_factory_and_a_build_may_change_it(path: Path) -> None:
    with Index.build(_bank(900), path) as index:
        assert index.info()["in_snapshot"] == 900
        assert index.info()["factory"] == "HNSW8_SQ8,RFlat"
    with Index.build(_bank(900), path, factory="SQ8") as index:
        assert (index.info()["factory"], index.report.encoded) == ("SQ8", 0)
        assert index.verify().ok
    with Index.build(_bank(900), path, factory="auto") as index:
        assert (index.info()["factory"], index.info()["parameters"]) == ("Flat", "")


def test_many_vectors_get_clusters_by_themselves(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Index.build(_bank(300), path, factory="auto").close()
    with Index.open(path) as index:
        before = _answers(index, QUERIES)
        assert index.info()["factory"] == "Flat"
    monkeypatch.setattr(setting, "_FLAT_BYTES", 1000)
    with Index.build(_bank(301), path) as index:
        assert ",IVF" in index.info()["factory"]
        assert index.report.encoded == 1
        assert [keys[0] for keys in _answers(index, QUERIES)] == [keys[0] for keys in before]
        index.remove(before[0][:1])
        assert _answers(index, QUERIES)[0][0] == before[0][1]
        (found,) = index.search(QUERIES[:1], 3, where="key < 'q2'")
        assert len(found.hits) == 3 and all(hit.key < "q2" for hit in found.hits)
        assert index.verify().ok


@pytest.mark.parametrize("factory", ["Nonsense", "HNSW8 nprobe=3", "IVF8,PQ5"])
def test_a_factory_that_cannot_be_changes_nothing(
    path: Path, tiny_encoder_dir: Path, factory: str
) -> None:
    with pytest.raises(FactoryError, match="FAISS cannot make"):
        Index.build(_bank(310), path, factory=factory)
    with Index.open(path) as index:
        assert len(index) == 300
    new = path.parent / "new"
    with pytest.raises(FactoryError):
        Index.build(_bank(3), new, encoder=tiny_encoder_dir, factory=factory)
    assert (
        not (new / "questions.db").exists()
        or not sqlite3.connect(new / "questions.db")
        .execute("SELECT * FROM sqlite_master")
        .fetchall()
    )


def test_a_bank_too_small_for_its_factory_is_searched_vector_by_vector(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "semsearch"):
        index = Index.build(_bank(300), path, factory="IVF1000,SQ8 nprobe=1000")
    assert "300 vectors are too few for IVF1000,SQ8" in caplog.text
    with index:
        assert index.info()["factory"] == "Flat"
    with Index.build(_bank(1500), path) as index:  # grown: now there are enough
        assert index.info()["factory"] == "IVF1000,SQ8"


def test_removed_and_added_rows_count_at_once_in_an_open_index(path: Path) -> None:
    with Index.open(path) as index:
        (first,) = _answers(index, [QUERIES[0]])
        with Index.open(path) as other:
            other.remove(first[:2])
            other.add(_bank(1, start=300))
        (after,) = _answers(index, [QUERIES[0]])
        assert after[:3] == first[2:5]
        assert _answers(index, ["refund refund 300"])[0][0] == "q300"


def test_a_state_that_did_not_change_is_read_once(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = []
    newer = BankReader.newer

    def counted(reader: BankReader, *args: object, **options: object) -> object:
        reads.append(1)
        return newer(reader, *args, **options)  # type: ignore[arg-type]

    with Index.open(path) as index, Index.open(path) as other:
        other.add(_bank(1, start=300))
        monkeypatch.setattr(BankReader, "newer", counted)
        for query in QUERIES:
            index.search(query)
        assert len(reads) == 1
        monkeypatch.setattr(BankReader, "newer", newer)
        other.add(_bank(1, start=301))
        monkeypatch.setattr(BankReader, "newer", counted)
        assert _answers(index, ["parcel refund 301"])[0][0] == "q301"
        assert len(reads) == 2


def test_an_index_from_before_there_were_factories_is_read(path: Path) -> None:
    with closing(sqlite3.connect(path / "questions.db")) as db, db:
        rows = dict(db.execute("SELECT name, value FROM meta WHERE name != 'checksum'"))
        del rows["factory"], rows["parameters"]
        db.execute("DELETE FROM meta WHERE name IN ('factory', 'parameters')")
        checksum = str(meta_table._checksum(rows))
        db.execute("UPDATE meta SET value = ? WHERE name = 'checksum'", (checksum,))
    with Index.build(_bank(301), path) as index:
        assert index.info()["factory"] == "Flat"
        assert len(_answers(index, QUERIES)) == 5
