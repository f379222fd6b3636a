"""The meta table: what an index is, in a form that notices its own damage."""

from __future__ import annotations

import json
import sqlite3
import zlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from semsearch.errors import CorruptIndexError
from semsearch.store.connection import damaged
from semsearch.store.lexical import WordTable
from semsearch.types import Pooling

FORMAT = 1


@dataclass(frozen=True, slots=True)
class EncoderRecord:
    """Which encoder made the vectors, and how to load it again."""

    name: str  # what the owner called it
    source: str  # what loads it: a name, a directory, or a folder inside the index
    inside: bool  # whether `source` is a folder inside the index
    fingerprint: dict[str, Any]
    runtime: str
    precision: str
    pooling: Pooling | None = None  # set where the owner asked for another than the encoder's own
    max_length: int | None = None  # likewise
    truncate: str | None = None  # likewise
    unwhitened: dict[str, Any] | None = None  # fingerprint before whitening, None without
    folder_digest: str | None = None  # of the folder inside the index


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A FAISS file and what it holds: every phrasing up to `max_id`, less the tombstones."""

    name: str
    size_bytes: int
    crc32: int
    max_id: int
    count: int
    factory: str
    parameters: str = ""


@dataclass(frozen=True, slots=True)
class Meta:
    """Everything an index says of itself. Counts let a reader notice rows that went missing."""

    dim: int
    encoder: EncoderRecord
    score: str
    generation: int = 0  # grows with every commit
    questions: int = 0
    phrasings: int = 0
    tombstones: int = 0
    tombstone_sum: int = 0
    snapshot: Snapshot | None = None
    factory: str = "auto"  # what snapshots are made as
    parameters: str = ""
    tuned: dict[str, Any] | None = None  # what was measured of them, None where nobody did
    format: int = FORMAT
    vector_dtype: str = "float32"
    calibration: dict[str, Any] | None = None  # of `semsearch.confidence`
    words: WordTable | None = None  # the table of words, None where there is none
    lexical: dict[str, Any] | None = None  # what words count beside vectors, and what showed it
    improved: dict[str, Any] | None = None  # what was proven, and what rollback restores

    @property
    def folders(self) -> dict[str, str | None]:
        """The encoders inside the index that it needs, with their digests: its own, and the one
        that a rollback restores."""
        records = [asdict(self.encoder)]
        if self.improved is not None:
            records.append(self.improved["before"]["encoder"])
        return {record["source"]: record["folder_digest"] for record in records if record["inside"]}

    def next(self, **changes: Any) -> Meta:
        """This meta after one more commit."""
        return replace(self, generation=self.generation + 1, **changes)


def dump(meta: Meta) -> list[tuple[str, str]]:
    """Rows (name, value) of the meta table, with a checksum over all others."""
    rows = {name: json.dumps(value, ensure_ascii=False) for name, value in asdict(meta).items()}
    return [*rows.items(), ("checksum", str(_checksum(rows)))]


def load(connection: sqlite3.Connection, path: Path) -> Meta | None:
    """The meta table of the database at `path`, or None where no build ever finished.

    Raises:
        CorruptIndexError: the table is damaged, or of a format that this version cannot read.
    """
    if not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
        return None
    rows = dict(connection.execute("SELECT name, value FROM meta").fetchall())
    if not rows:
        if connection.execute("SELECT 1 FROM questions LIMIT 1").fetchone():
            # Both come with one commit, so a build did finish here.
            raise CorruptIndexError(damaged(path, "the meta table is empty"))
        return None
    checksum = rows.pop("checksum", None)
    texts = all(isinstance(text, str) for row in rows.items() for text in row)
    if not texts or checksum != str(_checksum(rows)):
        raise CorruptIndexError(damaged(path, "the meta table does not match its checksum"))
    values = {name: json.loads(value) for name, value in rows.items()}
    if values["format"] != FORMAT:
        raise CorruptIndexError(
            f"{path}: has format {values['format']}, and this semsearch reads format {FORMAT}. "
            "Use the version that wrote it, or build it again."
        )
    values["encoder"] = EncoderRecord(**values["encoder"])
    values["snapshot"] = Snapshot(**values["snapshot"]) if values["snapshot"] else None
    values["words"] = WordTable(**values["words"]) if values.get("words") else None
    return Meta(**values)


def _checksum(rows: dict[str, str]) -> int:
    return zlib.crc32(json.dumps(sorted(rows.items())).encode())
