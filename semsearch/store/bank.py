"""Read an index: every row that leaves this module has matched its checksum."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import RLock

import numpy as np

from semsearch.errors import CorruptIndexError, IndexBusyError, IndexNotFoundError, StorageError
from semsearch.store import lexical
from semsearch.store import meta as meta_table
from semsearch.store.columns import Columns
from semsearch.store.connection import DATABASE, connect_reader, damaged, sqlite_errors
from semsearch.store.meta import Meta
from semsearch.store.rows import PhrasingRow, QuestionRow, all_are, checksum, intact, load_vectors
from semsearch.types import Ids, StandardQuestion, Vectors

log = logging.getLogger(__name__)


_QUESTION = "SELECT id, key, question, answer, fields, hash, checksum FROM questions"
_PHRASING = "SELECT id, question_id, text, vector, checksum FROM phrasings"
_AMONG = "IN (SELECT value FROM json_each(?))"


class BankReader:
    """The bank of one index, read in transactions that each see one state of it."""

    def __init__(self, directory: Path) -> None:
        """
        Raises:
            IndexNotFoundError: there is no index in `directory`.
            CorruptIndexError: its database is damaged.
            StorageError: it cannot be read.
        """
        self.path = directory / DATABASE
        self._one_at_a_time = RLock()  # a connection has one transaction
        self._connections = 0
        if not self.path.is_file():
            raise IndexNotFoundError(no_index(directory))
        self._connect()

    def _connect(self) -> None:
        self._inode = self._stamp()[0]
        with sqlite_errors(self.path):
            self._connection, self._immutable = connect_reader(self.path)
        self._connections += 1

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    @contextmanager
    def reading(self) -> Iterator[Meta]:
        """One consistent state of the bank: nothing that is committed meanwhile is seen.

        Raises:
            IndexNotFoundError: no build ever finished here.
            CorruptIndexError: a row does not match its checksum.
        """
        with self._one_at_a_time:
            before = self._stamp()
            if self._immutable or before[0] != self._inode:
                # Nothing tells an immutable connection of a commit, nor any of a new file.
                self.close()
                self._connect()
            with sqlite_errors(self.path):
                self._connection.execute("BEGIN")
                try:
                    meta = meta_table.load(self._connection, self.path)
                    if meta is None:
                        raise IndexNotFoundError(
                            f"{self.path.parent}: its first build did not finish. Run it again: "
                            f"semsearch build TABLE {self.path.parent}"
                        )
                    yield meta
                finally:
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")
            if self._immutable and self._stamp() != before:
                raise IndexBusyError(f"{self.path}: it was written while it was read. Try again.")

    def state(self) -> tuple[int, int]:
        """The same as long as the bank is, another after every commit; to be called in `reading`.

        No generation tells an index from another one that was put in its place; this does.
        """
        (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        return self._connections, version

    def _stamp(self) -> tuple[int, int, int]:
        try:
            stat = self.path.stat()
        except OSError as error:
            raise StorageError(f"{self.path}: {error.strerror}.") from error
        return stat.st_ino, stat.st_size, stat.st_mtime_ns

    def newer(self, meta: Meta, use_snapshot: bool = True) -> tuple[Ids, Vectors]:
        """Phrasings that the snapshot does not hold: labels (n,), vectors (n, dim).

        Args:
            use_snapshot: False gives every phrasing, as when the snapshot is gone.

        Raises:
            CorruptIndexError: a row is damaged, or rows are missing.
        """
        snapshot = meta.snapshot if use_snapshot else None
        after = snapshot.max_id if snapshot else 0
        labels, blobs = [], []
        for row in self._phrasings(f"{_PHRASING} WHERE id > ? ORDER BY id", (after,)):
            labels.append(row.label)
            blobs.append(row.vector)
        expected = meta.phrasings
        if snapshot:
            expected -= snapshot.count - meta.tombstones
        if len(labels) != expected:
            raise self._damaged(f"{expected} phrasings expected, {len(labels)} found")
        return np.array(labels, dtype=np.int64), load_vectors(blobs, meta.dim)

    def tombstones(self, meta: Meta) -> Ids:
        """Labels (n,) in the snapshot whose phrasings have been removed since."""
        rows = self._connection.execute("SELECT label FROM tombstones").fetchall()
        labels = [label for (label,) in rows]
        if not all_are(int, labels) or (len(labels), sum(labels)) != (
            meta.tombstones,
            meta.tombstone_sum,
        ):
            raise self._damaged("the list of removed phrasings is not what was written")
        return np.array(labels, dtype=np.int64)

    def phrasings(self, ids: Iterable[int]) -> dict[int, PhrasingRow]:
        """Phrasings by id. CorruptIndexError where one is missing."""
        wanted = sorted(set(ids))
        query = f"{_PHRASING} WHERE id {_AMONG}"
        found = {row.id: row for row in self._phrasings(query, (json.dumps(wanted),))}
        self._expect(wanted, found)
        return found

    def phrasings_of(self, question_ids: Iterable[int]) -> dict[int, list[PhrasingRow]]:
        """Phrasings by the id of their standard question."""
        wanted = sorted(set(question_ids))
        query = f"{_PHRASING} WHERE question_id {_AMONG} ORDER BY id"
        found: dict[int, list[PhrasingRow]] = {id_: [] for id_ in wanted}
        for row in self._phrasings(query, (json.dumps(wanted),)):
            found.setdefault(row.question_id, []).append(row)
        return found

    def first_phrasings(self, n: int) -> list[PhrasingRow]:
        """The n oldest phrasings."""
        return list(self._phrasings(f"{_PHRASING} ORDER BY id LIMIT ?", (n,)))

    def former_vectors(self, dim: int) -> dict[int, Vectors]:
        """Vectors (dim,) that phrasings had before the index was improved, by their ids.

        One that is damaged is left out: it can be made again.
        """
        if not self._connection.execute(
            "SELECT 1 FROM sqlite_master WHERE name = 'former_vectors'"
        ).fetchone():
            return {}
        query = "SELECT id, vector, checksum FROM former_vectors ORDER BY id"
        return {
            id_: load_vectors([blob], dim)[0]
            for id_, blob, crc in self._connection.execute(query)
            if isinstance(blob, bytes) and crc == checksum(id_, blob) and len(blob) == 4 * dim
        }

    def every_phrasing(self, meta: Meta) -> list[PhrasingRow]:
        """Every phrasing, in the order they came.

        Raises:
            CorruptIndexError: a row is damaged, or rows are missing.
        """
        rows = list(self._phrasings(f"{_PHRASING} ORDER BY id", ()))
        if len(rows) != meta.phrasings:
            raise self._damaged(f"{meta.phrasings} phrasings expected, {len(rows)} found")
        return rows

    def last_phrasing(self) -> int:
        """The highest id of a phrasing, 0 where there is none."""
        (last,) = self._connection.execute("SELECT max(id) FROM phrasings").fetchone()
        return int(last or 0)

    def phrasings_up_to(self, last: int) -> int:
        """How many phrasings there are whose id is not above `last`."""
        (count,) = self._connection.execute(
            "SELECT count(*) FROM phrasings WHERE id <= ?", (last,)
        ).fetchone()
        return int(count)

    def questions(self, ids: Iterable[int]) -> dict[int, QuestionRow]:
        """Standard questions by id. CorruptIndexError where one is missing."""
        wanted = sorted(set(ids))
        query = f"{_QUESTION} WHERE id {_AMONG}"
        found = {row.id: row for row in self._questions(query, (json.dumps(wanted),))}
        self._expect(wanted, found)
        return found

    def questions_by_key(self, meta: Meta) -> dict[str, QuestionRow]:
        """Every standard question of the bank, in the order it came."""
        found = {row.key: row for row in self._questions(f"{_QUESTION} ORDER BY id", ())}
        if len(found) != meta.questions:
            raise self._damaged(f"{meta.questions} questions expected, {len(found)} found")
        return found

    def columns(self, meta: Meta) -> Columns:
        """What conditions look at, of the whole bank.

        Raises:
            CorruptIndexError: a row is damaged or missing, so that it could pass or fail wrongly.
        """
        return Columns(self.questions_by_key(meta).values())

    def bank(self, meta: Meta) -> Iterator[StandardQuestion]:
        """The whole bank, in the order it came."""
        texts: dict[int, list[str]] = {}
        n_phrasings = 0
        for row in self._phrasings(f"{_PHRASING} ORDER BY id", ()):
            texts.setdefault(row.question_id, []).append(row.text)
            n_phrasings += 1
        if n_phrasings != meta.phrasings:
            raise self._damaged(f"{meta.phrasings} phrasings expected, {n_phrasings} found")
        for question in self.questions_by_key(meta).values():
            yield StandardQuestion(
                key=question.key,
                question=question.question,
                answer=question.answer,
                phrasings=tuple(
                    text for text in texts.get(question.id, []) if text != question.question
                ),
                fields=json.loads(question.fields),
            )

    def postings(self, meta: Meta) -> lexical.Postings | None:
        """Which phrasings have which words; to be asked inside the same `reading` only.

        Where the table of words is missing or damaged, it is made of the phrasings, in memory.

        Returns:
            None where this SQLite has no FTS5.

        Raises:
            CorruptIndexError: a phrasing is damaged.
        """
        if not lexical.available(self._connection):
            return None
        if self._words_are_intact(meta):
            return lexical.Postings(self._connection)
        if meta.words is not None:
            log.warning(
                "%s: the table of words is not what was written. Made again for now; mend it "
                "with: semsearch compact %s",
                self.path,
                self.path.parent,
            )
        return lexical.in_memory(self._texts())

    def words_differ(self, meta: Meta) -> str | None:
        """What is wrong with the table of words, None where nothing is, or there is none."""
        if meta.words is None or not lexical.available(self._connection):
            return None
        if not self._words_are_intact(meta):
            return "it is not what was written"
        if lexical.differs(self._connection, self._texts()):
            return "it does not hold the words of the phrasings"
        return None

    def _words_are_intact(self, meta: Meta) -> bool:
        try:
            return lexical.is_intact(self._connection, meta.words)
        except sqlite3.DatabaseError:
            return False

    def _texts(self) -> Iterator[tuple[int, str]]:
        return ((row.id, row.text) for row in self._phrasings(f"{_PHRASING} ORDER BY id", ()))

    def integrity(self) -> list[str]:
        """What SQLite's own integrity check finds wrong; empty when nothing is."""
        rows = self._connection.execute("PRAGMA integrity_check").fetchall()
        rows += self._connection.execute("PRAGMA foreign_key_check").fetchall()
        return [" ".join(map(str, row)) for row in rows if row != ("ok",)]

    def _phrasings(self, query: str, values: Sequence[object]) -> Iterator[PhrasingRow]:
        for values_ in self._connection.execute(query, values):
            row = PhrasingRow(*values_)
            if not intact(row):
                raise self._damaged(f"phrasing {row.id} does not match its checksum")
            yield row

    def _questions(self, query: str, values: Sequence[object]) -> Iterator[QuestionRow]:
        for values_ in self._connection.execute(query, values):
            row = QuestionRow(*values_)
            if not intact(row):
                raise self._damaged(f"standard question {row.id} does not match its checksum")
            yield row

    def _expect(
        self, wanted: list[int], found: dict[int, QuestionRow] | dict[int, PhrasingRow]
    ) -> None:
        if len(found) != len(wanted):
            missing = next(id_ for id_ in wanted if id_ not in found)
            raise self._damaged(f"row {missing} is missing")

    def _damaged(self, why: str) -> CorruptIndexError:
        return CorruptIndexError(damaged(self.path, why))


def no_index(directory: Path) -> str:
    """The message for a path that holds no index."""
    return f"{directory}: there is no index here. Make one with: semsearch build TABLE {directory}"
