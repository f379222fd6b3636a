"""Hold examples out, so that no sentence is on both sides."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from semsearch.errors import DataError
from semsearch.training.components import components, in_order, text_ids
from semsearch.training.examples import Examples
from semsearch.training.phrasings import BankPhrasings
from semsearch.types import Ids

Mask = NDArray[np.bool_]

_ENOUGH = 0.5  # of the rows asked for: with fewer, components are cut
_DROPPED_AT_MOST = 0.5  # of all rows


class Split(NamedTuple):
    """Two parts without a common sentence, and how many rows are in neither of them."""

    train: Examples
    dev: Examples
    dropped: int


def split(
    examples: Examples,
    dev_share: float = 0.1,
    *,
    n_dev: int | None = None,
    seed: int = 0,
    by: Literal["group", "sentence"] = "group",
) -> Split:
    """Hold out some examples as dev data, about as many as asked for.

    Rows that share a sentence (whatever its case, width and spaces), however indirectly, go to one
    side together; by "group", so do the rows of one group. Where so much hangs together that this
    gives less than half of what was asked for, rows (or groups) whose sentences recur least are
    held out besides, and the rows that share a sentence with them are dropped.

    Args:
        dev_share: of the rows, above 0 and below 1.
        n_dev: rows, in place of a share.
        by: what is kept together; without groups both mean the same.

    Raises:
        DataError: the size is out of range; everything is one group; or more than half of the
            rows would be dropped.
    """
    n = len(examples)
    target = _target(n, dev_share, n_dev)
    units = np.arange(n, dtype=np.int64)
    if by == "group" and examples.groups is not None:
        units = in_order(examples.groups)
    texts = text_ids(examples.columns.values())
    dev, dropped = _hold_out(texts, units, target, seed)
    train = np.flatnonzero(~dev & ~dropped)
    return Split(examples.take(train), examples.take(np.flatnonzero(dev)), int(dropped.sum()))


def split_bank(
    phrasings: BankPhrasings,
    dev_share: float = 0.1,
    *,
    seed: int = 0,
    by: Literal["phrasing", "question"] = "phrasing",
) -> tuple[BankPhrasings, BankPhrasings]:
    """Hold out phrasings of a bank as queries, about a share of them.

    By "phrasing", every standard question gives its share of other phrasings, rounded at random so
    that small ones give one now and then; its own text stays, and so does every text that another
    standard question has, too. By "question", whole standard questions are held out, together
    with those that share a phrasing with them.

    Returns:
        What to train on and what is held out; no text is in both.

    Raises:
        DataError: the share is out of range, or nothing can be held out.
    """
    n = len(phrasings)
    target = _target(n, dev_share, None)
    texts = text_ids([phrasings.texts])
    if by == "question":
        dev, dropped = _hold_out(texts, in_order(phrasings.groups), target, seed)
        dev_rows, train_rows = np.flatnonzero(dev), np.flatnonzero(~dev & ~dropped)
        return phrasings.take(train_rows), phrasings.take(dev_rows)
    rng = np.random.default_rng(seed)
    ids = texts[:, 0]
    alone = np.bincount(ids)[ids] == 1
    _, first = np.unique(phrasings.groups, return_index=True)
    alone[first] = False
    held = []
    for group in np.unique(phrasings.groups):
        rows = np.flatnonzero(phrasings.groups == group)
        free = rows[alone[rows]]
        wanted = int(len(rows) * dev_share + rng.random())
        held.append(rng.permutation(free)[:wanted])
    dev_rows = np.sort(np.concatenate(held))
    if not len(dev_rows):  # as chance had it
        dev_rows = rng.permutation(np.flatnonzero(alone))[:1]
    if not len(dev_rows):
        raise DataError(
            f"none of {n:,} phrasings can be held out: a standard question needs another phrasing "
            "than its own text. Add phrasings, or give dev data of its own."
        )
    return phrasings.take(np.setdiff1d(np.arange(n), dev_rows)), phrasings.take(dev_rows)


def _target(n: int, share: float, rows: int | None) -> int:
    if rows is None:
        if not 0 < share < 1:
            raise DataError(f"a share to hold out is above 0 and below 1, not {share:g}.")
        rows = max(1, round(n * share))
    if not 0 < rows < n:
        raise DataError(f"cannot hold out {rows:,} of {n:,} examples.")
    return rows


def _hold_out(texts: Ids, units: Ids, target: int, seed: int) -> tuple[Mask, Mask]:
    """Which rows are held out, and which are dropped since a held-out row has a text of theirs.

    Args:
        texts: (n, c) text numbers.
        units: (n,) what is never cut, numbered from 0.
    """
    rng = np.random.default_rng(seed)
    linked = components(texts, units)
    order = rng.permutation(linked.max() + 1)
    dev = np.isin(linked, _fill(order, np.bincount(linked), target))
    dropped = np.zeros_like(dev)
    if dev.sum() < _ENOUGH * target:
        sizes = np.where(np.bincount(units, dev) > 0, 0, np.bincount(units))
        order = np.lexsort((rng.permutation(len(sizes)), _shared(texts, units)))
        dev |= np.isin(units, _fill(order, sizes, target - int(dev.sum())))
        dropped = ~dev & np.isin(texts, texts[dev]).any(axis=1)
    lost, n = int(dropped.sum()), len(units)
    if not dev.any() or dev.sum() + lost == n or lost > _DROPPED_AT_MOST * n:
        largest = np.bincount(linked).max()
        raise DataError(
            f"cannot hold out {target:,} of {n:,} examples: {largest:,} of them hang together by "
            "the sentences or groups that they share. Give dev data of its own."
        )
    return dev, dropped


def _fill(order: Ids, sizes: Ids, target: int) -> Ids:
    """The labels, taken in their order, whose sizes come to the target as closely as they can."""
    taken, missing = [], target
    for label in order:
        if 0 < sizes[label] < 2 * missing:
            taken.append(label)
            missing -= int(sizes[label])
        if missing <= 0:
            break
    return np.array(taken, np.int64)


def _shared(texts: Ids, units: Ids) -> Ids:
    """How often other units have the texts of each unit."""
    every = np.bincount(texts.ravel())
    pairs, own = np.unique(
        np.stack([np.repeat(units, texts.shape[1]), texts.ravel()]), axis=1, return_counts=True
    )
    return np.bincount(pairs[0], every[pairs[1]] - own).astype(np.int64)
