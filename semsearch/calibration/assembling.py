"""Put labelled queries and those made of the bank together: what counts how much."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from semsearch.calibration.examples import Examples, joined, selfmade
from semsearch.calibration.heldout import SelfMade
from semsearch.confidence import SIGNALS
from semsearch.errors import DataError
from semsearch.ranking import VERBATIM

UNANSWERABLE = 0.1
"""Share of queries without an answer that is assumed of a large bank where no labels say it."""

LEAST_UNANSWERABLE = 0.05
"""The same, at least, where labels say less: few owners label what they cannot answer."""

_OF_SMALL = 0.5  # the same of a small bank; of live ones it is a third to two thirds
_PROMISED, _PROMISED_OF_SMALL = 0.6, 0.7
_SMALL, _LARGE = 1000, 5000  # phrasings
_LEAST = 20  # labelled queries of a kind that say something by themselves
_BACKGROUND = 200.0  # labelled queries that the bank's own count for beside labels
_COPIED = 0.2  # share of labelled queries that may stand in the bank word for word


@dataclass(frozen=True, slots=True)
class Assembled:
    """What a calibration is fitted on, and what the owner must know of it."""

    examples: Examples
    queries: Mapping[str, int]
    assumed: float | None  # share of queries without an answer, None where labels say it
    promised: float | None  # the share that a precision is promised for, None where labels say it
    notes: tuple[str, ...]


def assumed_unanswerable(phrasings: int) -> float:
    """The share of queries without an answer that is assumed of a bank, two decimals.

    Banks grow with what people ask: one of few phrasings has seen little of it, and is asked more
    that it does not have.
    """
    return _by_size(phrasings, _OF_SMALL, UNANSWERABLE)


def promised_unanswerable(phrasings: int) -> float:
    """The share of queries without an answer for which a precision is promised, two decimals."""
    return _by_size(phrasings, _PROMISED_OF_SMALL, _PROMISED)


def _by_size(phrasings: int, small: float, large: float) -> float:
    """What is so much of a small bank, so much of a large one, and in between by the logarithm."""
    size = np.clip(phrasings, _SMALL, _LARGE)
    return round(float(np.interp(np.log(size), np.log([_SMALL, _LARGE]), [small, large])), 2)


def assemble(
    index: str,
    labels: Examples | None,
    made: SelfMade,
    unanswerable: float | None,
    phrasings: int,
    hard: float = 0.5,
) -> Assembled:
    """Labels where there are any, the bank's own queries for what is missing.

    Beside labels, the bank's own queries count as much as 200 of them, so that few labels bend
    what the bank says and many overrule it. Figures are taken of the labels alone, but for a kind
    (answerable, unanswerable) that they do not have.

    Args:
        unanswerable: the share of queries without an answer; None where nobody knows it.
        phrasings: of the whole bank.
        hard: the share of the bank's own queries without an answer that are on a topic of it.

    Raises:
        DataError: there are too few queries of either sort.
    """
    if labels is None:
        if unanswerable is None:
            shares = assumed_unanswerable(phrasings), promised_unanswerable(phrasings)
            return _of_the_bank(index, made, *shares, hard)
        return _of_the_bank(index, made, unanswerable, unanswerable, hard)
    n_with = int(labels.answerable.sum())
    n_without = len(labels) - n_with
    asked_with = float(labels.weights[labels.answerable].sum())
    asked_without = len(labels) - asked_with
    if len(labels) < _LEAST:
        raise DataError(f"{len(labels)} labelled queries are too few: at least {_LEAST}.")
    if not n_with:
        raise DataError("no labelled query expects an answer: nothing tells what a right hit is.")
    notes = _copied(labels)
    own_share = asked_without / len(labels)
    share = max(own_share, LEAST_UNANSWERABLE) if unanswerable is None else unanswerable
    at_most = promised_unanswerable(phrasings) if unanswerable is None else unanswerable
    background = _BACKGROUND * (1 - share)
    if n_without >= _LEAST:
        factors = (1 - share) / asked_with, share / asked_without
        weights = labels.weights * np.where(labels.answerable, *factors) * len(labels)
        bank = selfmade(made, background, _BACKGROUND * share, (False, False), hard)
        parts = [replace(labels, weights=weights), bank]
        few = unanswerable is None and own_share < LEAST_UNANSWERABLE
        promised = at_most if few else None
        if few:
            notes.append(
                f"Only {own_share:.1%} of the labelled queries have no answer, fewer than real "
                f"users ask. They were weighed {_as_if(share, at_most)}."
            )
    else:
        promised = at_most
        held_out = (asked_with + background) * share / (1 - share) - asked_without
        parts = [labels, selfmade(made, background, max(held_out, 0.0), (False, True), hard)]
        notes.append(
            f"{n_without} of {len(labels)} labelled queries stand for those without an answer. "
            f"Standard questions were held out instead, {_as_if(share, at_most)}."
        )
    queries = {"answerable": n_with, "unanswerable": n_without}
    assumed = None if share == own_share and n_without >= _LEAST else share
    return Assembled(joined(parts), queries, assumed, promised, tuple(notes))


def _of_the_bank(
    index: str, made: SelfMade, share: float, promised: float, hard: float
) -> Assembled:
    n, m = len(made.right), len(made.groups)
    if n < _LEAST or not made.right.any():
        raise DataError(
            f"{index}: its phrasings are too few to be held out as queries ({n}, of which "
            f"{int(made.right.sum())} find their standard question again). Give labelled queries: "
            f"semsearch calibrate {index} LABELLED"
        )
    every = selfmade(made, n * (1 - share), n * share, (True, True), hard)
    note = (
        f"Made of the bank itself: phrasings stand for queries, {_as_if(share, promised)}. "
        "Labelled queries of real users are worth more."
    )
    queries = {"answerable": n, "unanswerable": 2 * m}
    return Assembled(every, queries, share, promised, (note,))


def _as_if(share: float, promised: float) -> str:
    if share == promised:
        return f"as if {share:.0%} of the queries had no answer"
    return (
        f"as if {share:.0%} of the queries had no answer (a --precision is meant for up to "
        f"{promised:.0%}); --unanswerable says otherwise"
    )


def _copied(labels: Examples) -> list[str]:
    """A note where many of the labelled queries are phrasings of the bank."""
    copied = int((labels.signals[:, SIGNALS.index("best")] >= VERBATIM).sum())
    if copied < _COPIED * len(labels):
        return []
    return [
        f"{copied} of {len(labels)} labelled queries stand in the bank word for word. Real queries "
        "seldom do, so the confidence will be too high for them."
    ]
