"""What the words of a query should count beside its vector: as much as helps.

Every weight is tried on the same held-out queries. A bank is often too small to show which one is
best, or that any is, while words help a little on nearly every bank. So what they did elsewhere
counts as well, as a few hundred queries would (a prior): it decides where the bank says nothing,
and is outvoted where it says otherwise. The gain that is reported is that of weights chosen on
four fifths of the queries and judged on the last, five times over.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semsearch.classifier import Opinion
from semsearch.evaluation.bootstrap import difference_interval
from semsearch.hybrid import Exact, fuse
from semsearch.lexical import Lexical, Shares
from semsearch.ranking import Ranked
from semsearch.store.rows import ID_BITS
from semsearch.types import Ids

WEIGHTS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)

ELSEWHERE = (0.0, 1.4, 2.3, 3.0, 2.9, 2.9, 1.9, -0.6, -3.8)
"""How many more of 200 queries each weight gets right elsewhere: the mean of 24 pairs of a bank and
an encoder that knows its language (benchmarks/hybrid.py). As 200, it weighs no more than it should:
chosen by it, weights gained as much as by 2,000, and lost least where words did not help."""

FOLDS = 5

LEAST = 20
"""Queries that say something by themselves."""

LARGE = 100_000
"""Phrasings from which on words cost noticeable time, and must be shown to help."""

Right = NDArray[np.bool_]
"""(n, len(WEIGHTS)): whether each query finds its standard question at each weight."""


@dataclass(frozen=True, slots=True)
class Mixing:
    """What words count, and what showed it.

    Attributes:
        weight: 0 where words do not count.
        source: "the bank itself", "labels" or both, "asked for" or "no FTS5" where nothing
            showed it.
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
        unproven = ""
        if self.low <= 0:
            what = "it, but words help" if gain >= 0 else "that they do harm, and they help"
            unproven = f"; too few to prove {what} on most banks"
        return (
            f"{state}: with them {self.both:.3f} of {self.queries} held-out queries find their "
            f"standard question, without {self.vectors:.3f}, {gain:+.3f} [{self.low:+.3f}, "
            f"{self.high:+.3f}], on {self.source}{unproven if self.weight else ''}"
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
    own: tuple[Right, Ids],
    labels: Right | None,
    lexical: Lexical = "auto",
    seed: int = 0,
    *,
    large: bool = False,
) -> Mixing:
    """The weight that helps most, as far as the queries and other banks tell.

    Args:
        own: outcomes of the bank's own phrasings, and the standard question that each is of (n,).
        labels: outcomes of labelled queries that have an answer.
        lexical: "on" takes the best weight above 0 whatever it helps, "off" none.
        large: words count only where the interval of the gain lies above zero.
    """
    if lexical == "off":
        return Mixing(0.0, "asked for")
    right, groups = own
    sources = ["the bank itself"] if len(right) else []
    if labels is not None and len(labels):
        sources.append("labels")
        right = np.concatenate([right, labels])
        groups = np.concatenate([groups, groups.max(initial=0) + 1 + np.arange(len(labels))])
    least = 1 if lexical == "on" else 0
    weight = WEIGHTS[_best(right, least)]
    source = " and ".join(sources) or "other banks"
    if len(right) < LEAST:
        return Mixing(0.0 if large and not least else weight, source, len(right))
    both = _judged(right, groups, least, seed)
    low, high = difference_interval(both, right[:, 0], seed)
    if large and not least and low <= 0:
        weight = 0.0
    means = float(right[:, 0].mean()), float(both.mean())
    return Mixing(weight, source, len(right), *means, low, high)


def _judged(right: Right, groups: Ids, least: int, seed: int) -> NDArray[np.bool_]:
    """(n,): whether queries are right at the weight that is best of the others'."""
    names, member = np.unique(groups, return_inverse=True)
    fold = (np.random.default_rng(seed).permutation(len(names)) % FOLDS)[member]
    both: NDArray[np.bool_] = right[:, 0].copy()
    for held in (fold == number for number in range(FOLDS)):
        both[held] = right[held, _best(right[~held], least)]
    return both


def _best(right: Right, least: int = 0) -> int:
    """The column from `least` on with most right ones, the smallest weight of those that are
    equal."""
    gained: NDArray[np.float64] = right.sum(axis=0) + np.array(ELSEWHERE)
    return least + int(np.argmax(gained[least:]))
