"""One committed state of an index, in memory, ready to be searched."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from semsearch.ann import Neighbours, check_file, merge
from semsearch.encoder.cache import remembered
from semsearch.errors import CorruptIndexError
from semsearch.ranking import Counts
from semsearch.store import BankReader, Meta, Snapshot
from semsearch.types import Ids, Scores, Vectors

log = logging.getLogger(__name__)

_REMEMBERED_FROM = 1 << 24
"""Bytes; larger snapshots are read through once, and again when the file has changed."""


@dataclass(frozen=True)
class View:
    """The snapshot, less what was removed since, plus what is newer."""

    meta: Meta
    version: tuple[int, int]  # of the database
    whole: Neighbours | None  # the snapshot as it was written
    snapshot: Neighbours | None  # less what was removed
    newer: Neighbours | None
    tombstones: Ids

    @classmethod
    def load(cls, directory: Path, reader: BankReader, meta: Meta, last: View | None) -> View:
        """Load the state that `meta` names; to be called inside `reader.reading()`.

        Args:
            last: an earlier view, used again as far as it is still the same.

        Raises:
            CorruptIndexError: rows are damaged. A damaged snapshot is no error: the rows hold
                everything, and are searched instead.
        """
        version = reader.version()
        if last and (last.version, last.meta) == (version, meta):
            return last
        snapshot = None
        if last and last.whole and last.meta.snapshot == meta.snapshot:
            snapshot = last.whole
        elif meta.snapshot:
            try:
                snapshot = _load(directory, meta.snapshot)
            except CorruptIndexError as error:
                log.warning(
                    "%s. Searching the rows instead; mend it with: semsearch compact %s",
                    error,
                    directory,
                )
        labels, vectors = reader.newer(meta, use_snapshot=snapshot is not None)
        tombstones = reader.tombstones(meta) if snapshot else np.zeros(0, np.int64)
        return cls(
            meta=meta,
            version=version,
            whole=snapshot,
            snapshot=snapshot and snapshot.without(tombstones),
            newer=Neighbours.build(labels, vectors) if len(labels) else None,
            tombstones=tombstones,
        )

    def __len__(self) -> int:
        return self.meta.phrasings

    @cached_property
    def counts(self) -> Counts:
        """How many phrasings each standard question has."""
        labels = [part.labels for part in (self.snapshot, self.newer) if part]
        every = np.concatenate(labels) if labels else np.zeros(0, np.int64)
        return Counts(np.setdiff1d(every, self.tombstones, assume_unique=True))

    def search(self, queries: Vectors, n: int) -> tuple[Scores, Ids]:
        """The n nearest phrasings of each query (m, d): scores and labels, both (m, n)."""
        parts = []
        if self.snapshot:
            parts.append(self.snapshot.search(queries, n))
        if self.newer:
            parts.append(self.newer.search(queries, n))
        return parts[0] if len(parts) == 1 else merge(parts, n)


def _load(directory: Path, snapshot: Snapshot) -> Neighbours:
    """The FAISS file of a snapshot, once it is known to be what was written.

    Raises:
        CorruptIndexError: it is not, or it is gone.
    """
    path = directory / snapshot.name

    def check() -> dict[str, int]:
        check_file(path, snapshot.size_bytes, snapshot.crc32)
        return {"crc32": snapshot.crc32}

    try:
        large = snapshot.size_bytes >= _REMEMBERED_FROM
        found = remembered("snapshot", [path], check) if large else check()
    except OSError as error:
        raise CorruptIndexError(f"{path}: {error.strerror}") from error
    if found.get("crc32") != snapshot.crc32:
        raise CorruptIndexError(f"{path}: the file is not what was written")
    return Neighbours.load(path)
