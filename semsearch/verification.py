"""Check every byte of an index that an answer can depend on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from semsearch.ann import Neighbours, check_file
from semsearch.errors import CorruptIndexError
from semsearch.identity import folder_digest, made_again
from semsearch.store import BankReader, Meta
from semsearch.store.rows import content_hash
from semsearch.types import Ids, Vectors

_UNIT = 1e-3


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What `verify` looked at, and what is wrong; `ok` when nothing is."""

    questions: int
    phrasings: int
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return not self.problems


def verify(directory: Path, reader: BankReader) -> VerifyReport:
    """Read all rows, compare every checksum, and hold snapshot and encoder against the rows.

    Raises:
        IndexNotFoundError: there is no finished index.
        CorruptIndexError: the database is so damaged that it cannot be read to the end.
    """
    with reader.reading() as meta:
        problems = [f"questions.db: {found}" for found in reader.integrity()]
        problems += _of_rows(directory, reader, meta)
        problems += _encoder(directory, meta)
        return VerifyReport(meta.questions, meta.phrasings, tuple(problems))


def _of_rows(directory: Path, reader: BankReader, meta: Meta) -> list[str]:
    """What is wrong with the rows and with what was made of them; a damaged one hides the rest."""
    try:
        problems = _content(reader, meta)
        labels, vectors = reader.newer(meta, use_snapshot=False)
        norms = np.linalg.norm(vectors, axis=1)
        bad = int(np.sum(~(np.abs(norms - 1) < _UNIT)))
        if bad:
            problems.append(f"questions.db: {bad} vectors are not of unit length")
        words = reader.words_differ(meta)
        if words:
            problems.append(f"questions.db: the table of words: {words}. {_mend(directory)}")
        return problems + _snapshot(directory, reader, meta, labels, vectors)
    except CorruptIndexError as error:
        return [str(error)]


def _content(reader: BankReader, meta: Meta) -> list[str]:
    rows = reader.questions_by_key(meta)
    return [
        f"questions.db: standard question {question.key!r} is not what was written"
        for question in reader.bank(meta)
        if rows[question.key].hash != content_hash(question)
    ]


def _snapshot(
    directory: Path, reader: BankReader, meta: Meta, labels: Ids, vectors: Vectors
) -> list[str]:
    """The snapshot less the tombstones must be the rows up to its last id."""
    if meta.snapshot is None:
        return []
    name = meta.snapshot.name
    try:
        check_file(directory / name, meta.snapshot.size_bytes, meta.snapshot.crc32)
        snapshot = Neighbours.load(directory / name)
    except CorruptIndexError as error:
        return [f"{error}. {_mend(directory)}"]
    held = snapshot.labels
    alive = ~np.isin(held, reader.tombstones(meta))
    order = np.argsort(held[alive])
    covered = (labels & 0xFFFFFFFF) <= meta.snapshot.max_id
    expected = np.argsort(labels[covered])
    if not np.array_equal(held[alive][order], labels[covered][expected]):
        return [f"{name}: it does not hold the phrasings that questions.db holds"]
    if not snapshot.keeps_vectors:
        return []  # codes that were made of the rows: the checksum says whether they still are
    within = max(1e-6, snapshot.rounding)
    if not np.allclose(snapshot.vectors()[alive][order], vectors[covered][expected], atol=within):
        return [f"{name}: its vectors are not those of questions.db"]
    return []


def _mend(directory: Path) -> str:
    return f"Mend it with: semsearch compact {directory}"


def _encoder(directory: Path, meta: Meta) -> list[str]:
    """Encoders that are kept inside the index must be those that were put there."""
    problems = []
    for source, digest in meta.folders.items():
        improved = meta.improved is not None and source == meta.encoder.source
        mend = made_again(directory, improved)
        try:
            found = folder_digest(directory / source)
        except OSError as error:
            problems.append(f"{source}: {error.strerror}. To mend it, {mend}")
            continue
        if found != digest:
            problems.append(f"{source}: the encoder is not what was written. To mend it, {mend}")
    return problems
