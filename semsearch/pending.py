"""Vectors that are encoded but not yet committed, so that an interrupted build goes on from there.

A plain file of records beside the database: it is only ever a cache, each record carries its own
checksum, and anything in it that does not match is encoded again.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import numpy as np

from semsearch.files import storage_error
from semsearch.types import Vectors

FILE = "pending.vectors"


class Pending:
    """Append-only records (text hash, vector, checksum) for one encoder."""

    def __init__(self, directory: Path, encoder: str, dim: int) -> None:
        """
        Args:
            encoder: digest of what makes the vectors; records of any other are dropped.
            dim: length of a vector.

        Raises:
            StorageError: the directory cannot be written, or the disk is full.
        """
        self.path = directory / FILE
        self._header = hashlib.sha256(f"{encoder}:{dim}".encode()).digest()
        self._record = np.dtype([("text", "V32"), ("vector", "<f4", (dim,)), ("crc", "<u4")])
        with self._storage_errors():
            self._vectors = self._load()
            mode = "ab" if self._vectors else "wb"
            self._file = self.path.open(mode)
            if not self._vectors:
                self._file.write(self._header)

    def _load(self) -> dict[bytes, Vectors]:
        if not self.path.is_file():
            return {}
        raw = self.path.read_bytes()
        if raw[:32] != self._header:
            return {}
        n = (len(raw) - 32) // self._record.itemsize
        records = np.frombuffer(raw, self._record, count=n, offset=32)
        found = {
            record["text"].tobytes(): record["vector"].astype(np.float32)
            for record in records
            if int(record["crc"]) == _crc(record["text"].tobytes(), record["vector"].tobytes())
        }
        torn = len(raw) - 32 - n * self._record.itemsize
        if torn:  # a record that was being written when the process was killed
            with self.path.open("r+b") as file:
                file.truncate(len(raw) - torn)
        return found

    def get(self, text: str) -> Vectors | None:
        """The vector (dim,) of a text, None where it is not known."""
        return self._vectors.get(_hash(text))

    def put(self, texts: Sequence[str], vectors: Vectors) -> None:
        """Keep the vectors (n, dim) of n texts. StorageError where the disk is full."""
        records = np.zeros(len(texts), self._record)
        for row, text in enumerate(texts):
            key, vector = _hash(text), vectors[row].astype("<f4")
            records[row] = (np.void(key), vector, _crc(key, vector.tobytes()))
            self._vectors[key] = vectors[row]
        with self._storage_errors():
            self._file.write(records.tobytes())
            self._file.flush()

    @contextmanager
    def _storage_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise storage_error(self.path, error) from error

    def __enter__(self) -> Pending:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._storage_errors():
            self._file.close()


def discard_pending(directory: Path) -> None:
    """Everything is committed: the file goes."""
    (directory / FILE).unlink(missing_ok=True)


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _crc(key: bytes, vector: bytes) -> int:
    return zlib.crc32(vector, zlib.crc32(key))
