"""Rows as they are stored: checksums, content hashes and vector BLOBs."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from semsearch.types import Fields, StandardQuestion, Vectors

SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS questions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    question TEXT NOT NULL,
    answer TEXT NOT NULL,
    fields TEXT NOT NULL,
    hash TEXT NOT NULL,
    checksum INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS phrasings (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    question_id INTEGER NOT NULL REFERENCES questions (id) ON DELETE CASCADE,
    text TEXT NOT NULL,
    vector BLOB NOT NULL,
    checksum INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS phrasings_question_id ON phrasings (question_id);
CREATE TABLE IF NOT EXISTS tombstones (
    label INTEGER PRIMARY KEY
);
CREATE TABLE IF NOT EXISTS former_vectors (
    id INTEGER PRIMARY KEY REFERENCES phrasings (id) ON DELETE CASCADE,
    vector BLOB NOT NULL,
    checksum INTEGER NOT NULL
);
"""
# AUTOINCREMENT: an id is never used twice, so "newer than the snapshot" is a comparison of ids.

ID_BITS = 32


def label_of(question_id: int, phrasing_id: int) -> int:
    """One 64-bit FAISS label for a phrasing that also says which standard question it is of."""
    return question_id << ID_BITS | phrasing_id


def split_label(label: int) -> tuple[int, int]:
    """(question_id, phrasing_id) of a label."""
    return label >> ID_BITS, label & ((1 << ID_BITS) - 1)


def checksum(*parts: str | bytes | int) -> int:
    """CRC-32 over the parts of a row; it notices any flipped byte in any of them."""
    crc = 0
    for part in parts:
        raw = part if isinstance(part, bytes) else str(part).encode()
        crc = zlib.crc32(raw, zlib.crc32(b"%d:" % len(raw), crc))
    return crc


def content_hash(question: StandardQuestion) -> str:
    """Hash of all the owner wrote for this standard question; sync compares by it."""
    content = [
        question.key,
        question.question,
        question.answer,
        sorted(question.texts),
        sorted(question.fields.items()),
    ]
    return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()


def dump_fields(fields: Fields) -> str:
    """The owner's other columns as JSON, in the owner's order."""
    return json.dumps(dict(fields), ensure_ascii=False)


def dump_vector(vector: Vectors) -> bytes:
    """A vector (d,) float32 as little-endian bytes."""
    return np.asarray(vector, dtype="<f4").tobytes()


def load_vectors(blobs: list[bytes], dim: int) -> Vectors:
    """(n, dim) float32 of n BLOBs.

    Raises:
        ValueError: a BLOB has another length than dim float32 values.
    """
    joined = np.frombuffer(b"".join(blobs), dtype="<f4")
    return joined.reshape(len(blobs), dim).astype(np.float32, copy=False)


@dataclass(frozen=True, slots=True)
class QuestionRow:
    """One row of `questions`; `fields` is JSON text."""

    id: int
    key: str
    question: str
    answer: str
    fields: str
    hash: str
    checksum: int

    def is_intact(self) -> bool:
        """Whether the row is what was written."""
        texts = (self.key, self.question, self.answer, self.fields, self.hash)
        return all_are(str, texts) and self.checksum == checksum(self.id, *texts)


@dataclass(frozen=True, slots=True)
class PhrasingRow:
    """One row of `phrasings`; `vector` is float32 bytes."""

    id: int
    question_id: int
    text: str
    vector: bytes
    checksum: int

    @property
    def label(self) -> int:
        return label_of(self.question_id, self.id)

    def is_intact(self) -> bool:
        """Whether the row is what was written."""
        return (
            all_are(str, [self.text])
            and all_are(bytes, [self.vector])
            and self.checksum == checksum(self.id, self.question_id, self.text, self.vector)
        )


def all_are(kind: type, values: Iterable[object]) -> bool:
    """Whether values are of one kind."""
    # SQLite types are per value: a flipped bit can make a BLOB of a text, with the same bytes.
    return all(isinstance(value, kind) for value in values)


def intact(row: QuestionRow | PhrasingRow) -> bool:
    """Whether a row is what was written, whatever it holds now."""
    try:
        return row.is_intact()
    except (TypeError, ValueError):
        return False  # a number where text was, or text that is no number
