"""A FAISS index over labelled unit vectors: made, searched, written and read."""

from __future__ import annotations

import zlib
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from semsearch.errors import CorruptIndexError, MissingExtraError
from semsearch.files import atomic_write
from semsearch.types import Ids, Mask, Scores, Vectors

FLAT = "Flat"
_THREADED_FROM = 8


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise MissingExtraError("faiss", "cpu") from error
    return faiss


def require_faiss() -> None:
    """Find out that FAISS is missing before any work is done.

    Raises:
        MissingExtraError: it is not installed.
    """
    _faiss()


@cache
def _threads() -> int:
    """How many threads FAISS takes when it is left alone."""
    return int(_faiss().omp_get_max_threads())


class Neighbours:
    """Vectors with 64-bit labels, searched by inner product."""

    def __init__(self, index: Any) -> None:
        self._index = index

    @classmethod
    def build(cls, labels: Ids, vectors: Vectors, factory: str = FLAT) -> Neighbours:
        """Index vectors (n, d) under labels (n,).

        Args:
            factory: a FAISS factory string.
        """
        faiss = _faiss()
        index = faiss.index_factory(
            vectors.shape[1], f"IDMap2,{factory}", faiss.METRIC_INNER_PRODUCT
        )
        index.train(vectors)
        index.add_with_ids(vectors, labels)
        return cls(index)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @cached_property
    def labels(self) -> Ids:
        """Every label (n,), in the order of adding."""
        return np.asarray(_faiss().vector_to_array(self._index.id_map), dtype=np.int64)

    def vectors(self, among: Mask | None = None) -> Vectors:
        """The vectors (n, d), in the order of `labels`, as the index keeps them.

        Args:
            among: (len,) which of them; None gives all.
        """
        if among is None:
            found = self._index.index.reconstruct_n(0, len(self))
        else:
            found = self._index.index.reconstruct_batch(np.flatnonzero(among))
        return np.asarray(found, dtype=np.float32)

    def search(
        self, queries: Vectors, n: int, exclude: Ids | None = None, among: Mask | None = None
    ) -> tuple[Scores, Ids]:
        """The n best of each query.

        Args:
            queries: (m, d) unit vectors.
            exclude: labels that must not be found.
            among: (len,) in place of it, what alone may be found, in the order of `labels`.

        Returns:
            Scores (m, n) descending and labels (m, n); label -1 and score -inf pad.
        """
        faiss = _faiss()
        index, params = self._index, None
        if among is not None:
            # The inner index counts its vectors from 0, so a bitmap can say which may be found. It
            # needs no time to be made, and is asked faster than a set of labels with its hashes.
            index = self._index.index
            bitmap = np.packbits(among, bitorder="little")
            params = faiss.SearchParameters(sel=faiss.IDSelectorBitmap(bitmap))
        elif exclude is not None and len(exclude):
            selector = faiss.IDSelectorNot(faiss.IDSelectorBatch(exclude))
            params = faiss.SearchParameters(sel=selector)
        # For few queries FAISS is faster on one thread, and much so beside another busy process.
        threads = _threads()
        faiss.omp_set_num_threads(threads if len(queries) >= _THREADED_FROM else 1)
        scores, labels = index.search(queries, n, params=params)
        if among is not None:
            labels = np.where(labels < 0, -1, self.labels[labels])
        # FAISS pads with -1 when fewer than n vectors can be found.
        scores[labels < 0] = -np.inf
        return scores, labels

    def save(self, path: Path) -> tuple[int, int]:
        """Write beside, fsync, rename: a reader sees the whole file or none.

        Returns:
            Size in bytes and CRC-32 of what was written.

        Raises:
            StorageError: the disk is full or refuses.
        """
        data = _faiss().serialize_index(self._index)
        with atomic_write(path) as file:
            file.write(data)
        return data.nbytes, zlib.crc32(data)

    @classmethod
    def load(cls, path: Path, size_bytes: int, crc32: int) -> Neighbours:
        """Read what `save` wrote.

        Raises:
            CorruptIndexError: the file is missing, or is not what was written.
        """
        try:
            data = np.fromfile(path, dtype=np.uint8)
        except OSError as error:
            raise CorruptIndexError(f"{path}: {error.strerror}") from error
        if data.nbytes != size_bytes or zlib.crc32(data.data) != crc32:
            raise CorruptIndexError(f"{path}: the file is not what was written")
        return cls(_faiss().deserialize_index(data))


def merge(parts: list[tuple[Scores, Ids]], n: int) -> tuple[Scores, Ids]:
    """The n best of each query over several searches; equal scores go by label."""
    scores = np.concatenate([part for part, _ in parts], axis=1)
    labels = np.concatenate([part for _, part in parts], axis=1)
    order = np.lexsort((labels, -scores), axis=1)[:, :n]
    return np.take_along_axis(scores, order, 1), np.take_along_axis(labels, order, 1)
