"""Nearest neighbours with FAISS. This package is the only code that imports faiss."""

from semsearch.ann.library import require_faiss
from semsearch.ann.neighbours import Neighbours, check_file, merge
from semsearch.ann.setting import AUTO, EXACT, Setting, automatic, check

__all__ = [
    "AUTO",
    "EXACT",
    "Neighbours",
    "Setting",
    "automatic",
    "check",
    "check_file",
    "merge",
    "require_faiss",
]
