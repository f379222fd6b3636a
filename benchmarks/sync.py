"""Bring a 10,000-row bank up to date after 100 rows changed, against building it anew.

The rows are banking77's train texts, one standard question each. Each round builds the bank in a
fresh index and then syncs the edited table into it, both as whole processes.

    python benchmarks/sync.py [--rounds 5]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import provenance
import pyarrow.parquet as parquet

from semsearch.tables import write_table

ROWS, CHANGED, SEED = 10_000, 100, 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    train = provenance.data_dir() / "faq" / "banking77" / "train.parquet"
    texts = [row["text"] for row in parquet.read_table(train).to_pylist()][:ROWS]
    rows = [
        {"key": f"k{n}", "question": text, "answer": f"Answer {n}."} for n, text in enumerate(texts)
    ]
    edited = [dict(row) for row in rows]
    for n in np.random.default_rng(SEED).choice(ROWS, CHANGED, replace=False):
        edited[n]["question"] += " Please help."
    times: dict[str, list[float]] = {"first build": [], "sync of 100 changed rows": []}
    with tempfile.TemporaryDirectory() as temporary:
        before, after = Path(temporary) / "before.csv", Path(temporary) / "after.csv"
        write_table(before, rows)
        write_table(after, edited)
        for round_ in range(rounds):
            index = Path(temporary) / f"index{round_}"
            for name, table in zip(times, (before, after), strict=True):
                started = time.perf_counter()
                done = subprocess.run(
                    [sys.executable, "-c", "from semsearch.cli import main; main()",
                     "build", str(table), str(index)],
                    check=True, capture_output=True, text=True,
                )  # fmt: skip
                times[name].append(time.perf_counter() - started)
            assert f"0 added, {CHANGED} changed" in done.stdout, done.stdout
    ratios = [b / a for a, b in zip(*times.values(), strict=True)]
    table_rows = [
        [name, f"{statistics.median(t):.2f}", f"{min(t):.2f}", f"{max(t):.2f}"]
        for name, t in times.items()
    ]
    print(provenance.table(["whole process, seconds", "median", "min", "max"], table_rows))
    print(f"\nratio, median of {rounds} rounds: {statistics.median(ratios):.3f}")
    provenance.write(
        "sync",
        {
            "rows": ROWS,
            "changed": CHANGED,
            "seconds": {name: [round(x, 3) for x in t] for name, t in times.items()},
            "ratio_median": round(statistics.median(ratios), 4),
        },
        [train],
        SEED,
    )


if __name__ == "__main__":
    main()
