"""Nearest neighbours with FAISS. This package is the only code that imports faiss."""

from semsearch.ann.neighbours import Neighbours, merge

__all__ = ["Neighbours", "merge"]
