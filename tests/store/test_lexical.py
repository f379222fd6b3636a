"""The table of words: in step with the phrasings, made again when it is not."""

from __future__ import annotations

import logging
import random
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from semsearch.errors import CorruptIndexError
from semsearch.store import BankReader, BankWriter, Change, Meta, lexical
from semsearch.types import StandardQuestion
from tests.store.test_store import META, _vectors

WORDS = ["parcel", "card", "refund", "E4021", "order", "late", "退款", "怎么", "银行卡"]


def _meta(directory: Path) -> Meta:
    reader = BankReader(directory)
    try:
        with reader.reading() as meta:
            return meta
    finally:
        reader.close()


def _add(directory: Path, texts: list[str], meta: Meta | None = None) -> Meta:
    writer = BankWriter(directory)
    found = meta or writer.meta() or META
    question = StandardQuestion(f"k{found.questions}", texts[0], "", tuple(texts[1:]))
    made = Change(None, question, texts=question.texts, vectors=_vectors(len(question.texts)))
    try:
        return writer.apply([made], found)
    finally:
        writer.close()


def _found(directory: Path, term: str) -> list[int]:
    reader = BankReader(directory)
    try:
        with reader.reading() as meta:
            postings = reader.postings(meta)
            assert postings is not None
            return postings.of(term, 100)
    finally:
        reader.close()


def _wrong(directory: Path) -> str | None:
    reader = BankReader(directory)
    try:
        with reader.reading() as meta:
            return reader.words_differ(meta)
    finally:
        reader.close()


def test_a_word_gives_the_phrasings_that_have_it(tmp_path: Path) -> None:
    _add(tmp_path, ["error E4021", "怎么退款", "my parcels"])
    assert _found(tmp_path, "e4021") == [1] and _found(tmp_path, "退款") == [2]
    assert _found(tmp_path, "parcel") == [3] and _found(tmp_path, "zebra") == []


def test_it_is_in_step_after_any_changes(tmp_path: Path) -> None:
    chance = random.Random(1)
    meta = META
    alive: dict[int, list[int]] = {}
    for _ in range(25):
        writer = BankWriter(tmp_path)
        texts = list(dict.fromkeys(" ".join(chance.sample(WORDS, 3)) for _ in range(3)))
        old = chance.choice(sorted(alive)) if alive and chance.random() < 0.6 else None
        kind = chance.choice(["change", "remove"]) if old is not None else "add"
        key = f"k{meta.generation}"
        new = None if kind == "remove" else StandardQuestion(key, texts[0], "", tuple(texts[1:]))
        dropped = tuple(alive.get(old or 0, ()))
        vectors = _vectors(len(texts))
        change = Change(old, new, dropped, tuple(texts) if new else (), vectors if new else None)
        meta = writer.apply([change], meta)
        writer.close()
        with sqlite3.connect(tmp_path / "questions.db") as connection:
            alive = {}
            for id_, owner in connection.execute("SELECT id, question_id FROM phrasings"):
                alive.setdefault(owner, []).append(id_)
        connection.close()
        assert _wrong(tmp_path) is None


def test_a_change_that_fails_changes_no_words(tmp_path: Path) -> None:
    meta = _add(tmp_path, ["error E4021"])
    with pytest.raises(CorruptIndexError, match="UNIQUE"):
        _add(tmp_path, ["card lost"], replace(meta, questions=0))  # its key is taken
    assert _found(tmp_path, "card") == [] and _wrong(tmp_path) is None


def test_an_index_without_it_opens_and_gets_it_with_the_next_write(tmp_path: Path) -> None:
    meta = _add(tmp_path, ["error E4021"])
    writer = BankWriter(tmp_path)
    writer._connection.execute("DROP TABLE words")
    writer._put(replace(meta, words=None))  # as an older version leaves it
    writer._connection.commit()
    writer.close()
    assert _meta(tmp_path).words is None
    assert _found(tmp_path, "e4021") == [1] and _wrong(tmp_path) is None
    _add(tmp_path, ["card lost"], _meta(tmp_path))
    assert _meta(tmp_path).words is not None
    assert _found(tmp_path, "card") == [2] and _found(tmp_path, "e4021") == [1]


def test_words_of_another_rule_are_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _add(tmp_path, ["error E4021"])
    monkeypatch.setattr(lexical, "VERSION", 2)
    monkeypatch.setattr(lexical, "terms", lambda text: [f"new{word}" for word in text.split()])
    assert _found(tmp_path, "newerror") == [1], "for now"
    _add(tmp_path, ["card lost"])
    assert _found(tmp_path, "newcard") == [2] and _found(tmp_path, "newerror") == [1]
    assert _wrong(tmp_path) is None and _meta(tmp_path).words.version == 2  # type: ignore[union-attr]


def test_damage_is_said_and_gives_no_wrong_answer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _add(tmp_path, ["error E4021", "card lost"])
    with sqlite3.connect(tmp_path / "questions.db") as connection:
        rows = connection.execute("SELECT id, block FROM words_data").fetchall()
    connection.close()
    for id_, block in rows:
        for at in range(0, len(block), 3):
            flipped = bytearray(block)
            flipped[at] ^= 0xFF
            _write_block(tmp_path, id_, bytes(flipped))
            assert _found(tmp_path, "card") == [2] and _found(tmp_path, "lost") == [2]
            assert _wrong(tmp_path) == "it is not what was written"
        _write_block(tmp_path, id_, block)
    assert "compact" in caplog.text and _wrong(tmp_path) is None


def _write_block(directory: Path, id_: int, block: bytes) -> None:
    with sqlite3.connect(directory / "questions.db") as connection:
        connection.execute("UPDATE words_data SET block = ? WHERE id = ?", (block, id_))
    connection.close()


def test_words_that_were_written_wrong_are_found(tmp_path: Path) -> None:
    meta = _add(tmp_path, ["error E4021", "card lost"])
    writer = BankWriter(tmp_path)
    with writer._transaction():
        kept = lexical.keep(writer._connection, meta.words, [(1, "error E4021")], [(1, "error")])
        writer._put(replace(meta, words=kept))
    assert _wrong(tmp_path) == "it does not hold the words of the phrasings"
    writer.rebuild_words(_meta(tmp_path))
    writer.close()
    assert _wrong(tmp_path) is None


def test_without_fts5_an_index_is_written_and_read_without_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _add(tmp_path, ["error E4021"])
    with monkeypatch.context() as patch:
        patch.setattr(lexical, "available", lambda _: False)
        _add(tmp_path, ["card lost"])
        reader = BankReader(tmp_path)
        with reader.reading() as meta:
            assert reader.postings(meta) is None and meta.words is None
            assert reader.words_differ(meta) is None
        reader.close()
    with caplog.at_level(logging.WARNING):
        assert _found(tmp_path, "card") == [2], "another Python makes it"
    assert not caplog.records
