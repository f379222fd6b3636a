"""How a pre-training goes, as one record that is kept beside what came of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from semsearch.errors import DataError
from semsearch.training.masking import MASKINGS, RATE, Masking
from semsearch.training.settings import Precision

VOCABULARY = 16_000


@dataclass(frozen=True, slots=True)
class PretrainingSettings:
    """What a pre-training does; with the texts, all that its result depends on.

    Attributes:
        encoder: what it starts from: a name, a directory or a hub id; None for new weights.
        layers, width, heads: of a new model, whose feed-forward layers are 4 * width; None for 4,
            256 and 4. With `encoder` they are its own.
        vocab_size: tokens of a new vocabulary, learnt from the texts; None for that of `encoder`,
            or 16,000 where there is none.
        max_length: tokens of a block, special ones included.
        masking: what there is to guess: single tokens, whole words, or runs of 1 to 4 words.
        rate: share of the tokens to guess.
        batch_tokens: tokens of a batch, for each process.
        learning_rate: the highest; None for 1e-3 with new weights and 1e-4 with an encoder's.
        schedule: how it goes down to 0.
        warmup: share of the steps in which it goes up.
        dropout: while it is trained; what is saved keeps that of its architecture. Short runs see
            a text once or twice and do better without (Geiping & Goldstein 2022,
            arXiv:2212.14034).
        steps, epochs, minutes: how long; one of them, or an epoch. Minutes are turned into steps
            by timing some.
        precision: "auto" is bfloat16 or float16 where the hardware computes in it, else float32.

    Raises:
        DataError: one of them cannot be.
    """

    encoder: str | None = None
    layers: int | None = None
    width: int | None = None
    heads: int | None = None
    vocab_size: int | None = None
    max_length: int = 128
    masking: Masking = "word"
    rate: float = RATE
    batch_tokens: int = 4096
    learning_rate: float | None = None
    schedule: Literal["linear", "cosine"] = "linear"
    warmup: float = 0.06
    weight_decay: float = 0.01
    dropout: float = 0.0
    steps: int | None = None
    epochs: float | None = None
    minutes: float | None = None
    precision: Precision = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        positive = ("layers", "width", "heads", "vocab_size", "learning_rate")
        for name in (*positive, "steps", "epochs", "minutes"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise DataError(f"{name} must be above 0, not {value}.")
        for name in ("rate", "warmup", "dropout"):
            value = getattr(self, name)
            if not 0 <= value < 1 or (name == "rate" and not value):
                raise DataError(f"{name} is a share of 1, not {value}.")
        if sum(value is not None for value in (self.steps, self.epochs, self.minutes)) > 1:
            raise DataError("steps, epochs and minutes each say how long it takes: give one.")
        if self.masking not in MASKINGS:
            raise DataError(f"unknown masking {self.masking!r}. Choose: {', '.join(MASKINGS)}.")
        if self.encoder is not None and (self.layers or self.width or self.heads):
            raise DataError("layers, width and heads are those of the encoder: leave them out.")
        _, width, heads = self.shape
        if width % heads:
            raise DataError(f"a width of {width} cannot be shared by {heads} heads.")
        if self.max_length < 8:
            raise DataError(f"max_length must be 8 or more, not {self.max_length}.")
        if self.batch_tokens < self.max_length:
            raise DataError(
                f"a batch of {self.batch_tokens} tokens does not hold a block of "
                f"{self.max_length}. Choose more tokens, or a smaller max_length."
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Layers, width and heads of a new model."""
        return self.layers or 4, self.width or 256, self.heads or 4

    @property
    def peak(self) -> float:
        """The highest learning rate."""
        return self.learning_rate or (1e-3 if self.encoder is None else 1e-4)
