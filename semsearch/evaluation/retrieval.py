"""How often an index answers labelled queries right, and how sure that number is."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semsearch.errors import Problem
from semsearch.evaluation.bootstrap import mean_interval
from semsearch.evaluation.queries import LabelledQuery, read_labelled
from semsearch.index import Index
from semsearch.lexical import Lexical
from semsearch.ranking import Score
from semsearch.types import Hit

_QUERIES_AT_ONCE = 1024

ERROR_COLUMNS = (
    "line", "text", "mistake", "expected_key", "expected_question", "found_key",
    "found_question", "found_phrasing", "score", "expected_rank",
)  # fmt: skip
"""Columns of `RetrievalReport.errors`."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one query found, whatever the score, and whether that reached the threshold."""

    query: LabelledQuery
    hits: tuple[Hit, ...]
    answered: bool

    @property
    def rank(self) -> int | None:
        """The place of the expected standard question among the hits, None where it is not."""
        return next((hit.rank for hit in self.hits if hit.key == self.query.key), None)

    @property
    def mistake(self) -> str | None:
        """None, or one of: "wrong answer", "refused", "should have refused"."""
        if self.query.key is None:
            return "should have refused" if self.answered else None
        if not self.answered:
            return "refused"
        return None if self.rank == 1 else "wrong answer"


@dataclass(frozen=True, slots=True)
class Measure:
    """The mean over `n` queries with its 95% bootstrap interval; all None when n is 0."""

    value: float | None
    low: float | None
    high: float | None
    n: int

    @classmethod
    def of(cls, values: NDArray[Any], seed: int = 0, draws: int = 1000) -> Measure:
        """values: (n,), one number a query."""
        if not len(values):
            return cls(None, None, None, 0)
        low, high = mean_interval(values, seed, draws)
        return cls(float(values.mean()), low, high, len(values))


@dataclass(frozen=True, slots=True)
class RetrievalReport:
    """How an index did on labelled queries; see `evaluate` for the measures."""

    index: str
    score: Score
    k: int
    min_score: float | None
    measures: dict[str, Measure]
    outcomes: tuple[Outcome, ...]
    skipped: tuple[Problem, ...]
    questions: dict[str, str]  # of the expected keys
    threshold: float | None = None  # confidence from which a calibrated index answers

    @property
    def answerable(self) -> int:
        """How many queries expect an answer."""
        return sum(outcome.query.key is not None for outcome in self.outcomes)

    @property
    def refuses(self) -> bool:
        """Whether there are queries that get no answer."""
        return self.min_score is not None or self.threshold is not None

    @property
    def wrong(self) -> list[Outcome]:
        """Outcomes with a mistake; without a threshold, of queries that expect an answer."""
        return [
            outcome
            for outcome in self.outcomes
            if outcome.mistake and (self.refuses or outcome.query.key is not None)
        ]

    def errors(self) -> Iterator[dict[str, Any]]:
        """A row for each wrong outcome, with the columns of ERROR_COLUMNS."""
        for outcome in self.wrong:
            query, best = outcome.query, outcome.hits[0] if outcome.hits else None
            values = (
                query.line,
                query.text,
                outcome.mistake,
                query.key,
                self.questions.get(query.key or ""),
                *((best.key, best.question, best.phrasing) if best else (None,) * 3),
                round(best.score, 4) if best else None,
                outcome.rank,
            )
            yield dict(zip(ERROR_COLUMNS, values, strict=True))

    def to_dict(self) -> dict[str, Any]:
        """The stable JSON form; measures that were not taken are left out."""
        return {
            "index": self.index,
            "queries": len(self.outcomes),
            "answerable": self.answerable,
            "unanswerable": len(self.outcomes) - self.answerable,
            "skipped": len(self.skipped),
            "score": self.score,
            "k": self.k,
            "min_score": self.min_score,
            "threshold": self.threshold,
            "wrong": len(self.wrong),
            "measures": {
                name: {"value": m.value, "low": m.low, "high": m.high, "n": m.n}
                for name, m in self.measures.items()
            },
        }


def evaluate(
    index: Index,
    queries: Any,
    *,
    k: int = 10,
    min_score: float | None = None,
    score: Score | None = None,
    lexical: Lexical = "auto",
    column: str | None = None,
    key: str | None = None,
    none: str = "",
    encoding: str | None = None,
    skip_bad: bool = False,
    seed: int = 0,
    draws: int = 1000,
    progress: Callable[[int, int], None] | None = None,
) -> RetrievalReport:
    """Ask labelled queries and count how often the answer is right.

    The measures, each with a 95% bootstrap interval over its queries:

    - accuracy_at_1, recall_at_5, mrr: of the queries that expect an answer, the share whose
      expected standard question comes first, or among the first 5; the mean of 1 / its rank, 0
      beyond rank k. No threshold is applied.
    - precision, coverage, right_answer, right_refusal, with `min_score` or a calibrated index
      only: the share of the queries that got an answer whose answer is right; of those that expect
      an answer, that got one, and that got the right one; of those that expect none, that got none.

    Args:
        queries: a path, rows as mappings or a DataFrame, with a column of texts and one of keys.
        k: how far MRR looks, at least 1.
        min_score: the cosine below which the best hit is no answer; in place of the operating
            point of a calibrated index.
        score: "best" or "top3", in place of the index's own.
        lexical: "auto", "on" or "off": whether words count; see `Index.search`.
        column: of the texts; recognised by its name when None.
        key: column of the expected key (or the text of a standard question, where the bank had
            no keys); recognised by its name when None.
        none: what stands for "no answer expected" in that column, besides an empty cell.
        skip_bad: leave bad rows out and list them in `skipped`, rather than raise.
        progress: called with (queries asked so far, queries to ask).

    Raises:
        BadRowsError: a row has no text, or expects a key that the index has not.
        DataError: the table cannot be used.
        ValueError: k, score, lexical or min_score is out of range.
    """
    if k < 1 or (min_score is not None and not math.isfinite(min_score)):
        raise ValueError(f"k must be at least 1 and min_score finite, not {k} and {min_score}")
    bank = {question.key: question for question in index.questions()}
    labelled, problems = read_labelled(
        queries, bank, column=column, key=key, none=none, encoding=encoding, skip_bad=skip_bad
    )
    outcomes: list[Outcome] = []
    calibrated = False
    for start in range(0, len(labelled), _QUERIES_AT_ONCE):
        batch = labelled[start : start + _QUERIES_AT_ONCE]
        texts = [query.text for query in batch]
        results = index.search(texts, max(k, 5), score=score, lexical=lexical, refused=True)
        for query, result in zip(batch, results, strict=True):
            best = result.hits[0].score if result.hits else -math.inf
            above = not result.refused if min_score is None else best >= min_score
            answered = bool(result.hits) and above
            calibrated = calibrated or result.confidence is not None
            outcomes.append(Outcome(query, result.hits, answered))
        if progress is not None:
            progress(len(outcomes), len(labelled))
    info = index.info()
    threshold = None
    if calibrated and min_score is None and info["calibration"]:
        threshold = info["calibration"]["threshold"]
    refuses = min_score is not None or threshold is not None
    return RetrievalReport(
        index=str(index.path),
        score=score or info["score"],
        k=k,
        min_score=min_score,
        measures={
            name: Measure.of(values, seed, draws)
            for name, values in _values(outcomes, k, refuses).items()
        },
        outcomes=tuple(outcomes),
        skipped=tuple(problems),
        questions={key: bank[key].question for query in labelled if (key := query.key) is not None},
        threshold=threshold,
    )


def _values(outcomes: Sequence[Outcome], k: int, refuses: bool) -> dict[str, NDArray[Any]]:
    """The numbers that each measure is the mean of."""
    expects = np.array([outcome.query.key is not None for outcome in outcomes])
    ranks = np.array([outcome.rank or math.inf for outcome in outcomes])
    answered = np.array([outcome.answered for outcome in outcomes])
    of_answerable = ranks[expects]
    values: dict[str, NDArray[Any]] = {
        "accuracy_at_1": of_answerable == 1,
        "recall_at_5": of_answerable <= 5,
        "mrr": np.where(of_answerable <= k, 1 / of_answerable, 0.0),
    }
    if refuses:
        values["precision"] = ranks[answered] == 1
        values["coverage"] = answered[expects]
        values["right_answer"] = answered[expects] & (of_answerable == 1)
        values["right_refusal"] = ~answered[~expects]
    return values
