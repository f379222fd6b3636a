"""One query from a cold shell: `semsearch query` against a sentence-transformers + FAISS script.

Whole processes, timed from outside, in turn, after one warm-up of each, on the banking77 bank (77
standard questions, 10,003 phrasings): both with the same encoder, MiniLM, and semsearch with the
embedded one, which is its default.

    python benchmarks/cold_query.py [--rounds 11]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import provenance
import pyarrow.parquet as parquet

QUERY = "my card still has not come"
SCRIPT = Path(__file__).parent / "baselines" / "st_faiss.py"
SEMSEARCH = [sys.executable, "-c", "from semsearch.cli import main; main()"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=11)
    rounds = parser.parse_args().rounds
    folder = provenance.data_dir() / "faq" / "banking77"
    files = [folder / "bank.parquet", folder / "train.parquet"]
    with tempfile.TemporaryDirectory() as temporary:
        ours, theirs, embedded = _prepare(Path(temporary), *files)
        commands = {
            "semsearch query": ours,
            "sentence-transformers + FAISS script": theirs,
            "semsearch query, embedded encoder": embedded,
        }
        times: dict[str, list[float]] = {name: [] for name in commands}
        environment = provenance.environment()
        for round_ in range(rounds + 1):
            for name, command in commands.items():
                started = time.perf_counter()
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
                if round_:  # the first is a warm-up
                    times[name].append(time.perf_counter() - started)
    ours_s, theirs_s, _ = times.values()
    ratios = [a / b for a, b in zip(ours_s, theirs_s, strict=True)]
    rows = [
        [name, f"{statistics.median(t):.2f}", f"{min(t):.2f}", f"{max(t):.2f}"]
        for name, t in times.items()
    ]
    print(provenance.table(["whole process, seconds", "median", "min", "max"], rows))
    ratio = statistics.median(ratios)
    print(f"\nratio, median of {rounds} pairs: {ratio:.3f} (1/{1 / ratio:.1f})")
    provenance.write(
        "cold_query",
        {
            "seconds": {name: [round(x, 3) for x in t] for name, t in times.items()},
            "ratio_median": round(ratio, 4),
            "ratios": [round(x, 4) for x in ratios],
        },
        files,
    )


def _prepare(temporary: Path, bank: Path, train: Path) -> list[list[str]]:
    for name in ("minilm", "embedded"):
        index = ["build", str(bank), str(temporary / name), "--phrasings", str(train)]
        command = [*SEMSEARCH, *index, "--encoder", name]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    texts: dict[int, list[str]] = {}
    for row in parquet.read_table(train).to_pylist():
        texts.setdefault(row["question_id"], []).append(row["text"])
    rows = [
        {"key": row["id"], "answer": row["answer"], "texts": [row["question"], *texts[row["id"]]]}
        for row in parquet.read_table(bank).to_pylist()
    ]
    (temporary / "bank.json").write_text(json.dumps(rows))
    script = [sys.executable, str(SCRIPT)]
    subprocess.run(
        [*script, "build", str(temporary / "bank.json"), str(temporary / "st")],
        check=True,
        stderr=subprocess.DEVNULL,
    )
    return [
        [*SEMSEARCH, "query", str(temporary / "minilm"), QUERY],
        [*script, "query", str(temporary / "st"), QUERY],
        [*SEMSEARCH, "query", str(temporary / "embedded"), QUERY],
    ]


if __name__ == "__main__":
    main()
