"""Keep what a whole run of make.sh said of itself: settings, losses, scores, and its curve.

    python recipes/embedded/record.py WORK

Writes `run/` beside this file: the two `training.json`, the tables' checksums and `curve.png`.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import statistics
from pathlib import Path
from typing import Any

OUT = Path(__file__).resolve().parent / "run"
WINDOW = 25
"""Logged losses that a point of the curve is the median of; steps of three objectives are mixed."""
_FOLDERS = re.compile(r'(?<=")/[^":]*/(?=[^/":]+/[^/":]+/[^/":]+\.parquet)')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    work: Path = parser.parse_args().work
    OUT.mkdir(exist_ok=True)
    shutil.copyfile(work / "tables" / "tables.json", OUT / "tables.json")
    stages = {}
    for name, folder in (("reading", "read"), ("distillation", "float")):
        if (work / folder / "training.json").is_file():
            report = (work / folder / "training.json").read_text(encoding="utf-8")
            report = _FOLDERS.sub("", report)  # where the data lay
            (OUT / f"{name}.json").write_text(report, encoding="utf-8")
            stages[name] = json.loads(report)
    _draw(stages, OUT / "curve.png")


def _draw(stages: dict[str, Any], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5 * len(stages), 3.6), layout="constrained")
    for place, (name, report) in enumerate(stages.items(), 1):
        axes = figure.add_subplot(1, len(stages), place)
        steps, losses = zip(*report["losses"], strict=True)
        starts = range(0, max(1, len(losses) - WINDOW + 1))
        smooth = [statistics.median(losses[start : start + WINDOW]) for start in starts]
        axes.plot(steps[-len(smooth) :], smooth, color="0.3", label=f"loss, median of {WINDOW}")
        axes.set(title=name, xlabel="step", ylabel="loss")
        axes.legend(fontsize="small", loc="lower left")
        if report.get("scores"):
            scores = axes.twinx()
            scores.plot(*zip(*report["scores"], strict=True), "o-", label="held-out translations")
            scores.set_ylabel("accuracy@1, percent")
            scores.legend(fontsize="small", loc="lower right")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
