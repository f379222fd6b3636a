"""Does each objective teach? From a BERT that has only seen plain text to STS, in both languages.

The base is pre-trained by `benchmarks/pretraining.py` on Wikipedia text and knows nothing of
sentence similarity. It is then trained with each objective, from two seeds, by what
`semsearch train` runs; the checkpoint with the best STS-B dev score is kept, as in the papers. No
pair of a test set is trained on.

    python benchmarks/objectives.py en|zh [--seeds 2]

Finished runs are kept in `benchmarks/work` and not repeated. Every objective is trained from one
seed before any is from the next; Ctrl-C reports what is finished.
"""

from __future__ import annotations

import argparse
import json
import logging
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import provenance
import pyarrow.parquet as parquet
from pretraining import base

from semsearch.evaluation import sts
from semsearch.training.objectives import LossOptions, ObjectiveName
from semsearch.training.preparing import Sources, prepare
from semsearch.training.run import train
from semsearch.training.settings import Settings

WORK = provenance.HERE / "work"
DATA = provenance.data_dir()
LANGUAGES = ("en", "zh")
TASKS = {
    "en": ("STS-B", "SICK-R"),
    "zh": ("STS-B-zh", "LCQMC", "BQ", "ATEC"),
}
DEV = {"en": "sts_en/stsbenchmark/dev.parquet", "zh": "sts_zh/stsb_zh/dev.parquet"}
LEARNING_RATE = 1e-4
"""But of SimCSE: the papers' 2e-5 is that of a BERT thirty times as large."""
WIDTH = 256
"""Of the base, and what it is whitened to."""
_SIMCSE: dict[str, Any] = {"learning_rate": 3e-5}  # more of it hurts more
N_SENTENCES = 40_000
"""Of Wikipedia, for SimCSE."""

_ENDS = re.compile(r"(?<=[.!?])\s+(?=[A-Z])|(?<=[。！？])")


@dataclass(frozen=True)
class Line:
    """One objective on its data.

    Attributes:
        supervised: whether it learns from what people said of sentences.
    """

    name: str
    objective: ObjectiveName
    files: tuple[str, ...]
    steps: int
    supervised: bool = True
    shape: Any = None
    settings: dict[str, Any] = field(default_factory=dict)


LINES = {
    "en": (
        Line("SimCSE", "simcse", ("sentences",), 150, False, settings=_SIMCSE),
        Line("classification", "classification", ("nli/snli_cad/train.parquet",), 400),
        Line("triplet", "triplet", ("nli/snli_cad/train.parquet",), 250),
        Line(
            "supervised SimCSE",
            "supervised-simcse",
            ("nli/snli_cad/train.parquet",),
            100,
            settings={"batch_size": 64},
        ),
        Line("contrastive", "contrastive", ("paraphrase/flickr8k_captions/train.parquet",), 200),
        Line("regression", "regression", ("sts_en/stsbenchmark/train.parquet",), 400),
        Line("cosent", "cosent", ("sts_en/stsbenchmark/train.parquet",), 250),
        Line("angle", "angle", ("sts_en/stsbenchmark/train.parquet",), 250),
    ),
    "zh": (
        Line("SimCSE", "simcse", ("sentences",), 150, False, settings=_SIMCSE),
        Line(
            "SimCSE, dropout 0.3",
            "simcse",
            ("sentences",),
            150,
            False,
            settings={**_SIMCSE, "dropout": 0.3},
        ),
        Line(
            "classification",
            "classification",
            ("nli/csnli/dev.parquet", "nli/ocnli/train.parquet"),
            400,
        ),
        Line(
            "supervised SimCSE",
            "supervised-simcse",
            ("nli/csnli/dev.parquet", "nli/csnli/test.parquet"),
            100,
            settings={"batch_size": 64},
        ),
        *(
            Line(name, name, tuple(f"sts_zh/{task}/dev.parquet" for task in tasks), steps)  # type: ignore[arg-type]
            for tasks in (("lcqmc", "bq", "atec"),)
            for name, steps in (("regression", 600), ("cosent", 300), ("contrastive", 200))
        ),
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("language", choices=LANGUAGES)
    parser.add_argument("--seeds", type=int, default=2)
    arguments = parser.parse_args()
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    language, start = arguments.language, base(arguments.language)
    runs: dict[str, list[Path]] = {line.name: [] for line in LINES[language]}
    with suppress(KeyboardInterrupt):
        for seed in range(arguments.seeds):
            for line in LINES[language]:
                runs[line.name].append(_trained(language, line, seed, start))
    trained = [_row(language, line, runs[line.name]) for line in LINES[language] if runs[line.name]]
    rows = [*_untrained(language, start), *trained]
    columns = ["", *TASKS[language], "mean", "seeds differ by", "minutes"]
    print(provenance.table(columns, [_shown(row, language) for row in rows]))
    for remark in _order(rows):
        print(f"- {remark}")
    pretrained = json.loads((start / "training.json").read_text(encoding="utf-8"))
    path = provenance.write(
        f"objectives_{language}",
        {
            "base": {
                key: pretrained[key]
                for key in ("settings", "before", "after", "seconds", "steps")
                if key in pretrained
            },
            "learning_rate": LEARNING_RATE,
            "rows": rows,
            "order": _order(rows),
        },
        data=_files(language),
    )
    print(f"\nwritten: {path.name}")


def _trained(language: str, line: Line, seed: int, start: Path) -> Path:
    """The encoder of one objective and seed, trained now if it is not there yet."""
    slug = re.sub(r"\W+", "-", line.name.lower())
    out = WORK / f"objectives_{language}" / f"{slug}-{seed}"
    if out.is_dir():
        return out
    out.parent.mkdir(parents=True, exist_ok=True)
    print(f"training {language} {line.name}, seed {seed}", flush=True)
    choices = {
        "pooling": "mean",
        "max_length": 64,
        "learning_rate": LEARNING_RATE,
        "checks": 3,
        **line.settings,
    }
    settings = Settings(
        line.objective,
        str(start),
        steps=line.steps,
        seed=seed,
        loss=LossOptions(),
        **choices,
    )
    files = tuple(
        str(_sentences(language) if name == "sentences" else DATA / name) for name in line.files
    )
    sources = Sources(
        files, shape=line.shape, dev=(str(DATA / DEV[language]),), tests=_tests(language),
        drop_leaks=True,
    )  # fmt: skip
    resume = out.with_name(f"{out.name}.training").is_dir()
    prepared = prepare(line.objective, sources)
    train(settings, prepared.examples, out, dev=prepared.dev, resume=resume)
    return out


def _tests(language: str) -> tuple[str, ...]:
    """The test sets, so that no example is trained on that is in one of them."""
    names = {
        "en": ("stsbenchmark", "sick"),
        "zh": ("stsb_zh", "lcqmc", "bq", "atec"),
    }[language]
    return tuple(str(DATA / f"sts_{language}" / name / "test.parquet") for name in names)


def _sentences(language: str) -> Path:
    """Sentences of Wikipedia, one a line, evenly from the whole."""
    path = WORK / f"sentences_{language}.txt"
    if path.is_file():
        return path
    table = parquet.read_table(DATA / "text" / f"{language}wiki" / "train.parquet")
    found = dict.fromkeys(_split(table["text"].to_pylist(), 10 if language == "zh" else 30))
    chosen = np.linspace(0, len(found) - 1, N_SENTENCES).astype(int)
    sentences = list(found)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(sentences[row] for row in chosen) + "\n", encoding="utf-8")
    return path


def _split(paragraphs: Iterable[str], shortest: int) -> Iterable[str]:
    for paragraph in paragraphs:
        for sentence in _ENDS.split(paragraph):
            sentence = " ".join(sentence.split())
            if shortest <= len(sentence) <= 200:
                yield sentence


def _scores(
    language: str, encoder: Path, **options: Any
) -> dict[tuple[str, str], dict[str, float]]:
    """Spearman's correlation, times 100, by (label, variant) and task."""
    report = sts.evaluate([encoder], list(TASKS[language]), data_dir=DATA, draws=1, **options)
    return {
        (row.label.split(", ")[1] if ", " in row.label else row.label, row.variant.kind): {
            task: round(row.scores[task].value, 2) for task in TASKS[language]
        }
        for row in report.rows
    }


def _untrained(language: str, start: Path) -> list[dict[str, Any]]:
    """The base as it is, by cls and by mean, and its mean whitened."""
    found = _scores(language, start, pooling=["cls", "mean"], whiten=[WIDTH])
    names = {
        ("tf-idf", "raw"): "tf-idf",
        ("cls", "raw"): "raw, cls",
        ("mean", "raw"): "raw, mean",
        ("mean", "whitened"): "whitened, mean",
    }
    return [
        {"name": name, "kind": "untrained", "scores": found[key], "seeds": [found[key]]}
        for key, name in names.items()
    ]


def _row(language: str, line: Line, runs: list[Path]) -> dict[str, Any]:
    seeds = [list(_scores(language, run).values())[-1] for run in runs]
    reports = [json.loads((run / "training.json").read_text(encoding="utf-8")) for run in runs]
    return {
        "name": line.name,
        "kind": "supervised" if line.supervised else "unsupervised",
        "objective": line.objective,
        "scores": {task: round(mean(seed[task] for seed in seeds), 2) for task in TASKS[language]},
        "seeds": seeds,
        "steps": reports[0]["steps"],
        "batch_size": reports[0]["settings"]["batch_size"],
        "examples": reports[0]["examples"]["n"],
        "minutes": round(mean(report["seconds"] for report in reports) / 60, 1),
        "dev": [report["gain"]["after"] for report in reports],
    }


def _average(row: dict[str, Any]) -> float:
    return mean(row["scores"].values())


def _shown(row: dict[str, Any], language: str) -> list[str]:
    tasks = TASKS[language]
    spread = max(
        max(seed[task] for seed in row["seeds"]) - min(seed[task] for seed in row["seeds"])
        for task in tasks
    )
    return [
        row["name"],
        *(f"{row['scores'][task]:.2f}" for task in tasks),
        f"{_average(row):.2f}",
        f"{spread:.2f}" if len(row["seeds"]) > 1 else "",
        f"{row['minutes']:.1f}" if "minutes" in row else "",
    ]


def _order(rows: list[dict[str, Any]]) -> list[str]:
    """What the papers report of the order, and whether it holds here, by the mean of the tasks."""
    scores = {row["name"]: _average(row) for row in rows}
    best = {
        kind: max((row for row in rows if row["kind"] == kind), key=_average)["name"]
        for kind in ("unsupervised", "supervised")
    }
    claims = [
        ("raw, cls", "raw, mean"),
        ("raw, mean", "whitened, mean"),
        ("raw, mean", "SimCSE"),
        (best["unsupervised"], best["supervised"]),
    ]
    return [
        f"{low} ({scores[low]:.2f}) < {high} ({scores[high]:.2f}): "
        + ("holds" if scores[low] < scores[high] else "does not hold")
        for low, high in claims
    ]


def _files(language: str) -> list[Path]:
    named = [DATA / name for line in LINES[language] for name in line.files if "/" in name]
    text = DATA / "text" / f"{language}wiki" / "train.parquet"
    return list(dict.fromkeys([text, *named, DATA / DEV[language], *map(Path, _tests(language))]))


if __name__ == "__main__":
    main()
