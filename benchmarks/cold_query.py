"""One query from a cold shell: `semsearch query` against a sentence-transformers + FAISS script.

Whole processes, timed from outside, there and back, after a warm-up of each, on the banking77 bank
(77 standard questions, 10,003 phrasings): both with the same encoder, MiniLM; with the embedded
one, which is the default, semsearch and a script that does no more than ONNX Runtime and FAISS
must.

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
SCRIPTS = Path(__file__).parent / "baselines"
SEMSEARCH = [sys.executable, "-c", "from semsearch.cli import main; main()"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=11)
    rounds = parser.parse_args().rounds
    folder = provenance.data_dir() / "faq" / "banking77"
    files = [folder / "bank.parquet", folder / "train.parquet"]
    with tempfile.TemporaryDirectory() as temporary:
        commands = _prepare(Path(temporary), *files)
        times: dict[str, list[float]] = {name: [] for name in commands}
        environment = provenance.environment()
        for round_ in range(rounds + 1):
            names = [*commands][:: 1 if round_ % 2 else -1]  # what came before leaves its traces
            for name in names:
                started = time.perf_counter()
                subprocess.run(
                    commands[name],
                    check=True,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env=environment,
                )
                if round_:  # the first is a warm-up
                    times[name].append(time.perf_counter() - started)
    ours_s, theirs_s, embedded_s, bare_s = times.values()
    ratios = [a / b for a, b in zip(ours_s, theirs_s, strict=True)]
    over_bare = [a / b for a, b in zip(embedded_s, bare_s, strict=True)]
    rows = [
        [name, f"{statistics.median(t):.2f}", f"{min(t):.2f}", f"{max(t):.2f}"]
        for name, t in times.items()
    ]
    print(provenance.table(["whole process, seconds", "median", "min", "max"], rows))
    ratio = statistics.median(ratios)
    print(f"\nratio, median of {rounds} pairs: {ratio:.3f} (1/{1 / ratio:.1f})")
    print(f"to the bare script, with the embedded encoder: {statistics.median(over_bare):.2f}")
    provenance.write(
        "cold_query",
        {
            "seconds": {name: [round(x, 3) for x in t] for name, t in times.items()},
            "ratio_median": round(ratio, 4),
            "ratios": [round(x, 4) for x in ratios],
            "ratio_median_bare": round(statistics.median(over_bare), 4),
            "ratios_bare": [round(x, 4) for x in over_bare],
        },
        files,
    )


def _prepare(temporary: Path, bank: Path, train: Path) -> dict[str, list[str]]:
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
    scripts = {}
    for name in ("st_faiss", "onnx_faiss"):
        script = [sys.executable, str(SCRIPTS / f"{name}.py")]
        build = [*script, "build", str(temporary / "bank.json"), str(temporary / name)]
        subprocess.run(build, check=True, stderr=subprocess.DEVNULL)
        scripts[name] = [*script, "query", str(temporary / name), QUERY]
    return {
        "semsearch query": [*SEMSEARCH, "query", str(temporary / "minilm"), QUERY],
        "sentence-transformers + FAISS script": scripts["st_faiss"],
        "semsearch query, embedded encoder": [
            *SEMSEARCH, "query", str(temporary / "embedded"), QUERY
        ],
        "bare ONNX Runtime + FAISS script, embedded encoder": scripts["onnx_faiss"],
    }  # fmt: skip


if __name__ == "__main__":
    main()
