"""A whole run from what a user names: the examples, what a teacher says of them, the training."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from semsearch.encoder import Encoder
from semsearch.errors import DataError
from semsearch.training import processes
from semsearch.training.dev import Dev
from semsearch.training.installed import require_installed
from semsearch.training.literal import with_literal
from semsearch.training.preparing import Prepared, Sources, prepare, with_hard_negatives
from semsearch.training.report import Report
from semsearch.training.run import train
from semsearch.training.settings import Settings
from semsearch.training.tasks import main_task
from semsearch.training.teacher import Targets, dev_by_teacher, targets_of

if TYPE_CHECKING:
    from semsearch.training.trainer import Progress

logger = logging.getLogger(__name__)


def run_command(
    settings: Settings,
    sources: Sources,
    out: Path,
    *,
    mine_hard: int | None = None,
    resume: bool = False,
    device: str = "auto",
    progress: Progress | None = None,
) -> Report:
    """Do what `semsearch train` says.

    Args:
        mine_hard: hard negatives for each pair, at most; None for those of the batch only.

    Raises:
        DataError: the examples cannot be used, or do not fit the objective.
        EncoderError: an encoder cannot be loaded or trained, or `out` is there already.
        StorageError: the disk refused.
        Interrupted: Ctrl-C; a checkpoint is kept.
    """
    require_installed()
    if not processes.is_main():
        logging.getLogger("semsearch").setLevel(logging.ERROR)  # one of them tells what happens
    if mine_hard is not None and settings.objective != "contrastive":
        raise DataError("--mine-hard goes with the objective contrastive.")
    epochs = settings.filled().epochs or 1
    rounds = max(1, round(epochs)) if settings.steps is None else 1
    prepared = prepare(
        settings.objective,
        sources,
        rounds=rounds,
        seed=settings.seed,
        batch_size=settings.batch_size or 1,
    )
    # A bank whose phrasings are paired anew in every epoch has them all in one.
    settings = replace(settings, epochs=epochs / prepared.rounds)
    examples, dev, targets = prepared.examples, prepared.dev, None
    if mine_hard is not None:
        examples = with_hard_negatives(prepared, _load(settings), mine_hard)
    if settings.objective == "distil":
        dev, targets = _taught(settings, prepared)
    main_task(settings, examples, targets).check()
    logger.info("%s %s to learn from", f"{len(examples):,}", examples.shape)
    report = train(
        settings,
        examples,
        out,
        dev=dev,
        tests=prepared.tests,
        targets=targets,
        also=prepared.also,
        resume=resume,
        device=device,
        progress=progress,
    )
    if targets is not None and targets.kept is not None:
        targets.kept.remove()
    return report


def _taught(settings: Settings, prepared: Prepared) -> tuple[Dev | None, Targets]:
    """The teacher's vectors, and a dev measure that asks what the teacher would say."""
    student = _load(settings)
    teacher = Encoder.load(settings.teacher) if settings.teacher else student
    if settings.dim is not None and student.dim != teacher.dim:
        raise DataError(
            f"--dim starts as what reduces the teacher's {teacher.dim} dimensions, and "
            f"{settings.encoder} has {student.dim}. Leave it out, or take another teacher."
        )
    dim = settings.dim or student.dim
    begins = settings.dim is not None
    targets = targets_of(
        prepared.examples, teacher, dim, reduce=begins, student=None if begins else student
    )
    if settings.literal:
        targets = with_literal(targets, prepared.examples, settings.literal)
    dev = prepared.dev
    if prepared.held_out is not None and prepared.held_out.shape == "sentences":
        dev = dev_by_teacher(list(prepared.held_out.columns["sentence"]), teacher)
    return dev, targets


def _load(settings: Settings) -> Encoder:
    return Encoder.load(
        settings.encoder,
        pooling=settings.pooling,
        max_length=settings.max_length,
        trust_remote_code=settings.trust_remote_code,
    )
