"""Rows that belong together because they share a text or a group."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from semsearch.evaluation.leakage import key
from semsearch.types import Ids


def folded(text: str) -> str:
    """What two equal texts share, whatever their case, width and spaces."""
    return key(text, "")[1]  # the empty text comes first


def text_ids(columns: Iterable[Sequence[str]]) -> Ids:
    """Texts as numbers, equal where the folded texts are.

    Returns:
        (rows, columns) int64, counted from 0 in the order of first appearance by column.
    """
    plain: dict[str, int] = {}
    known: dict[str, int] = {}
    numbers = []
    for column in columns:
        for text in column:
            if text not in known:
                known[text] = plain.setdefault(folded(text), len(plain))
        numbers.append(np.array([known[text] for text in column], np.int64))
    return np.stack(numbers, axis=1)


def components(ids: Ids, *others: Ids) -> Ids:
    """Which rows hang together: those that share a number, and those that do so with them.

    Args:
        ids: (n, c), numbers of one kind in all columns.
        others: (n,) each, numbers of a kind of their own.

    Returns:
        (n,) int64, the components counted from 0 in the order of their first rows.
    """
    from scipy.sparse import coo_array  # type: ignore[import-untyped]
    from scipy.sparse.csgraph import connected_components  # type: ignore[import-untyped]

    n, columns, offset = len(ids), [], 0
    for kind in (ids, *(other[:, None] for other in others)):
        numbers = np.unique(kind, return_inverse=True)[1].reshape(kind.shape)
        columns.append(numbers + offset)
        offset += int(numbers.max(initial=-1)) + 1
    nodes = np.concatenate(columns, axis=1)
    rows = np.repeat(np.arange(n), nodes.shape[1])
    size = n + offset
    links = coo_array((np.ones(rows.size, np.int8), (rows, n + nodes.ravel())), (size, size))
    found = connected_components(links, directed=False)[1][:n]
    return in_order(found)


def in_order(values: Iterable[object]) -> Ids:
    """Values as numbers, counted from 0 in the order of first appearance."""
    known: dict[object, int] = {}
    return np.array([known.setdefault(value, len(known)) for value in values], np.int64)
