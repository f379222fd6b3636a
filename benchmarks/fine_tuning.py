"""From MiniLM to one's own data: STS-B by regression, banking77 by its own phrasings.

    python benchmarks/fine_tuning.py [--seeds 2] [--report]

The first must not fall below the encoder as it was; the second is to find more of the test queries,
with an interval that leaves out 0. No test pair or query is trained on. Finished runs are kept in
`benchmarks/work` and not repeated.
"""

from __future__ import annotations

import argparse
import json
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import provenance

from semsearch.training.command import run_command
from semsearch.training.objectives import ObjectiveName
from semsearch.training.preparing import Sources
from semsearch.training.settings import Settings

DATA = provenance.data_dir()
STSB = DATA / "sts_en" / "stsbenchmark"
BANKING = DATA / "faq" / "banking77"


@dataclass(frozen=True)
class Run:
    """One fine-tuning and what it is judged by."""

    name: str
    objective: ObjectiveName
    sources: Sources
    settings: dict[str, Any] = field(default_factory=dict)
    mine_hard: int | None = None


RUNS = (
    Run(
        "STS-B, regression",
        "regression",
        Sources(
            (str(STSB / "train.parquet"),),
            dev=(str(STSB / "dev.parquet"),),
            tests=(str(STSB / "test.parquet"),),
            drop_leaks=True,
        ),
        {"epochs": 1, "checks": 3, "batch_size": 32},
    ),
    Run(
        "banking77, contrastive",
        "contrastive",
        Sources(
            bank=str(BANKING / "bank.parquet"),
            dev_share=0,
            tests=(str(BANKING / "test.parquet"),),
            drop_leaks=True,
            reading={"phrasings": str(BANKING / "train.parquet")},
        ),
        {"steps": 240, "batch_size": 64, "learning_rate": 6e-5, "max_length": 48, "checks": 1},
        mine_hard=1,
    ),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--report", action="store_true", help="train nothing, report what is there")
    arguments = parser.parse_args()
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    reports: dict[str, list[dict[str, Any]]] = {run.name: [] for run in RUNS}
    for seed in range(arguments.seeds):
        for run in RUNS:
            out = _out(run, seed)
            if not out.is_dir() and not arguments.report:
                _train(run, seed, out)
            if out.is_dir():
                saved = json.loads((out / "training.json").read_text(encoding="utf-8"))
                reports[run.name].append(_row(saved))
    rows = [{"name": name, "seeds": seeds} for name, seeds in reports.items() if seeds]
    columns = ["", "seed", "before", "after", "difference [95%]", "steps", "minutes"]
    print(
        provenance.table(
            columns,
            [[row["name"], str(n), *_shown(seed)] for row in rows
             for n, seed in enumerate(row["seeds"])],
        )
    )  # fmt: skip
    data = [STSB / f"{part}.parquet" for part in ("train", "dev", "test")]
    data += [BANKING / f"{part}.parquet" for part in ("bank", "train", "test")]
    provenance.write("fine_tuning", {"rows": rows}, data=data)


def _out(run: Run, seed: int) -> Path:
    slug = run.name.lower().replace(",", "").replace(" ", "-")
    return provenance.HERE / "work" / "fine_tuning" / f"{slug}-{seed}"


def _train(run: Run, seed: int, out: Path) -> None:
    """Do a run, or go on with it."""
    out.parent.mkdir(parents=True, exist_ok=True)
    settings = Settings(run.objective, "minilm", seed=seed, **run.settings)
    resume = Path(f"{out}.training").is_dir()
    run_command(settings, run.sources, out, mine_hard=run.mine_hard, resume=resume)


def _row(report: dict[str, Any]) -> dict[str, Any]:
    test = report["tests"][0]
    return {
        **{key: round(test[key], 2) for key in ("before", "after", "low", "high")},
        "measure": test["measure"],
        "n": test["n"],
        "steps": report["steps"],
        "batch_size": report["settings"]["batch_size"],
        "minutes": round(report["seconds"] / 60, 1),
    }


def _shown(row: dict[str, Any]) -> list[str]:
    gain = row["after"] - row["before"]
    return [
        f"{row['before']:.2f}",
        f"{row['after']:.2f}",
        f"{gain:+.2f} [{row['low']:+.2f}, {row['high']:+.2f}]",
        str(row["steps"]),
        f"{row['minutes']:.1f}",
    ]


if __name__ == "__main__":
    main()
