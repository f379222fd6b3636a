"""A FAISS index over labelled unit vectors: made, searched, written and read."""

from __future__ import annotations

import mmap
import zlib
from functools import cached_property
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from semsearch.ann import parameters, pieces, twofold
from semsearch.ann import setting as settings
from semsearch.ann.library import faiss, suit
from semsearch.ann.parameters import (
    clusters_of,
    refined,
    search_all,
    search_parameters,
    stored,
    suit_clusters,
)
from semsearch.ann.setting import EXACT, Setting
from semsearch.errors import CorruptIndexError
from semsearch.files import atomic_write
from semsearch.types import Device, Ids, Mask, Scores, Vectors

if TYPE_CHECKING:
    from semsearch.ann.serving import Serving

_SCARCE = 0.8
"""Where more than this is hidden, all else is looked at: a graph mostly leads to what is hidden."""
_MAPPED_FROM = 1 << 24
"""Bytes; smaller files are read in a moment, and stay whole whatever becomes of the file."""
_CHUNK = 1 << 24


class Neighbours:
    """Vectors with 64-bit labels, searched by inner product.

    The file holds an `IDMap` over the index of the setting; in memory the two are apart, so that
    what is hidden from a search can be said by row.
    """

    def __init__(self, index: Any, hidden: Mask | None = None) -> None:
        """index: an `IDMap` over (n, d); hidden: (n,) rows that must not be found."""
        self._index = index
        self._inner = faiss().downcast_index(index.index)
        self._hidden = hidden
        self._serving: Serving | None = None

    @classmethod
    def build(
        cls,
        labels: Ids,
        vectors: Vectors,
        setting: Setting = EXACT,
        device: Device = "cpu",
    ) -> Neighbours:
        """Index vectors (n, d) under labels (n,).

        Args:
            device: "cuda" learns clusters, or makes a graph, on a GPU; "auto" where that pays. What
                is made is searched on the CPU like any other.

        Raises:
            FactoryError: the setting is not one for these vectors.
        """
        from semsearch.ann import building  # which starts no slower where nothing is made

        return cls(building.build(labels, vectors, setting, device))

    def served_on(self, device: Device) -> Neighbours:
        """The same, searched on a GPU if `device` says so: see `Serving`.

        The GPUs get their copy with the first search, and what `without` and `only` give has it.
        """
        if device == "cpu":
            return self
        from semsearch.ann.serving import Serving

        served = Neighbours(self._index, self._hidden)
        served._serving = Serving(self._inner, device)
        return served

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @cached_property
    def labels(self) -> Ids:
        """Every label (n,), in the order of adding."""
        return np.asarray(faiss().vector_to_array(self._index.id_map), dtype=np.int64)

    def vectors(self, among: Mask | None = None) -> Vectors:
        """The vectors (n, d), in the order of `labels`, as the index keeps them.

        Args:
            among: (len,) which of them; None gives all.
        """
        if among is None:
            found = stored(self._inner, 0, len(self))
            return found.copy() if self.exact else found
        return self._at(np.flatnonzero(among))

    def scores(self, query: Vectors, first: Ids, last: Ids) -> tuple[Scores, Ids]:
        """Every vector that may be found and whose label lies in a range.

        Args:
            query: (d,).
            first, last: (r,) ranges of labels, apart from one another; `last` is outside.

        Returns:
            Scores (n,) by the vectors as the index keeps them, and labels (n,).
        """
        order, ascending = self._by_label
        starts, ends = np.searchsorted(ascending, first), np.searchsorted(ascending, last)
        places = [np.arange(*ends_of) for ends_of in zip(starts, ends, strict=True)]
        rows = order[np.concatenate([np.zeros(0, np.int64), *places])]
        rows = rows[self.visible[rows]]
        return self._at(rows) @ query, self.labels[rows]

    def _at(self, rows: Ids) -> Vectors:
        """The vectors (r, d) of rows (r,), as the index keeps them."""
        if self.exact:
            return self._matrix[rows]
        return twofold.joined(self._inner, refined(self._inner).reconstruct_batch(rows))

    @cached_property
    def _by_label(self) -> tuple[Ids, Ids]:
        """Rows (n,) in the order of their labels, and these."""
        order = np.argsort(self.labels, kind="stable")
        return order, self.labels[order]

    @cached_property
    def exact(self) -> bool:
        """Whether every vector is looked at, as it is."""
        return isinstance(self._inner, faiss().IndexFlat)

    @cached_property
    def keeps_vectors(self) -> bool:
        """Whether `vectors` gives them as they were added, but for `rounding`."""
        return parameters.keeps_vectors(self._inner)

    @property
    def rounding(self) -> float:
        """By how much a number of a unit vector may differ that is not kept whole; else 0."""
        return parameters.rounding(self._inner)

    @cached_property
    def visible(self) -> Mask:
        """(len,) what may be found, in the order of `labels`."""
        return np.ones(len(self), np.bool_) if self._hidden is None else ~self._hidden

    def without(self, labels: Ids) -> Neighbours:
        """The same vectors, of which those with these labels are never found."""
        return self.only(~np.isin(self.labels, labels)) if len(labels) else self

    def only(self, among: Mask) -> Neighbours:
        """The same vectors, of which only these (len,) may be found, if they might before."""
        part = Neighbours(self._index, ~(among & self.visible))
        part.labels = self.labels
        part._serving = self._serving
        return part

    def search(self, queries: Vectors, n: int) -> tuple[Scores, Ids]:
        """The n best of each query.

        Args:
            queries: (m, d) unit vectors.

        Returns:
            Scores (m, n) descending and labels (m, n); label -1 and score -inf pad, only where
            there are fewer than n.
        """
        suit(len(queries), clustered=self._clusters is not None)
        suit_clusters(self._clusters, len(queries))
        if self._serving is None:
            scores, rows = self._on_cpu(queries, n)
        else:
            scores, rows = self._served(self._serving, queries, n)
        # FAISS pads with -1 when fewer than n vectors can be found.
        found = rows >= 0
        scores[~found] = -np.inf
        return scores, np.where(found, self.labels[rows], -1)

    def _served(self, serving: Serving, queries: Vectors, n: int) -> tuple[Scores, Ids]:
        """Rows in place of labels, by whatever serves this index."""
        if self._n_hidden <= _SCARCE * len(self):
            found = serving.search(queries, n, self._hidden, len(self) - self._n_hidden)
            if found is not None:
                return self._completed(queries, n, *found)
        started = perf_counter()
        on_cpu = self._on_cpu(queries, n)
        serving.add_cpu_seconds(perf_counter() - started)
        return on_cpu

    def _on_cpu(self, queries: Vectors, n: int) -> tuple[Scores, Ids]:
        """Rows in place of labels."""
        if self._n_hidden > _SCARCE * len(self):
            return search_all(self._inner, queries, n, self._selector)
        if self._hidden is not None and self.exact:
            scores, rows = self._take_out(queries, n, self._hidden)
        else:
            params = search_parameters(self._inner, self._selector)
            asked = np.tile(queries, 2) if self._twofold else queries
            scores, rows = self._inner.search(asked, n, params=params)
        return self._completed(queries, n, scores, rows)

    def _completed(self, queries: Vectors, n: int, scores: Scores, rows: Ids) -> tuple[Scores, Ids]:
        """Who got too few rows is searched again among all."""
        short = (rows >= 0).sum(axis=1) < min(n, len(self) - self._n_hidden)
        if short.any():
            scores[short], rows[short] = search_all(self._inner, queries[short], n, self._selector)
        return scores, rows

    def _take_out(self, queries: Vectors, n: int, hidden: Mask) -> tuple[Scores, Ids]:
        """Look for more than n and take out what is hidden: FAISS selects without BLAS."""
        scores, rows = self._inner.search(queries, n + min(n, self._n_hidden))
        rows[hidden[rows]] = -1
        order = np.argsort(rows < 0, axis=1, kind="stable")[:, :n]
        return np.take_along_axis(scores, order, 1), np.take_along_axis(rows, order, 1)

    @cached_property
    def _matrix(self) -> Vectors:
        """The vectors (n, d) of a Flat index, where they are."""
        return stored(self._inner, 0, len(self))

    @cached_property
    def _clusters(self) -> Any:
        return clusters_of(self._inner)

    @cached_property
    def _twofold(self) -> bool:
        return twofold.is_twofold(self._inner)

    @cached_property
    def _n_hidden(self) -> int:
        return 0 if self._hidden is None else int(self._hidden.sum())

    @cached_property
    def _selector(self) -> Any:
        if self._hidden is None:
            return None
        return faiss().IDSelectorBitmap(np.packbits(~self._hidden, bitorder="little"))

    def configure(self, setting: Setting) -> None:
        """Look at as much as a setting of the same factory says.

        Raises:
            FactoryError: the index has no such parameters.
        """
        settings.configure(self._inner, setting)

    @cached_property
    def size_bytes(self) -> int:
        """Of all that a search may touch, labels included; counted by writing all of it once."""
        return pieces.write(self._index)[0]

    def save(self, path: Path) -> tuple[int, int]:
        """Write beside, fsync, rename: a reader sees the whole file or none.

        Returns:
            Size in bytes and CRC-32 of what was written.

        Raises:
            StorageError: the disk is full or refuses.
        """
        with atomic_write(path) as file:
            return pieces.write(self._index, file)

    @classmethod
    def load(cls, path: Path) -> Neighbours:
        """Read what `save` wrote; a large file is mapped into memory, and read where it is used.

        Raises:
            CorruptIndexError: the file is missing, or no FAISS index.
        """
        try:
            if path.stat().st_size < _MAPPED_FROM:
                index = _in_place(np.fromfile(path, dtype=np.uint8))
            else:
                index = _mapped(path)
        except OSError as error:
            raise CorruptIndexError(f"{path}: {error.strerror}") from error
        except RuntimeError as error:
            raise CorruptIndexError(f"{path}: the file is not what was written") from error
        return cls(index)


def _in_place(data: NDArray[np.uint8]) -> Any:
    """An index that reads its vectors where they are in the bytes of its file.

    Raises:
        RuntimeError: they are no index.
    """
    index = faiss().read_index(faiss().ZeroCopyIOReader(faiss().swig_ptr(data), len(data)))
    index.referenced_objects = [data]  # FAISS's name for what must stay as long as an index
    return index


def _mapped(path: Path) -> Any:
    """An index that reads its vectors where they are in a file.

    FAISS copies codes that it wants otherwise; what they were copied from is given back.

    Raises:
        OSError, RuntimeError: it cannot be read, or is no index.
    """
    with path.open("rb") as file:
        pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    index = _in_place(np.frombuffer(pages, np.uint8))
    if hasattr(pages, "madvise"):
        pages.madvise(mmap.MADV_DONTNEED)
    return index


def check_file(path: Path, size_bytes: int, crc32: int) -> None:
    """Compare a file with what `save` returned.

    Raises:
        CorruptIndexError: it is missing, or has changed.
    """
    try:
        with path.open("rb") as file:
            size, crc = 0, 0
            while chunk := file.read(_CHUNK):
                size, crc = size + len(chunk), zlib.crc32(chunk, crc)
    except OSError as error:
        raise CorruptIndexError(f"{path}: {error.strerror}") from error
    if (size, crc) != (size_bytes, crc32):
        raise CorruptIndexError(f"{path}: the file is not what was written")


def merge(parts: list[tuple[Scores, Ids]], n: int) -> tuple[Scores, Ids]:
    """The n best of each query over several searches; equal scores go by label."""
    scores = np.concatenate([part for part, _ in parts], axis=1)
    labels = np.concatenate([part for _, part in parts], axis=1)
    order = np.lexsort((labels, -scores), axis=1)[:, :n]
    return np.take_along_axis(scores, order, 1), np.take_along_axis(labels, order, 1)
