"""The thorough way: contrastive fine-tuning through the encoder; imports torch where it runs."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from semsearch.encoder import Encoder
from semsearch.encoder.config import read_layout
from semsearch.encoder.export import find_or_export
from semsearch.encoder.fingerprint import MADE_FROM, weight_files, weights_of
from semsearch.encoder.quantize import quantize
from semsearch.errors import DataError, EncoderError, MissingExtraError
from semsearch.improvement.material import Lesson
from semsearch.training.installed import require_installed
from semsearch.training.mining import mine
from semsearch.training.phrasings import pairs_within
from semsearch.training.run import train
from semsearch.training.settings import Settings

if TYPE_CHECKING:
    from semsearch.training.examples import Examples

BATCH_SIZE = 64
LEARNING_RATE = 5e-5
EPOCHS = 2.0
MOST_STEPS = 400
_MAX_LENGTH = 64  # tokens read of a phrasing while training: what is asked is short
_SHORT = 16
_SHORTER = 0.95  # share of the phrasings that are read whole: a batch is as long as its longest
_COVERED = 4  # times as many standard questions as a batch holds: it has the hard ones anyway
_COMPARED = 500  # texts that an encoder with 8-bit weights is compared on

SETTINGS = {"batch_size": BATCH_SIZE, "learning_rate": LEARNING_RATE}

Progress = Callable[[int, int, float], None]


def require() -> None:
    """Make sure that there is a torch to take gradients with.

    Raises:
        MissingExtraError: there is none; the message says what works without.
    """
    try:
        require_installed()
    except MissingExtraError as error:
        raise EncoderError(
            f"{error} Or improve without it: semsearch improve INDEX --light"
        ) from error


def steps_for(n: int) -> int:
    """How many steps n phrasings are worth."""
    return max(20, min(MOST_STEPS, round(EPOCHS * n / BATCH_SIZE)))


def finetune(
    encoder: Encoder,
    lesson: Lesson,
    work: Path,
    *,
    steps: int,
    seed: int,
    device: str = "auto",
    progress: Progress | None = None,
) -> Encoder:
    """Teach an encoder to tell the standard questions of a lesson apart.

    In a batch, no two phrasings are of one standard question. Where the bank has so many of them
    that those which are hard to tell apart seldom meet in a batch, each phrasing also has the
    nearest one of another standard question as a negative. Encoders with 8-bit weights get such
    again.

    Args:
        encoder: any that can be trained; it is left as it is.
        work: an empty folder for what is made on the way, and for the new encoder.

    Raises:
        DataError: there is nothing to learn, as where each standard question has one phrasing.
        EncoderError: the encoder cannot be trained.
    """
    start = work / "start"
    encoder.save(start)
    bank = lesson.phrasings()
    batch = min(BATCH_SIZE, len(bank.keys))
    if batch < 2:
        raise DataError("one standard question has nothing to be told apart from.")
    rounds = max(1, round(steps * batch / len(bank)) + 1)
    pairs = pairs_within(bank, seed, rounds)
    many = len(bank.keys) > _COVERED * batch
    examples = _with_hard_negatives(pairs, encoder) if many else pairs
    settings = Settings(
        objective="contrastive",
        encoder=str(start),
        max_length=_length_of(bank.texts, encoder),
        steps=steps,
        batch_size=batch,
        learning_rate=LEARNING_RATE,
        checks=1,
        seed=seed,
    )
    trained = work / "trained"
    try:
        train(settings, examples, trained, device=device, progress=progress)
    except KeyboardInterrupt:  # the run could be resumed, but its folder goes now
        raise KeyboardInterrupt("Interrupted. The index is as it was.") from None
    small = weight_files(read_layout(start))[0].suffix == ".onnx"
    return _ready(trained, work / "ready", lesson.texts, encoder, small=small)


def _export_beside(folder: Path) -> None:
    """Put the ONNX body of an encoder beside its weights, so that whoever gets it needs no torch.

    The user's cache is no place for it: nobody else will ever look for it.
    """
    layout = read_layout(folder)
    made = find_or_export(layout)
    target = layout.body / "onnx"
    target.mkdir()
    for path in (made, *made.parent.glob("model.onnx?data")):
        shutil.copyfile(path, target / path.name)
    note = json.dumps({"weights": weights_of(layout)[0]})
    (target / MADE_FROM).write_text(note + "\n", encoding="utf-8")
    shutil.rmtree(made.parent, ignore_errors=True)


def _length_of(texts: Sequence[str], encoder: Encoder) -> int:
    """Tokens that nearly all phrasings have at most, so that a few long ones do not set the pace.

    They are cut off while training only.
    """
    usual = float(np.quantile(encoder.measure(texts).n_tokens, _SHORTER))
    return min(encoder.max_length, max(_SHORT, math.ceil(usual)), _MAX_LENGTH)


def _with_hard_negatives(pairs: Examples, encoder: Encoder) -> Examples:
    def encode(texts: Sequence[str]) -> Any:
        return encoder.encode(list(texts))

    try:
        return mine(pairs, encode).triplets
    except DataError:  # no other standard question is near: the batch gives negatives enough
        return pairs


def _ready(
    trained: Path, folder: Path, texts: Sequence[str], before: Encoder, *, small: bool
) -> Encoder:
    """The trained encoder as it will be served: its length as before, 8-bit weights as before."""
    _export_beside(trained)
    full = Encoder.load(trained, runtime="onnx", max_length=before.max_length)
    if not small:
        return full
    step = max(1, len(texts) // _COMPARED)
    full.save(whole := folder.with_name("whole"))
    quantize(whole, folder, texts=list(dict.fromkeys(texts))[::step])
    return Encoder.load(folder, runtime="onnx")
