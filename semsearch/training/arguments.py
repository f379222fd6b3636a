"""A trainer of sentence-transformers, set up for a run; imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sentence_transformers import SentenceTransformerTrainingArguments
from transformers import TrainerCallback
from transformers.trainer_callback import EarlyStoppingCallback

from semsearch.training.batches import group_batches
from semsearch.training.dev import Dev
from semsearch.training.examples import Examples
from semsearch.training.objectives import RECORDS, build_loss
from semsearch.training.settings import Settings
from semsearch.training.trainer import (
    DevEvaluator,
    Progress,
    Reporter,
    SeededBatchSampler,
    Trainer,
)
from semsearch.types import Embeddings

_LOGS = 200  # losses that are kept of a run, about


def make_trainer(
    model: Any,
    settings: Settings,
    examples: Examples,
    targets: Embeddings | None,
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
        folder: for checkpoints.
        mini_batch: examples that go through the encoder at a time; None for a whole batch.
    """
    in_batch = RECORDS[settings.objective].in_batch
    options = replace(settings.loss, mini_batch=mini_batch if in_batch else None)
    args = _arguments(settings, folder, device, precision, None if in_batch else mini_batch, dev)
    args.batch_sampler = (
        group_batches(examples.groups, examples.negative_groups) if in_batch else SeededBatchSampler
    )
    checks = dev is not None
    watching = [*callbacks, Reporter(progress, evaluate=checks)]
    if checks and settings.patience is not None:
        watching.append(EarlyStoppingCallback(settings.patience))
    trainer = Trainer(
        model=model,
        args=args,
        train_dataset=dataset(settings, examples, targets),
        loss=build_loss(settings.objective, model, options, len(examples.label_names)),
        evaluator=DevEvaluator(dev) if dev is not None else None,
        callbacks=watching,
    )
    return trainer


def dataset(settings: Settings, examples: Examples, targets: Embeddings | None) -> Any:
    """The columns that the loss of an objective takes, in its order."""
    from datasets import Dataset

    columns: dict[str, Any] = {name: list(column) for name, column in examples.columns.items()}
    if settings.objective == "simcse":
        columns["again"] = columns["sentence"]
    if examples.scores is not None:
        columns["label"] = examples.scores.tolist()
    elif examples.labels is not None:
        columns["label"] = examples.labels.tolist()
    elif targets is not None:
        columns["label"] = list(targets)
    return Dataset.from_dict(columns)


def _arguments(
    settings: Settings,
    folder: Path,
    device: str,
    precision: str,
    at_once: int | None,
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
    args = SentenceTransformerTrainingArguments(
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
    # A batch is what one step learns from, over all devices.
    share = max(1, (settings.batch_size or 1) // args.world_size)
    parts = -(-share // (at_once or share))
    while share % parts:  # the parts are of one size, so that each example counts the same
        parts += 1
    args.per_device_train_batch_size = share // parts
    args.gradient_accumulation_steps = parts
    return args
