"""What was committed comes back as it was, or not at all."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from semsearch.errors import CorruptIndexError, IndexNotFoundError
from semsearch.store import BankReader, BankWriter, Change, EncoderRecord, Meta, Snapshot
from semsearch.types import StandardQuestion

DIM = 4
RECORD = EncoderRecord(
    name="tiny", source="tiny", inside=False, fingerprint={}, runtime="onnx", precision="float32"
)
META = Meta(dim=DIM, encoder=RECORD, score="best")
FIRST = StandardQuestion(
    "a", "Where is it?", "There.", ("where?", "它在哪里"), {"shop": "de", "n": 1}
)
SECOND = StandardQuestion("b", "When?", "Now.")


def _vectors(n: int, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(n, DIM)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _added(question: StandardQuestion, seed: int = 0) -> Change:
    return Change(None, question, texts=question.texts, vectors=_vectors(len(question.texts), seed))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    writer = BankWriter(tmp_path)
    writer.apply([_added(FIRST), _added(SECOND, 1)], META)
    writer.close()
    return tmp_path


def test_a_bank_comes_back_as_it_was_written(directory: Path) -> None:
    reader = BankReader(directory)
    with reader.reading() as meta:
        assert list(reader.bank(meta)) == [FIRST, SECOND]
        assert (meta.questions, meta.phrasings, meta.generation) == (2, 4, 1)
        labels, vectors = reader.newer(meta)
        np.testing.assert_array_equal(vectors, np.concatenate([_vectors(3), _vectors(1, 1)]))
        assert labels.tolist() == [1 << 32 | 1, 1 << 32 | 2, 1 << 32 | 3, 2 << 32 | 4]
    reader.close()


def test_one_file_holds_everything_after_a_writer_closed(directory: Path) -> None:
    assert [path.name for path in directory.iterdir()] == ["questions.db"]


def test_a_reading_sees_one_state_while_a_writer_commits(directory: Path) -> None:
    reader = BankReader(directory)
    with reader.reading() as before:
        writer = BankWriter(directory)
        after = writer.apply([Change(2, None, dropped=(4,))], before)
        writer.close()
        assert [question.key for question in reader.bank(before)] == ["a", "b"]
    with reader.reading() as meta:
        assert meta == after
        assert [question.key for question in reader.bank(meta)] == ["a"]
    reader.close()


def test_a_failing_change_leaves_nothing_behind(directory: Path) -> None:
    """The second change breaks the rule that keys are unique; the first must not stay."""
    writer = BankWriter(directory)
    meta = writer.meta()
    assert meta is not None
    third = StandardQuestion("c", "Who?")
    with pytest.raises(CorruptIndexError):
        writer.apply([_added(third), _added(FIRST)], meta)
    assert writer.meta() == meta
    writer.close()
    reader = BankReader(directory)
    with reader.reading() as meta:
        assert [question.key for question in reader.bank(meta)] == ["a", "b"]
    reader.close()


def test_removed_phrasings_of_the_snapshot_become_tombstones(directory: Path) -> None:
    writer = BankWriter(directory)
    meta = writer.meta()
    assert meta is not None
    snapshot = Snapshot("vectors-2.faiss", 1, 1, max_id=4, count=4, factory="Flat")
    meta = writer.set_snapshot(replace(meta, snapshot=snapshot))
    meta = writer.apply(
        [Change(1, FIRST, dropped=(2,)), _added(StandardQuestion("c", "Who?"))], meta
    )
    writer.close()
    reader = BankReader(directory)
    with reader.reading() as meta:
        assert reader.tombstones(meta).tolist() == [1 << 32 | 2]
        labels, _ = reader.newer(meta)
        assert labels.tolist() == [3 << 32 | 5]
    reader.close()


def test_an_id_is_never_used_twice(directory: Path) -> None:
    """A phrasing that took over the id of a removed one would be searched as the removed one."""
    writer = BankWriter(directory)
    meta = writer.meta()
    assert meta is not None
    meta = writer.apply([Change(2, None, dropped=(4,))], meta)
    writer.apply([_added(StandardQuestion("c", "Who?"))], meta)
    writer.close()
    reader = BankReader(directory)
    with reader.reading() as meta:
        assert reader.newer(meta)[0].tolist()[-1] == 3 << 32 | 5
    reader.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE phrasings SET text = 'where!' WHERE id = 2",
        "UPDATE phrasings SET question_id = 2 WHERE id = 2",
        "UPDATE phrasings SET vector = zeroblob(16) WHERE id = 2",
        "UPDATE phrasings SET vector = x'00' WHERE id = 2",
        "UPDATE questions SET answer = 'Here.' WHERE id = 1",
        "UPDATE questions SET fields = '{}' WHERE id = 1",
        "DELETE FROM phrasings WHERE id = 2",
        "DELETE FROM questions WHERE id = 2",
        "UPDATE meta SET value = '5' WHERE name = 'dim'",
        "DELETE FROM meta WHERE name = 'score'",
        "DROP TABLE phrasings",
    ],
)
def test_a_changed_row_is_never_read_as_if_it_were_right(directory: Path, statement: str) -> None:
    connection = sqlite3.connect(directory / "questions.db")
    connection.execute(statement)
    connection.commit()
    connection.close()
    reader = BankReader(directory)
    with pytest.raises(CorruptIndexError, match=r"questions\.db"), reader.reading() as meta:
        list(reader.bank(meta))
        reader.newer(meta)
    reader.close()


def test_no_index_and_an_unfinished_one_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(IndexNotFoundError, match="there is no index here"):
        BankReader(tmp_path)
    BankWriter(tmp_path).close()
    reader = BankReader(tmp_path)
    with pytest.raises(IndexNotFoundError, match="did not finish"), reader.reading():
        pass
    reader.close()


def test_a_later_format_is_named(directory: Path) -> None:
    writer = BankWriter(directory)
    meta = writer.meta()
    assert meta is not None
    writer.apply([], replace(meta, format=99))
    writer.close()
    reader = BankReader(directory)
    with pytest.raises(CorruptIndexError, match="has format 99"), reader.reading():
        pass
    reader.close()
