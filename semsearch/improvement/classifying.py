"""Fit the classifier that counts beside the cosines of an improved index."""

from __future__ import annotations

import numpy as np

from semsearch.classifier import Classifier
from semsearch.improvement.asking import question_scores
from semsearch.ranking import Score
from semsearch.types import Ids, Vectors

WEIGHTS = (0.0, 0.02, 0.05, 0.1)
"""What a log-probability may count beside a cosine."""

_REGULARISATION = 10.0  # C of LogisticRegression
_STEPS = 100
_FOLDS = 5
_MANY = 4 * 10**6  # texts times standard questions: of what is larger, one fold is asked
_MOST = 10**7  # what is larger takes too long to fit


def fit(vectors: Vectors, questions: Ids, weight: float) -> Classifier:
    """A classifier for unit vectors (n, d) of phrasings, of two standard questions or more (n,)."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=_REGULARISATION, max_iter=_STEPS).fit(vectors, questions)
    weights, intercepts = model.coef_, model.intercept_
    if len(model.classes_) == 2:  # one row then: the odds of the second
        weights = np.concatenate([np.zeros_like(weights), weights])
        intercepts = np.concatenate([np.zeros_like(intercepts), intercepts])
    return Classifier(
        model.classes_.astype(np.int64),
        weights.astype(np.float32),
        intercepts.astype(np.float32),
        weight,
    )


def choose(vectors: Vectors, questions: Ids, score: Score, seed: int) -> float:
    """The weight with which most phrasings are found that were not fitted on; 0 for none.

    By cross-validation over the phrasings whose standard questions have others. Of equal weights
    the smallest is taken.
    """
    ids, group, counts = np.unique(questions, return_inverse=True, return_counts=True)
    cells = len(vectors) * len(ids)
    able = np.random.default_rng(seed).permutation(np.flatnonzero(counts[group] > 1))
    if len(able) < _FOLDS or cells > _MOST:
        return 0.0
    right = np.zeros(len(WEIGHTS), np.int64)
    for asked in np.array_split(able, _FOLDS)[: _FOLDS if cells <= _MANY else 1]:
        left = np.setdiff1d(np.arange(len(vectors)), asked)
        if not 1 < len(np.unique(questions[left])) <= len(left) / 2:  # too little to learn
            return 0.0
        columns, scores = question_scores(vectors[asked], vectors[left], questions[left], score)
        known = fit(vectors[left], questions[left], 1.0)
        said = np.stack([opinion.of(columns) for opinion in known.opinions(vectors[asked])])
        for place, weight in enumerate(WEIGHTS):
            first = columns[(scores + weight * said).argmax(axis=1)]
            right[place] += int((first == questions[asked]).sum())
    return WEIGHTS[int(np.argmax(right))]
