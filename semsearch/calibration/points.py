"""What each confidence to answer from gives: precision, coverage, refusals, with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semsearch.calibration.examples import Mask, Weights

Values = NDArray[np.float64]

BINS = 10
_Z = 1.959964  # of a 95% interval
_POINTS = 400  # thresholds that are looked at
_ALIKE = 0.005  # what two balances may differ by, of 3


@dataclass(frozen=True, slots=True)
class Judged:
    """Queries with the confidence that they got from a model that did not know them.

    Attributes:
        confidence, right, answerable, weights: (n,) of those that figures are taken of.
        topic: (n,) the unanswerable ones that count for the best balance.
    """

    confidence: Values
    right: Mask
    answerable: Mask
    weights: Weights
    topic: Mask

    def at_share(self, unanswerable: float) -> Judged:
        """The same, weighted as if such a share of the queries had no answer."""
        with_ = self.answerable
        factors = np.where(
            with_,
            (1 - unanswerable) / max(float(self.weights[with_].sum()), 1e-300),
            unanswerable / max(float(self.weights[~with_].sum()), 1e-300),
        )
        return replace(self, weights=self.weights * factors)

    def at_worst(self, unanswerable: float) -> Judged:
        """The same, as if such a share of the queries had no answer and all those were hard.

        Hard are queries on what the bank is full of: those that do not count for the best balance.
        Where there are none, the unanswerable ones stay as they are.
        """
        hard = ~self.answerable & ~self.topic
        if not hard.any():
            return self.at_share(unanswerable)
        kept = np.where(self.answerable | hard, self.weights, 0.0)
        return replace(self, weights=kept).at_share(unanswerable)


@dataclass(frozen=True, slots=True)
class Share:
    """A share with its 95% interval and how many queries it is a share of; None of none."""

    value: float | None
    low: float | None
    high: float | None
    n: int

    def to_dict(self) -> dict[str, Any]:
        """Rounded, as JSON values."""
        shown = {"value": self.value, "low": self.low, "high": self.high}
        return {k: None if v is None else round(v, 4) for k, v in shown.items()} | {"n": self.n}


def share(hits: Mask, weights: Weights) -> Share:
    """The weighted share of hits, with Wilson's interval at the effective number of queries.

    Wilson 1927, doi:10.1080/01621459.1927.10502953; Kish 1965 for the effective number.
    """
    if not len(hits) or not weights.sum():
        return Share(None, None, None, 0)
    value = float(weights @ hits / weights.sum())
    low, high = _wilson(np.array(value), np.array(_effective(weights)))
    return Share(value, float(low), float(high), len(hits))


def measure(judged: Judged, threshold: float) -> Mapping[str, Share]:
    """What answering from a threshold gives.

    Returns:
        precision: of the answered, the right ones; coverage: of the answerable, the answered ones;
        right: of the answerable, those answered right; refused: of the unanswerable, those that
        are not answered.
    """
    answered = judged.confidence >= threshold
    with_, without = judged.answerable, ~judged.answerable
    return {
        "precision": share(judged.right[answered], judged.weights[answered]),
        "coverage": share(answered[with_], judged.weights[with_]),
        "right": share((answered & judged.right)[with_], judged.weights[with_]),
        "refused": share(~answered[without], judged.weights[without]),
    }


def thresholds(judged: Judged) -> Values:
    """Thresholds worth looking at, descending: midway between confidences, and 0."""
    values = np.unique(judged.confidence)
    if len(values) > _POINTS:
        values = np.unique(np.quantile(values, np.linspace(0, 1, _POINTS)))
    between = (values[1:] + values[:-1]) / 2
    return np.concatenate([between[::-1], [0.0]])


@dataclass(frozen=True, slots=True)
class Curve:
    """Precision against coverage: all (t,), from the highest threshold to 0."""

    thresholds: Values
    precision: Values
    low: Values
    high: Values
    coverage: Values
    right: Values
    refused: Values

    @classmethod
    def of(cls, judged: Judged, times: float = 1.0) -> Curve:
        """The curve, as if there were so many times as many queries of the same kind."""
        cuts = thresholds(judged)
        order = np.argsort(-judged.confidence, kind="stable")
        ends = np.searchsorted(-judged.confidence[order], -cuts, side="right")

        def summed(values: NDArray[Any]) -> Values:
            return np.asarray(np.concatenate([[0.0], np.cumsum(values[order])])[ends])

        weights, with_ = judged.weights, judged.answerable
        answered, right = summed(weights), summed(weights * judged.right)
        squares = summed(np.square(weights))
        precision = np.where(answered > 0, right / np.maximum(answered, 1e-300), 1.0)
        effective = times * np.square(answered) / np.maximum(squares, 1e-300)
        low, high = _wilson(precision, np.maximum(effective, 1e-9))
        asked = max(float(weights @ with_), 1e-300)
        topic = weights * judged.topic
        return cls(
            cuts,
            precision,
            low,
            high,
            summed(weights * with_) / asked,
            right / asked,
            1 - summed(topic) / max(float(topic.sum()), 1e-300),
        )

    def sure_of(self, precision: float) -> int | None:
        """Where most is answered and the interval of the precision lies above; None nowhere."""
        found = np.flatnonzero(self.low >= precision)
        return int(found[-1]) if len(found) else None

    def about(self, precision: float) -> int:
        """Where most is answered at this precision as measured; else where it is highest."""
        found = np.flatnonzero((self.precision >= precision) & (self.coverage > 0))
        return int(found[-1]) if len(found) else int(np.argmax(self.low))

    def covering(self, coverage: float) -> int:
        """The highest threshold at which so many of the answerable queries are answered."""
        return int(np.flatnonzero(self.coverage >= coverage - 1e-12)[0])

    def balanced(self) -> int:
        """Where right answers, counted double, and right refusals are most together.

        Of the points that are as good but for half a hundredth, the one that answers most.
        """
        together = 2 * self.right + self.refused
        return int(np.flatnonzero(together >= together.max() - _ALIKE)[-1])


def reliability(judged: Judged) -> tuple[list[dict[str, float]], float]:
    """How often the top hit is right, for what confidence.

    Returns:
        For each of ten equal bins that is not empty, its share of the queries, mean confidence
        and share of right ones; and the expected calibration error (Guo et al. 2017,
        arXiv:1706.04599).
    """
    bins = np.minimum((judged.confidence * BINS).astype(int), BINS - 1)
    total = float(judged.weights.sum())
    found, error = [], 0.0
    for number in range(BINS):
        inside = bins == number
        weights = judged.weights[inside]
        if not weights.sum():
            continue
        of_all = float(weights.sum()) / total
        confidence = float(np.average(judged.confidence[inside], weights=weights))
        right = share(judged.right[inside], weights)
        assert right.value is not None and right.low is not None and right.high is not None
        error += of_all * abs(right.value - confidence)
        found.append(
            {
                "share": of_all,
                "confidence": confidence,
                "right": right.value,
                "low": right.low,
                "high": right.high,
            }
        )
    return found, error


def _effective(weights: Weights) -> float:
    """How many queries of equal weight are worth these (Kish 1965); at least 1."""
    squares = float(weights @ weights)
    return max(float(weights.sum()) ** 2 / squares, 1.0) if squares else 1.0


def _wilson(value: Values, n: Values) -> tuple[Values, Values]:
    middle = (value + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z * np.sqrt(value * (1 - value) / n + _Z**2 / (4 * n**2)) / (1 + _Z**2 / n)
    return np.asarray(np.maximum(middle - half, 0)), np.asarray(np.minimum(middle + half, 1))
