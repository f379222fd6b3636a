"""What a calibration is fitted and judged on: signals, whether the top hit was right, weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semsearch.calibration.heldout import SelfMade
from semsearch.confidence.signals import SIGNALS, Signals
from semsearch.evaluation.queries import LabelledQuery
from semsearch.types import Ids

Mask = NDArray[np.bool_]
Weights = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Examples:
    """n queries with what they found.

    Attributes:
        signals: (n, s).
        right: (n,) whether the top hit is the right answer; False where there is none.
        answerable: (n,) whether the bank has an answer.
        weights: (n,) what each counts.
        groups: (n,) those of one group are fitted or judged together, never both.
        judged: (n,) whether it counts when figures are taken, not only when it is fitted.
        topic: (n,) whether it counts as unanswerable for the best balance.
    """

    signals: Signals
    right: Mask
    answerable: Mask
    weights: Weights
    groups: Ids
    judged: Mask
    topic: Mask

    def __len__(self) -> int:
        return len(self.right)

    def __getitem__(self, rows: Mask) -> Examples:
        """Those under a mask (n,)."""
        return Examples(
            self.signals[rows],
            self.right[rows],
            self.answerable[rows],
            self.weights[rows],
            self.groups[rows],
            self.judged[rows],
            self.topic[rows],
        )


def labelled(
    signals: Signals, right: Mask, answerable: Mask, queries: Sequence[LabelledQuery]
) -> Examples:
    """Labelled queries: each counts by how often it is asked, 1 on average.

    Those of one text, of which somebody expects different answers, are a group.
    """
    numbers: dict[str, int] = {}
    groups = np.array([numbers.setdefault(query.text, len(numbers)) for query in queries])
    times = np.array([query.times for query in queries], np.float64)
    every = np.ones(len(queries), bool)
    # Below zero: no group of the bank's own queries.
    return Examples(
        signals, right, answerable, times / times.mean(), -1 - groups, every, ~answerable
    )


def selfmade(
    made: SelfMade, asked: float, held_out: float, judge: tuple[bool, bool], hard: float = 0.5
) -> Examples:
    """The bank's own queries.

    Args:
        asked: what those with an answer count together.
        held_out: what those without one count together.
        judge: whether figures are taken of those with an answer, and of those without.
        hard: the share of those without one that are on a topic of the bank.
    """
    n, m = len(made.right), len(made.groups)
    nothing = np.zeros(m, bool)
    with_answer = Examples(
        made.asked,
        made.right,
        np.ones(n, bool),
        np.full(n, asked / max(n, 1)),
        made.asked_groups,
        np.full(n, judge[0]),
        np.zeros(n, bool),
    )
    without = [
        Examples(
            signals,
            nothing,
            nothing,
            np.full(m, held_out * (1 - hard if topic else hard) / max(m, 1)),
            made.groups,
            np.full(m, judge[1]),
            np.full(m, topic),
        )
        for signals, topic in ((made.alone, False), (made.topic, True))
    ]
    return joined([with_answer, *without])


def joined(parts: Sequence[Examples]) -> Examples:
    """Several sets of examples as one."""
    return Examples(
        np.concatenate([part.signals for part in parts]).reshape(-1, len(SIGNALS)),
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("right", "answerable", "weights", "groups", "judged", "topic")
        ),
    )
