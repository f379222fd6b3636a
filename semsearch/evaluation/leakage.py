"""Test pairs that an encoder saw when it was trained say nothing about it: find and drop them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from semsearch.evaluation.data import Pairs, read_sentence_pairs

REASON = "in the training files"

Key = tuple[str, str]


def key(one: str, two: str) -> Key:
    """What two equal pairs share, whatever their order, case, width and spaces."""
    a, b = _folded(one), _folded(two)
    return (a, b) if a <= b else (b, a)


def seen(files: Sequence[str | Path]) -> set[Key]:
    """The pairs of training files: tables with two columns of sentences.

    Raises:
        DataError: a file cannot be read, or has no such columns.
    """
    return keys(pair for file in files for pair in read_sentence_pairs(file))


def keys(pairs: Iterable[tuple[str, str]]) -> set[Key]:
    """The key of each pair."""
    return {key(one, two) for one, two in pairs}


def drop(pairs: Pairs, trained_on: set[Key]) -> Pairs:
    """The pairs that are not among those trained on; the others are counted in `dropped`."""
    kept = [
        row
        for row, (one, two) in enumerate(zip(pairs.first, pairs.second, strict=True))
        if key(one, two) not in trained_on
    ]
    return pairs.keep(kept, REASON)


def _folded(sentence: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", sentence).casefold().split())
