"""How a run trains, as one record that is kept beside what came of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from semsearch.errors import DataError
from semsearch.training.objectives import RECORDS, LossOptions, ObjectiveName
from semsearch.types import Pooling

Precision = Literal["auto", "float32", "bfloat16", "float16"]

_POSITIVE = (
    *("epochs", "steps", "batch_size", "batch_tokens", "topics", "mini_batch"),
    *("learning_rate", "embedding_rate", "patience", "dim"),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run does; None stands for what the objective's paper does.

    Attributes:
        encoder: what is trained: a name, a directory or a hub id.
        epochs: passes over the examples; `steps` comes before it.
        steps: updates of the weights.
        batch_size: examples of one update, over all devices and accumulated parts.
        batch_tokens: of distil, in place of batch_size: tokens of one update, padding included;
            a batch has single sentences of about one length, see `length_batches`.
        topics: with batch_tokens: sentences are sorted into so many topics by what their teacher
            says, and a batch has those of one: its sentences are hard to tell apart.
        mini_batch: examples on one device at a time, or tokens where there is batch_tokens; None
            for all. Objectives with in-batch negatives still see the whole batch (see
            `LossOptions.mini_batch`), the others accumulate gradients.
        learning_rate: the highest that AdamW has.
        embedding_rate: the highest for the word embeddings; None for that of all others.
        warmup: share of the steps, 0..1.
        precision: "auto" is bfloat16 or float16 where the hardware computes in it, else float32.
        checks: how often the dev score is taken, evenly over the run; a checkpoint each.
        patience: checks without a better dev score after which the run ends; None never ends it.
        dropout: of the body while it is trained; None leaves it as it is.
        layers: those of the encoder that are kept, numbered from 0; () keeps all.
        vocabulary: a file of word pieces, a line each, that replace the encoder's.
        teacher: the encoder whose vectors distil matches; None for the encoder itself, before
            layers are taken from it.
        dim: of distil: a linear map to so many dimensions comes behind the pooling, and starts as
            the one that reduces the teacher's vectors best; None adds none.
        literal: of distil with batch_tokens: weight of a translation's own spelling in its
            target, see `literal`; None or 0 leaves it out.
    """

    objective: ObjectiveName
    encoder: str
    pooling: Pooling | None = None
    max_length: int | None = None
    truncate: str | None = None
    epochs: float | None = None
    steps: int | None = None
    batch_size: int | None = None
    batch_tokens: int | None = None
    topics: int | None = None
    mini_batch: int | None = None
    learning_rate: float | None = None
    embedding_rate: float | None = None
    warmup: float | None = None
    weight_decay: float = 0.01
    precision: Precision = "auto"
    checks: int = 5
    patience: int | None = None
    dropout: float | None = None
    layers: tuple[int, ...] = ()
    vocabulary: str | None = None
    teacher: str | None = None
    dim: int | None = None
    literal: float | None = None
    seed: int = 0
    loss: LossOptions = field(default_factory=LossOptions)
    trust_remote_code: bool = False

    def __post_init__(self) -> None:
        for name in _POSITIVE:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise DataError(f"{name} must be above 0, not {value}.")
        if self.checks < 1:
            raise DataError("checks must be at least 1.")
        if self.warmup is not None and not 0 <= self.warmup < 1:
            raise DataError(f"warmup is a share of the steps, 0 to below 1, not {self.warmup}.")
        if self.dropout is not None and not 0 <= self.dropout < 1:
            raise DataError(f"dropout is a share, 0 to below 1, not {self.dropout}.")
        if self.batch_tokens is not None and self.batch_size is not None:
            raise DataError("--batch-tokens stands in place of --batch-size: give one of them.")
        if self.topics is not None and self.batch_tokens is None:
            raise DataError("--topics goes with --batch-tokens.")
        if self.literal and self.batch_tokens is None:
            raise DataError("--literal goes with --batch-tokens.")
        if self.objective == "classification" and self.loss.dims:
            raise DataError("--dims does not go with classification, which sees whole vectors.")
        for name, given in self._of_distil().items():
            if given and self.objective != "distil":
                raise DataError(f"{name} goes with the objective distil.")

    def _of_distil(self) -> dict[str, bool]:
        """Whether each option is given that no other objective has."""
        return {
            "--batch-tokens": self.batch_tokens is not None,
            "--dim": self.dim is not None,
            "--distance": self.loss.distance != "mse",
            "--similarities": self.loss.similarities > 0,
            "--ranking": self.loss.ranking > 0,
        }

    def filled(self, most: int | None = None) -> Settings:
        """The same with what the objective's paper does in place of None.

        Args:
            most: how many examples a batch can have; a paper's batch is no larger then.
        """
        record = RECORDS[self.objective]
        usual = None if self.batch_tokens else record.batch_of(most)
        return replace(
            self,
            epochs=self.epochs if self.epochs is not None else record.epochs,
            batch_size=self.batch_size or usual,
            learning_rate=self.learning_rate or record.learning_rate,
            warmup=record.warmup if self.warmup is None else self.warmup,
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self)
