"""From predictions to figures with intervals, and to differences that are beyond chance."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from semsearch.errors import DataError
from semsearch.evaluation import bootstrap
from semsearch.evaluation.data import Pairs
from semsearch.evaluation.metrics import Metric, Values, aggregate
from semsearch.evaluation.outcome import Estimate, Row, Score
from semsearch.evaluation.tasks import Aggregation, Language
from semsearch.evaluation.variants import Variant


@dataclass(frozen=True, eq=False, slots=True)
class Line:
    """A row before it is scored."""

    label: str
    variant: Variant
    encoder: Mapping[str, Any] | None
    predictions: Mapping[str, Values]
    fitted_texts: Mapping[str, int]


def scored(
    lines: Sequence[Line],
    sets: Sequence[Pairs],
    metric: Metric,
    aggregation: Aggregation,
    seed: int,
    draws: int,
) -> tuple[Row, ...]:
    """Every row's figures with their intervals, by task and on average.

    Draws depend on the seed and the name of a task only: other tasks have no influence.

    Raises:
        DataError: a row has no correlation on a task, or a task no subsets to average over.
    """
    values: dict[str, Values] = {}
    drawn: dict[str, Values] = {}
    for pairs in sets:
        name = pairs.task.name
        if aggregation != "all" and pairs.task.columns.subset and not any(pairs.subsets):
            raise DataError(
                f"{name}: this copy of its data does not say which subset a pair is of, so there "
                f"is no {aggregation} over them. Take --aggregation all, or other data."
            )
        values[name] = np.array([_figure(line, pairs, metric, aggregation) for line in lines])
        drawn[name] = bootstrap.aggregate_draws(
            np.stack([line.predictions[name] for line in lines]),
            pairs.gold,
            pairs.subsets,
            metric,
            aggregation,
            [seed, zlib.crc32(name.encode())],
            draws,
        )
    averages: dict[Language, list[str]] = {}
    for pairs in sets:
        averages.setdefault(pairs.task.language, []).append(pairs.task.name)
    averages = {language: names for language, names in averages.items() if len(names) > 1}
    return tuple(
        Row(
            line.label,
            line.variant,
            line.encoder,
            {name: _score(number, values[name], drawn[name]) for name in values},
            {
                language: _score(
                    number,
                    np.mean([values[name] for name in names], axis=0),
                    np.mean([drawn[name] for name in names], axis=0),
                )
                for language, names in averages.items()
            },
            line.fitted_texts,
        )
        for number, line in enumerate(lines)
    )


def _figure(line: Line, pairs: Pairs, metric: Metric, aggregation: Aggregation) -> float:
    name = pairs.task.name
    try:
        return aggregate(line.predictions[name], pairs.gold, pairs.subsets, metric, aggregation)
    except DataError as error:
        raise DataError(f"{line.label} on {name}: {error}") from None


def _score(number: int, values: Values, drawn: Values) -> Score:
    """The figure of one row; row 1, the first encoder, is what others are compared with."""
    low, high = bootstrap.interval(drawn[number])
    difference = None
    if number != 1:
        difference = Estimate(
            float(values[number] - values[1]), *bootstrap.interval(drawn[number] - drawn[1])
        )
    return Score(float(values[number]), low, high, difference)
