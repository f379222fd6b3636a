"""Transformers' trainer on masked batches, for runs that may be killed; imports torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Literal

import numpy as np
import torch
from torch.utils.data import Dataset, SequentialSampler
from transformers import Trainer, TrainerCallback, TrainingArguments

from semsearch.errors import EncoderError
from semsearch.training import processes
from semsearch.training.masked_batches import Batch, MaskedBatches
from semsearch.training.mlm import MaskedLoss
from semsearch.training.trainer import Interrupt, Progress, Reporter

_LOGS = 200  # losses that are kept of a run, about


class _Parts(Dataset):  # type: ignore[misc]
    """What the trainer reads, in order: parts of batches that add up to a step.

    Process p of w, which is given every w-th item, gets parts of its own batch in a row.
    """

    def __init__(self, batches: MaskedBatches, steps: int, parts: int, processes: int) -> None:
        self._batches, self._steps = batches, steps
        self._parts, self._processes = parts, processes

    def __len__(self) -> int:
        return self._steps * self._parts * self._processes

    def __getitem__(self, number: int) -> Batch:
        turn, process = divmod(number, self._processes)
        step, part = divmod(turn, self._parts)
        batch = self._batches[step * self._processes + process]
        asked = max(1, int((batch["labels"] != -100).sum()))
        return {
            # A batch of fewer blocks than parts has some part twice, which counts for nothing.
            **{name: value[_share(len(value), part, self._parts)] for name, value in batch.items()},
            "weight": torch.tensor(self._parts / asked if part < len(batch["labels"]) else 0.0),
        }


def _share(n: int, part: int, parts: int) -> slice:
    return slice(part, None, parts) if part < n else slice(0, 1)


@dataclass(frozen=True, slots=True)
class Plan:
    """How weights are changed: by AdamW, whose learning rate goes up, then down to 0."""

    steps: int
    learning_rate: float
    schedule: Literal["linear", "cosine"]
    warmup: float
    weight_decay: float
    seed: int
    device: str
    precision: str
    parts: int = 1


def make_trainer(
    model: Any,
    loss: MaskedLoss,
    batches: MaskedBatches,
    plan: Plan,
    folder: Path,
    interrupt: Interrupt,
    *,
    save_seconds: float,
    progress: Progress | None,
) -> Trainer:
    """The trainer of a run; it begins, or goes on, with `train`.

    Args:
        folder: for checkpoints, of which the last two are kept.
        save_seconds: between two of them.
    """
    args = TrainingArguments(
        output_dir=str(folder),
        max_steps=plan.steps,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=plan.parts,
        learning_rate=plan.learning_rate,
        lr_scheduler_type=plan.schedule,
        warmup_steps=round(plan.warmup * plan.steps),
        weight_decay=plan.weight_decay,
        adam_beta2=0.98,  # as RoBERTa, for short runs with high rates
        seed=plan.seed,
        bf16=plan.precision == "bfloat16",
        fp16=plan.precision == "float16",
        use_cpu=plan.device == "cpu",
        logging_steps=max(1, plan.steps // _LOGS),
        logging_nan_inf_filter=False,
        save_strategy="no",
        save_total_limit=2,
        remove_unused_columns=False,
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=plan.device != "cpu",
    )
    if args.n_gpu > 1:
        args._n_gpu = 1  # copies of a model within one process would share the mask of a batch

    class MaskedTrainer(Trainer):  # type: ignore[misc]
        loss_is_scaled_for_ga = False

        def _get_train_sampler(self, *_: Any) -> Any:
            return SequentialSampler(self.train_dataset)

        def compute_loss(self, model: Any, inputs: Batch, *_: Any, **__: Any) -> Any:
            weight = inputs.pop("weight")
            return loss(model, inputs) * weight

    trainer = MaskedTrainer(
        model=model,
        args=args,
        train_dataset=_Parts(batches, plan.steps, plan.parts, processes.count()),
        data_collator=_only,
        callbacks=[interrupt, Reporter(progress, evaluate=False), _Keeper(save_seconds)],
    )
    trainer.model_accepts_loss_kwargs = False
    return trainer


class _Keeper(TrainerCallback):  # type: ignore[misc]
    """Asks for a checkpoint from time to time, and ends a run that learns nothing any more."""

    def __init__(self, save_seconds: float) -> None:
        self._save_seconds = save_seconds
        self._saved = monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if monotonic() - self._saved >= self._save_seconds:
            control.should_save = True

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._saved = monotonic()

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        value = (logs or {}).get("loss", 0.0)
        if not np.isfinite(value):
            raise EncoderError(
                f"the loss is {value} at step {state.global_step:,}. Pass a lower learning rate, "
                "or --precision float32."
            )


def _only(items: list[Batch]) -> Batch:
    return items[0]
