"""What a run teaches: an objective and its examples, or several of them at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from semsearch.errors import DataError
from semsearch.training.examples import Examples
from semsearch.training.objectives import RECORDS, ObjectiveName
from semsearch.training.reading import require
from semsearch.training.settings import Settings
from semsearch.training.teacher import Targets


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """An objective, what it learns from, and how much of that in one step.

    Attributes:
        batch_size: examples of a step, over all devices; None where batch_tokens says it.
        batch_tokens: tokens of a step, padding included.
        topics: that sentences are sorted into, so that those of a step are alike.
        targets: the teacher's vectors, of distil.
    """

    objective: ObjectiveName
    examples: Examples
    batch_size: int | None = None
    batch_tokens: int | None = None
    targets: Targets | None = None
    topics: int | None = None

    @property
    def in_batch(self) -> bool:
        """Whether the examples of a batch are each other's negatives."""
        return RECORDS[self.objective].in_batch

    def check(self) -> None:
        """Make sure that the examples fit the objective.

        Raises:
            DataError: they are of another shape, too few for a batch, or lack the teacher's
                vectors.
        """
        record, examples, targets = RECORDS[self.objective], self.examples, self.targets
        if examples.shape not in record.shapes:
            raise DataError(
                f"{self.objective} learns from {' or '.join(record.shapes)}, not from "
                f"{examples.shape}."
            )
        # In other batches, rows of one group may well be together.
        alone = examples if self.in_batch else replace(examples, groups=None)
        require(alone, self.batch_size or 1)
        if self.objective == "classification" and len(examples.label_names) < 2:
            raise DataError("classification needs at least two labels.")
        if (self.objective == "distil") != (targets is not None):
            raise DataError(
                "the teacher's vectors go with the objective distil, and with no other."
            )
        if targets is not None and len(targets) != len(examples):
            raise DataError(f"{len(targets):,} vectors do not go with {len(examples):,} examples.")


def main_task(settings: Settings, examples: Examples, targets: Targets | None = None) -> Task:
    """What settings are of."""
    size = settings.filled(largest_batch(settings.objective, examples)).batch_size
    tokens, topics = settings.batch_tokens, settings.topics
    return Task(settings.objective, examples, size, tokens, targets, topics)


def other_task(objective: ObjectiveName, examples: Examples) -> Task:
    """An objective beside the main one, in batches of the size that its paper has."""
    most = largest_batch(objective, examples)
    return Task(objective, examples, RECORDS[objective].batch_of(most))


def largest_batch(objective: ObjectiveName, examples: Examples) -> int:
    """How many examples a batch can have: one of each group where they are negatives."""
    if RECORDS[objective].in_batch and examples.groups is not None:
        return len(np.unique(examples.groups))
    return len(examples)


def named(tasks: Sequence[Task]) -> dict[str, Task]:
    """Tasks by their objective, those of one objective numbered from the second on."""
    found: dict[str, Task] = {}
    for task in tasks:
        number = sum(name.split(" ")[0] == task.objective for name in found)
        found[f"{task.objective} {number + 1}" if number else task.objective] = task
    return found
