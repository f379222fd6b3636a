"""Fit the probability that the top hit is right, and judge it on what it was not fitted on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from semsearch.calibration.examples import Examples
from semsearch.confidence import Model
from semsearch.errors import DataError

FOLDS = 5
_STRENGTH = 1.0  # inverse of the L2 penalty, on standardised signals


def fit(examples: Examples) -> Model:
    """A logistic regression in which no signal speaks against the hit.

    Every signal is larger the surer a hit is. A weight below zero is a quirk of these examples,
    and is what fails first on other queries, so the signal with the lowest one is left out until
    none is below zero.

    Raises:
        DataError: all examples are right, or none is.
    """
    from sklearn.linear_model import LogisticRegression

    n_right = int(examples.right.sum())
    if n_right in (0, len(examples)):
        raise DataError(
            f"{n_right} of {len(examples)} queries find the right standard question, which teaches "
            "nothing about when one does. Give more labelled queries, or the bank more phrasings."
        )
    share = examples.weights / examples.weights.sum()
    centre = share @ examples.signals
    spread = np.sqrt(share @ np.square(examples.signals - centre))
    scale = np.where(spread > 1e-9, spread, 1.0)
    standard = (examples.signals - centre) / scale
    used = spread > 1e-9
    while True:
        model = LogisticRegression(C=_STRENGTH, max_iter=1000)
        model.fit(standard[:, used], examples.right, sample_weight=share * len(examples))
        weights = np.zeros(len(scale))
        weights[used] = model.coef_[0]
        if (weights >= 0).all():
            break
        used[np.argmin(weights)] = False
    return Model(
        tuple(map(float, centre)),
        tuple(map(float, scale)),
        tuple(map(float, weights)),
        float(model.intercept_[0]),
    )


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
