"""FAISS, imported when it is first needed."""

from __future__ import annotations

from functools import cache
from typing import Any

from semsearch.errors import MissingExtraError


@cache
def faiss() -> Any:
    """The module.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import faiss as module
    except ImportError as error:
        raise MissingExtraError("faiss", "cpu") from error
    # FAISS's own limit sends up to some hundred queries at once past BLAS, eight times as slow.
    module.cvar.distance_compute_blas_threshold = 1
    return module


def require_faiss() -> None:
    """Find out that FAISS is missing before any work is done.

    Raises:
        MissingExtraError: it is not installed.
    """
    faiss()


@cache
def threads() -> int:
    """How many threads FAISS takes when it is left alone."""
    return int(faiss().omp_get_max_threads())
