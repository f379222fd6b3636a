"""Fit the classifier that counts beside the cosines of an improved index."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from semsearch.classifier import Classifier
from semsearch.improvement.asking import question_scores
from semsearch.ranking import Score
from semsearch.spelling import SCALE, Spelling, Vocabulary, pieces
from semsearch.types import Ids, Vectors

WEIGHTS = (0.0, 0.02, 0.05, 0.1, 0.2)
"""What a log-probability may count beside a cosine."""

_REGULARISATION = 10.0  # C of LogisticRegression
_STEPS = 100
_TOLERANCE = 1e-4
_ROUGH = 1e-3  # where only a weight is chosen
_FOLDS = 5
_MANY = 2 * 10**5  # texts times standard questions: what is larger is asked in two halves
_MOST_SPELT = 4 * 10**6  # what is larger has no words: it takes too long
_MOST = 10**7  # what is larger takes too long to fit
_MOST_PIECES = 10**4
_MOST_WEIGHTS = 4 * 10**6  # of words: 8 MB


class Made(dict[str, list[str]]):
    """Texts in pieces, each made once."""

    def __missing__(self, text: str) -> list[str]:
        self[text] = list(map(sys.intern, pieces(text)))
        return self[text]


def fit(
    texts: Sequence[str], vectors: Vectors, questions: Ids, weight: float, made: Made
) -> Classifier:
    """A classifier for phrasings of two standard questions or more.

    Args:
        vectors: (n, d), unit length.
        questions: (n,) ids.
        made: texts that were taken to pieces before; others are added.
    """
    return _fit(_in_pieces(texts, questions, made), vectors, questions, weight, _TOLERANCE)


def _in_pieces(texts: Sequence[str], questions: Ids, made: Made) -> list[list[str]]:
    """Texts in pieces; none where there are too many to fit words."""
    few = len(texts) * len(np.unique(questions)) <= _MOST_SPELT
    return [made[text] for text in texts] if few else []


def _fit(
    spelt: Sequence[Sequence[str]],
    vectors: Vectors,
    questions: Ids,
    weight: float,
    tolerance: float,
) -> Classifier:
    """spelt: n texts in pieces, or none where words do not count."""
    from scipy import sparse  # type: ignore[import-untyped]
    from sklearn.linear_model import LogisticRegression

    ids = np.unique(questions)
    known, words = _known(spelt, min(_MOST_PIECES, _MOST_WEIGHTS // len(ids)))
    middle = vectors.mean(axis=0)
    centred = vectors - middle  # the same optimum in a fifth fewer steps: intercepts are free
    rows = centred if known is None else sparse.hstack([sparse.csr_matrix(centred), words]).tocsr()
    model = LogisticRegression(C=_REGULARISATION, max_iter=_STEPS, tol=tolerance)
    model.fit(rows, questions)
    weights = model.coef_
    intercepts = model.intercept_ - weights[:, : len(middle)] @ middle
    if len(ids) == 2:  # one row then: the odds of the second
        weights = np.concatenate([np.zeros_like(weights), weights])
        intercepts = np.concatenate([np.zeros_like(intercepts), intercepts])
    of_vectors, of_words = np.split(weights.astype(np.float32), [vectors.shape[1]], axis=1)
    spelling = None
    if known is not None:
        spelling = Spelling(known, np.ascontiguousarray(of_words.T, np.float16))
    intercepts = intercepts.astype(np.float32)
    return Classifier(ids, np.ascontiguousarray(of_vectors), intercepts, weight, spelling)


def choose(
    texts: Sequence[str],
    vectors: Vectors,
    questions: Ids,
    score: Score,
    seed: int,
    made: Made,
) -> float:
    """The weight with which phrasings that were not fitted on are found best; 0 for none.

    By their mean reciprocal rank in a cross-validation over the phrasings whose standard questions
    have others; of many in two halves. Of equal weights the smallest is taken.
    """
    ids, group, counts = np.unique(questions, return_inverse=True, return_counts=True)
    cells = len(vectors) * len(ids)
    able = np.random.default_rng(seed).permutation(np.flatnonzero(counts[group] > 1))
    if len(able) < _FOLDS or cells > _MOST:
        return 0.0
    found = np.zeros(len(WEIGHTS))
    spelt = _in_pieces(texts, questions, made)
    for asked in np.array_split(able, _FOLDS if cells <= _MANY else 2):
        left = np.setdiff1d(np.arange(len(vectors)), asked)
        asked = asked[np.isin(questions[asked], questions[left])]
        if not 1 < len(np.unique(questions[left])) <= len(left) / 2:  # too little to learn
            return 0.0
        if not len(asked):
            continue
        columns, scores = question_scores(vectors[asked], vectors[left], questions[left], score)
        learnt = [spelt[row] for row in left] if spelt else []
        known = _fit(learnt, vectors[left], questions[left], 1.0, _ROUGH)
        opinions = known.opinions([texts[row] for row in asked], vectors[asked])
        said = np.stack([opinion.of(columns) for opinion in opinions])
        own = np.searchsorted(columns, questions[asked])[:, None]
        for place, weight in enumerate(WEIGHTS):
            counted = scores + weight * said
            ahead = counted > np.take_along_axis(counted, own, 1)
            found[place] += (1 / (1 + ahead.sum(axis=1))).sum()
    return WEIGHTS[int(np.argmax(found))]


def _known(spelt: Sequence[Sequence[str]], most: int) -> tuple[Vocabulary | None, Any]:
    """The pieces that two texts have, the commonest where there are too many; None without any.

    Args:
        spelt: n texts in pieces.

    Returns:
        Them, and what `Vocabulary.row` says of each text: a sparse (n, V) float32.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    model = TfidfVectorizer(
        analyzer=list, binary=True, min_df=2, max_features=most, dtype=np.float32
    )
    try:
        words = SCALE * model.fit_transform(spelt)
    except ValueError:  # no text has a piece that another has
        return None, None
    known = tuple(model.get_feature_names_out().tolist())
    return Vocabulary(known, model.idf_.astype(np.float32)), words
