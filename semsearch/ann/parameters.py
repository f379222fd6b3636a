"""The parts that a FAISS index is made of, and what a search of each is told."""

from __future__ import annotations

from typing import Any

import numpy as np

from semsearch.ann import twofold
from semsearch.ann.library import faiss
from semsearch.types import Ids, Scores, Vectors

_AT_ONCE = 1 << 26
"""Bytes of vectors that are decoded at a time."""
_UNCACHED = 1 << 24
"""Bytes of codes beyond which most are read from memory."""
_IN_TURN, _AS_FAISS_CHOOSES = 10, 0  # numbers that FAISS gives its ways


def search_parameters(index: Any, selector: Any = None) -> Any:
    """What `index` is set to, and which rows may be found; FAISS wants both in one object.

    Args:
        selector: an `IDSelector` over rows, or None for all.
    """
    if selector is None:
        return None
    library, index = faiss(), faiss().downcast_index(index)
    if isinstance(index, library.IndexPreTransform):
        inner = search_parameters(index.index, selector)
        return library.SearchParametersPreTransform(index_params=inner)
    if isinstance(index, library.IndexRefine):
        base = search_parameters(index.base_index, selector)
        return library.IndexRefineSearchParameters(k_factor=index.k_factor, base_index_params=base)
    if isinstance(index, library.IndexIVF):
        return library.SearchParametersIVF(sel=selector, nprobe=index.nprobe)
    if isinstance(index, library.IndexHNSW):
        return library.SearchParametersHNSW(sel=selector, efSearch=index.hnsw.efSearch)
    return library.SearchParameters(sel=selector)


def clusters_of(index: Any) -> Any:
    """The part of an index that has clusters; None where there is none."""
    library, index = faiss(), faiss().downcast_index(index)
    if isinstance(index, library.IndexIVF):
        return index
    if isinstance(index, library.IndexPreTransform | library.IndexIDMap):
        return clusters_of(index.index)
    if isinstance(index, library.IndexRefine):
        return clusters_of(index.base_index)
    return None


def suit_clusters(clusters: Any, n_queries: int) -> None:
    """Have clusters of 4-bit codes be searched as is fastest for so many queries.

    One query reads its clusters one after the other, nearest first. FAISS has a way for many, which
    it takes for one, too, and which waits for memory half as long again.

    Args:
        clusters: what `clusters_of` gives.
    """
    if isinstance(clusters, faiss().IndexIVFPQFastScan):
        alone = n_queries == 1 and clusters.ntotal * clusters.code_size >= _UNCACHED
        clusters.implem = _IN_TURN if alone else _AS_FAISS_CHOOSES


def refined(index: Any) -> Any:
    """The part whose scores a search returns: a graph's are those of what it links."""
    library, index = faiss(), faiss().downcast_index(index)
    if isinstance(index, library.IndexRefine):
        return library.downcast_index(index.refine_index)
    if isinstance(index, library.IndexHNSW):
        return library.downcast_index(index.storage)
    return index


def rounding(index: Any) -> float:
    """By how much a number of unit vectors that are kept in 16 or 12 bits may differ; 0 if not."""
    if twofold.is_twofold(index):
        return twofold.rounding(index)
    kept, library = refined(index), faiss()
    halves = library.ScalarQuantizer.QT_fp16
    if isinstance(kept, library.IndexScalarQuantizer) and kept.sq.qtype == halves:
        return 2.0**-12
    return 0.0


def keeps_vectors(index: Any) -> bool:
    """Whether the vectors are in it as they were added, but for `rounding`."""
    return isinstance(refined(index), faiss().IndexFlat) or rounding(index) > 0


def stored(index: Any, first: int, last: int) -> Vectors:
    """Vectors (last - first, d) as an index keeps them; those of a Flat one where they are."""
    if twofold.is_twofold(index):
        return twofold.stored(index, first, last)
    kept = refined(index)
    if not isinstance(kept, faiss().IndexFlat):
        return np.asarray(kept.reconstruct_n(first, last - first), np.float32)
    values = faiss().rev_swig_ptr(kept.get_xb(), kept.ntotal * kept.d)
    return np.asarray(values, np.float32).reshape(-1, kept.d)[first:last]


def score(index: Any, queries: Vectors, rows: Ids) -> Scores:
    """The scores of queries (m, d) with rows (m, n), as a search of `index` returns them.

    Returns:
        (m, n); -inf for row -1.
    """
    library, kept = faiss(), refined(index)
    queries = twofold.asked(index, queries)
    queries, rows = np.ascontiguousarray(queries), np.ascontiguousarray(rows)
    scores = np.empty(rows.shape, np.float32)
    if isinstance(kept, library.IndexFlat):
        pointers = [library.swig_ptr(array) for array in (queries, scores, rows)]
        kept.compute_distance_subset(len(rows), pointers[0], rows.shape[1], *pointers[1:])
        return scores
    step = max(1, _AT_ONCE // (4 * kept.d * rows.shape[1]))
    for first in range(0, len(rows), step):
        some = rows[first : first + step]
        vectors = kept.reconstruct_batch(np.maximum(some, 0).ravel())
        vectors = vectors.reshape(*some.shape, kept.d)
        scores[first : first + step] = np.einsum(
            "md,mnd->mn", queries[first : first + step], vectors, optimize=True
        )
    scores[rows < 0] = -np.inf
    return scores


def search_all(index: Any, queries: Vectors, n: int, selector: Any) -> tuple[Scores, Ids]:
    """What `index.search` gives when it looks at every row."""
    library, index = faiss(), faiss().downcast_index(index)
    if isinstance(index, library.IndexRefine):
        return search_all(index.refine_index, twofold.asked(index, queries), n, selector)
    if isinstance(index, library.IndexPreTransform):
        for i in range(index.chain.size()):
            queries = index.chain.at(i).apply(queries)
        return search_all(index.index, queries, n, selector)
    if isinstance(index, library.IndexHNSW):
        return search_all(index.storage, queries, n, selector)
    if isinstance(index, library.IndexIVF):
        params = library.SearchParametersIVF(nprobe=index.nlist)
        params.sel = selector
    else:
        params = search_parameters(index, selector)
    scores, rows = index.search(queries, n, params=params)
    return scores, rows
