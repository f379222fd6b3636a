"""Running the trainer to its end, with less at a time where memory runs out; imports torch."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semsearch.encoder.quiet import aloud, quiet
from semsearch.errors import DataError
from semsearch.training import processes
from semsearch.training.arguments import make_trainer
from semsearch.training.dev import Dev
from semsearch.training.hardware import is_out_of_memory
from semsearch.training.model import load_model, require_dropout
from semsearch.training.settings import Settings
from semsearch.training.tasks import Task
from semsearch.training.trainer import Interrupt, Progress, Trainer
from semsearch.training.workdir import WorkDir

logger = logging.getLogger(__name__)


class Interrupted(KeyboardInterrupt):
    """Ctrl-C ended a run; it can be resumed."""


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """All that a trainer is made of.

    Attributes:
        tasks: the one that settings are of, and those beside it.
        start: a directory that the run begins with instead of the encoder that settings name.
    """

    settings: Settings
    tasks: Sequence[Task]
    dev: Dev | None
    work: WorkDir
    device: str
    precision: str
    start: Path | None


def run(plan: Plan, progress: Progress | None) -> tuple[Trainer, Any]:
    """Train until the last step.

    Returns:
        The trainer when it is done, and the model with the weights that are kept.

    Raises:
        DataError: memory runs out with one example at a time, or a sentence has more tokens than
            a step may have.
        EncoderError: the encoder has not what the run needs.
        Interrupted: Ctrl-C; a checkpoint is kept.
    """
    heard = aloud(progress) if progress is not None else None
    known = (plan.work.state.get("mini_batch"), plan.settings.mini_batch)
    mini = min((size for size in known if size), default=None)
    while True:
        model = load_model(plan.settings, plan.device, plan.start)
        if any(task.objective == "simcse" for task in plan.tasks):
            require_dropout(model, plan.settings.encoder)
        interrupt = Interrupt()
        with quiet():
            trainer = make_trainer(
                model,
                plan.settings,
                plan.tasks,
                plan.dev,
                folder=plan.work.path,
                device=plan.device,
                precision=plan.precision,
                mini_batch=mini,
                callbacks=[interrupt],
                progress=heard,
            )
        checkpoint = plan.work.last_checkpoint()
        try:
            with quiet(), interrupt.armed():
                trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            if processes.count() > 1:  # the others are in the middle of their step
                raise DataError(
                    "memory ran out on one of the devices. Go on with --resume and a smaller "
                    "--mini-batch."
                ) from error
            mini = _lower(plan, mini)
            model.to("cpu")  # its place on the GPU is needed by the next one
            continue
        if interrupt.asked and trainer.state.global_step < trainer.state.max_steps:
            raise Interrupted(
                f"Stopped at step {trainer.state.global_step:,} of {trainer.state.max_steps:,}. "
                "Go on with --resume."
            )
        # Without the half precision that it was trained in.
        return trainer, trainer.accelerator.unwrap_model(model, keep_fp32_wrapper=False)


def _lower(plan: Plan, mini: int | None) -> int:
    """Half as much at a time; the batch that a step learns from stays."""
    tokens = plan.settings.batch_tokens
    whole, unit = (tokens, "tokens") if tokens else (plan.settings.batch_size or 1, "examples")
    at_once = mini or whole
    if at_once <= 1:
        raise DataError(
            "memory runs out with one example at a time. Pass a smaller --max-length, or train a "
            "smaller encoder."
        )
    mini = at_once // 2
    plan.work.write({"mini_batch": mini, "lowered": plan.work.state.get("lowered", 0) + 1})
    logger.warning(
        "memory ran out with %d %s at a time: going on with %d; a step still learns from %d.",
        at_once,
        unit,
        mini,
        whole,
    )
    return mini
