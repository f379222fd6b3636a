"""Sentences per second of the embedded encoder, against MiniLM in the same runtime.

The same texts, 2,000 short ones (banking77 questions) and 2,000 longer ones (Wikipedia sentences),
encoded in turn (ours, MiniLM, ours, …) by `Encoder.encode` with its defaults, after one warm-up.

    python benchmarks/embedded_speed.py [--rounds 7]
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import provenance
import pyarrow.parquet as parquet

from semsearch import Encoder

N = 2_000
NAMES = ("embedded", "minilm")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    data = provenance.data_dir()
    files = {"questions": data / "faq/banking77/train.parquet",
             "sentences": data / "text/enwiki/dev.parquet"}  # fmt: skip
    encoders = {name: Encoder.load(name, runtime="onnx") for name in NAMES}
    result: dict[str, Any] = {}
    rows = []
    for kind, file in files.items():
        texts = _texts(file)
        rates: dict[str, list[float]] = {name: [] for name in encoders}
        for round_ in range(rounds + 1):
            for name, encoder in encoders.items():
                started = time.perf_counter()
                encoder.encode(texts)
                if round_:  # the first is a warm-up
                    rates[name].append(len(texts) / (time.perf_counter() - started))
        ratios = [a / b for a, b in zip(*rates.values(), strict=True)]
        ratio = statistics.median(ratios)
        result[kind] = {
            "texts": len(texts),
            "texts_per_second": {name: [round(x) for x in found] for name, found in rates.items()},
            "ratio_median": round(ratio, 3),
            "ratios": [round(x, 3) for x in ratios],
        }
        rows += [
            [kind, name, f"{statistics.median(found):,.0f}", f"{min(found):,.0f}",
             f"{max(found):,.0f}", f"{ratio:.2f}" if name == NAMES[0] else ""]
            for name, found in rates.items()
        ]  # fmt: skip
    columns = ["texts", "encoder", "median a second", "min", "max", "ratio (median of pairs)"]
    print(provenance.table(columns, rows))
    provenance.write("embedded_speed", result, list(files.values()))


def _texts(file: Path) -> list[str]:
    found = parquet.read_table(file, columns=["text"])["text"].to_pylist()
    sentences = [part for text in found for part in text.split(". ") if 15 <= len(part) <= 200]
    return list(dict.fromkeys(sentences))[:N]


if __name__ == "__main__":
    main()
