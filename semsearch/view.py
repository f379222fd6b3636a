"""One committed state of an index, in memory, ready to be searched."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from semsearch.ann import Neighbours, merge
from semsearch.errors import CorruptIndexError
from semsearch.ranking import Counts
from semsearch.store import BankReader, Meta
from semsearch.types import Ids, Scores, Vectors

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class View:
    """The snapshot, less what was removed since, plus what is newer."""

    meta: Meta
    snapshot: Neighbours | None
    newer: Neighbours | None
    tombstones: Ids

    @classmethod
    def load(cls, directory: Path, reader: BankReader, meta: Meta, last: View | None) -> View:
        """Load the state that `meta` names; to be called inside `reader.reading()`.

        Args:
            last: an earlier view, whose snapshot is used again where it is still the same.

        Raises:
            CorruptIndexError: rows are damaged. A damaged snapshot is no error: the rows hold
                everything, and are searched instead.
        """
        snapshot = None
        if last and last.snapshot and last.meta.snapshot == meta.snapshot:
            snapshot = last.snapshot
        elif meta.snapshot:
            try:
                snapshot = Neighbours.load(
                    directory / meta.snapshot.name, meta.snapshot.size_bytes, meta.snapshot.crc32
                )
            except CorruptIndexError as error:
                log.warning(
                    "%s. Searching the rows instead; mend it with: semsearch compact %s",
                    error,
                    directory,
                )
        labels, vectors = reader.newer(meta, use_snapshot=snapshot is not None)
        return cls(
            meta=meta,
            snapshot=snapshot,
            newer=Neighbours.build(labels, vectors) if len(labels) else None,
            tombstones=reader.tombstones(meta) if snapshot else np.zeros(0, np.int64),
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
            parts.append(self.snapshot.search(queries, n, exclude=self.tombstones))
        if self.newer:
            parts.append(self.newer.search(queries, n))
        return parts[0] if len(parts) == 1 else merge(parts, n)
