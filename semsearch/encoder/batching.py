"""Which texts are encoded together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semsearch.types import Ids


@dataclass(frozen=True, slots=True)
class Distinct:
    """Texts without repetitions, the longest first, and the rows where each one stands."""

    texts: list[str]
    _rows: Ids  # row numbers, grouped by text
    _starts: Ids  # where the rows of each text begin; one more than texts

    @classmethod
    def of(cls, texts: Sequence[str]) -> Distinct:
        number: dict[str, int] = {}
        group = np.fromiter(
            (number.setdefault(text, len(number)) for text in texts), np.int64, len(texts)
        )
        distinct = list(number)
        order = sorted(range(len(distinct)), key=lambda i: -len(distinct[i]))
        rank = np.empty(len(distinct), np.int64)
        rank[order] = np.arange(len(order))
        group = rank[group]
        starts = np.concatenate([[0], np.cumsum(np.bincount(group, minlength=len(order)))])
        return cls([distinct[i] for i in order], np.argsort(group, kind="stable"), starts)

    def rows(self, chosen: Ids) -> tuple[Ids, Ids]:
        """Every row of the chosen texts, and for each row the position of its text in `chosen`."""
        counts = self._starts[chosen + 1] - self._starts[chosen]
        rows = np.concatenate([self._rows[self._starts[i] : self._starts[i + 1]] for i in chosen])
        return rows, np.repeat(np.arange(len(chosen)), counts)


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
