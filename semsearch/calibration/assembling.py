"""Put labelled queries and those made of the bank together: what counts how much."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from semsearch.calibration.examples import Examples, joined, selfmade
from semsearch.calibration.selfmade import SelfMade
from semsearch.confidence import SIGNALS
from semsearch.errors import DataError
from semsearch.ranking import VERBATIM

UNANSWERABLE = 0.1
"""Share of queries without an answer that is assumed where no labels say it."""

_LEAST = 20  # queries below which nothing is fitted
_BACKGROUND = 200.0  # labelled queries that the bank's own count for beside labels
_COPIED = 0.2  # share of labelled queries that may stand in the bank word for word


@dataclass(frozen=True, slots=True)
class Assembled:
    """What a calibration is fitted on, and what the owner must know of it."""

    examples: Examples
    queries: Mapping[str, int]
    assumed: float | None  # share of queries without an answer, None where labels say it
    notes: tuple[str, ...]


def assemble(
    index: str, labels: Examples | None, made: SelfMade, unanswerable: float | None
) -> Assembled:
    """Labels where there are any, the bank's own queries for what is missing.

    Beside labels, the bank's own queries count as much as 200 of them, so that few labels bend
    what the bank says and many overrule it. Figures are taken of the labels alone, but for a kind
    (answerable, unanswerable) that they do not have.

    Raises:
        DataError: there are too few queries of either sort.
    """
    share = UNANSWERABLE if unanswerable is None else unanswerable
    if labels is None:
        return _of_the_bank(index, made, share)
    n_with = int(labels.answerable.sum())
    n_without = len(labels) - n_with
    if len(labels) < _LEAST:
        raise DataError(f"{len(labels)} labelled queries are too few: at least {_LEAST}.")
    if not n_with:
        raise DataError("no labelled query expects an answer: nothing tells what a right hit is.")
    notes = _copied(labels)
    if n_without:
        assumed = unanswerable
        share = n_without / len(labels) if unanswerable is None else unanswerable
        weights = np.where(
            labels.answerable,
            (1 - share) * len(labels) / n_with,
            share * len(labels) / n_without,
        )
        background = (_BACKGROUND * (1 - share), _BACKGROUND * share)
        parts = [replace(labels, weights=weights), selfmade(made, *background, (False, False))]
    else:
        assumed = share
        with_ = len(labels) + _BACKGROUND * (1 - share)
        held_out = with_ * share / (1 - share)
        parts = [labels, selfmade(made, with_ - len(labels), held_out, (False, True))]
        notes.append(
            "No labelled query stands for one without an answer. Standard questions were held out "
            f"instead, as if {share:.0%} of the queries had none; --unanswerable says otherwise."
        )
    queries = {"answerable": n_with, "unanswerable": n_without}
    return Assembled(joined(parts), queries, assumed, tuple(notes))


def _of_the_bank(index: str, made: SelfMade, share: float) -> Assembled:
    n, m = len(made.right), len(made.groups)
    if n < _LEAST or not made.right.any():
        raise DataError(
            f"{index}: {n} phrasings can be held out of standard questions that have another one, "
            f"and {int(made.right.sum())} of them find it again. Give labelled queries: semsearch "
            f"calibrate {index} LABELLED"
        )
    every = selfmade(made, n * (1 - share), n * share, (True, True))
    note = (
        "Made of the bank itself, as if its phrasings were queries and "
        f"{share:.0%} of the queries had no answer (--unanswerable says otherwise). Labelled "
        "queries of real users are worth more."
    )
    return Assembled(every, {"answerable": n, "unanswerable": 2 * m}, share, (note,))


def _copied(labels: Examples) -> list[str]:
    """A note where many of the labelled queries are phrasings of the bank."""
    copied = int((labels.signals[:, SIGNALS.index("best")] >= VERBATIM).sum())
    if copied < _COPIED * len(labels):
        return []
    return [
        f"{copied} of {len(labels)} labelled queries stand in the bank word for word. Real queries "
        "seldom do, so the confidence will be too high for them."
    ]
