"""Nearest neighbours with FAISS. This package is the only code that imports faiss."""

from semsearch.ann.library import (
    all_threads,
    preload,
    require_faiss,
    require_gpu,
    using_threads,
)
from semsearch.ann.neighbours import Neighbours, check_file, merge
from semsearch.ann.setting import (
    AUTO,
    EXACT,
    Setting,
    automatic,
    candidates_for,
    check,
    clusters,
)

__all__ = [
    "AUTO",
    "EXACT",
    "Neighbours",
    "Setting",
    "all_threads",
    "automatic",
    "candidates_for",
    "check",
    "check_file",
    "clusters",
    "merge",
    "preload",
    "require_faiss",
    "require_gpu",
    "using_threads",
]
