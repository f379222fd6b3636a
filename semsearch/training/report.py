"""What came of a run: for a terminal, for `training.json`, and for the model card."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from semsearch.training.examples import Examples
from semsearch.training.objectives import RECORDS
from semsearch.training.settings import Settings

REPORT = "training.json"


@dataclass(frozen=True, slots=True)
class Gain:
    """A measure before and after, times 100, with the 95% interval of the difference."""

    measure: str
    n: int
    before: float
    after: float
    low: float
    high: float

    @property
    def difference(self) -> float:
        return self.after - self.before

    @property
    def worse(self) -> bool:
        """The result is below the base, and chance does not explain it."""
        return self.high < 0

    def __str__(self) -> str:
        return (
            f"{self.measure}: {self.before:.2f} before, {self.after:.2f} after, "
            f"{self.difference:+.2f} [{self.low:+.2f}, {self.high:+.2f}] on {self.n:,}"
        )


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a run.

    Attributes:
        losses: (step, loss) of the run, evenly spaced.
        scores: (step, dev score) at every check.
        best_step: the one whose weights were kept; the last where there is no dev score.
        seconds: of training; of the last part of a run that was resumed.
        also: what else it learnt from, as `examples`, each with its objective.
        lowered: how often memory ran out and the examples at a time were halved.
        gain: on the held-out examples; None where there were none.
        tests: on the test sets.
    """

    settings: Settings
    steps: int
    best_step: int
    seconds: float
    precision: str
    device: str
    losses: Sequence[tuple[int, float]]
    scores: Sequence[tuple[int, float]]
    examples: Mapping[str, Any]
    provenance: Mapping[str, Any]
    also: Sequence[Mapping[str, Any]] = ()
    lowered: int = 0
    gain: Gain | None = None
    tests: tuple[Gain, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "objective": self.settings.objective,
            "source": RECORDS[self.settings.objective].source,
            "gain": asdict(self.gain) if self.gain else None,
            "tests": [asdict(gain) for gain in self.tests],
            "steps": self.steps,
            "best_step": self.best_step,
            "seconds": round(self.seconds, 1),
            "precision": self.precision,
            "device": self.device,
            "lowered": self.lowered,
            "settings": self.settings.to_dict(),
            "examples": dict(self.examples),
            "also": [dict(task) for task in self.also],
            "losses": [[step, round(loss, 5)] for step, loss in self.losses],
            "scores": [[step, round(score, 3)] for step, score in self.scores],
            "provenance": dict(self.provenance),
        }


def describe_examples(examples: Examples) -> dict[str, Any]:
    """What a run learnt from, with the checksum that another run can be held to."""
    return {
        "shape": examples.shape,
        "n": len(examples),
        "sha256": examples.sha256,
        "labels": list(examples.label_names),
        "sources": [dict(source) for source in examples.sources],
    }


def write_report(folder: Path, values: Mapping[str, Any]) -> None:
    """Put `training.json` into the directory of an encoder."""
    text = json.dumps(values, indent=2, ensure_ascii=False) + "\n"
    (folder / REPORT).write_text(text, encoding="utf-8")


def model_card(report: Report, base_name: str) -> str:
    """The README.md of a trained encoder, with the front matter of the hub."""
    record = RECORDS[report.settings.objective]
    front = {
        "library_name": "sentence-transformers",
        "pipeline_tag": "sentence-similarity",
        "tags": ["semsearch", "sentence-transformers", report.settings.objective],
    }
    settings = report.settings
    lines = [
        "---",
        *(f"{key}: {json.dumps(value)}" for key, value in front.items()),
        "---",
        "",
        f"# {base_name}, trained with {settings.objective}",
        "",
        f"{record.summary[0].upper()}{record.summary[1:]} ({record.source}).",
        "",
        "```python",
        "from sentence_transformers import SentenceTransformer",
        'SentenceTransformer("this directory").encode(["a sentence"])',
        "```",
        "",
        "## Before and after",
        "",
        *_gains(report),
        "",
        "## What it learnt from",
        "",
        *_learnt(report.examples),
        *(
            line
            for task in report.also
            for line in (
                f"Beside it, with {task['objective']} in batches of {task['batch_size']}:",
                "",
                *_learnt(task),
            )
        ),
        "## How",
        "",
        f"{report.steps:,} steps of {_step(settings)} in {report.seconds:,.0f} s on "
        f"{report.device} in {report.precision}; the weights of step {report.best_step:,}. "
        f"Seed {settings.seed}, learning rate {settings.learning_rate:g}, warm-up "
        f"{settings.warmup:.0%}. Everything else is in `training.json`.",
        "",
    ]
    return "\n".join(lines)


def _learnt(examples: Mapping[str, Any]) -> list[str]:
    """Some examples and the tables they are from, with checksums."""
    sources = [
        f"- {Path(source['path']).name}: {source['rows']:,} rows, SHA-256 `{source['sha256']}`"
        for source in examples.get("sources") or []
    ]
    return [
        f"{examples['n']:,} {examples['shape']}, SHA-256 of their content `{examples['sha256']}`.",
        "",
        *([*sources, ""] if sources else []),
    ]


def _step(settings: Settings) -> str:
    tokens = settings.batch_tokens
    return f"at most {tokens:,} tokens" if tokens else str(settings.batch_size)


def _gains(report: Report) -> list[str]:
    gains = [*([report.gain] if report.gain else []), *report.tests]
    if not gains:
        return ["Nothing was held out, so nothing is known."]
    return [
        "| measure | n | before | after | difference, 95% interval |",
        "|---|---:|---:|---:|---|",
        *(
            f"| {g.measure.replace('|', chr(92) + '|')} | {g.n:,} | {g.before:.2f} | {g.after:.2f} "
            f"| {g.difference:+.2f} [{g.low:+.2f}, {g.high:+.2f}] |"
            for g in gains
        ),
    ]
