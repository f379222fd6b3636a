"""Change an index: one transaction per change, vectors included."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from semsearch.errors import CorruptIndexError
from semsearch.store import lexical
from semsearch.store import meta as meta_table
from semsearch.store.connection import DATABASE, connect_writer, damaged, sqlite_errors
from semsearch.store.meta import Meta
from semsearch.store.rows import (
    ID_BITS,
    SCHEMA,
    checksum,
    content_hash,
    dump_fields,
    dump_vector,
    label_of,
)
from semsearch.types import StandardQuestion, Vectors


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of one standard question.

    `old_id` None adds it, `new` None removes it, both together change it. `dropped` are the
    phrasing ids that go, `texts` and `vectors` (n, dim) the phrasings that come.
    """

    old_id: int | None
    new: StandardQuestion | None
    dropped: tuple[int, ...] = ()
    texts: tuple[str, ...] = ()
    vectors: Vectors | None = None


class BankWriter:
    """The one connection that writes. The caller holds the index's lock."""

    def __init__(self, directory: Path) -> None:
        """
        Raises:
            StorageError: the directory cannot be written.
            CorruptIndexError: the file there is no database, or a damaged one.
        """
        # Slow to import, and a query never needs it.
        import sqlite_utils

        self.path = directory / DATABASE
        with sqlite_errors(self.path):
            self._connection = connect_writer(self.path)
            try:
                self._db = sqlite_utils.Database(self._connection, execute_plugins=False)
                self._connection.executescript(f"BEGIN; {SCHEMA} COMMIT;")
            except BaseException:
                self._connection.close()
                raise

    def close(self) -> None:
        """Bring the log into the file, so that one file holds everything, and close."""
        with closing(self._connection), suppress(sqlite3.OperationalError):
            # A reader in the middle of a long read is not waited for, and a full disk is no
            # error: what is committed is safe in the log, which just stays longer.
            self._connection.execute("PRAGMA busy_timeout = 500")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def meta(self) -> Meta | None:
        """The meta table, None before the first build finished."""
        with sqlite_errors(self.path):
            return meta_table.load(self._connection, self.path)

    def apply(self, changes: Sequence[Change], meta: Meta) -> Meta:
        """Do all `changes` or none, and return the meta that was written with them.

        Args:
            meta: what the index is after this, counts and generation still those of before.
                Without a snapshot in it, the tombstones of a former one go too.
        """
        with self._transaction():
            if meta.snapshot is None:
                self._db["tombstones"].delete_where()
                meta = replace(meta, tombstones=0, tombstone_sum=0)
            snapshot_max_id = meta.snapshot.max_id if meta.snapshot else 0
            next_question, next_phrasing = self._next("questions"), self._next("phrasings")
            questions: list[dict[str, Any]] = []
            phrasings: list[dict[str, Any]] = []
            removed_questions: list[int] = []
            dropped: list[tuple[int, int]] = []
            for change in changes:
                question_id = change.old_id
                if question_id is None:
                    question_id, next_question = next_question, next_question + 1
                elif change.new is None:
                    removed_questions.append(question_id)
                dropped += [(question_id, id_) for id_ in change.dropped]
                if change.new is None:
                    continue
                questions.append(_question_row(question_id, change.new))
                for row, text in enumerate(change.texts):
                    assert change.vectors is not None
                    vector = dump_vector(change.vectors[row])
                    phrasings.append(_phrasing_row(next_phrasing, question_id, text, vector))
                    next_phrasing += 1
            buried = [label_of(*pair) for pair in dropped if pair[1] <= snapshot_max_id]
            gone = self._texts([id_ for _, id_ in dropped])
            self._delete("phrasings", [id_ for _, id_ in dropped])
            self._delete("questions", removed_questions)
            self._db["questions"].upsert_all(questions, pk="id")
            self._db["phrasings"].insert_all(phrasings)
            self._db["tombstones"].insert_all({"label": label} for label in buried)
            come = [(row["id"], row["text"]) for row in phrasings]
            # With all the old ones gone, the table is made again rather than emptied one by one.
            words = None if len(gone) >= meta.phrasings else meta.words
            words = lexical.keep(self._connection, words, gone, come)
            added = sum(change.old_id is None for change in changes)
            return self._put(
                meta.next(
                    questions=meta.questions + added - len(removed_questions),
                    phrasings=meta.phrasings + len(phrasings) - len(dropped),
                    tombstones=meta.tombstones + len(buried),
                    tombstone_sum=meta.tombstone_sum + sum(buried),
                    words=words,
                )
            )

    def exchange(
        self, vectors: Mapping[int, Vectors], former: Mapping[int, Vectors], meta: Meta
    ) -> Meta:
        """Give every phrasing another vector, and keep others for `BankReader.former_vectors`.

        Ids stay, so that whatever names a phrasing still does; snapshot and tombstones go.

        Args:
            vectors: (dim,) by the ids of all phrasings.
            former: (dim,) by the ids of phrasings; empty drops those that are kept.
            meta: what the index is after this, counts and generation still those of before.
        """
        with self._transaction():
            ids = list(vectors)
            rows = self._connection.execute(
                "SELECT id, question_id, text FROM phrasings ORDER BY id"
            ).fetchall()
            if [id_ for id_, _, _ in rows] != sorted(ids):
                raise CorruptIndexError(damaged(self.path, "its phrasings are not those it had"))
            self._connection.executemany(
                "UPDATE phrasings SET vector = ?, checksum = ? WHERE id = ?",
                (
                    (blob := dump_vector(vectors[id_]), checksum(id_, question_id, text, blob), id_)
                    for id_, question_id, text in rows
                ),
            )
            self._db["former_vectors"].delete_where()
            self._db["former_vectors"].insert_all(
                {
                    "id": id_,
                    "vector": (blob := dump_vector(vector)),
                    "checksum": checksum(id_, blob),
                }
                for id_, vector in former.items()
            )
            self._db["tombstones"].delete_where()
            return self._put(meta.next(snapshot=None, tombstones=0, tombstone_sum=0))

    def set_snapshot(self, meta: Meta) -> Meta:
        """Name a new snapshot, which holds every phrasing of now: the tombstones go."""
        with self._transaction():
            self._db["tombstones"].delete_where()
            return self._put(meta.next(tombstones=0, tombstone_sum=0))

    def rebuild_words(self, meta: Meta) -> Meta:
        """Make the table of words again; `meta` is that of now."""
        with self._transaction():
            return self._put(meta.next(words=lexical.rebuild(self._connection)))

    def vacuum(self) -> None:
        """Give the space of removed rows back to the file system."""
        with sqlite_errors(self.path):
            self._db.vacuum()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with sqlite_errors(self.path), self._db.atomic():
            yield

    def _put(self, meta: Meta) -> Meta:
        rows = ({"name": name, "value": value} for name, value in meta_table.dump(meta))
        self._db["meta"].upsert_all(rows, pk="name")
        return meta

    def _next(self, table: str) -> int:
        """The first id that was never used."""
        (used,) = self._connection.execute(
            "SELECT max(seq) FROM sqlite_sequence WHERE name = ?", (table,)
        ).fetchone()
        (last,) = self._connection.execute(f"SELECT max(id) FROM {table}").fetchone()
        if not isinstance(used or 0, int) or not (last or 0) <= (used or 0) < 2**ID_BITS - 1:
            # Going on would give a row the id of another one.
            raise CorruptIndexError(damaged(self.path, f"the last id of {table} is not {used}"))
        return (used or 0) + 1

    def _texts(self, ids: Sequence[int]) -> list[tuple[int, str]]:
        """(id, text) of phrasings."""
        return self._connection.execute(
            "SELECT id, text FROM phrasings WHERE id IN (SELECT value FROM json_each(?))",
            (json.dumps(ids),),
        ).fetchall()

    def _delete(self, table: str, ids: Sequence[int]) -> None:
        self._connection.executemany(f"DELETE FROM {table} WHERE id = ?", [(id_,) for id_ in ids])


def _question_row(id_: int, question: StandardQuestion) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": id_,
        "key": question.key,
        "question": question.question,
        "answer": question.answer,
        "fields": dump_fields(question.fields),
        "hash": content_hash(question),
    }
    return {**row, "checksum": checksum(*row.values())}


def _phrasing_row(id_: int, question_id: int, text: str, vector: bytes) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": id_,
        "question_id": question_id,
        "text": text,
        "vector": vector,
    }
    return {**row, "checksum": checksum(*row.values())}
