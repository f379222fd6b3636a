"""Fit the probability that the top hit is right, and judge it on what it was not fitted on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from semsearch.calibration.examples import Examples, Mask, Weights
from semsearch.confidence import Model
from semsearch.errors import DataError

FOLDS = 5

BALANCE = 0.4
"""Share of queries without an answer, at least, with which right is told from wrong."""

_STRENGTH = 1.0  # inverse of the L2 penalty, on standardised signals


def fit(examples: Examples) -> Model:
    """A logistic regression in which no signal speaks against the hit.

    Every signal is larger the surer a hit is. A weight below zero is a quirk of these examples,
    and is what fails first on other queries, so the signal with the lowest one is left out until
    none is below zero.

    What tells right from wrong is learnt as if at least `BALANCE` of the queries had no answer:
    few of them teach little. How sure that makes one is then fitted to what the examples weigh
    (Platt 1999, "Probabilistic Outputs for Support Vector Machines").

    Raises:
        DataError: all examples are right, or none is.
    """
    n_right = int(examples.right.sum())
    if n_right in (0, len(examples)):
        raise DataError(
            f"{n_right} of {len(examples)} queries find the right standard question, which teaches "
            "nothing about when one does. Give more labelled queries, or the bank more phrasings."
        )
    weights = examples.weights / examples.weights.sum()
    model = _separating(examples, _balanced(weights, examples.answerable))
    slope, intercept = _sureness(model.logits(examples.signals), examples.right, weights)
    return replace(
        model,
        weights=tuple(slope * weight for weight in model.weights),
        intercept=slope * model.intercept + intercept,
    )


def _sureness(logits: NDArray[np.float64], right: Mask, weights: Weights) -> tuple[float, float]:
    """The slope, at most 1, and the intercept that make logits (n,) as sure as hits are right.

    Logits that part few examples without a fault would be made ever steeper otherwise.
    """
    from scipy.optimize import brentq  # type: ignore[import-untyped]
    from scipy.special import expit  # type: ignore[import-untyped]

    (slope,), _ = _regression(logits[:, None], right, weights)
    slope = min(max(float(slope), 0.0), 1.0)
    steep, share = slope * logits, float(weights @ right)
    far = 50 + float(np.abs(steep).max())
    return slope, float(brentq(lambda b: weights @ expit(steep + b) - share, -far, far))


def _balanced(weights: Weights, answerable: Mask) -> Weights:
    """Weights (n,) of which at least `BALANCE` are of queries without an answer, if any are."""
    without = float(weights[~answerable].sum())
    if not 0 < without < BALANCE:
        return weights
    return np.where(
        answerable, weights * (1 - BALANCE) / (1 - without), weights * BALANCE / without
    )


def _separating(examples: Examples, weights: Weights) -> Model:
    centre = weights @ examples.signals
    spread = np.sqrt(weights @ np.square(examples.signals - centre))
    scale = np.where(spread > 1e-9, spread, 1.0)
    standard = (examples.signals - centre) / scale
    used = spread > 1e-9
    while True:
        found = np.zeros(len(scale))
        found[used], intercept = _regression(standard[:, used], examples.right, weights)
        if (found >= 0).all():
            break
        used[np.argmin(found)] = False
    centres, scales, kept = (tuple(map(float, values)) for values in (centre, scale, found))
    return Model(centres, scales, kept, intercept)


def _regression(
    columns: NDArray[np.float64], right: Mask, weights: Weights
) -> tuple[NDArray[np.float64], float]:
    """Coefficients (s,) of columns (n, s), and the intercept."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=_STRENGTH, max_iter=1000)
    model.fit(columns, right, sample_weight=weights * len(right))
    return model.coef_[0], float(model.intercept_[0])


def cross_validated(examples: Examples, seed: int = 0) -> NDArray[np.float64]:
    """The confidence of each example by a model that was fitted without its group: (n,)."""
    groups, member = np.unique(examples.groups, return_inverse=True)
    fold_of = np.random.default_rng(seed).permutation(len(groups)) % FOLDS
    folds = fold_of[member]
    found = np.empty(len(examples))
    for fold in range(FOLDS):
        held = folds == fold
        if held.any():
            found[held] = fit(examples[~held]).confidence(examples.signals[held])
    return found
