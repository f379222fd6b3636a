"""Choose the confidence from which an index answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from semsearch.calibration.points import Curve, Judged

_MOST = 100  # times as many queries, of which it is still said that they would do


@dataclass(frozen=True, slots=True)
class Point:
    """An operating point.

    Attributes:
        name: "balance", "precision 0.95" or "coverage 0.9".
        threshold: the confidence from which queries are answered.
        promised: whether the interval of the precision lies above what was asked; None where no
            precision was asked for.
        notes: why it is not promised.
    """

    name: str
    threshold: float
    promised: bool | None = None
    notes: tuple[str, ...] = ()


def choose(
    judged: Judged, precision: float | None, coverage: float | None, unanswerable: float | None
) -> Point:
    """One of three operating points.

    - `precision`: the most answers at which the lower end of the precision's 95% interval is that
      high; with too few queries for that, the precision as measured.
    - `coverage`: the highest confidence at which that share of the answerable queries is answered.
    - neither, the best balance: where the share of the answerable queries that are answered right,
      counted double, and the share of the unanswerable ones that are refused are most together.

    Args:
        unanswerable: the share of queries without an answer that a precision must hold for, even
            if all of them are on topics of the bank; None leaves it as judged.
    """
    if coverage is not None:
        curve = Curve.of(judged)
        at = curve.covering(coverage)
        return Point(f"coverage {coverage:g}", float(curve.thresholds[at]))
    if precision is None:
        curve = Curve.of(judged)
        return Point("balance", float(curve.thresholds[curve.balanced()]))
    if unanswerable is not None:
        judged = judged.at_worst(unanswerable)
    return _precise(judged, precision)


def _precise(judged: Judged, precision: float) -> Point:
    curve = Curve.of(judged)
    name = f"precision {precision:g}"
    sure = curve.sure_of(precision)
    if sure is not None:
        return Point(name, float(curve.thresholds[sure]), promised=True)
    at = curve.about(precision)
    lies = f"it lies between {curve.low[at]:.3f} and {curve.high[at]:.3f}"
    if curve.precision[at] < precision:
        note = (
            f"A precision of {precision:g} is reached at no confidence; the surest point is taken, "
            f"where {lies}. More phrasings help, not more labels."
        )
    else:
        n = int(judged.answerable.sum())
        note = f"{n} queries with an answer are too few to promise a precision of {precision:g}: "
        needed = _needed(judged, precision, float(curve.coverage[at]) / 2)
        note += f"{lies}." + (f" About {needed:,} like them would do." if needed else "")
    return Point(name, float(curve.thresholds[at]), promised=False, notes=(note,))


def _needed(judged: Judged, precision: float, coverage: float) -> int | None:
    """How many answerable queries, with as many others as here, would promise it and cover that."""
    for times in np.geomspace(1.1, _MOST, 60):
        curve = Curve.of(judged, float(times))
        sure = curve.sure_of(precision)
        if sure is not None and curve.coverage[sure] >= coverage:
            return int(np.ceil(judged.answerable.sum() * times / 50) * 50)
    return None
