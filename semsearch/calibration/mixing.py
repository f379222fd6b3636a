"""What the words of a query should count beside its vector: as much as helps, and often nothing.

Every weight is tried on the same held-out queries. Which one is best is chosen on four fifths of
them and judged on the last, five times over, so that the gain is not that of the luckiest weight;
words count only where the paired interval of the gain lies above zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semsearch.classifier import Opinion
from semsearch.evaluation.bootstrap import difference_interval
from semsearch.hybrid import Exact, fuse
from semsearch.lexical import WEIGHT, Lexical, Shares
from semsearch.ranking import Ranked
from semsearch.store.rows import ID_BITS
from semsearch.types import Ids

WEIGHTS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)

FOLDS = 5

LEAST = 20
"""Queries that say something."""

Right = NDArray[np.bool_]
"""(n, len(WEIGHTS)): whether each query finds its standard question at each weight."""


@dataclass(frozen=True, slots=True)
class Mixing:
    """What words count, and what showed it.

    Attributes:
        weight: 0 where words do not count.
        source: "labels" or "the bank itself", "asked for" or "no FTS5" where nothing showed it.
        queries: held-out queries with an answer.
        vectors: the share of them whose first hit is right by vectors alone.
        both: the same with words, by a weight that was chosen without them.
        low, high: the 95% interval of the difference.
    """

    weight: float
    source: str
    queries: int = 0
    vectors: float | None = None
    both: float | None = None
    low: float | None = None
    high: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, as the index keeps them."""
        shown = {"vectors": self.vectors, "both": self.both, "low": self.low, "high": self.high}
        rounded = {name: None if v is None else round(v, 4) for name, v in shown.items()}
        return {"weight": self.weight, "source": self.source, "queries": self.queries} | rounded

    def __str__(self) -> str:
        state = f"words count (weight {self.weight:g})" if self.weight else "words do not count"
        if self.vectors is None or self.both is None or self.low is None or self.high is None:
            return f"{state} ({self.source})"
        gain = self.both - self.vectors
        return (
            f"{state}: with them {self.both:.3f} of {self.queries} held-out queries find their "
            f"standard question, without {self.vectors:.3f}, {gain:+.3f} [{self.low:+.3f}, "
            f"{self.high:+.3f}], on {self.source}"
        )


def outcomes(
    asked: Iterable[tuple[int, Ranked, Shares, Exact, Opinion | None]],
) -> tuple[Right, Ids]:
    """Try every weight.

    Args:
        asked: of each query the id of the standard question that is right, the best by vectors,
            the shares of its words, the scores of any others, and what a classifier says.

    Returns:
        What is right, and the ids (n,) of the standard questions.
    """
    found, groups = [], []
    for expected, near, shares, exact, opinion in asked:
        known: dict[tuple[int, ...], Ranked] = {}

        def once(
            questions: Ids, exact: Exact = exact, known: dict[tuple[int, ...], Ranked] = known
        ) -> Ranked:
            name = tuple(questions.tolist())
            if name not in known:
                known[name] = exact(questions)
            return known[name]

        hits = [
            int(fuse(near, shares, once, 1, weight, opinion=opinion).labels[0])
            for weight in WEIGHTS
        ]
        found.append([label >> ID_BITS == expected for label in hits])
        groups.append(expected)
    return np.array(found, bool).reshape(-1, len(WEIGHTS)), np.array(groups, np.int64)


def decide(
    own: tuple[Right, Ids], labels: Right | None, lexical: Lexical = "auto", seed: int = 0
) -> Mixing:
    """The weight that helps for sure, or none.

    Labels decide where their interval leaves zero out; otherwise the bank's own phrasings do,
    unless the labels speak against it.

    Args:
        own: outcomes of the bank's own phrasings, and the standard question that each is of (n,).
        labels: outcomes of labelled queries that have an answer.
        lexical: "on" takes the best weight whatever it helps, "off" none.
    """
    if lexical == "off":
        return Mixing(0.0, "asked for")
    by_bank = _judged(*own, "the bank itself", seed)
    chosen = by_bank
    if labels is not None and len(labels) >= LEAST:
        by_labels = _judged(labels, np.arange(len(labels)), "labels", seed)
        assert by_labels.low is not None and by_labels.high is not None
        at = WEIGHTS.index(by_bank.weight)
        against = labels[:, at].mean() < labels[:, 0].mean()
        if by_labels.low > 0 or by_labels.high < 0 or against or not by_bank.queries:
            chosen = by_labels
    if lexical == "on":
        return chosen if chosen.weight else replace(chosen, weight=WEIGHT)
    helps = chosen.low is not None and chosen.low > 0
    return chosen if helps else replace(chosen, weight=0.0)


def _judged(right: Right, groups: Ids, source: str, seed: int) -> Mixing:
    """The best weight of all queries; what it gains where it was chosen on the others."""
    if len(right) < LEAST:
        return Mixing(0.0, source)
    names, member = np.unique(groups, return_inverse=True)
    fold = (np.random.default_rng(seed).permutation(len(names)) % FOLDS)[member]
    both = right[:, 0].copy()
    for number in range(FOLDS):
        held = fold == number
        if held.any() and not held.all():
            both[held] = right[held, _best(right[~held])]
    low, high = difference_interval(both, right[:, 0], seed)
    return Mixing(
        WEIGHTS[_best(right)], source, len(right), float(right[:, 0].mean()), float(both.mean()),
        low, high,
    )  # fmt: skip


def _best(right: Sequence[Sequence[bool]] | Right) -> int:
    """The column with most right ones, the smallest weight of those that are equal."""
    return int(np.argmax(np.asarray(right).sum(axis=0)))
