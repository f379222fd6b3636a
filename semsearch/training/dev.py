"""Held-out examples that say how good an encoder is: before, while and after it is trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from semsearch.errors import DataError
from semsearch.evaluation import bootstrap, metrics
from semsearch.evaluation.metrics import Values
from semsearch.training.examples import Examples
from semsearch.types import Embeddings, Ids

Encode = Callable[[Sequence[str]], Embeddings]
"""Texts to (n, d) float32, of any length."""

MOST = 5000
"""Held-out examples that are looked at, at most: they are encoded many times in a run."""

_FOLDS = 5
_BLOCK = 1024


class Dev(Protocol):
    """A measure on held-out examples; higher is better."""

    @property
    def measure(self) -> str:
        """What the score is, for a reader."""

    def __len__(self) -> int: ...

    def predict(self, encode: Encode) -> Values:
        """(n,) what one encoder makes of each example."""

    def score(self, predicted: Values) -> float:
        """One figure, times 100."""

    def difference(self, before: Values, after: Values) -> tuple[float, float]:
        """The 95% interval of the gain, over the same resampled examples, times 100."""


@dataclass(frozen=True, slots=True, eq=False)
class ScoredPairs:
    """Spearman's correlation of the cosine of pairs with their scores."""

    examples: Examples
    measure: str = "Spearman's correlation of the cosine with the score"

    def __len__(self) -> int:
        return len(self.examples)

    def predict(self, encode: Encode) -> Values:
        return _cosines(encode, self.examples, "sentence1", "sentence2")

    def score(self, predicted: Values) -> float:
        return metrics.correlation(predicted, self._gold)

    def difference(self, before: Values, after: Values) -> tuple[float, float]:
        drawn = bootstrap.correlation_draws(np.stack([before, after]), self._gold)
        return bootstrap.interval(drawn[1] - drawn[0])

    @property
    def _gold(self) -> Values:
        assert self.examples.scores is not None
        return self.examples.scores


class _Hits:
    """Measures that count for how many examples an encoder is right."""

    __slots__ = ()

    def score(self, predicted: Values) -> float:
        return float(100 * predicted.mean())

    def difference(self, before: Values, after: Values) -> tuple[float, float]:
        low, high = bootstrap.difference_interval(after, before)
        return 100 * low, 100 * high


@dataclass(frozen=True, slots=True, eq=False)
class LabelledPairs(_Hits):
    """How often a softmax over (u, v, |u-v|) of frozen embeddings names the label.

    The classifier (scikit-learn's logistic regression) is fitted anew for each encoder, on four
    fifths of the examples at a time, and asked about the last fifth.
    """

    examples: Examples
    measure = "accuracy of a softmax over (u, v, |u-v|), cross-validated"

    def __len__(self) -> int:
        return len(self.examples)

    def predict(self, encode: Encode) -> Values:
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import StratifiedKFold, cross_val_predict
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        labels = self.examples.labels
        assert labels is not None
        u, v = (_encoded(encode, self.examples.columns[side]) for side in self.examples.columns)
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=200, tol=1e-2))
        folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=0)
        predicted = cross_val_predict(model, np.hstack([u, v, np.abs(u - v)]), labels, cv=folds)
        return np.asarray(predicted == labels, np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Triplets(_Hits):
    """How often an anchor is nearer to its positive than to its negative, by cosine."""

    examples: Examples
    measure = "share of anchors nearer to their positive than to their negative"

    def __len__(self) -> int:
        return len(self.examples)

    def predict(self, encode: Encode) -> Values:
        near = _cosines(encode, self.examples, "anchor", "positive")
        far = _cosines(encode, self.examples, "anchor", "negative")
        return np.asarray(near > far, np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Search(_Hits):
    """How often the nearest of all candidates is one of the query's own group: accuracy@1."""

    queries: Sequence[str]
    query_groups: Ids
    candidates: Sequence[str]
    candidate_groups: Ids
    measure: str = "accuracy@1"

    def __len__(self) -> int:
        return len(self.queries)

    def predict(self, encode: Encode) -> Values:
        queries = unit(_encoded(encode, self.queries))
        candidates = unit(_encoded(encode, self.candidates))
        nearest = np.concatenate(
            [
                (queries[row : row + _BLOCK] @ candidates.T).argmax(axis=1)
                for row in range(0, len(queries), _BLOCK)
            ]
        )
        return np.asarray(self.candidate_groups[nearest] == self.query_groups, np.float64)


def dev_of(examples: Examples) -> Dev:
    """The measure that fits held-out examples; of more than `MOST`, evenly spaced ones.

    Plain sentences have nothing to be right about but themselves: the first half of each is to
    find its second half among those of the others.

    Raises:
        DataError: too few examples to measure anything.
    """
    if len(examples) > MOST:
        examples = examples.take(np.linspace(0, len(examples) - 1, MOST).astype(np.int64))
    if len(examples) < 2:
        raise DataError(f"{len(examples)} held-out examples measure nothing. Hold out more.")
    if examples.shape == "scored":
        return ScoredPairs(_with_spread(examples))
    if examples.shape == "labelled":
        return LabelledPairs(_in_every_fold(examples))
    if examples.shape == "triplets":
        return Triplets(examples)
    if examples.shape == "pairs":
        groups = np.arange(len(examples)) if examples.groups is None else examples.groups
        return Search(
            examples.columns["anchor"],
            groups,
            examples.columns["positive"],
            groups,
            "accuracy@1 of anchors among the held-out positives",
        )
    return _halves(examples.columns["sentence"])


def _halves(sentences: Sequence[str]) -> Search:
    parts = [half for text in dict.fromkeys(sentences) if (half := _split(text))]
    if len(parts) < 2:
        raise DataError("the held-out sentences are too short to measure anything on.")
    groups = np.arange(len(parts))
    first, second = zip(*parts, strict=True)
    what = "accuracy@1 of the first halves of sentences among the second halves"
    return Search(first, groups, second, groups, what)


def _split(text: str) -> tuple[str, str] | None:
    """The halves of a text: by words where it has at least four, else by characters."""
    words = text.split()
    parts, glue = (words, " ") if len(words) >= 4 else (list(text), "")
    if len(parts) < 4:
        return None
    middle = len(parts) // 2
    return glue.join(parts[:middle]), glue.join(parts[middle:])


def _with_spread(examples: Examples) -> Examples:
    if examples.scores is None or len(np.unique(examples.scores)) < 2:
        raise DataError("the held-out pairs all have one score. Hold out more, or other ones.")
    return examples


def _in_every_fold(examples: Examples) -> Examples:
    """Only the examples of labels that occur often enough to be in every fold."""
    assert examples.labels is not None
    counts = np.bincount(examples.labels, minlength=len(examples.label_names))
    if (counts >= _FOLDS).sum() < 2:
        raise DataError(f"fewer than two labels have {_FOLDS} held-out examples. Hold out more.")
    return examples.take(np.flatnonzero(counts[examples.labels] >= _FOLDS))


def _cosines(encode: Encode, examples: Examples, one: str, two: str) -> Values:
    a, b = (_encoded(encode, examples.columns[name]) for name in (one, two))
    return metrics.similarity(a, b)


def _encoded(encode: Encode, texts: Sequence[str]) -> Embeddings:
    """Each distinct text once."""
    distinct = {text: row for row, text in enumerate(dict.fromkeys(texts))}
    return encode(list(distinct))[[distinct[text] for text in texts]]


def unit(embeddings: Embeddings) -> NDArray[np.float32]:
    """(n, d) float32 of length 1; what is all zero stays so."""
    norms = np.linalg.norm(embeddings, axis=1, keepdims=True)
    return np.asarray(embeddings / np.maximum(norms, 1e-12), np.float32)
