"""Before and after on what an attempt has not learnt, and whether that is enough to promote it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semsearch.calibration.assembling import UNANSWERABLE
from semsearch.calibration.examples import Examples, Mask, selfmade
from semsearch.calibration.fitting import cross_validated
from semsearch.calibration.heldout import HeldOut, SelfMade, as_queries
from semsearch.errors import DataError
from semsearch.evaluation import bootstrap
from semsearch.improvement import sides
from semsearch.improvement.material import Trial
from semsearch.improvement.sides import Side
from semsearch.types import Ids

COVERAGE = 0.9
"""Share of the queries with an answer that get one, where the precision is compared."""

SHALLOW = 0.01
"""What the first hit may lose where the loss is not proven."""

_LEAST_JUDGED = 40

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Figure:
    """One measure before and after on the same n queries, with the 95% interval of its gain."""

    of: str  # "phrasings", "labelled", "new questions", "all"
    measure: str  # "accuracy_at_1", "mrr", "precision"
    n: int
    before: float
    after: float
    low: float
    high: float

    @property
    def gain(self) -> float:
        return self.after - self.before

    def to_dict(self) -> dict[str, Any]:
        """Rounded, as JSON values."""
        numbers = {name: round(getattr(self, name), 4) for name in ("before", "after")}
        gain = {"difference": self.gain, "low": self.low, "high": self.high}
        return {"of": self.of, "measure": self.measure, "n": self.n, **numbers} | {
            name: round(value, 4) for name, value in gain.items()
        }


@dataclass(frozen=True, slots=True, eq=False)
class Tried:
    """A trial with both of its sides."""

    trial: Trial
    before: Side
    after: Side


def figures(
    tries: Sequence[Tried], seed: int
) -> tuple[list[Figure], HeldOut | None, HeldOut | None]:
    """All figures, and what was held out as the attempt sees it: phrasings, and new questions.

    Held-out phrasings are asked of those that were learnt, as after a promotion they would be of
    all; those of new questions of these and of one another.

    Args:
        tries: none asks a phrasing that another one asks. Labelled queries are those of the first.
    """
    found: list[Figure] = []
    # New questions stand for queries without an answer, phrasings only where there are none.
    parts = {"phrasings": not any(len(one.trial.new) for one in tries), "new": True}
    held = [
        [
            _joined(
                sides.held(*_asked(one.trial, part), getattr(one, side), without) for one in tries
            )
            for part, without in parts.items()
        ]
        for side in ("before", "after")
    ]
    trial = tries[0].trial
    for number, name in enumerate(("phrasings", "new questions")):
        old, new = held[0][number], held[1][number]
        if old is not None and new is not None:
            found += _gains(name, old.places, new.places, seed)
    asked = [query for query in trial.labelled if query.key is not None]
    if asked:  # they stand before those that expect no answer
        old_places = sides.places(tries[0].before, asked)
        new_places = sides.places(tries[0].after, asked)
        found += _gains("labelled", old_places, new_places, seed)
    found += _precision(held[0], held[1], seed)
    return found, held[1][0], held[1][1]


def verdict(found: Iterable[Figure]) -> tuple[bool, str]:
    """Whether an attempt is promoted, and why.

    Promoted is what is shown to be better: of held-out phrasings or of labelled queries, no fewer
    find their standard question first, and the interval of the gain in that, or in MRR, lies above
    0. Nothing may be shown to be worse, and none of the first hits may seem to be by more than a
    hundredth.
    """
    by_name = {(figure.of, figure.measure): figure for figure in found}
    for figure in by_name.values():
        if figure.high < 0:
            return False, f"{_named(figure)} gets worse"
        if figure.measure == "accuracy_at_1" and figure.gain < -SHALLOW:
            return False, f"{_named(figure)} seems to get worse"
    better = [
        by_name[name, measure]
        for name in ("labelled", "phrasings")
        for measure in ("accuracy_at_1", "mrr")
        if (name, measure) in by_name
        and by_name[name, measure].low > 0
        and by_name[name, "accuracy_at_1"].gain >= 0
    ]
    if not better:
        return False, "it is not shown to find more right answers"
    return True, f"{_named(better[0])} gets better"


def precision_at(
    confidence: Values, right: Values, answerable: Values, weights: Values, coverage: float
) -> float:
    """The precision where so many of the answerable queries are answered, the surest first."""
    order = np.argsort(-confidence, kind="stable")
    covered = np.cumsum((weights * answerable)[order])
    if not covered[-1]:
        return float("nan")
    last = int(np.searchsorted(covered, coverage * covered[-1] - 1e-12))
    answered = weights[order][: last + 1]
    return float(answered @ right[order][: last + 1] / answered.sum())


def selfmade_of(phrasings: HeldOut | None, new: HeldOut | None) -> SelfMade | None:
    """What a calibration without labels is made of: phrasings and standard questions that the
    attempt had not learnt; where none were held out, those that it had."""
    if phrasings is None and new is None:
        return None
    parts = [part for part in (phrasings, new) if part is not None]
    return as_queries(parts, parts[-1], parts[-1].refusable)


def _asked(trial: Trial, part: str) -> tuple[Ids, Ids]:
    """The rows that are asked, and those that they are asked of."""
    if part == "phrasings":
        return trial.phrasings, trial.rows
    return trial.new, np.concatenate([trial.rows, trial.of_new])


def _joined(parts: Iterable[HeldOut | None]) -> HeldOut | None:
    """What several trials held out, as one."""
    some = [part for part in parts if part is not None]
    if not some:
        return None
    names = (field.name for field in fields(HeldOut))
    return HeldOut(*(np.concatenate([getattr(part, name) for part in some]) for name in names))


def _gains(of: str, before: NDArray[np.int64], after: NDArray[np.int64], seed: int) -> list[Figure]:
    measures: Mapping[str, Callable[[NDArray[np.int64]], Values]] = {
        "accuracy_at_1": lambda places: np.asarray(places == 1, np.float64),
        "mrr": lambda places: np.where(places > 0, 1.0 / np.maximum(places, 1), 0.0),
    }
    return [
        _gain(of, name, measure(before), measure(after), seed) for name, measure in measures.items()
    ]


def _gain(of: str, name: str, old: Values | Mask, new: Values | Mask, seed: int) -> Figure:
    low, high = bootstrap.difference_interval(new, old, seed)
    return Figure(of, name, len(old), float(old.mean()), float(new.mean()), low, high)


def _precision(
    before: list[HeldOut | None], after: list[HeldOut | None], seed: int
) -> list[Figure]:
    """The calibrated precision at a coverage, on the same queries before and after."""
    made = [_paired(parts, before, after) for parts in (before, after)]
    if made[0] is None or made[1] is None:
        return []
    sides: list[tuple[Values, Examples]] = []
    for examples in made:
        assert examples is not None
        try:
            sides.append((cross_validated(examples, seed), examples))
        except DataError:  # all right, or none: there is nothing to be unsure of
            return []
    n = len(sides[0][0])
    drawn: list[tuple[float, float]] = []
    for rows in bootstrap.resamples(n, seed):
        drawn += [tuple(_measured(*side, row) for side in sides) for row in rows]  # type: ignore[misc]
    old, new = (_measured(*side, np.arange(n)) for side in sides)
    low, high = bootstrap.interval(np.array([b - a for a, b in drawn]))
    return [Figure("all", "precision", n, old, new, low, high)]


def _measured(confidence: Values, examples: Examples, rows: Ids) -> float:
    return precision_at(
        confidence[rows],
        examples.right[rows].astype(np.float64),
        examples.answerable[rows].astype(np.float64),
        examples.weights[rows],
        COVERAGE,
    )


def _paired(
    parts: list[HeldOut | None], before: list[HeldOut | None], after: list[HeldOut | None]
) -> Examples | None:
    """Held-out queries of one side that the other side has, too."""
    kept: list[tuple[HeldOut, Mask] | None] = []
    for part, one, other in zip(parts, before, after, strict=True):
        if part is None or one is None or other is None:
            kept.append(None)
            continue
        # Those whose own standard question comes first by both: what comes next is no answer.
        refusable = (one.right & other.right) | ~part.several
        kept.append((part, refusable))
    asked = [item for item in kept if item is not None]
    without = kept[1] or kept[0]
    if without is None or not asked:
        return None
    made = as_queries([part for part, _ in asked], *without)
    n = len(made.right)
    if n < _LEAST_JUDGED or not len(made.groups):
        return None
    return selfmade(made, n * (1 - UNANSWERABLE), n * UNANSWERABLE, (True, True))


def _named(figure: Figure) -> str:
    measure = {"accuracy_at_1": "accuracy@1", "mrr": "MRR", "precision": "precision"}
    return f"{measure[figure.measure]} of {figure.of}"
