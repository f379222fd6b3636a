"""Masked-language-model pre-training on plain text, from scratch or from an encoder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

import numpy as np

from semsearch.errors import DataError
from semsearch.evaluation import provenance
from semsearch.training import processes
from semsearch.training.installed import require_installed
from semsearch.training.pretraining_report import Guessing, PretrainingReport
from semsearch.training.pretraining_settings import PretrainingSettings
from semsearch.training.workdir import WorkDir

if TYPE_CHECKING:
    from semsearch.training.trainer import Progress

_PACKAGES = (*provenance.PACKAGES, "transformers", "accelerate", "jieba")
_DEV_TEXTS = 2_000
_DEV_CHARACTERS = 400_000


def pretrain(
    texts: Sequence[str],
    out: Path,
    settings: PretrainingSettings | None = None,
    *,
    dev: Sequence[str] | None = None,
    resume: bool = False,
    device: str = "auto",
    save_seconds: float = 300.0,
    reading: Callable[[int, int], None] | None = None,
    progress: Progress | None = None,
) -> PretrainingReport:
    """Pre-train a masked language model on texts and save it as an encoder with mean pooling.

    `out` is a directory that `Encoder.load`, sentence-transformers and Transformers'
    AutoModelForMaskedLM load: the head that guesses tokens is kept. While the run is not
    finished, its checkpoints are in `out`.training.

    Args:
        texts: paragraphs or documents; equal ones count once.
        out: a new directory.
        settings: what to do; None for a new model of 4 layers.
        dev: held-out texts to measure on; None to hold out a hundredth of `texts`, 2,000 at most.
        resume: go on with the run of the same settings and texts that was killed or stopped; it
            ends with the weights of an unbroken one.
        device: "cpu", "cuda" or "auto".
        save_seconds: between two checkpoints.
        reading: called with (texts, texts in all) while they are cut into tokens.
        progress: called after every step.

    Raises:
        DataError: too few texts, or there is no such run to resume.
        EncoderError: the encoder has no masked language model, or `out` is there already.
        StorageError: the disk refused.
        MissingExtraError: torch or jieba is not installed.
        Interrupted: Ctrl-C; a checkpoint is kept.
    """
    settings = settings or PretrainingSettings()
    learnt, held_out = _split(texts, dev, settings.seed)
    require_installed()
    checksums = {"texts_sha256": _sha256(learnt), "dev_sha256": _sha256(held_out)}
    identity = {"settings": asdict(settings), **checksums}
    # Of several processes only the main one begins the run.
    main = processes.is_main()
    work = WorkDir.open(out, identity, resume=resume) if main else WorkDir.of(out)
    # torch is imported from here on: what can be refused is refused before.
    from semsearch.training.pretraining_run import run

    began = monotonic()
    try:
        done = run(
            learnt,
            held_out,
            settings,
            work,
            device=device,
            save_seconds=save_seconds,
            reading=reading,
            progress=progress,
        )
    except BaseException:
        if main and not work.state:  # it had not begun: there is nothing to resume
            work.remove()
        raise
    report = PretrainingReport(
        settings=settings,
        before=Guessing(*done.before),
        after=Guessing(*done.after),
        steps=done.steps,
        epochs=done.epochs,
        texts=len(learnt),
        tokens=done.tokens,
        **checksums,
        vocabulary=done.vocabulary,
        losses=done.losses,
        seconds=monotonic() - began,
        precision=done.precision,
        device=done.device,
        provenance=provenance.collect(_PACKAGES),
    )
    if main:
        done.save(out, report)
        work.remove()
    return report


def _split(
    texts: Sequence[str], dev: Sequence[str] | None, seed: int
) -> tuple[list[str], list[str]]:
    """Distinct texts to learn from, and others to measure on."""
    known = list(dict.fromkeys(text for text in texts if text.strip()))
    if dev is None:
        order = np.random.default_rng(seed).permutation(len(known))
        chosen = set(order[: min(_DEV_TEXTS, max(1, len(known) // 100))].tolist())
        held_out = [text for number, text in enumerate(known) if number in chosen]
    else:
        held_out = list(dict.fromkeys(text for text in dev if text.strip()))
    apart = set(held_out)
    learnt = [text for text in known if text not in apart]
    if not learnt or not held_out:
        raise DataError(
            f"{len(known)} different texts are too few: one at least to learn from, and another "
            "to measure on."
        )
    # A figure does not get steadier for ever, and takes time.
    ends = np.cumsum([len(text) for text in held_out])
    return learnt, held_out[: 1 + int(np.searchsorted(ends, _DEV_CHARACTERS))]


def _sha256(texts: Sequence[str]) -> str:
    sha = hashlib.sha256()
    for text in texts:
        sha.update(json.dumps(text).encode())
    return sha.hexdigest()
