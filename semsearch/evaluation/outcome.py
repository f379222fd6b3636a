"""What a run of `sts.evaluate` found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from semsearch.evaluation.data import Pairs
from semsearch.evaluation.metrics import Metric, Similarity, Values
from semsearch.evaluation.tasks import Aggregation, Language
from semsearch.evaluation.variants import Variant

LANGUAGES: dict[Language, str] = {"en": "English", "zh": "Chinese"}


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95% interval."""

    value: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float]:
        return {name: round(value, 4) for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class Score(Estimate):
    """A figure, and how far it is from that of the row that others are compared with."""

    difference: Estimate | None = None

    @property
    def mark(self) -> str:
        """ "+" or "-" where the row is better or worse beyond chance, else nothing."""
        if self.difference is None:
            return ""
        return "+" if self.difference.low > 0 else "-" if self.difference.high < 0 else ""

    def to_dict(self) -> dict[str, Any]:
        shown: dict[str, Any] = Estimate(self.value, self.low, self.high).to_dict()
        if self.difference is not None:
            shown["difference"] = self.difference.to_dict()
            shown["better"] = {"+": True, "-": False}.get(self.mark)
        return shown


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: the lexical baseline, or a variant of an encoder.

    Attributes:
        encoder: what it is, see `provenance.describe`; None for the baseline.
        fitted_texts: on how many texts a whitening or PCA was fitted, by task.
        scores: by task.
        averages: over the tasks of a language, where there is more than one.
    """

    label: str
    variant: Variant
    encoder: Mapping[str, Any] | None
    scores: Mapping[str, Score]
    averages: Mapping[Language, Score]
    fitted_texts: Mapping[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return {
            "label": self.label,
            "encoder": None if self.encoder is None else dict(self.encoder),
            "variant": asdict(self.variant) | {"fitted_texts": dict(self.fitted_texts)},
            "scores": {name: score.to_dict() for name, score in self.scores.items()},
            "averages": {name: score.to_dict() for name, score in self.averages.items()},
        }


@dataclass(frozen=True, slots=True)
class StsReport:
    """Rows of scores, and everything that is needed to read them and to have them again.

    Attributes:
        compared_with: the label of the row that the others are compared with.
        skipped: tasks of a group whose data is not there, with the reason.
        predictions: by row label and task, (n,) float64, in the order of `tasks`' pairs.
    """

    rows: tuple[Row, ...]
    tasks: tuple[Pairs, ...]
    metric: Metric
    similarity: Similarity
    aggregation: Aggregation
    compared_with: str
    skipped: Mapping[str, str]
    seed: int
    draws: int
    trained_on: tuple[str, ...]
    provenance: Mapping[str, Any]
    predictions: Mapping[str, Mapping[str, Values]] = field(repr=False)

    @property
    def languages(self) -> list[Language]:
        """Those of the tasks, English first."""
        return sorted({pairs.task.language for pairs in self.tasks})

    def of(self, language: Language) -> list[Pairs]:
        """The tasks of a language."""
        return [pairs for pairs in self.tasks if pairs.task.language == language]

    def row(self, label: str) -> Row:
        """The row that is called so."""
        return next(row for row in self.rows if row.label == label)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; scores are rounded to four decimals."""
        return {
            "metric": self.metric,
            "similarity": self.similarity,
            "aggregation": self.aggregation,
            "compared_with": self.compared_with,
            "bootstrap": {"draws": self.draws, "seed": self.seed, "level": 0.95},
            "trained_on": list(self.trained_on),
            "tasks": [_task(pairs) for pairs in self.tasks],
            "skipped": dict(self.skipped),
            "rows": [row.to_dict() for row in self.rows],
            "provenance": dict(self.provenance),
        }


def _task(pairs: Pairs) -> dict[str, Any]:
    task = pairs.task
    return {
        "name": task.name,
        "language": task.language,
        "pairs": len(pairs),
        "dropped": dict(pairs.dropped),
        "score_range": list(task.score_range),
        "source": task.source,
        "citation": task.citation,
        "licence": task.licence,
        "data": [asdict(source) for source in pairs.sources],
    }
