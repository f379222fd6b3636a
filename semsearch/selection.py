"""The part of an index that passes a condition, ready to be searched."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from semsearch.ann import Neighbours, merge
from semsearch.ranking import Counts
from semsearch.store.rows import ID_BITS
from semsearch.types import Ids, Scores, Vectors

EXACT_UP_TO = 4096
"""So many phrasings are copied and searched alone, exactly whatever the factory.

Among a million, that is tens of times as fast as asking of each whether it may be found; and an
approximate index, which looks at some of its vectors only, would find few of them, or none.
"""


@dataclass(frozen=True)
class Selection:
    """Phrasings whose standard questions pass; searched and counted as a View is."""

    parts: tuple[Neighbours, ...]
    count: int

    def __len__(self) -> int:
        return self.count

    @cached_property
    def counts(self) -> Counts:
        """How many phrasings each standard question has; it passes with all of them."""
        labels = [part.labels[part.visible] for part in self.parts]
        return Counts(np.concatenate(labels) if labels else np.zeros(0, np.int64))

    @cached_property
    def questions(self) -> Ids:
        """Ids of the standard questions that pass and have a phrasing, ascending."""
        labels = [part.labels[part.visible] for part in self.parts]
        return np.unique(np.concatenate(labels) >> ID_BITS) if labels else np.zeros(0, np.int64)

    def search(self, queries: Vectors, n: int) -> tuple[Scores, Ids]:
        """The n nearest phrasings of each query (m, d): scores and labels, both (m, n).

        There must be one, as for a View.
        """
        found = [part.search(queries, n) for part in self.parts]
        return found[0] if len(found) == 1 else merge(found, n)

    def of(self, questions: Ids, query: Vectors) -> tuple[Scores, Ids] | None:
        """See `phrasings_of`."""
        return phrasings_of(self.parts, questions, query)


def phrasings_of(
    parts: Sequence[Neighbours], questions: Ids, query: Vectors
) -> tuple[Scores, Ids] | None:
    """Scores and labels (n,) of all phrasings of standard questions, in the order of none.

    Args:
        questions: (q,) ids.
        query: (d,).

    Returns:
        None where the parts do not keep the vectors.
    """
    if not keep_vectors(parts):
        return None
    first, last = questions << ID_BITS, (questions + 1) << ID_BITS
    found = [part.scores(query, first, last) for part in parts]
    scores, labels = zip(*found, strict=True)
    return np.concatenate(scores), np.concatenate(labels)


def keep_vectors(parts: Sequence[Neighbours]) -> bool:
    """Whether the vectors are in all of them as they were encoded, but for rounding."""
    return all(part.keeps_vectors for part in parts)


def select(
    questions: Ids, parts: Sequence[Neighbours], stored: Callable[[Ids], Vectors]
) -> Selection:
    """The phrasings of the standard questions with these ids.

    Args:
        questions: (n,), of those that pass.
        parts: what an index consists of.
        stored: gives the vectors (n, d) of labels (n,) as they were encoded, where `parts` do not.
    """
    masks = [np.isin(part.labels >> ID_BITS, questions) & part.visible for part in parts]
    count = sum(int(mask.sum()) for mask in masks)
    chosen = [(part, mask) for part, mask in zip(parts, masks, strict=True) if mask.any()]
    if not 0 < count <= EXACT_UP_TO:
        return Selection(tuple(part.only(mask) for part, mask in chosen), count)
    labels = np.concatenate([part.labels[mask] for part, mask in chosen])
    if keep_vectors(parts):
        vectors = np.concatenate([part.vectors(mask) for part, mask in chosen])
    else:
        vectors = stored(labels)
    return Selection((Neighbours.build(labels, vectors),), count)
