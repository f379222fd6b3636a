"""The parts that a FAISS index is made of, and what a search of each is told."""

from __future__ import annotations

from typing import Any

from semsearch.ann.library import faiss
from semsearch.types import Ids, Scores, Vectors


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


def refined(index: Any) -> Any:
    """The part whose scores a search returns."""
    library, index = faiss(), faiss().downcast_index(index)
    if isinstance(index, library.IndexRefine):
        return library.downcast_index(index.refine_index)
    return index


def search_all(index: Any, queries: Vectors, n: int, selector: Any) -> tuple[Scores, Ids]:
    """What `index.search` gives when it looks at every row."""
    library, index = faiss(), faiss().downcast_index(index)
    if isinstance(index, library.IndexRefine):
        return search_all(index.refine_index, queries, n, selector)
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
