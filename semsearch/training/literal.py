"""Targets that keep a share of how a text is spelt, where its words are strange."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from semsearch.encoder.modules import Normalize
from semsearch.errors import DataError
from semsearch.training.examples import Examples
from semsearch.training.teacher import Targets
from semsearch.types import Embeddings

STRANGE = 3
"""Neighbours that stand side by side in no more texts than this are strange to each other."""

_PIECES = re.compile(r"[㐀-鿿]|[^\W㐀-鿿]+")


def with_literal(targets: Targets, examples: Examples, weight: float) -> Targets:
    """The targets with those of the translations moved towards their own spelling.

    A teacher says nothing of names and jargon that no translation holds. The target of a
    translation becomes t + weight g h at unit length, with t the teacher's vector, g the share of
    strange neighbours among its words (see `strangeness`) and h the sum of a random vector for
    each of its distinct words, at unit length: texts are as near in h as they share words
    (Johnson and Lindenstrauss 1984; random indexing, Kanerva et al. 2000).

    Args:
        examples: the pairs that the targets are of; a translation is a positive other than its
            anchor.
        weight: of the spelling, above 0.

    Raises:
        DataError: the examples are no pairs.
    """
    if examples.shape != "pairs":
        raise DataError("--literal goes with pairs: a sentence and its translation.")
    anchors, positives = examples.columns["anchor"], examples.columns["positive"]
    rows = zip(anchors, positives, targets.rows.tolist(), strict=True)
    numbers: dict[tuple[str, int], int] = {}
    moved = targets.rows.copy()
    for place, (anchor, positive, row) in enumerate(rows):
        if anchor != positive:
            number = numbers.setdefault((positive, row), len(numbers))
            moved[place] = len(targets.vectors) + number
    texts = [text for text, _ in numbers]
    taught = targets.vectors[[row for _, row in numbers]]
    lengths = np.linalg.norm(taught, axis=1, keepdims=True)
    shares = weight * strangeness(texts)
    made = taught + shares[:, None] * lengths * spelling(texts, taught.shape[1])
    made = lengths * Normalize()(made)
    vectors = np.concatenate([targets.vectors, made.astype(np.float32)])
    return replace(targets, vectors=vectors, positives=moved)


def pieces(text: str) -> list[str]:
    """Chinese characters one by one, and the words between them, in lower case."""
    return _PIECES.findall(text.lower())


def strangeness(texts: Sequence[str]) -> Embeddings:
    """(n,) float32: the share of the neighbours in each text that stand so in hardly any text."""
    split = [list(pairwise(pieces(text))) for text in texts]
    texts_with = Counter(pair for pairs in split for pair in set(pairs))
    shares = [
        sum(texts_with[pair] <= STRANGE for pair in pairs) / max(1, len(pairs)) for pairs in split
    ]
    return np.array(shares, np.float32)


def spelling(texts: Sequence[str], dim: int, seed: int = 0) -> Embeddings:
    """(n, dim) float32: each distinct word of a text a random direction, added up.

    At unit length; a text without words is 0.
    """
    numbers: dict[str, int] = {}
    split = [
        [numbers.setdefault(piece, len(numbers)) for piece in dict.fromkeys(pieces(text))]
        for text in texts
    ]
    rng = np.random.default_rng(seed)
    directions = rng.choice(np.array([-1, 1], np.int8), (len(numbers), dim))
    made = np.zeros((len(texts), dim), np.float32)
    for row, words in enumerate(split):
        made[row] = directions[words].sum(axis=0, dtype=np.float32)
    return Normalize()(made)
