"""Make a hundredth of the tables and train on it for a few steps: the recipe in a minute.

    python recipes/embedded/slice.py DATA [--write]

Prints what `slice.json` keeps; --write keeps it there.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import prepare
import start

from semsearch.training.command import run_command
from semsearch.training.objectives import LossOptions
from semsearch.training.preparing import Sources
from semsearch.training.settings import Settings

SHARE = 0.01
KEPT = Path(__file__).with_name("slice.json")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        made = {"tables": prepare.prepare(arguments.data, work / "tables", share=SHARE)}
        start.make(work / "tables", work / "start", words=True)
        made["training"] = train(work / "tables", work / "start", work / "float")
    text = json.dumps(made, indent=2)
    print(text)
    if arguments.write:
        KEPT.write_text(f"{text}\n", encoding="utf-8")


def train(tables: Path, encoder: Path, out: Path) -> dict[str, Any]:
    """Some steps of `make.sh`, smaller ones, in float32.

    Returns:
        the dev score before and after, percent, and the loss of the steps that are logged.
    """
    settings = Settings(
        "distil", str(encoder), teacher=prepare.TEACHER, max_length=128, dim=256, literal=2.0,
        batch_tokens=2048, topics=8, dropout=0.0, learning_rate=3e-4, embedding_rate=1e-3,
        steps=30, checks=1, precision="float32",
        loss=LossOptions(distance="cosine", similarities=2.0, ranking=0.1, dims=(128, 64)),
    )  # fmt: skip
    sources = Sources(
        files=(str(tables / "pairs-said.parquet"),),
        shape="pairs",
        dev=(str(tables / "dev.parquet"),),
        drop_leaks=True,
        also=(
            ("cosent", str(tables / "overlap-asked.parquet")),
            ("supervised-simcse", str(tables / "triplets-said.parquet")),
        ),
    )
    report = run_command(settings, sources, out, device="cpu")
    assert report.gain is not None
    return {
        "before": round(report.gain.before, 2),
        "after": round(report.gain.after, 2),
        "losses": [round(loss, 4) for _, loss in report.losses],
    }


if __name__ == "__main__":
    main()
