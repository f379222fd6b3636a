"""What a calibration is, and how it turns signals into a probability."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semsearch.confidence.signals import SIGNALS, Signals
from semsearch.errors import CorruptIndexError

VERSION = 2
"""Of the signals and the model; a calibration of another version is not applied."""


@dataclass(frozen=True, slots=True)
class Model:
    """A logistic regression over standardised signals. All have len(SIGNALS) numbers."""

    centre: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    intercept: float

    def confidence(self, signals: Signals) -> NDArray[np.float64]:
        """The probability that the top hit is right: (m, len(SIGNALS)) to (m,)."""
        return np.asarray(1 / (1 + np.exp(-np.clip(self.logits(signals), -30, 30))))

    def logits(self, signals: Signals) -> NDArray[np.float64]:
        """The log odds of it: (m, len(SIGNALS)) to (m,)."""
        standard = (signals - np.array(self.centre)) / np.array(self.scale)
        return np.asarray(standard @ np.array(self.weights) + self.intercept)


@dataclass(frozen=True, slots=True)
class Calibration:
    """What `semsearch calibrate` stores in an index.

    Attributes:
        model: signals → confidence.
        threshold: the confidence from which a query is answered.
        score: how standard questions are scored, "best" or "top3"; it holds for that alone.
        point: how the threshold was chosen: "balance", "precision 0.95" or "coverage 0.9".
        source: the table of labelled queries, or "the bank itself".
        queries: of what it was fitted, by kind: answerable, unanswerable.
        unanswerable: the share of queries without an answer that the confidence assumes, or None
            where it is that of the labels.
        measured: figures at the threshold, by cross-validation.
        bank: what the index held then: questions, phrasings, last_phrasing.
        made: when, as an ISO date and time.
        lexical: what words count in the rank that it holds for.
    """

    model: Model
    threshold: float
    score: str
    point: str
    source: str
    queries: Mapping[str, int]
    unanswerable: float | None
    measured: Mapping[str, Any]
    bank: Mapping[str, int]
    made: str
    lexical: float = 0.0
    signals: Sequence[str] = field(default=SIGNALS)
    version: int = VERSION

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self) | {"signals": list(self.signals)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Calibration:
        """What `to_dict` gave.

        Raises:
            CorruptIndexError: it was made by a version with other signals.
        """
        if values.get("version") != VERSION or list(values.get("signals", ())) != list(SIGNALS):
            raise CorruptIndexError(
                "the calibration of this index is of another version of semsearch. Make it again: "
                "semsearch calibrate INDEX, or remove it with --remove."
            )
        model = values["model"]
        numbers = {name: tuple(model[name]) for name in ("centre", "scale", "weights")}
        rest = {"model": Model(**numbers, intercept=model["intercept"]), "signals": SIGNALS}
        return cls(**{**values, **rest})
