"""FAISS's GPU indexes: the only code that touches their names.

They are never written: what is saved is always the CPU's form, and any machine reads it. They take
no ID selector that FAISS would heed on every kind, no more than 2,048 results, and no 4-bit codes
of fast scan. So they only find candidates; see `serving`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from semsearch.ann import cards, placing
from semsearch.ann.library import faiss
from semsearch.ann.parameters import clusters_of, keeps_vectors, stored
from semsearch.ann.placing import Gpus, Place, Shape
from semsearch.ann.twofold import base_of, dimension, is_twofold
from semsearch.errors import DeviceError
from semsearch.types import Device, Ids, Scores, Vectors

_log = logging.getLogger("semsearch")

MOST_RESULTS = 2048
_MOST_IN_GRAPH = 256

Failure = (RuntimeError, MemoryError)
"""What FAISS raises for everything, and NumPy where main memory does not hold the vectors."""


def find() -> Gpus:
    """The GPUs that FAISS can use.

    Raises:
        DeviceError: there are none, or this FAISS has none of it.
        MissingExtraError: FAISS is not installed.
    """
    free = cards.free_bytes(require())
    if not any(free):
        raise DeviceError(
            "no GPU can be used now: another process has it for itself. Use --device cpu, or wait."
        )
    return Gpus(free, graphs=hasattr(faiss(), "GpuIndexCagra"))


def require() -> int:
    """How many GPUs FAISS can use, 1 at least; CUDA is not started on them. Errors as of `find`."""
    library, there = faiss(), cards.count()
    if not there:
        raise DeviceError("there is no GPU here that CUDA can use. Use --device cpu.")
    if "GPU" not in library.get_compile_options().split():
        raise DeviceError(
            "the installed faiss knows no GPU. Run: pip uninstall faiss-cpu, then: pip install "
            "'semsearch[gpu]'. Or only encode on the GPU: --device auto."
        )
    seen = int(library.get_num_gpus()) if cards.runtime_accepts_driver() else 0
    if not seen:
        raise DeviceError(
            "faiss sees no GPU, though CUDA's driver does: it is made for a newer CUDA than the "
            "driver is. Update the driver, or leave the search to the CPU: --device cpu."
        )
    return min(seen, there)


def found(device: Device) -> Gpus | None:
    """The GPUs for what was asked for; None where "auto" finds none.

    Raises:
        DeviceError: "cuda" finds none.
    """
    if device == "cpu":
        return None
    try:
        return find()
    except DeviceError as error:
        if device == "cuda":
            raise
        _log.debug("%s", error)
        return None


def shape_of(index: Any) -> Shape:
    """What there is to know of an index to place it."""
    library, base = faiss(), _base(index)
    ivf = _clusters(base)
    links = base.hnsw.nb_neighbors(0) if isinstance(base, library.IndexHNSWCagra) else 0
    return Shape(
        n=int(index.ntotal),
        dim=dimension(index),
        keeps_vectors=keeps_vectors(index),
        clusters_bytes=int(ivf.code_size) if ivf is not None else 0,
        links=links,
    )


def moved(index: Any, gpus: Gpus) -> Resident | None:
    """A copy of an index on the best place that holds it; None where none does, with a warning."""
    shape = shape_of(index)
    places = placing.places(shape, gpus)
    for place in places:
        try:
            resident = Resident(index, place)
        except Failure as error:
            _log.warning("the index cannot be copied (%s): %s", place, reason(error))
            continue
        _log.debug("searches: %s", place)
        return resident
    why = "none of them holds it" if places else placing.why_not(shape, gpus)
    _log.warning("the search stays on the CPU: %s", why)
    return None


class Resident:
    """An index on GPUs."""

    def __init__(self, index: Any, place: Place) -> None:
        """Copy it there.

        Raises:
            RuntimeError: there is too little memory, or FAISS refuses.
        """
        self.place = place
        self.most = _MOST_IN_GRAPH if place.kind == "graph" else MOST_RESULTS
        self._resources = [faiss().StandardGpuResources() for _ in place.cards]
        if place.kind == "flat":
            self._copy = self._flat(index)
        else:
            self._copy = self._cloned(_base(index))
        self._params = _graph_parameters(index) if place.kind == "graph" else None

    def search(self, queries: Vectors, n: int) -> tuple[Scores, Ids]:
        """The n best of each query (m, d), as the cards count: scores and rows (m, n); -1 pads.

        Where memory runs out, the queries are searched in two halves, down to one.

        Raises:
            RuntimeError: not even one fits, or the card failed.
        """
        try:
            scores, rows = self._copy.search(queries, n, params=self._params)
        except Failure as error:
            if len(queries) == 1 or not is_out_of_memory(error):
                raise
            half = len(queries) // 2
            parts = [self.search(queries[:half], n), self.search(queries[half:], n)]
            return tuple(np.concatenate(pair) for pair in zip(*parts, strict=True))  # type: ignore[return-value]
        return scores, rows

    def _flat(self, index: Any) -> Any:
        """Every vector, in 16 bits."""
        library, dim, place = faiss(), dimension(index), self.place
        parts = []
        sharded = place.spread == "shards"
        edges = np.linspace(0, index.ntotal, len(place.cards) + 1).astype(np.int64)
        for number, card in enumerate(place.cards):
            config = library.GpuIndexFlatConfig()
            config.device, config.useFloat16, config.use_cuvs = card, True, False
            part = library.GpuIndexFlat(
                self._resources[number], dim, library.METRIC_INNER_PRODUCT, config
            )
            first, last = edges[number : number + 2] if sharded else (0, index.ntotal)
            # At once: what is added bit by bit is copied, on the card, each time it grows.
            part.add(stored(index, int(first), int(last)))
            parts.append(part)
        if place.spread == "one":
            return parts[0]
        # One thread for each card; rows of a shard are counted on from the one before.
        joined = (
            library.IndexShards(dim, True, True) if sharded else library.IndexReplicas(dim, True)
        )
        for part in parts:
            joined.addIndex(part)
        self._parts = parts  # which FAISS only points to
        return joined

    def _cloned(self, base: Any) -> Any:
        library, place = faiss(), self.place
        if place.spread == "one":
            options = library.GpuClonerOptions()
            options.use_cuvs = False
            return library.index_cpu_to_gpu(self._resources[0], place.cards[0], base, options)
        options = library.GpuMultipleClonerOptions()
        options.use_cuvs, options.shard = False, place.spread == "shards"
        return library.index_cpu_to_gpu_multiple_py(
            self._resources, base, options, list(place.cards)
        )


def _graph_parameters(index: Any) -> Any:
    """As many candidates are kept in a search as the CPU keeps, and no fewer than are returned."""
    params = faiss().SearchParametersCagra()
    params.itopk_size = -(-max(_MOST_IN_GRAPH, _base(index).hnsw.efSearch) // 32) * 32
    return params


def _base(index: Any) -> Any:
    """What finds candidates: an index, or the one below its refinement."""
    library, index = faiss(), faiss().downcast_index(index)
    if is_twofold(index):
        return base_of(index)
    if isinstance(index, library.IndexRefine):
        return library.downcast_index(index.base_index)
    return index


def _clusters(base: Any) -> Any:
    """The clusters in an index, if FAISS has them for GPUs, too."""
    library = faiss()
    if isinstance(base, library.IndexPreTransform):
        return _clusters(library.downcast_index(base.index))
    if isinstance(base, library.IndexIVFPQ):
        return base if type(base) is library.IndexIVFPQ and base.pq.nbits == 8 else None
    kinds = (library.IndexIVFFlat, library.IndexIVFScalarQuantizer)
    return base if type(base) in kinds else None


def filled(
    index: Any,
    vectors: Vectors,
    links: int,
    device: Device,
    learn: Callable[[], None],
    fill: Callable[[], None],
) -> bool:
    """Fill an empty CPU index with the help of a GPU; whether it was.

    A graph is made there and copied back. Of an index with clusters, a GPU learns these, and says
    to which of them each vector goes, where codes are of the vectors themselves: the difference
    from a centroid is taken by the CPU, which would have to fetch each one. All else has nothing
    that a GPU could do, and "auto" leaves little work to the CPU.

    Args:
        index: trained on nothing and empty; what it holds after a failure is not to be used.
        links: of each vector, where it is a CAGRA graph; else 0.
        learn: trains it on the vectors (n, d).
        fill: adds them to it.

    Raises:
        DeviceError: "cuda" finds no GPU.
        RuntimeError: memory ran out there, or FAISS refuses.
    """
    ivf = clusters_of(index)
    if not links and ivf is None:
        return False
    pays = (
        links
        or device == "cuda"
        or placing.pays_to_train(len(vectors), vectors.shape[1], ivf.nlist)
    )
    gpus = found(device) if pays else None
    if gpus is None:
        return False
    card = max(range(len(gpus.free)), key=gpus.free.__getitem__)
    if links:
        if gpus.graphs:
            _make_graph(index, vectors, links, card)
        return gpus.graphs
    resources = faiss().StandardGpuResources()
    with _learning(ivf, faiss().index_cpu_to_gpu(resources, card, ivf.quantizer)):
        learn()
    if ivf.by_residual:
        fill()
    else:
        with _assigning(ivf, faiss().index_cpu_to_gpu(resources, card, ivf.quantizer)):
            fill()
    return True


def _make_graph(index: Any, vectors: Vectors, links: int, card: int) -> None:
    library = faiss()
    config = library.GpuIndexCagraConfig()
    config.device, config.graph_degree, config.intermediate_graph_degree = card, links, 2 * links
    resources = library.StandardGpuResources()
    made = library.GpuIndexCagra(resources, index.d, library.METRIC_INNER_PRODUCT, config)
    made.train(vectors)
    index.base_level_only = True
    made.copyTo(index)


@contextmanager
def _learning(ivf: Any, helper: Any) -> Iterator[None]:
    """What compares vectors with the centroids that are learnt."""
    ivf.clustering_index = helper
    try:
        yield
    finally:
        ivf.clustering_index = None


@contextmanager
def _assigning(ivf: Any, helper: Any) -> Iterator[None]:
    """What says which centroid is nearest."""
    own, owned = ivf.quantizer, ivf.own_fields
    ivf.own_fields, ivf.quantizer = False, helper
    try:
        yield
    finally:
        ivf.quantizer, ivf.own_fields = own, owned


def is_out_of_memory(error: BaseException) -> bool:
    """Whether FAISS, CUDA or NumPy failed for want of memory."""
    text = str(error).lower().replace("_", " ")
    return isinstance(error, MemoryError) or "out of memory" in text or "bad alloc" in text


def reason(error: BaseException) -> str:
    """In a few words."""
    if is_out_of_memory(error):
        return "out of memory"
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[-1].rpartition("Error: ")[2][:200].rstrip(".")
