"""How many queries have no answer, estimated from what people ask, without a label.

A confidence is right for queries of which as many have no answer as in what it was fitted on. On
other queries the share can be read off what they find: expectation maximisation raises the
likelihood of the queries at every step (Saerens, Latinne and Decaestecker 2002, Neural Computation
14(1), equations 2.2 to 2.4). Those without an answer may be on topics of the bank or not, which
look otherwise, so these are two shares.

It rests on each kind looking as it did in the fit, and it does not where people use other words
than the phrasings do: what is answered all the same then seems to have no answer. So a classifier
tries to tell the queries from examples mixed in those shares, and where it can, the estimate is not
to be believed (a classifier two-sample test; Lopez-Paz and Oquab 2017, ICLR).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semsearch.calibration.examples import Examples, Weights
from semsearch.confidence.signals import Signals
from semsearch.errors import DataError
from semsearch.types import Ids

LEAST = 100
"""Queries that an estimate needs."""

_STEPS, _STILL = 1000, 1e-6
_LOWEST, _HIGHEST = 0.01, 0.95
_PURE = 0.02  # share of each kind of queries without an answer, at least
_APART = (
    0.6  # of pairs that are told apart: it was .65 where people used other words, else .51 to .58
)
_FOLDS = 5
_ASKED = 5000  # queries that are told apart
_CAUTION = 1.3  # times the odds of the estimate, that a precision is promised for

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """What queries without a label seem to be.

    Attributes:
        share: of those without an answer.
        hard: of these, on a topic of the bank.
        apart: how well the queries are told from examples mixed so, as the share of the pairs in
            which the query is known (area under the curve); about 0.5 where they look alike, nan
            where fewer than 100 queries are distinct.
    """

    share: float
    hard: float
    apart: float

    @property
    def believed(self) -> bool:
        """Whether the queries look as the estimate says."""
        return not self.apart >= _APART


def estimate(signals: Signals, examples: Examples, seed: int = 0) -> Estimate:
    """What kinds of queries there are.

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
    found = shares(_likelihoods(signals, examples))
    answerable, hard, easy = found.tolist()
    without = max(hard + easy, 1e-12)
    share = np.clip(without / (without + answerable), _LOWEST, _HIGHEST)
    return Estimate(
        float(share),
        float(np.clip(hard / without, _PURE, 1 - _PURE)),
        _apart(signals, examples, found, seed),
    )


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
    kinds = np.where(examples.answerable, np.where(examples.right, 0, 1), 2 + examples.topic)
    weighs = np.bincount(kinds, weights=examples.weights, minlength=4)
    # Of a model of kinds that weigh the same, the odds of two are those of their likelihoods.
    weights = examples.weights / np.maximum(weighs[kinds], 1e-300)
    weights *= len(examples) / np.count_nonzero(weighs)
    model = _fitted(examples.signals, kinds, weights)
    found = np.zeros((len(signals), 4))
    found[:, model.classes_] = model.predict_proba(signals)
    right = weighs[0] / max(weighs[0] + weighs[1], 1e-300)
    answerable = right * found[:, 0] + (1 - right) * found[:, 1]
    return np.asarray(np.maximum(np.stack([answerable, *found[:, 2:].T], axis=1), 1e-12))


def _apart(signals: Signals, examples: Examples, found: Values, seed: int) -> float:
    """How well queries (n, s) are told from examples whose kinds have the shares `found` (3,)."""
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold

    # One that was asked often must not be learnt in one fold and known again in the next.
    distinct, times = np.unique(signals, axis=0, return_counts=True)
    if len(distinct) < LEAST:
        return float("nan")
    asked = np.random.default_rng(seed).permutation(len(distinct))[:_ASKED]
    kinds = np.where(examples.answerable, 0, 1 + examples.topic)
    weighs = np.bincount(kinds, weights=examples.weights, minlength=3)
    mixed = examples.weights * (found / np.maximum(weighs, 1e-300))[kinds]
    rows = np.concatenate([examples.signals, distinct[asked]])
    queries = np.repeat([0, 1], [len(examples), len(asked)])
    weights = np.concatenate([mixed / mixed.sum(), times[asked] / times[asked].sum()])
    weights *= len(rows) / 2
    seems = np.empty(len(rows))
    for learnt, held in StratifiedKFold(_FOLDS, shuffle=True, random_state=seed).split(
        rows, queries
    ):
        model = _fitted(rows[learnt], queries[learnt], weights[learnt])
        seems[held] = model.decision_function(rows[held])
    return float(roc_auc_score(queries, seems, sample_weight=weights))


def _fitted(signals: Signals, classes: Ids, weights: Weights) -> Any:
    """A pipeline that tells classes (n,) by signals (n, s)."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    return model.fit(signals, classes, logisticregression__sample_weight=weights)
