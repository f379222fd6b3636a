"""Nearest neighbours with FAISS. This package is the only code that imports faiss."""

from semsearch.ann.neighbours import FLAT, Neighbours, merge, require_faiss

__all__ = ["FLAT", "Neighbours", "merge", "require_faiss"]
