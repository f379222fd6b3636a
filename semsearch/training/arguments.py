"""A trainer of sentence-transformers, set up for a run; imports torch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sentence_transformers import SentenceTransformerTrainingArguments
from transformers import TrainerCallback
from transformers.trainer_callback import EarlyStoppingCallback

from semsearch.errors import EncoderError
from semsearch.training.dev import Dev
from semsearch.training.distillation import NumberedTargets
from semsearch.training.feeding import feed_of
from semsearch.training.objectives import LossOptions, build_loss
from semsearch.training.settings import Settings
from semsearch.training.tasks import Task, named
from semsearch.training.trainer import (
    DevEvaluator,
    Progress,
    Reporter,
    SeededBatchSampler,
    Trainer,
)

_LOGS = 200  # losses that are kept of a run, about


def make_trainer(
    model: Any,
    settings: Settings,
    tasks: Sequence[Task],
    dev: Dev | None,
    *,
    folder: Path,
    device: str,
    precision: str,
    mini_batch: int | None,
    callbacks: Sequence[TrainerCallback],
    progress: Progress | None,
) -> Trainer:
    """The trainer of a run.

    Args:
        settings: filled.
        tasks: the one that settings are of, and those beside it.
        folder: for checkpoints.
        mini_batch: examples that go through the encoder at a time, or tokens where settings count
            those; None for a whole batch.

    Raises:
        DataError: a sentence has more tokens than a step may have.
        EncoderError: there are no word embeddings that could have a learning rate of their own.
    """
    args = _arguments(settings, folder, device, precision, dev)
    if settings.embedding_rate is not None:
        args.learning_rate_mapping = {_word_embeddings(model): settings.embedding_rate}
    checks = dev is not None
    watching = [*callbacks, Reporter(progress, evaluate=checks)]
    if checks and settings.patience is not None:
        watching.append(EarlyStoppingCallback(settings.patience))
    feeds, losses = {}, {}
    for name, task in named(tasks).items():
        at_once = _at_once(task, settings, mini_batch)
        feeds[name] = feed_of(
            task, model, SeededBatchSampler, devices=args.world_size, at_once=at_once
        )
        losses[name] = _loss(task, model, settings.loss, at_once)
    return Trainer(
        feeds=feeds,
        losses=losses,
        model=model,
        args=args,
        evaluator=DevEvaluator(dev) if dev is not None else None,
        callbacks=watching,
    )


def _at_once(task: Task, settings: Settings, mini_batch: int | None) -> int | None:
    """What of a batch goes through the encoder at a time: tokens where the task counts those."""
    if mini_batch is None or settings.batch_tokens is None or task.batch_tokens is not None:
        return mini_batch
    # As much less of the batch as of that of the main task.
    return max(1, (task.batch_size or 1) * mini_batch // settings.batch_tokens)


def _loss(task: Task, model: Any, options: LossOptions, at_once: int | None) -> Any:
    options = replace(options, mini_batch=at_once if task.in_batch else None)
    loss = build_loss(task.objective, model, options, len(task.examples.label_names))
    return loss if task.targets is None else NumberedTargets(loss, task.targets.vectors)


def _word_embeddings(model: Any) -> str:
    """A pattern for the name of the parameter that holds the rows of the word pieces."""
    try:
        rows = model[0].auto_model.get_input_embeddings().weight
    except (AttributeError, NotImplementedError) as error:
        raise EncoderError(
            "the encoder has no word embeddings that can be found. Leave out --embedding-rate."
        ) from error
    name: str = next(name for name, value in model.named_parameters() if value is rows)
    return re.escape(name) + "$"


def _arguments(
    settings: Settings,
    folder: Path,
    device: str,
    precision: str,
    dev: Dev | None,
) -> SentenceTransformerTrainingArguments:
    # Shares of the steps: how many there are is known later.
    every = 1 / settings.checks if settings.checks > 1 else 0.999
    best = {
        "eval_strategy": "steps",
        "eval_steps": every,
        "load_best_model_at_end": True,
        "metric_for_best_model": "eval_dev",
        "greater_is_better": True,
    }
    return SentenceTransformerTrainingArguments(
        output_dir=str(folder),
        num_train_epochs=settings.epochs or 1,
        max_steps=settings.steps or -1,
        learning_rate=settings.learning_rate or 0.0,
        warmup_steps=settings.warmup or 0.0,
        lr_scheduler_type="linear",
        weight_decay=settings.weight_decay,
        seed=settings.seed,
        data_seed=settings.seed,
        bf16=precision == "bfloat16",
        fp16=precision == "float16",
        use_cpu=device == "cpu",
        logging_steps=1 / _LOGS,
        save_steps=every,
        save_total_limit=2,
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=device != "cpu",
        **(best if dev is not None else {}),
    )
