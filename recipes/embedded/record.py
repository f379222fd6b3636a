"""Keep what a whole run of make.sh said of itself: settings, losses, scores, and its curve.

    python recipes/embedded/record.py WORK

Writes `run/` beside this file: each run's `training.json`, the tables' checksums and `curve.png`.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
from pathlib import Path
from typing import Any

OUT = Path(__file__).resolve().parent / "run"
RUNS = (
    *("taught", "spelt", "worded", "ranked-2", "ranked-3"),
    *("last-4", "last-6", "last-8", "last-9"),
    *("asked-31", "asked-32", "asked-33", "asked-34", "said"),
)
_COLUMNS = 3
_FOLDERS = re.compile(r'(?<=")/[^":]*/(?=[^/":]+/[^/":]+/[^/":]+\.parquet)')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    work: Path = parser.parse_args().work
    OUT.mkdir(exist_ok=True)
    shutil.copyfile(work / "tables" / "tables.json", OUT / "tables.json")
    reports = {}
    for name in RUNS:
        report = (work / name / "training.json").read_text(encoding="utf-8")
        report = _FOLDERS.sub("", report)  # where the data lay
        (OUT / f"{name}.json").write_text(report, encoding="utf-8")
        reports[name] = json.loads(report)
    _draw(reports, OUT / "curve.png")


def _draw(reports: dict[str, Any], path: Path) -> None:
    from matplotlib.figure import Figure

    n_rows = -(-len(reports) // _COLUMNS)
    figure = Figure(figsize=(5 * _COLUMNS, 3.4 * n_rows), layout="constrained")
    for place, (name, report) in enumerate(reports.items(), 1):
        axes = figure.add_subplot(n_rows, _COLUMNS, place)
        steps, losses = zip(*report["losses"], strict=True)
        # Steps of several objectives are mixed, each with losses of its own size.
        axes.semilogy(steps, losses, ".", color="0.5", markersize=3, label="loss of a step")
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
