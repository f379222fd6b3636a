"""Vectors in 12 bits a number: a code of 6 bits, and 6 bits of what it leaves.

FAISS scores candidates by codes of 8 bits, which cost 1.6% of the ten nearest among a million
sentences, or by numbers of 16. Two codes of 6 bits behind one another are three quarters of the
bytes of 16 and lose no neighbours to speak of: benchmarks/neighbours.py. It is a residual
quantisation in two steps (Chen, Guan and Wang 2010, doi:10.3390/s101211259) of each number alone.

To FAISS this is an index of twice the dimensions, refined by a scalar quantiser: a vector is
[code, what it leaves], a query is [query, query], and what finds candidates gets their sum.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from semsearch.ann.library import faiss, parts
from semsearch.types import Ids, Vectors

REFINEMENT = ",Refine(SQ12)"
"""The end of a factory string that asks for it."""

_STEPS = 63  # FAISS's codes of 6 bits are 0 to 63, of which 63 is the very end of the range


def is_twofold(index: Any) -> bool:
    """Whether `make` made it."""
    library, index = faiss(), faiss().downcast_index(index)
    if not isinstance(index, library.IndexRefine):
        return False
    base = library.downcast_index(index.base_index)
    if not isinstance(base, library.IndexPreTransform):
        return False
    # What a factory string makes is of a kind of its own, a rotation or a PCA.
    return type(library.downcast_VectorTransform(base.chain.at(0))) is library.LinearTransform


def asked(index: Any, queries: Vectors) -> Vectors:
    """Queries (m, dim) as any index wants them: (m, 2 dim) if it is twofold."""
    return np.tile(queries, 2) if is_twofold(index) else queries


def joined(index: Any, vectors: Vectors) -> Vectors:
    """Vectors (n, index.d) as any index keeps them, as they were added."""
    return _sum(vectors) if is_twofold(index) else vectors


def stored(index: Any, first: int, last: int) -> Vectors:
    """Vectors (last - first, dim) as a twofold index keeps them."""
    found = np.empty((last - first, index.d // 2), np.float32)
    for part in parts(last - first):
        some = _kept(index).reconstruct_n(first + part.start, part.stop - part.start)
        found[part] = _sum(some)
    return found


def dimension(index: Any) -> int:
    """Of the vectors that were added to any index."""
    return int(index.d) // 2 if is_twofold(index) else int(index.d)


def make(dim: int, factory: str) -> Any:
    """An empty index for inner products of dim dimensions.

    Raises:
        RuntimeError: FAISS does not know the factory string, less `REFINEMENT`.
    """
    library = faiss()
    metric = library.METRIC_INNER_PRODUCT
    base = library.index_factory(dim, factory.removesuffix(REFINEMENT), metric)
    both = library.LinearTransform(2 * dim, dim, False)
    library.copy_array_to_vector(np.tile(np.eye(dim, dtype=np.float32), 2).ravel(), both.A)
    both.is_trained = True
    kept = library.IndexScalarQuantizer(2 * dim, library.ScalarQuantizer.QT_6bit, metric)
    return library.IndexRefine(library.IndexPreTransform(both, base), kept)


def base_of(index: Any) -> Any:
    """What finds candidates, among vectors of dim dimensions."""
    library = faiss()
    return library.downcast_index(library.downcast_index(index.base_index).index)


def learn_ranges(index: Any, vectors: Vectors) -> None:
    """Learn the ranges of the codes from vectors (n, dim); what finds candidates is trained."""
    library = faiss()
    library.downcast_index(index.base_index).is_trained = True
    low = vectors.min(axis=0)
    width = np.maximum(vectors.max(axis=0) - low, np.finfo(np.float32).tiny * _STEPS)
    step = width / _STEPS
    # FAISS keeps the lower ends of all numbers, then the widths of their ranges.
    ranges = np.concatenate([low, -step / 2, width, step]).astype(np.float32)
    kept = _kept(index)
    library.copy_array_to_vector(ranges, kept.sq.trained)
    kept.is_trained = index.is_trained = True


def add(labelled: Any, labels: Ids, vectors: Vectors) -> None:
    """Add vectors (n, dim) under labels (n,) to the `IDMap` around an index."""
    low, _, width, _ = _ranges(faiss().downcast_index(labelled.index))
    for part in parts(len(vectors)):
        some = vectors[part]
        code = np.floor(np.clip((some - low) / width, 0, 1) * _STEPS)
        coarse = low + width * (code + 0.5) / _STEPS
        both = np.concatenate([coarse, some - coarse], axis=1, dtype=np.float32)
        labelled.add_with_ids(both, labels[part])


def rounding(index: Any) -> float:
    """By how much a number may differ from what was added: half a step of the finer codes.

    A thousandth more is for sums in float32.
    """
    return float(_ranges(index)[3].max()) / _STEPS / 2 * (1 + 2.0**-10)


def _sum(vectors: Vectors) -> Vectors:
    """(n, dim) of what is kept of them, (n, 2 dim)."""
    coarse, left = np.split(vectors, 2, axis=1)
    return coarse + left


def _kept(index: Any) -> Any:
    return faiss().downcast_index(index.refine_index)


def _ranges(index: Any) -> NDArray[np.float32]:
    """(4, dim): lower ends of the coarse and of the fine codes, widths of their ranges."""
    trained: NDArray[np.float32] = faiss().vector_to_array(_kept(index).sq.trained)
    return trained.reshape(4, -1)
