"""How cost grows with the bank: encoding, building, opening and asking, at 1,000 to 1,000,000 rows.

Rows are sentences of the shared Wikipedia text, English and Chinese, one standard question each;
queries are other sentences. Encoding is timed by itself; the index is then built with the vectors
remembered, so that what is left is reading rows, SQLite, FAISS and the disk. A query is timed with
the index open (one text: encode, search, read the answer) and as what a search alone takes.
An exponent of 1 says that ten times the rows cost ten times as much.

    python benchmarks/scaling.py [--most 1000000]
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import neighbours
import numpy as np
import provenance
from answer_quality import Memory

from semsearch import Encoder, Index
from semsearch.evaluation.plots import as_png, blank

SIZES = (1_000, 10_000, 100_000, 1_000_000)
QUERIES = 200
COSTS = {
    "encode_s": "encode",
    "build_s": "build, vectors known",
    "open_s": "open and first answer",
    "query_ms": "a query, in ms",
    "disk_mb": "on disk, MB",
    "memory_mb": "peak memory of the build, MB",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--most", type=int, default=SIZES[-1])
    parser.add_argument("--size", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.size:
        print(json.dumps(measured(arguments.size)))
        return
    records = []
    for size in (size for size in SIZES if size <= arguments.most):
        command = [sys.executable, __file__, "--size", str(size)]  # memory is of this size alone
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        records.append(json.loads(done.stdout.splitlines()[-1]))
        print(records[-1], file=sys.stderr, flush=True)
    found = {"rows": records, "exponents": exponents(records)}
    print(table(found))
    if arguments.most == SIZES[-1]:
        provenance.write("scaling", found, neighbours.sources(arguments.most))
        path = provenance.RESULTS / "scaling" / "scaling.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(plot(found))


def measured(size: int) -> dict[str, Any]:
    texts = neighbours.sentences(size)
    rows, queries = texts[:size], texts[size : size + QUERIES]
    encoder = Memory(Encoder.load("embedded").suited_to(rows))
    encoder.encode(queries)
    started = time.perf_counter()
    encoder.encode(rows)
    encoded = time.perf_counter() - started
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index"
        bank = (
            {"key": f"k{number}", "question": text, "answer": text[::-1]}
            for number, text in enumerate(rows)
        )
        started = time.perf_counter()
        Index.build(bank, path, encoder=encoder).close()
        built = time.perf_counter() - started
        disk = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        started = time.perf_counter()
        with Index.open(path) as index:
            index.search(queries[0])
            opened = time.perf_counter() - started
            seconds = []
            for query in queries:
                started = time.perf_counter()
                index.search(query)
                seconds.append(time.perf_counter() - started)
            info = index.info()
    return {
        "n": size,
        "encode_s": round(encoded, 3),
        "build_s": round(built, 3),
        "open_s": round(opened, 4),
        "query_ms": round(1000 * float(np.median(seconds)), 4),
        "query_p99_ms": round(1000 * float(np.percentile(seconds, 99)), 4),
        "disk_mb": round(disk / 1e6, 2),
        "memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3, 1),
        "factory": f"{info['factory']} {info['parameters']}".strip(),
    }


def exponents(records: list[dict[str, Any]]) -> dict[str, list[float]]:
    """Of each cost, between neighbouring sizes: cost ~ n ** exponent."""
    return {
        cost: [
            round(float(np.log(b[cost] / a[cost]) / np.log(b["n"] / a["n"])), 2)
            for a, b in pairwise(records)
        ]
        for cost in COSTS
    }


def table(found: dict[str, Any]) -> str:
    """A row for each size, the exponent since the last size in brackets."""
    lines = []
    for number, record in enumerate(found["rows"]):
        cells = [f"{record['n']:,}"]
        for cost in COSTS:
            grown = f" ({found['exponents'][cost][number - 1]:.2f})" if number else ""
            cells.append(f"{record[cost]:,.3g}{grown}")
        lines.append([*cells, f"`{record['factory']}`"])
    head = ["rows", *(name if "," in name else f"{name}, s" for name in COSTS.values()), "index"]
    head[2] = "build, vectors known, s"
    return provenance.table(head, lines)


def plot(found: dict[str, Any]) -> bytes:
    figure = blank(7.0, 4.2)
    axes = figure.subplots()
    sizes = [record["n"] for record in found["rows"]]
    for cost, unit in (("encode_s", 1), ("build_s", 1), ("open_s", 1), ("query_ms", 1e-3)):
        values = [record[cost] * unit for record in found["rows"]]
        slope = np.polyfit(np.log(sizes), np.log(values), 1)[0]
        name = COSTS[cost].split(", in")[0]
        axes.loglog(sizes, values, marker="o", label=f"{name}: exponent {slope:.2f}")
    axes.set_xlabel("rows")
    axes.set_ylabel("seconds")
    axes.grid(True, which="both", alpha=0.3)
    axes.legend()
    return as_png(figure)


if __name__ == "__main__":
    main()
