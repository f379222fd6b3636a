"""A pre-training from texts to weights; imports torch."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from semsearch.encoder.quiet import aloud, quiet
from semsearch.errors import DataError
from semsearch.files import atomic_directory
from semsearch.training import hardware, processes
from semsearch.training.attempts import Interrupted
from semsearch.training.blocks import Batches, cut
from semsearch.training.masked_batches import MaskedBatches, special_tokens
from semsearch.training.mlm import MaskedLoss, dev_loss
from semsearch.training.mlm_trainer import Plan, make_trainer
from semsearch.training.pretraining_report import PretrainingReport, model_card
from semsearch.training.pretraining_settings import PretrainingSettings
from semsearch.training.pretraining_start import start
from semsearch.training.report import write_report
from semsearch.training.trainer import Interrupt, Progress
from semsearch.training.workdir import WorkDir

logger = logging.getLogger(__name__)

_TIMED = 12  # steps that a budget in minutes is measured by


@dataclass(frozen=True, slots=True, eq=False)
class Finished:
    """A model that is trained, and how it went; see `PretrainingReport`."""

    model: Any
    tokenizer: Any
    max_length: int
    before: tuple[float, int]
    after: tuple[float, int]
    steps: int
    epochs: float
    tokens: int
    losses: Sequence[tuple[int, float]]
    precision: str
    device: str

    @property
    def vocabulary(self) -> int:
        return len(self.tokenizer)

    def save(self, out: Path, report: PretrainingReport) -> None:
        """Write the encoder and its report; all of it or nothing.

        Raises:
            StorageError: the disk refused.
        """
        with atomic_directory(out) as folder:
            self._write(folder)
            (folder / "README.md").write_text(model_card(report), encoding="utf-8")
            write_report(folder, report.to_dict())

    def _write(self, folder: Path) -> None:
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

        with quiet():
            self.model.save_pretrained(folder)
            self.tokenizer.save_pretrained(folder)
            body = Transformer(str(folder), max_seq_length=self.max_length)
            pooling = Pooling(body.get_word_embedding_dimension(), "mean")
            encoder = SentenceTransformer(modules=[body, pooling], device="cpu")
            encoder.save_pretrained(str(folder), create_model_card=False)
            # Once more: sentence-transformers leaves out the head that guesses tokens.
            self.model.save_pretrained(folder)


def run(
    texts: Sequence[str],
    dev: Sequence[str],
    settings: PretrainingSettings,
    work: WorkDir,
    *,
    device: str,
    save_seconds: float,
    reading: Callable[[int, int], None] | None,
    progress: Progress | None,
) -> Finished:
    """Train until the last step, from the last checkpoint in `work` if there is one.

    Raises:
        DataError: the texts do not do, or memory runs out with one block at a time.
        EncoderError: the encoder cannot be pre-trained.
        Interrupted: Ctrl-C; a checkpoint is kept.
    """
    device = hardware.choose_device(device)
    precision = hardware.choose_precision(settings.precision, device)
    tokenizer, load = start(texts, settings, device)
    learnt = _batches(texts, tokenizer, settings, settings.seed, reading)
    held_out = _batches(dev, tokenizer, settings, 0, None)
    with processes.main_first(device):
        steps, before = _begin(load, learnt, held_out, settings, work, precision)
    logger.info(
        "perplexity %.1f before; %s steps on %s tokens",
        math.exp(min(before[0], 700.0)),
        f"{steps:,}",
        f"{len(learnt.blocks.ids):,}",
    )
    plan = Plan(
        steps=steps,
        learning_rate=settings.peak,
        schedule=settings.schedule,
        warmup=settings.warmup,
        weight_decay=settings.weight_decay,
        seed=settings.seed,
        device=device,
        precision=precision,
    )
    trainer, model, loss = _train(load, learnt, plan, work, save_seconds, progress)
    return Finished(
        model=model,
        tokenizer=tokenizer,
        max_length=settings.max_length,
        before=before,
        after=dev_loss(model, loss, held_out),
        steps=trainer.state.global_step,
        epochs=trainer.state.global_step * processes.count() / len(learnt),
        tokens=len(learnt.blocks.ids),
        losses=[
            (int(entry["step"]), float(entry["loss"]))
            for entry in trainer.state.log_history
            if "loss" in entry
        ],
        precision=precision,
        device=device,
    )


def _batches(
    texts: Sequence[str],
    tokenizer: Any,
    settings: PretrainingSettings,
    seed: int,
    reading: Callable[[int, int], None] | None,
) -> MaskedBatches:
    extra = sum(map(len, special_tokens(tokenizer)))
    room = settings.max_length - extra
    whole_words = settings.masking != "token"
    blocks = cut(texts, tokenizer, room, whole_words=whole_words, progress=reading)
    plan = Batches(blocks.lengths, settings.batch_tokens, extra, seed)
    return MaskedBatches(blocks, plan, tokenizer, settings.masking, settings.rate, seed)


def _begin(
    load: Callable[[], Any],
    learnt: MaskedBatches,
    held_out: MaskedBatches,
    settings: PretrainingSettings,
    work: WorkDir,
    precision: str,
) -> tuple[int, tuple[float, int]]:
    """How many steps, and the dev loss before them; found out once, also of a resumed run."""
    state = work.state
    if "before" not in state:
        steps = settings.steps
        if settings.minutes is not None:
            seconds = _seconds_a_step(load(), learnt, precision)
            steps = max(1, round(60 * settings.minutes / seconds))
            logger.info("%.2f s a step", seconds)
        elif steps is None:
            steps = math.ceil((settings.epochs or 1.0) * len(learnt) / processes.count())
        model = load()
        work.write({"steps": steps, "before": dev_loss(model, MaskedLoss(model), held_out)})
        state = work.state
    loss, asked = state["before"]
    return int(state["steps"]), (float(loss), int(asked))


def _train(
    load: Callable[[], Any],
    batches: MaskedBatches,
    plan: Plan,
    work: WorkDir,
    save_seconds: float,
    progress: Progress | None,
) -> tuple[Any, Any, MaskedLoss]:
    """Train, with less at a time where memory runs out; trainer, model and loss when it is done."""
    heard = aloud(progress) if progress is not None else None
    while True:
        parts = int(work.state.get("parts", 1))
        model, interrupt = load(), Interrupt()
        loss = MaskedLoss(model)
        with quiet():
            trainer = make_trainer(
                model,
                loss,
                batches,
                replace(plan, parts=parts),
                work.path,
                interrupt,
                save_seconds=save_seconds,
                progress=heard,
            )
        checkpoint = work.last_checkpoint()
        try:
            with quiet(), interrupt.armed():
                trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        except RuntimeError as error:
            if not hardware.is_out_of_memory(error):
                raise
            if processes.count() > 1:  # the others are in the middle of their step
                raise DataError(
                    "memory ran out on one of the devices. Go on with a smaller --batch-tokens."
                ) from error
            if parts >= len(batches.batches[0]):
                raise DataError(
                    "memory runs out with one block at a time. Pass a smaller --max-length, or "
                    "pre-train a smaller model."
                ) from error
            work.write({"parts": 2 * parts})
            logger.warning("memory ran out: going on with a batch in %d parts", 2 * parts)
            model.to("cpu")  # its place on the GPU is needed by the next one
            continue
        if interrupt.asked and trainer.state.global_step < plan.steps:
            raise Interrupted(
                f"Stopped at step {trainer.state.global_step:,} of {plan.steps:,}. "
                "Go on with --resume."
            )
        # Without the half precision that it was trained in.
        return trainer, trainer.accelerator.unwrap_model(model, keep_fp32_wrapper=False), loss


def _seconds_a_step(model: Any, batches: MaskedBatches, precision: str) -> float:
    """The median of some steps; the model is of no use afterwards."""
    loss = MaskedLoss(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    kind = {"bfloat16": torch.bfloat16, "float16": torch.float16}.get(precision)
    seconds = []
    for number in range(_TIMED):
        began = time.perf_counter()
        batch = {name: value.to(model.device) for name, value in batches[number].items()}
        with torch.autocast(model.device.type, kind, enabled=kind is not None):
            value = loss(model, batch)
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        value.item()  # waits for a GPU
        seconds.append(time.perf_counter() - began)
    return float(np.median(seconds[_TIMED // 4 :]))
