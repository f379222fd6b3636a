"""A bank as arrays, and how much each phrasing is at home where it is filed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from semsearch.errors import DataError
from semsearch.store import BankReader, Meta
from semsearch.store.rows import load_vectors
from semsearch.types import Ids, Vectors

Floats = NDArray[np.float64]

NEAREST = 3
"""Phrasings of a standard question whose mean cosine is its support of a text."""


@dataclass(frozen=True)
class Filed:
    """Every phrasing, in the order of the standard questions that they are filed under.

    Attributes:
        vectors: (n, d).
        question: (n,) ascending, the number of the standard question.
        texts: n phrasings.
        keys, questions, answers: of the K standard questions.
    """

    vectors: Vectors
    question: Ids
    texts: Sequence[str]
    keys: Sequence[str]
    questions: Sequence[str]
    answers: Sequence[str]

    def __len__(self) -> int:
        return len(self.question)

    @cached_property
    def starts(self) -> Ids:
        """(K + 1,) where the phrasings of each standard question begin."""
        return np.searchsorted(self.question, np.arange(len(self.keys) + 1)).astype(np.int64)

    @cached_property
    def sizes(self) -> Ids:
        """(K,) how many phrasings each has."""
        return np.diff(self.starts)

    def rows(self, question: int) -> slice:
        """Where its phrasings are."""
        return slice(int(self.starts[question]), int(self.starts[question + 1]))

    def of(self, question: int) -> Vectors:
        """Vectors (m, d) of its phrasings."""
        return self.vectors[self.rows(question)]

    @cached_property
    def sums(self) -> Floats:
        """(K, d), the sum of the vectors of each."""
        return np.add.reduceat(self.vectors, self.starts[:-1], axis=0, dtype=np.float64)

    @cached_property
    def at_home(self) -> AtHome:
        """How well each phrasing is supported where it is filed."""
        return AtHome.of(self)

    def joined(self, pairs: Iterable[tuple[int, int]]) -> tuple[Filed, Ids]:
        """The bank with standard questions that are the same made one.

        Returns:
            The bank, and (n,) the row of each of its phrasings here.
        """
        to = np.arange(len(self.keys))
        for one, other in pairs:
            to[to == to[other]] = to[one]
        kept, number = np.unique(to, return_inverse=True)
        order = np.argsort(number[self.question], kind="stable")
        joined = Filed(
            self.vectors[order],
            number[self.question][order].astype(np.int64),
            [self.texts[row] for row in order],
            [self.keys[one] for one in kept],
            [self.questions[one] for one in kept],
            [self.answers[one] for one in kept],
        )
        return joined, order.astype(np.int64)


@dataclass(frozen=True, slots=True)
class AtHome:
    """Support of each phrasing by the others that are filed with it.

    Attributes:
        support: (n,) mean cosine of the three nearest others, nan where there is none.
        nearest: (n,) cosine of the nearest other.
        mean, spread: (K,) of the support, drawn to those of the whole bank where a standard
            question has few phrasings.
    """

    support: Floats
    nearest: Floats
    mean: Floats
    spread: Floats

    @classmethod
    def of(cls, bank: Filed) -> AtHome:
        support = np.full(len(bank), np.nan)
        nearest = np.full(len(bank), np.nan)
        for number, size in enumerate(bank.sizes.tolist()):
            if size > 1:
                own = bank.of(number)
                similar = own @ own.T
                np.fill_diagonal(similar, -np.inf)
                rows = bank.rows(number)
                support[rows], nearest[rows] = supports(similar)
        return cls(support, nearest, *_by_question(bank, support))


_PRIOR = 5.0  # phrasings' worth of belief in what the whole bank is like


def _by_question(bank: Filed, support: Floats) -> tuple[Floats, Floats]:
    real = np.isfinite(support)
    if not real.any():
        n = len(bank.keys)
        return np.full(n, np.nan), np.full(n, np.nan)
    all_mean, all_variance = support[real].mean(), support[real].var()
    count = np.bincount(bank.question[real], minlength=len(bank.keys))
    total = np.bincount(bank.question[real], support[real], len(bank.keys))
    mean = (total + _PRIOR * all_mean) / (count + _PRIOR)
    away = np.square(support[real] - mean[bank.question[real]])
    squares = np.bincount(bank.question[real], away, len(bank.keys))
    variance = (squares + _PRIOR * all_variance) / (count + _PRIOR)
    return mean, np.sqrt(variance + 1e-6)


def supports(similar: NDArray[np.float32]) -> tuple[Floats, Floats]:
    """Mean of the best `NEAREST` and the best of each row (n, m) of cosines; -inf is nobody."""
    width = min(NEAREST, similar.shape[1])
    best = -np.partition(-similar, width - 1, axis=1)[:, :width].astype(np.float64)
    real = np.isfinite(best)
    sums = np.where(real, best, 0.0).sum(axis=1)
    return sums / np.maximum(real.sum(axis=1), 1), best.max(axis=1)


_CELLS = 1 << 24


def blocks(n: int, width: int) -> Iterator[slice]:
    """Slices of n rows, each of at most some million cells of `width`."""
    step = max(1, _CELLS // max(width, 1))
    for start in range(0, n, step):
        yield slice(start, min(start + step, n))


def read(reader: BankReader, meta: Meta, name: str) -> Filed:
    """The bank of an index; to be called inside `reader.reading()`.

    Raises:
        DataError: there are fewer than two standard questions.
        CorruptIndexError: a row is damaged.
    """
    if meta.questions < 2:
        raise DataError(
            f"{name}: nothing can be compared in {meta.questions} standard questions. Add some."
        )
    rows = list(reader.questions_by_key(meta).values())
    phrasings = reader.phrasings_of(row.id for row in rows)
    filed = [phrasing for row in rows for phrasing in phrasings[row.id]]
    return Filed(
        load_vectors([phrasing.vector for phrasing in filed], meta.dim),
        np.repeat(np.arange(len(rows)), [len(phrasings[row.id]) for row in rows]),
        [phrasing.text for phrasing in filed],
        [row.key for row in rows],
        [row.question for row in rows],
        [row.answer for row in rows],
    )
