"""Which texts are encoded together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from semsearch.types import Ids


class Distinct:
    """Texts without repetitions, the longest first, and the rows where each one stands.

    Three numbers are kept for each text, and no second list of them: 10 million stay in 240 MB.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        if not isinstance(texts, (Sequence, np.ndarray)):  # a column of pandas has rows by name
            texts = list(texts)
        group, first = _groups(texts)
        lengths = np.fromiter((len(texts[row]) for row in first), np.int64, len(first))
        order = np.argsort(-lengths, kind="stable")
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        group = rank[group]
        self._texts = texts
        self._first = first[order]
        self._rows = np.argsort(group, kind="stable")  # row numbers, grouped by text
        # Where the rows of each text begin; one more than texts.
        self._starts = np.zeros(len(order) + 1, np.int64)
        np.cumsum(np.bincount(group, minlength=len(order)), out=self._starts[1:])

    def __len__(self) -> int:
        return len(self._first)

    def texts(self, start: int, stop: int) -> list[str]:
        """Those from `start` to `stop`."""
        return [self._texts[row] for row in self._first[start:stop]]

    def rows(self, chosen: Ids) -> tuple[Ids, Ids]:
        """Every row of the chosen texts, and for each row the position of its text in `chosen`."""
        counts = self._starts[chosen + 1] - self._starts[chosen]
        rows = np.concatenate([self._rows[self._starts[i] : self._starts[i + 1]] for i in chosen])
        return rows, np.repeat(np.arange(len(chosen)), counts)


def _groups(texts: Sequence[str]) -> tuple[Ids, Ids]:
    """The group of each text (n,), equal texts in one, and the first row of each group."""
    codes = np.fromiter(map(hash, texts), np.int64, len(texts))
    _, first, group = np.unique(codes, return_index=True, return_inverse=True)
    if all(texts[first[g]] == text for g, text in zip(group, texts, strict=True)):
        by_row = np.argsort(first)  # hashes are others in every process
        rank = np.empty_like(by_row)
        rank[by_row] = np.arange(len(by_row))
        return rank[group], first[by_row]
    # Two texts share a hash, which billions of them do only by chance.
    number: dict[str, int] = {}
    group = np.fromiter((number.setdefault(text, len(number)) for text in texts), np.int64)
    return group, np.unique(group, return_index=True)[1]


def plan(lengths: NDArray[np.int64], budget: int) -> list[Ids]:
    """Positions by batch, the longest first, so that rows times longest stays within `budget`.

    A text longer than the budget is a batch of its own.
    """
    order = np.argsort(-lengths, kind="stable")
    batches, start = [], 0
    while start < len(order):
        size = max(1, budget // max(1, int(lengths[order[start]])))
        batches.append(order[start : start + size])
        start += size
    return batches
