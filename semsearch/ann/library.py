"""FAISS, imported when it is first needed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from threading import Thread
from typing import Any

from semsearch.errors import MissingExtraError, SemsearchError
from semsearch.types import Device


@cache
def faiss() -> Any:
    """The module.

    Raises:
        MissingExtraError: it is not installed.
        SemsearchError: it cannot be loaded: one for GPUs needs CUDA libraries that fit.
    """
    try:
        import faiss as module
    except (ImportError, RuntimeError, OSError) as error:
        if isinstance(error, ModuleNotFoundError) and error.name == "faiss":
            raise MissingExtraError("faiss", "cpu") from error
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise SemsearchError(f"faiss cannot be loaded: {said}") from error
    return module


def preload() -> None:
    """Begin to import the module, beside what else is to be loaded.

    That it cannot be is said by `faiss`, when it is needed.
    """

    def load() -> None:
        with suppress(SemsearchError):
            faiss()

    Thread(target=load, name="faiss").start()


def require_faiss() -> None:
    """Find out that FAISS is missing before any work is done.

    Raises:
        MissingExtraError: it is not installed.
    """
    faiss()


def require_gpu(device: Device) -> None:
    """Find out that a GPU was asked for in vain before any work is done.

    Raises:
        DeviceError: it was.
    """
    if device == "cuda":
        from semsearch.ann import gpu  # which starts no slower where nobody asks for one

        gpu.require()


_THREADED_FROM = 32
"""Queries; for fewer, FAISS is faster on one thread, and much so beside another busy process."""
_CLUSTERS_THREADED_FROM = 8
"""Queries among clusters, where threads wait for one another once only."""
_BLAS_FROM = 4
"""Queries; for fewer, reading the vectors for each is faster: one takes an eighth of the time, and
is about as fast on one core as memory is. For more, BLAS is. FAISS's own limit has up to some
hundred queries do without it, at an eighth of the speed."""
_NEVER = 2**31 - 1


def suit(n_queries: int, clustered: bool) -> None:
    """Have FAISS search so many queries, among clusters or not, as fast as it can."""
    threaded_from = _CLUSTERS_THREADED_FROM if clustered else _THREADED_FROM
    faiss().omp_set_num_threads(threads() if n_queries >= threaded_from else 1)
    faiss().cvar.distance_compute_blas_threshold = 1 if n_queries >= _BLAS_FROM else _NEVER


_AT_ONCE = 1 << 12


def parts(n: int) -> Iterator[slice]:
    """n vectors, as many at a time as FAISS is given where it makes a copy of them.

    Its BLAS also keeps, as long as the process runs, what it took for the largest product.
    """
    for first in range(0, n, _AT_ONCE):
        yield slice(first, min(first + _AT_ONCE, n))


@cache
def all_threads() -> int:
    """How many threads FAISS takes when it is left alone."""
    return int(faiss().omp_get_max_threads())


_limits: list[int] = []


def threads() -> int:
    """How many threads FAISS may take."""
    return min([all_threads(), *_limits])


@contextmanager
def using_threads(n: int) -> Iterator[None]:
    """No more than n threads for what the block searches and builds; to measure."""
    _limits.append(n)
    try:
        yield
    finally:
        _limits.pop()
