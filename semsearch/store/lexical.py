"""The words of every phrasing, in an FTS5 table that is in step with the phrasings.

The table is a cache like the FAISS file: a checksum in the meta table tells whether it is what was
written, and it can be made again from the phrasings at any time. It holds which phrasings have a
word and nothing else, neither texts nor places, and is a small part of the file.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from semsearch.terms import VERSION, terms

_CREATE = """
CREATE VIRTUAL TABLE words USING fts5(
    text, content = '', columnsize = 0, detail = none, tokenize = 'porter ascii'
)
"""
# The terms are split, folded and free of signs already. What is left to FTS5 is to cut English
# endings (Porter 1980).

Texts = Iterable[tuple[int, str]]
"""(id, text) of phrasings."""


@dataclass(frozen=True, slots=True)
class WordTable:
    """Which table of words an index has: the rule it was made by, and its checksum."""

    version: int
    crc32: int


class Postings:
    """The ids of the phrasings that have a word."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def of(self, term: str, limit: int) -> list[int]:
        """Phrasing ids ascending, at most `limit` of them; `term` is one of `terms`."""
        rows = self._connection.execute(
            "SELECT rowid FROM words WHERE words MATCH ? LIMIT ?", (f'"{term}"', limit)
        )
        return [id_ for (id_,) in rows.fetchall()]


def available(connection: sqlite3.Connection) -> bool:
    """Whether this SQLite has FTS5."""
    found = connection.execute("SELECT 1 FROM pragma_module_list WHERE name = 'fts5'").fetchone()
    return found is not None


def is_intact(connection: sqlite3.Connection, words: WordTable | None) -> bool:
    """Whether the table is the one that was written, by the rule of now."""
    if words is None or words.version != VERSION or not _exists(connection):
        return False
    return words.crc32 == _crc32(connection)


def keep(
    connection: sqlite3.Connection, words: WordTable | None, removed: Texts, added: Texts
) -> WordTable | None:
    """Bring the table in step, inside the transaction that changed the phrasings.

    Args:
        words: what the table is before; another one, or none, is made again from the phrasings.

    Returns:
        What it is now, None where this SQLite has no FTS5.
    """
    if not available(connection):
        return None
    if not is_intact(connection, words):
        return rebuild(connection)
    connection.executemany(
        "INSERT INTO words (words, rowid, text) VALUES ('delete', ?, ?)", _split(removed)
    )
    _add(connection, added)
    return _written(connection)


def rebuild(connection: sqlite3.Connection) -> WordTable | None:
    """Make the table again from the phrasings, as small as it gets."""
    if not available(connection):
        return None
    connection.execute("DROP TABLE IF EXISTS words")
    connection.execute(_CREATE)
    rows = connection.execute("SELECT id, text FROM phrasings ORDER BY id")
    _add(connection, rows)
    connection.execute("INSERT INTO words (words) VALUES ('optimize')")
    return _written(connection)


def in_memory(texts: Texts) -> Postings:
    """The same of a table that is made now and kept by nobody."""
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    connection.execute(_CREATE)
    connection.execute("BEGIN")
    _add(connection, texts)
    connection.execute("COMMIT")
    return Postings(connection)


def differs(connection: sqlite3.Connection, texts: Texts) -> bool:
    """Whether the table holds other words than these phrasings have."""
    fresh = in_memory(texts)._connection
    return _content(connection) != _content(fresh)


def _content(connection: sqlite3.Connection) -> list[tuple[str, int, int]]:
    """Every word with how many phrasings have it, and the sum of their ids."""
    connection.execute(
        "CREATE VIRTUAL TABLE IF NOT EXISTS temp.vocabulary "
        "USING fts5vocab('main', 'words', 'instance')"
    )
    return connection.execute(
        "SELECT term, count(*), sum(doc) FROM temp.vocabulary GROUP BY term ORDER BY term"
    ).fetchall()


def _add(connection: sqlite3.Connection, texts: Texts) -> None:
    connection.executemany("INSERT INTO words (rowid, text) VALUES (?, ?)", _split(texts))


def _split(texts: Texts) -> Iterator[tuple[int, str]]:
    return ((id_, " ".join(terms(text))) for id_, text in texts)


def _exists(connection: sqlite3.Connection) -> bool:
    query = "SELECT 1 FROM sqlite_master WHERE name = 'words_data'"
    return connection.execute(query).fetchone() is not None


def _written(connection: sqlite3.Connection) -> WordTable:
    # FTS5 holds back what is new until the transaction ends, or a savepoint is set.
    connection.execute("SAVEPOINT words_flushed")
    connection.execute("RELEASE words_flushed")
    return WordTable(VERSION, _crc32(connection))


def _crc32(connection: sqlite3.Connection) -> int:
    """CRC-32 over all that FTS5 keeps of the table."""
    crc = 0
    for query in (
        "SELECT id, block FROM words_data ORDER BY id",
        "SELECT segid, term, pgno FROM words_idx ORDER BY segid, term",
        "SELECT k, v FROM words_config ORDER BY k",
    ):
        for row in connection.execute(query):
            for value in row:
                raw = value if isinstance(value, bytes) else str(value).encode()
                crc = zlib.crc32(raw, zlib.crc32(b"%d:" % len(raw), crc))
    return crc
