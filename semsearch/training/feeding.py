"""How a trainer takes the examples of a task: as which columns, in which batches and parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from semsearch.training.batches import group_batches
from semsearch.training.examples import Examples
from semsearch.training.length_batches import LengthBatches, token_lengths
from semsearch.training.tasks import Task
from semsearch.training.teacher import Targets
from semsearch.training.topics import topics_of


@dataclass(frozen=True, slots=True, eq=False)
class Feed:
    """What the trainer is fed for a task.

    Attributes:
        dataset: of `datasets`, with the columns that the loss takes, in its order.
        batches: makes a batch sampler of it, as `batch_sampler` of sentence-transformers'
            training arguments does.
        batch_size: examples of a step on one device.
        at_once: examples, or tokens where `in_tokens`, that go through the encoder at a time;
            None for a whole batch.
    """

    dataset: Any
    batches: Callable[..., Any]
    batch_size: int
    at_once: int | None = None
    in_tokens: bool = False

    def parts(self, inputs: Mapping[str, Any]) -> list[tuple[dict[str, Any], float]]:
        """A batch of the collator as parts that go through at a time, with their shares of it."""
        ids = [value for name, value in inputs.items() if name.endswith("_input_ids")]
        if self.at_once is None or not ids or ids[0].ndim != 2:
            return [(dict(inputs), 1.0)]
        n, most = len(ids[0]), self.at_once
        if self.in_tokens:
            most = max(1, most // max(column.shape[1] for column in ids))
        n_parts = -(-n // most)
        bounds = [n * part // n_parts for part in range(n_parts + 1)]
        return [
            ({name: _rows(value, n, low, high) for name, value in inputs.items()}, (high - low) / n)
            for low, high in pairwise(bounds)
        ]


def feed_of(
    task: Task, model: Any, plain: Callable[..., Any], *, devices: int, at_once: int | None
) -> Feed:
    """What the trainer is fed for a task.

    Args:
        plain: makes the batch sampler where a batch may have any examples.
        devices: that share each step.
        at_once: examples that go through at a time, or tokens where the task counts those.

    Raises:
        DataError: a sentence has more tokens than a step may have.
    """
    if task.batch_tokens is not None:
        data = dataset(task, apart=True)
        lengths = token_lengths(model, data["sentence"][:])
        topics = None
        if task.topics is not None and task.targets is not None:
            topics = topics_of(task.targets.vectors, task.topics)[data["label"][:]]
        batches = LengthBatches(lengths, max(1, task.batch_tokens // devices), topics)
        return Feed(data, batches, 1, at_once, in_tokens=True)
    size = max(1, (task.batch_size or 1) // devices)
    if task.in_batch:
        groups, negatives = task.examples.groups, task.examples.negative_groups
        return Feed(dataset(task), group_batches(groups, negatives), size)
    return Feed(dataset(task), plain, size, at_once)


def dataset(task: Task, *, apart: bool = False) -> Any:
    """The columns that the loss of an objective takes, in its order.

    Args:
        apart: take both sides of pairs as sentences by themselves, with the target of the pair;
            an anchor with several positives is taken once.
    """
    from datasets import Dataset

    examples, targets = task.examples, task.targets
    columns: dict[str, Any] = {name: list(column) for name, column in examples.columns.items()}
    if task.objective == "simcse":
        columns["again"] = columns["sentence"]
    if examples.scores is not None:
        columns["label"] = examples.scores
    elif examples.labels is not None:
        columns["label"] = examples.labels
    elif targets is not None:
        columns["label"] = targets.rows
        if apart and examples.shape == "pairs":
            columns = _sentences(examples, targets)
    return Dataset.from_dict(columns)


def _sentences(examples: Examples, targets: Targets) -> dict[str, Any]:
    """Every positive; and the anchors of those that are another text, each distinct one once."""
    anchors, positives = examples.columns["anchor"], examples.columns["positive"]
    of_positives = targets.rows if targets.positives is None else targets.positives
    first: dict[str, int] = {}
    for row, (anchor, positive) in enumerate(zip(anchors, positives, strict=True)):
        if anchor != positive:
            first.setdefault(anchor, row)
    return {
        "sentence": [*positives, *first],
        "label": np.concatenate([of_positives, targets.rows[list(first.values())]]),
    }


def _rows(value: Any, n: int, low: int, high: int) -> Any:
    """Some rows of a tensor that has one for each example; anything else as it is."""
    return value[low:high] if getattr(value, "ndim", 0) and len(value) == n else value
