"""How many queries have no answer, estimated from what people ask, without a label.

A confidence is right for queries of which as many have no answer as in what it was fitted on. On
other queries the share can be read off what they find: expectation maximisation raises the
likelihood of the queries at every step (Saerens, Latinne and Decaestecker 2002, Neural Computation
14(1), equations 2.2 to 2.4). Those without an answer may be on topics of the bank or not, which
look otherwise, so these are two shares. It rests on each kind looking as it did in the fit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from semsearch.calibration.examples import Examples
from semsearch.confidence.signals import Signals
from semsearch.errors import DataError

LEAST = 100
"""Queries that an estimate needs."""

_STEPS, _STILL = 1000, 1e-6
_LOWEST, _HIGHEST = 0.01, 0.95
_PURE = 0.02  # share of each kind of queries without an answer, at least
_CAUTION = 1.3  # times the odds of the estimate, that a precision is promised for

Values = NDArray[np.float64]


def estimate(signals: Signals, examples: Examples) -> tuple[float, float]:
    """The share of queries without an answer, and the share of those that are on its topics.

    Args:
        signals: (n, s) of what unlabelled queries find.
        examples: queries of which it is known; those of one kind count as they weigh.

    Raises:
        DataError: there are fewer than 100 queries, or no example has no answer.
    """
    if len(signals) < LEAST:
        raise DataError(
            f"{len(signals)} logged queries are too few to tell how many have no answer: at least "
            f"{LEAST}."
        )
    if examples.answerable.all():
        raise DataError(
            "the bank gives no example of a query without an answer, so nothing tells how many of "
            "the logged ones are like it. Say it with --unanswerable."
        )
    answerable, hard, easy = shares(_likelihoods(signals, examples)).tolist()
    without = max(hard + easy, 1e-12)
    share = np.clip(without / (without + answerable), _LOWEST, _HIGHEST)
    return float(share), float(np.clip(hard / without, _PURE, 1 - _PURE))


def cautious(share: float) -> float:
    """The share of queries without an answer that a precision is promised for.

    Estimates were up to .04 too low where half of the queries had none.
    """
    odds = _CAUTION * share / (1 - share)
    return odds / (1 + odds)


def shares(likelihoods: Values) -> Values:
    """The shares (k,) of k kinds among queries whose likelihoods (n, k) under each are known."""
    found = np.full(likelihoods.shape[1], 1 / likelihoods.shape[1])
    for _ in range(_STEPS):
        joint = likelihoods * found
        before, found = found, (joint / joint.sum(axis=1, keepdims=True)).mean(axis=0)
        if np.abs(found - before).max() < _STILL:
            break
    return np.asarray(found)


def _likelihoods(signals: Signals, examples: Examples) -> Values:
    """Of queries (n, s) under each kind, up to a factor of each query: (n, 3).

    With an answer; without one, on a topic of the bank; without one, on another.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    kinds = np.where(examples.answerable, np.where(examples.right, 0, 1), 2 + examples.topic)
    weighs = np.bincount(kinds, weights=examples.weights, minlength=4)
    # Of a model of kinds that weigh the same, the odds of two are those of their likelihoods.
    weights = examples.weights / np.maximum(weighs[kinds], 1e-300)
    weights *= len(examples) / np.count_nonzero(weighs)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    model.fit(examples.signals, kinds, logisticregression__sample_weight=weights)
    found = np.zeros((len(signals), 4))
    found[:, model.classes_] = model.predict_proba(signals)
    right = weighs[0] / max(weighs[0] + weighs[1], 1e-300)
    answerable = right * found[:, 0] + (1 - right) * found[:, 1]
    return np.asarray(np.maximum(np.stack([answerable, *found[:, 2:].T], axis=1), 1e-12))
