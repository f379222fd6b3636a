"""Hard negatives: texts that an encoder finds close to an anchor though they say something else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from semsearch.errors import DataError
from semsearch.training.components import components, in_order, text_ids
from semsearch.training.examples import Examples
from semsearch.types import Ids, Scores, Vectors

if TYPE_CHECKING:
    from scipy.sparse import csr_array  # type: ignore[import-untyped]

_CELLS = 1 << 23  # scores in memory at a time


class Mined(NamedTuple):
    """Triplets with the groups of their pairs, and how many pairs no negative was found for."""

    triplets: Examples
    without: int


def mine(
    pairs: Examples,
    encode: Callable[[Sequence[str]], Vectors],
    *,
    n_negatives: int = 1,
    margin: float = 0.05,
) -> Mined:
    """Give each pair the closest positives of other groups as negatives, one triplet for each.

    A text that occurs anywhere in the pair's own group is never its negative, however it is
    written; nor is one whose cosine with the anchor is above (1 - margin) of the positive's, for
    such a one may well mean the same.

    Args:
        pairs: with groups; without them, rows that share a text are a group.
        encode: texts to (n, d) unit vectors.
        n_negatives: of a pair, at most, at least 1.
        margin: 0 to below 1.

    Raises:
        DataError: the examples are no pairs, an argument is out of range, or there is no negative.

    Moreira et al. 2024, arXiv:2407.15831, the method called TopK-PercPos.
    """
    # sentence_transformers.util.mine_hard_negatives spares the positives of an anchor's own rows
    # only, so that other phrasings of the same standard question would become its negatives.
    if pairs.shape != "pairs":
        raise DataError(f"negatives are mined for pairs, not for {pairs.shape}.")
    if n_negatives < 1 or not 0 <= margin < 1:
        raise DataError(
            f"negatives must be at least 1, not {n_negatives}, and the margin 0 to below 1, not "
            f"{margin:g}."
        )
    ids = text_ids(pairs.columns.values())
    groups = in_order(components(ids) if pairs.groups is None else pairs.groups)
    texts = _first_texts(pairs, ids)
    vectors = encode(texts)
    candidates = np.unique(ids[:, 1])
    own = _members(ids, groups, len(texts))[:, candidates]
    found = hard_negatives(
        vectors[ids[:, 0]],
        vectors[ids[:, 1]],
        vectors[candidates],
        own,
        groups,
        n_negatives=n_negatives,
        margin=margin,
    )
    rows, places = np.nonzero(found >= 0)
    if not len(rows):
        raise DataError(f"none of {len(pairs):,} pairs has a negative in another group.")
    taken = pairs.take(rows)
    chosen = found[rows, places]
    negatives = [texts[candidates[number]] for number in chosen]
    named = groups if pairs.groups is None else pairs.groups
    _, first = np.unique(ids[:, 1], return_index=True)  # a row that has the candidate, for each
    triplets = Examples(
        "triplets",
        {**taken.columns, "negative": negatives},
        groups=named[rows],
        negative_groups=named[first[chosen]],
        sources=pairs.sources,
    )
    return Mined(triplets, len(pairs) - len(np.unique(rows)))


def hard_negatives(
    anchors: Vectors,
    positives: Vectors,
    candidates: Vectors,
    own: csr_array,
    groups: Ids,
    *,
    n_negatives: int,
    margin: float,
) -> Ids:
    """The closest candidates of each anchor that are allowed and not as close as its positive.

    Args:
        anchors: (n, d) unit vectors.
        positives: (n, d), one for each anchor.
        candidates: (m, d).
        own: (groups, m) sparse, not zero where a candidate belongs to a group.
        groups: (n,) of the anchors, whose own candidates are never found.
        margin: candidates above s - margin * |s| are passed over, s the score of the positive.

    Returns:
        (n, n_negatives) int64, the closest first; -1 pads.
    """
    n, m = len(anchors), len(candidates)
    width = min(n_negatives, m)
    found = np.full((n, n_negatives), -1, np.int64)
    same = np.einsum("nd,nd->n", anchors, positives)
    limit = same - margin * np.abs(same)
    block = max(1, _CELLS // m)
    for start in range(0, n, block):
        part = slice(start, start + block)
        scores: Scores = anchors[part] @ candidates.T
        scores[scores > limit[part, None]] = -np.inf
        scores[own[groups[part]].nonzero()] = -np.inf
        best = np.argpartition(-scores, width - 1, axis=1)[:, :width]
        kept = np.take_along_axis(scores, best, 1)
        order = np.lexsort((best, -kept), axis=1)
        best, kept = np.take_along_axis(best, order, 1), np.take_along_axis(kept, order, 1)
        found[part, :width] = np.where(np.isfinite(kept), best, -1)
    return found


def _first_texts(pairs: Examples, ids: Ids) -> list[str]:
    """A text for each number, as it is written where it comes first."""
    texts: dict[int, str] = {}
    for column, numbers in zip(pairs.columns.values(), ids.T, strict=True):
        for number, text in zip(numbers.tolist(), column, strict=True):
            texts.setdefault(number, text)
    return list(texts.values())


def _members(ids: Ids, groups: Ids, n_texts: int) -> csr_array:
    """(groups, texts): which texts occur in which group."""
    from scipy.sparse import coo_array

    where = (np.repeat(groups, ids.shape[1]), ids.ravel())
    shape = (int(groups.max()) + 1, n_texts)
    return coo_array((np.ones(ids.size, np.int32), where), shape).tocsr()
