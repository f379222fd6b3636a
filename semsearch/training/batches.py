"""Batches whose rows can be each other's negatives: one row of a group, and no text twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from semsearch.errors import DataError
from semsearch.training.components import in_order, text_ids
from semsearch.types import Ids

_LEAST = 0.5  # of a batch, on average: rather than emptier batches, rows sit out an epoch


@dataclass(frozen=True, slots=True, eq=False)
class GroupBatches:
    """What `batch_sampler` of sentence-transformers' training arguments takes; see there.

    Attributes:
        groups: (n,) of the rows of the dataset to come; None where each row is its own.
        negative_groups: (n,) the group that the negative of each row is from; None where the
            negatives are of no group.
    """

    groups: Ids | None = field(repr=False)
    negative_groups: Ids | None = field(default=None, repr=False)

    def __call__(
        self,
        dataset: Any,
        batch_size: int,
        drop_last: bool,
        valid_label_columns: list[str] | None = None,
        generator: Any = None,
        seed: int = 0,
    ) -> Any:
        """The batch sampler of a dataset; it is shuffled by the seed and the epoch alone.

        Raises:
            DataError: the dataset has not as many rows as there are groups.
        """
        n = len(dataset)
        for known in (self.groups, self.negative_groups):
            if known is not None and len(known) != n:
                raise DataError(f"{len(known):,} groups do not go with {n:,} rows.")
        names = [name for name in dataset.column_names if name not in (valid_label_columns or ())]
        plain = dataset.with_format(None)  # among several tables, rows are told whose they are
        texts = text_ids([plain[name][:] for name in names])
        groups = np.arange(n, dtype=np.int64) if self.groups is None else self.groups
        sides = [groups] if self.negative_groups is None else [groups, self.negative_groups]
        numbered = in_order(np.concatenate(sides)).reshape(len(sides), n).T
        settings = (batch_size, drop_last, valid_label_columns, generator, seed)
        return _sampler_class()(
            dataset, *settings, texts=texts, groups=numbered[:, 0], others=numbered[:, 1:]
        )


def group_batches(groups: Ids | None, negative_groups: Ids | None = None) -> GroupBatches:
    """Make batches in which no two rows share a group, and none a text with another.

    Nor has a row the group that the negative of another is from: to that row, too, it is a
    negative.

    There are as many batches as hold all rows. Where a few groups have most of the rows, so that
    batches would be less than half full on average, there are fewer, and another random part of
    those groups sits out each epoch; so does, rarely, a row that shares texts with all batches.
    All batches but the last are full wherever the groups allow it; with `drop_last` there are only
    as many as can be full.

    Args:
        groups: (n,) int64, in the order of the dataset's rows; None where nothing is known.
        negative_groups: (n,) int64, of the third column; None where nothing is known.
    """
    return GroupBatches(groups, negative_groups)


def batch_count(groups: Ids, batch_size: int, *, drop_last: bool = False) -> int:
    """How many batches an epoch has.

    Args:
        groups: (n,) numbered from 0.
    """
    n = len(groups)
    if n == 0:
        return 0
    sizes = np.bincount(groups)
    fill = batch_size if drop_last else batch_size * _LEAST
    most = n // batch_size if drop_last else max(-(-n // batch_size), int(sizes.max()))
    # With t batches a group gives t rows at most. Rows per batch fall with t: bisect.
    low, high = (0, most) if drop_last else (1, most)
    while low < high:
        middle = (low + high + 1) // 2
        if np.minimum(sizes, middle).sum() >= fill * middle:
            low = middle
        else:
            high = middle - 1
    return low


def plan(
    texts: Ids,
    groups: Ids,
    batch_size: int,
    n_batches: int,
    rng: np.random.Generator,
    avoided: Ids | None = None,
) -> list[list[int]]:
    """Deal rows out to batches.

    Args:
        texts: (n, c) numbers of the texts of each row.
        groups: (n,) numbered from 0.
        avoided: (n, k) numbers of groups that no other row of the batch may have; None for none.

    Returns:
        n_batches lists of 1 to batch_size rows, each row once at most.
    """
    if n_batches == 0:
        return []
    rows = _dealt(groups, batch_size, n_batches, rng)
    room = np.full(n_batches, batch_size)
    # The last batch takes what the others cannot.
    others = np.minimum(np.bincount(groups), n_batches - 1).sum()
    room[-1] = min(batch_size, len(rows) - min(others, (n_batches - 1) * batch_size))
    # Batches are filled in rounds, each once in a round, and so stay of one size. The rows of a
    # group follow each other: they meet a batch that has one of them only where two rounds join.
    rounds = (rng.permutation(np.flatnonzero(room > level)) for level in range(batch_size))
    slots: list[int] = []
    batches: list[list[int]] = [[] for _ in range(n_batches)]
    taken: list[set[int]] = [set() for _ in range(n_batches)]
    known = groups[:, None] if avoided is None else np.column_stack([groups, avoided])
    offset = int(known.max(initial=-1)) + 1
    marks = np.column_stack([known, texts + offset])[rows].tolist()
    for row, mark in zip(rows.tolist(), marks, strict=True):
        place = _last_without(mark, slots, taken)
        while place is None and (more := next(rounds, None)) is not None:
            slots[:0] = more.tolist()
            place = _last_without(mark, slots, taken)
        if place is not None:
            batch = slots.pop(place)
            batches[batch].append(row)
            taken[batch].update(mark)
    return batches


def _dealt(groups: Ids, batch_size: int, n_batches: int, rng: np.random.Generator) -> Ids:
    """The rows that find room, by group, the largest groups first and equal ones at random."""
    sizes = np.bincount(groups)
    tie = rng.permutation(len(sizes))
    rows = rng.permutation(len(groups))
    rows = rows[np.lexsort((tie[groups[rows]], -sizes[groups[rows]]))]
    starts = np.flatnonzero(np.diff(groups[rows], prepend=-1))
    rank = np.arange(len(rows)) - np.repeat(starts, np.diff(starts, append=len(rows)))
    rows = rows[rank < n_batches]
    return rows[np.sort(rng.permutation(len(rows))[: n_batches * batch_size])]


def _last_without(
    mark: Sequence[int], slots: Sequence[int], taken: Sequence[set[int]]
) -> int | None:
    """The last slot whose batch has nothing of what a row is marked with."""
    return next(
        (place for place in reversed(range(len(slots))) if taken[slots[place]].isdisjoint(mark)),
        None,
    )


@cache
def _sampler_class() -> Any:
    from sentence_transformers.base.sampler import DefaultBatchSampler

    class GroupBatchSampler(DefaultBatchSampler):  # type: ignore[misc]
        """Batches of `plan`, another plan in each epoch."""

        def __init__(self, *args: Any, texts: Ids, groups: Ids, others: Ids) -> None:
            super().__init__(*args)
            self._texts = texts
            self._groups = groups
            self._others = others
            self._n_batches = batch_count(groups, self.batch_size, drop_last=self.drop_last)

        def __iter__(self) -> Iterator[list[int]]:
            rng = np.random.default_rng((self.seed or 0, self.epoch))
            yield from plan(
                self._texts, self._groups, self.batch_size, self._n_batches, rng, self._others
            )

        def __len__(self) -> int:
            return self._n_batches

    return GroupBatchSampler
