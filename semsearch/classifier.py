"""A classifier over the standard questions of an index, which counts beside the cosines.

A cosine asks what is near. A logistic regression, fitted by `semsearch improve` to vectors and to
words, has learnt what tells the standard questions apart. Its log-probabilities are added to what
the nearest phrasings say; the score that is shown stays the cosine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from semsearch.errors import CorruptIndexError
from semsearch.spelling import Spelling, Vocabulary
from semsearch.types import Embeddings, Ids, Scores, Vectors

FILE = "classifier.npz"
"""In the folder of an improved encoder."""

FLOOR = -10.0
"""Log-probability below which all are alike."""

_ARRAYS = ("questions", "weights", "intercepts")


@dataclass(frozen=True, slots=True, eq=False)
class Classifier:
    """Multinomial logistic regression.

    Attributes:
        questions: (K,) ids of the standard questions that it knows, ascending.
        weights: (K, d) float32.
        intercepts: (K,) float32.
        weight: what a log-probability counts beside a cosine, above 0.
        spelling: what words say for the K standard questions, None where only vectors count.
    """

    questions: Ids
    weights: Embeddings
    intercepts: NDArray[np.float32]
    weight: float
    spelling: Spelling | None = None

    def opinions(self, texts: Sequence[str], queries: Vectors) -> list[Opinion]:
        """What it says of each of m queries (m, d)."""
        logits = queries @ self.weights.T + self.intercepts
        if self.spelling is not None:
            logits += self.spelling.logits(texts)
        top = logits.max(axis=1, keepdims=True)
        logits -= top + np.log(np.exp(logits - top).sum(axis=1, keepdims=True))
        return [Opinion(self.questions, np.maximum(row, FLOOR), self.weight) for row in logits]

    def save(self, path: Path) -> None:
        """Write it to a file that `load` reads."""
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        if self.spelling is not None:
            arrays |= {
                "pieces": np.array(self.spelling.vocabulary.pieces),
                "rarity": self.spelling.vocabulary.rarity,
                "spelt": self.spelling.weights,
            }
        np.savez(path, weight=np.float64(self.weight), **arrays)

    @classmethod
    def load(cls, path: Path) -> Classifier:
        """What `save` wrote.

        Raises:
            CorruptIndexError: the file cannot be read.
        """
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                spelling = None
                if "pieces" in arrays:
                    known = Vocabulary(tuple(arrays["pieces"].tolist()), arrays["rarity"])
                    spelling = Spelling(known, arrays["spelt"])
                questions, weights, intercepts = (arrays[name] for name in _ARRAYS)
                return cls(questions, weights, intercepts, float(arrays["weight"]), spelling)
        except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
            raise CorruptIndexError(
                f"{path}: {error}. Roll back and improve again: semsearch rollback INDEX"
            ) from error


class Opinion:
    """What a classifier says of one query.

    Of a standard question that it does not know, one that came later, it has no opinion: it counts
    as much as the likeliest of those that it is compared with.
    """

    def __init__(self, questions: Ids, log_probabilities: Scores, weight: float) -> None:
        """questions: (K,) ascending; log_probabilities: (K,)."""
        self._questions, self._values, self._weight = questions, log_probabilities, weight

    def of(self, questions: Ids) -> Scores:
        """What it adds to the scores of standard questions (n,): none above 0."""
        values, known = self._look_up(questions)
        neutral = values[known].max() if known.any() else 0.0
        return np.asarray(self._weight * np.where(known, values, neutral))

    def best(self, n: int, besides: Ids, among: Ids | None = None) -> Ids:
        """The at most n likeliest standard questions, the likeliest first.

        Args:
            besides: ids (m,) that are left out.
            among: ids that it must be one of; None allows all.
        """
        open_ = (self._values > FLOOR) & ~np.isin(self._questions, besides)
        if among is not None:
            open_ &= np.isin(self._questions, among)
        columns = np.flatnonzero(open_)
        order = np.argsort(-self._values[columns], kind="stable")[:n]
        return np.asarray(self._questions[columns[order]])

    def signals(self, hit: int) -> tuple[float, float]:
        """The log-probability of a hit, and how far the likeliest other is behind."""
        (value,), (known,) = self._look_up(np.array([hit]))
        if not known:
            return float(self._values.max()), 0.0
        others = self._values[self._questions != hit]
        return float(value), float(value - others.max(initial=FLOOR))

    def _look_up(self, questions: Ids) -> tuple[Scores, NDArray[np.bool_]]:
        at = np.minimum(np.searchsorted(self._questions, questions), len(self._questions) - 1)
        return self._values[at], np.asarray(self._questions[at] == questions)
