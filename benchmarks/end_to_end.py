"""From a table to answers: 10,000 rows indexed, then 1,000 queries answered, as whole processes.

The rows are banking77's 10,003 labelled texts, the queries are 1,000 of its test set. Everybody
starts from the same CSV file and ends with an index on disk; then another process answers all
queries from it. All take the same encoder, all-MiniLM-L6-v2; semsearch is also measured with the
embedded one, its default. Each round runs everybody once, in turn. Peak memory is what the
operating system saw of the process. Quality stands beside: how many of the first hits have the
right intent. Libraries that are not installed are left out:
pip install txtai chromadb lancedb pymilvus milvus-lite

    python benchmarks/end_to_end.py [--rounds 3]
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import provenance
import pyarrow.parquet as parquet

PEERS = Path(__file__).parent / "baselines" / "peers.py"
SEMSEARCH = [sys.executable, "-c", "from semsearch.cli import main; main()"]
NAMES = {
    "script": "sentence-transformers + FAISS script",
    "txtai": "txtai",
    "chromadb": "Chroma",
    "lancedb": "LanceDB",
    "pymilvus": "Milvus Lite",
}
MINE = "semsearch, minilm"
EMBEDDED = "semsearch, embedded encoder"
N_QUERIES = 1_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    folder = provenance.data_dir() / "faq" / "banking77"
    files = [folder / "train.parquet", folder / "test.parquet"]
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        intents, expected = _tables(work, *files)
        sides = [MINE, EMBEDDED, *(name for side, name in NAMES.items() if _installed(side))]
        found: dict[str, dict[str, Any]] = {
            name: {"build_s": [], "query_s": [], "peak_mib": []} for name in sides
        }
        for round_ in range(rounds + 1):
            for name in sides:
                measured = _once(name, work)
                keys = json.loads(measured.pop("answers"))
                right = sum(
                    intents[best[0]] == intent for best, intent in zip(keys, expected, strict=True)
                )
                found[name]["accuracy_at_1"] = round(right / len(expected), 4)
                for field, value in measured.items():
                    if round_:  # the first is a warm-up
                        found[name][field].append(value)
    rows = []
    for name, side in found.items():
        totals = [a + b for a, b in zip(side["build_s"], side["query_s"], strict=True)]
        mine = found[MINE]
        ours = [a + b for a, b in zip(mine["build_s"], mine["query_s"], strict=True)]
        ratios = [theirs / us for theirs, us in zip(totals, ours, strict=True)]
        side["times_semsearch"] = round(statistics.median(ratios), 2)
        rows.append(
            [
                name,
                f"{statistics.median(side['build_s']):.1f}",
                f"{statistics.median(side['query_s']):.1f}",
                f"{side['times_semsearch']:.1f} [{min(ratios):.1f}, {max(ratios):.1f}]",
                f"{max(side['peak_mib']):,.0f}",
                f"{side['accuracy_at_1']:.3f}",
            ]
        )
    head = ["", "build, s", "1,000 queries, s", "both, times semsearch [min, max]", "peak MiB",
            "accuracy@1"]  # fmt: skip
    print(provenance.table(head, rows))
    provenance.write("end_to_end", {"rounds": rounds, "sides": found}, files)


def _installed(side: str) -> bool:
    if side == "script" or find_spec(side):
        return True
    print(f"{side} is not installed, and left out", file=sys.stderr)
    return False


def _tables(work: Path, train: Path, test: Path) -> tuple[dict[str, int], list[int]]:
    """Writes bank.csv and queries.txt; the intent of each key, and that of each query."""
    rows = parquet.read_table(train).to_pylist()
    with (work / "bank.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["key", "question", "answer"])
        for number, row in enumerate(rows):
            writer.writerow([f"k{number}", " ".join(row["text"].split()), row["question_id"]])
    asked = parquet.read_table(test).to_pylist()[:: 3080 // N_QUERIES][:N_QUERIES]
    lines = [" ".join(row["text"].split()) for row in asked]
    (work / "queries.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    intents = {f"k{number}": row["question_id"] for number, row in enumerate(rows)}
    return intents, [row["question_id"] for row in asked]


def _once(name: str, work: Path) -> dict[str, Any]:
    index = work / "index"
    shutil.rmtree(index, ignore_errors=True)
    bank, queries = str(work / "bank.csv"), str(work / "queries.txt")
    if name in (MINE, EMBEDDED):
        encoder = "minilm" if name == MINE else "embedded"
        build = [*SEMSEARCH, "build", bank, str(index), "--encoder", encoder]
        query = [*SEMSEARCH, "query", str(index), "--file", queries, "-k", "3", "--json"]
    else:
        side = next(side for side, known in NAMES.items() if known == name)
        build = [sys.executable, str(PEERS), side, "build", bank, str(index)]
        query = [sys.executable, str(PEERS), side, "query", str(index), queries]
    build_s, build_mib, _ = _timed(build, work)
    query_s, query_mib, answers = _timed(query, work)
    if name in (MINE, EMBEDDED):
        hits = [json.loads(line)["hits"] for line in answers.splitlines()]
        answers = json.dumps([[hit["key"] for hit in found] for found in hits])
    return {
        "build_s": round(build_s, 2),
        "query_s": round(query_s, 2),
        "peak_mib": round(max(build_mib, query_mib)),
        "answers": answers,
    }


def _timed(command: list[str], work: Path) -> tuple[float, float, str]:
    """Seconds, peak MiB, and what it printed."""
    environment = provenance.environment(HF_HUB_OFFLINE="1", ANONYMIZED_TELEMETRY="False")
    out = work / "out.txt"
    with out.open("wb") as stdout, (work / "err.txt").open("wb") as stderr:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=stdout, stderr=stderr, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
    if status:
        sys.exit(f"{command}: {(work / 'err.txt').read_text()[-2000:]}")
    return seconds, usage.ru_maxrss / 1024, out.read_text(encoding="utf-8")


if __name__ == "__main__":
    main()
