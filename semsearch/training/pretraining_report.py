"""What came of a pre-training: for a terminal, for `training.json`, and for the model card."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from semsearch.training.pretraining_settings import PretrainingSettings


@dataclass(frozen=True, slots=True)
class Guessing:
    """How well masked tokens of held-out text are guessed."""

    loss: float  # mean cross-entropy in nats
    tokens: int  # masked ones

    @property
    def perplexity(self) -> float:
        """Among how many equally likely tokens it hesitates."""
        return math.exp(min(self.loss, 700.0))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {"loss": self.loss, "perplexity": self.perplexity, "masked_tokens": self.tokens}


@dataclass(frozen=True, slots=True)
class PretrainingReport:
    """What came of a pre-training.

    Attributes:
        before, after: on the same held-out texts with the same masks.
        losses: (step, loss) of the run, evenly spaced.
        texts, tokens: what was learnt from; `epochs` times over.
        texts_sha256, dev_sha256: of the texts that were learnt from, and of those held out.
        seconds: from the last start or resumption on.
    """

    settings: PretrainingSettings
    before: Guessing
    after: Guessing
    steps: int
    epochs: float
    texts: int
    tokens: int
    texts_sha256: str
    dev_sha256: str
    vocabulary: int
    losses: Sequence[tuple[int, float]]
    seconds: float
    precision: str
    device: str
    provenance: dict[str, Any]

    def __str__(self) -> str:
        return (
            f"masked tokens: perplexity {self.before.perplexity:,.1f} before, "
            f"{self.after.perplexity:,.1f} after, on {self.after.tokens:,}"
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "objective": "mlm",
            "before": self.before.to_dict(),
            "after": self.after.to_dict(),
            "steps": self.steps,
            "epochs": round(self.epochs, 3),
            "texts": self.texts,
            "tokens": self.tokens,
            "texts_sha256": self.texts_sha256,
            "dev_sha256": self.dev_sha256,
            "vocabulary": self.vocabulary,
            "seconds": round(self.seconds, 1),
            "precision": self.precision,
            "device": self.device,
            "settings": asdict(self.settings),
            "losses": [[step, round(loss, 5)] for step, loss in self.losses],
            "provenance": self.provenance,
        }


def model_card(report: PretrainingReport) -> str:
    """The README.md of a pre-trained encoder, with the front matter of the hub."""
    settings = report.settings
    front = {
        "library_name": "sentence-transformers",
        "pipeline_tag": "sentence-similarity",
        "tags": ["semsearch", "sentence-transformers", "fill-mask"],
    }
    start = "new weights" if settings.encoder is None else settings.encoder
    before, after = report.before, report.after
    lines = [
        "---",
        *(f"{key}: {json.dumps(value)}" for key, value in front.items()),
        "---",
        "",
        "# A masked language model with mean pooling",
        "",
        f"From {start}, by guessing masked text ({settings.masking} masking). It knows the "
        "language of its texts, not yet which sentences mean the same: train it on.",
        "",
        "```python",
        "from sentence_transformers import SentenceTransformer",
        'SentenceTransformer("this directory").encode(["a sentence"])',
        "from transformers import AutoModelForMaskedLM",
        'AutoModelForMaskedLM.from_pretrained("this directory")',
        "```",
        "",
        "## Before and after",
        "",
        "| | loss | perplexity | masked tokens |",
        "|---|---:|---:|---:|",
        *(
            f"| {name} | {value.loss:.3f} | {value.perplexity:,.1f} | {value.tokens:,} |"
            for name, value in (("before", before), ("after", after))
        ),
        "",
        "## What it learnt from",
        "",
        f"{report.texts:,} texts, {report.tokens:,} tokens, {report.epochs:.2f} times; SHA-256 "
        f"`{report.texts_sha256}`, of the held-out texts `{report.dev_sha256}`.",
        "",
        "## How",
        "",
        f"{report.steps:,} steps of {settings.batch_tokens:,} tokens in {report.seconds:,.0f} s on "
        f"{report.device} in {report.precision}. Seed {settings.seed}, learning rate "
        f"{settings.peak:g}, warm-up {settings.warmup:.0%}. Everything else is in `training.json`.",
        "",
    ]
    return "\n".join(lines)
