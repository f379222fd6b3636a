"""Tables that are learnt from beside the main one, each with an objective of its own."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from semsearch.errors import DataError
from semsearch.training.examples import Examples
from semsearch.training.leaks import drop_leaks, keep_out
from semsearch.training.objectives import RECORDS, ObjectiveName
from semsearch.training.reading import read_examples
from semsearch.training.tasks import Task, other_task

logger = logging.getLogger(__name__)


def read_also(
    tables: Sequence[tuple[ObjectiveName, str]],
    judged: Mapping[str, Examples],
    held_out: Examples | None,
    *,
    drop: bool,
    reading: Mapping[str, Any],
) -> tuple[Task, ...]:
    """Read tables to learn from beside the main one.

    Their columns are found by their usual names, scores by their usual ranges.

    Args:
        tables: objectives and files.
        judged: what the encoder is judged by, by the names of the files.
        held_out: what was held out of the main table: examples that are in it are left out.
        drop: leave out examples that are in `judged`, too, rather than raise.
        reading: how the main table is read.

    Raises:
        DataError: a table cannot be used, does not fit its objective, or is in the test data.
    """
    if any(objective == "distil" for objective, _ in tables):
        raise DataError("distil cannot be learnt beside another objective: name it --objective.")
    general = {name: reading[name] for name in ("encoding", "skip_bad") if name in reading}
    tasks = []
    for objective, file in tables:
        examples = read_examples([file], RECORDS[objective].shapes[0], **general)
        try:
            for name, others in judged.items():
                examples = keep_out(examples, others, name, drop=drop)
            if held_out is not None:
                examples, n = drop_leaks(examples, held_out)
                if n:
                    logger.info("%s examples of %s left out that are held out", f"{n:,}", file)
            task = other_task(objective, examples)
            task.check()
        except DataError as error:
            raise DataError(f"{file}: {error}") from error
        logger.info("also %s %s of %s, with %s", f"{len(examples):,}", examples.shape, file,
                    objective)  # fmt: skip
        tasks.append(task)
    return tuple(tasks)
