"""Examples that the evaluation data holds: found, refused or left out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from semsearch.errors import DataError
from semsearch.evaluation import leakage
from semsearch.evaluation.data import Pairs
from semsearch.tables.cells import brief
from semsearch.training.components import folded
from semsearch.training.examples import Examples
from semsearch.types import Ids

logger = logging.getLogger(__name__)

Evaluation: TypeAlias = Examples | Pairs | Iterable[str]
"""What an encoder is to be judged by: pairs, or plain texts such as queries."""


@dataclass(frozen=True, slots=True, eq=False)
class Leaks:
    """Training examples that the evaluation data holds.

    Attributes:
        rows: (m,) int64, ascending.
        what: whether pairs were compared, or single sentences.
        first: the texts of the first one that are in both, empty where there is none.
    """

    rows: Ids
    what: Literal["pair", "sentence"]
    first: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)


def find_leaks(train: Examples, evaluation: Evaluation) -> Leaks:
    """Find the examples that are in the evaluation data, whatever case, width, spaces and order.

    Where both have pairs, pairs are compared: those of an anchor with its positive and with its
    negative. One sentence alone may then be in both. Else a sentence that is in both is a leak.
    """
    theirs = _pairs(evaluation)
    if theirs is None or train.shape == "sentences":
        sentences = {folded(text) for text in _texts(evaluation)}
        rows = (((text,) for text in row) for row in zip(*train.columns.values(), strict=True))
        return _leaks("sentence", rows, lambda texts: folded(*texts) in sentences)
    keys = leakage.keys(theirs)
    return _leaks("pair", _pairs_by_row(train), lambda pair: leakage.key(*pair) in keys)


def refuse_leaks(
    train: Examples, evaluation: Evaluation, name: str = "the evaluation data"
) -> None:
    """Make sure that no example is in the evaluation data.

    Args:
        name: what the evaluation data is called in the message.

    Raises:
        DataError: some are.
    """
    leaks = find_leaks(train, evaluation)
    if len(leaks):
        first = " / ".join(map(brief, leaks.first))
        raise DataError(
            f"{len(leaks):,} of {len(train):,} {train.shape} have a {leaks.what} that is in "
            f"{name}; the first is {first}. Leave them out with --drop-leaks."
        )


def drop_leaks(train: Examples, evaluation: Evaluation) -> tuple[Examples, int]:
    """The examples that are not in the evaluation data, and how many are.

    Raises:
        DataError: all of them are.
    """
    leaks = find_leaks(train, evaluation)
    if len(train) and len(leaks) == len(train):
        raise DataError(
            f"all {len(train):,} {train.shape} are in the evaluation data: nothing is left to "
            "learn from."
        )
    return train.take(np.setdiff1d(np.arange(len(train)), leaks.rows)), len(leaks)


def keep_out(train: Examples, evaluation: Evaluation, name: str, *, drop: bool) -> Examples:
    """The examples, none of which may be in the evaluation data: left out, or refused.

    Raises:
        DataError: some are and `drop` is not set, or all of them are.
    """
    if not drop:
        refuse_leaks(train, evaluation, name)
        return train
    kept, n = drop_leaks(train, evaluation)
    if n:
        logger.info("%s examples left out that are in %s", f"{n:,}", name)
    return kept


def _leaks(
    what: Literal["pair", "sentence"],
    rows: Iterable[Iterable[tuple[str, ...]]],
    is_known: Callable[[tuple[str, ...]], bool],
) -> Leaks:
    """The rows of which a part is known in the evaluation data."""
    found = {row: part for row, parts in enumerate(rows) for part in parts if is_known(part)}
    return Leaks(np.array(list(found), np.int64), what, next(iter(found.values()), ()))


def _pairs(evaluation: Evaluation) -> Iterable[tuple[str, str]] | None:
    """The pairs of evaluation data, None where it has single texts only."""
    if isinstance(evaluation, Pairs):
        return zip(evaluation.first, evaluation.second, strict=True)
    if isinstance(evaluation, Examples) and evaluation.shape != "sentences":
        return (pair for pairs in _pairs_by_row(evaluation) for pair in pairs)
    return None


def _pairs_by_row(examples: Examples) -> Iterator[tuple[tuple[str, str], ...]]:
    """The first text of a row with each of the others."""
    for one, *others in zip(*examples.columns.values(), strict=True):
        yield tuple((one, other) for other in others)


def _texts(evaluation: Evaluation) -> Iterable[str]:
    if isinstance(evaluation, Pairs):
        return evaluation.sentences
    return evaluation.texts if isinstance(evaluation, Examples) else evaluation
