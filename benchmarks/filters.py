"""What a filter costs: one query among 100,000 and a million phrasings of which few or most pass.

Random unit vectors of 256 dimensions, five phrasings a standard question, one query. A filter may
be a set of labels (FAISS's IDSelectorBatch: hashes behind a Bloom filter) or a bitmap of positions;
`chosen` is what semsearch does: a bitmap, or a copy where few pass. Each round times all of them in
turn on another query. Columns are read from a bank on disk, each row held against its checksum.

    python benchmarks/filters.py [--rounds 15] [--phrasings 100000,1000000]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import provenance

from semsearch.ann import Neighbours
from semsearch.selection import EXACT_UP_TO, select
from semsearch.store import (
    BankReader,
    BankWriter,
    Change,
    Columns,
    Condition,
    EncoderRecord,
    Meta,
)
from semsearch.types import StandardQuestion

DIM, PER_QUESTION, SHARES, N, SEED = 256, 5, (0.001, 0.1, 0.9), 36, 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--phrasings", default="100000,1000000")
    arguments = parser.parse_args()
    records = [_measure(int(n), arguments.rounds) for n in arguments.phrasings.split(",")]
    rows = [
        [
            f"{record['phrasings']:,}",
            f"{found['share']:.1%}",
            f"{record['unfiltered_ms']:.2f}",
            *(f"{found['query_ms'][way]:.2f}" for way in ("labels", "bitmap", "chosen")),
            *(f"{found['make_ms'][way]:.1f}" for way in ("labels", "chosen")),
        ]
        for record in records
        for found in record["filters"]
    ]
    head = ["phrasings", "pass", "no filter", "labels", "bitmap", "chosen"]
    print("Milliseconds, medians; 'made' is once for a condition.\n")
    print(provenance.table([*head, "labels, made", "chosen, made"], rows), "\n")
    for record in records:
        print(
            f"{record['questions']:,} standard questions: columns read in {record['columns_s']:.2f}"
            f" s, a new condition in {record['condition_ms']:.1f} ms"
        )
    provenance.write("filters", {"exact_up_to": EXACT_UP_TO, "banks": records}, seed=SEED)


def _measure(phrasings: int, rounds: int) -> dict[str, Any]:
    random = np.random.default_rng(SEED)
    vectors = random.standard_normal((phrasings, DIM), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ids = np.arange(phrasings, dtype=np.int64)
    labels = (ids // PER_QUESTION + 1) << 32 | (ids + 1)
    everything = Neighbours.build(labels, vectors)
    queries = vectors[random.choice(phrasings, rounds + 1, replace=False)]
    del vectors
    assert len(everything.labels) == phrasings  # read once a snapshot, and not timed
    unfiltered: list[float] = []
    filters = []
    for share in SHARES:
        questions = np.flatnonzero(random.random(phrasings // PER_QUESTION) < share) + 1
        among = np.isin(labels >> 32, questions)
        (chosen,), made = _timed(
            lambda questions: [select(questions, [everything], None)], questions
        )
        bitmap = everything.only(among)
        selector, made_labels = _timed(faiss.IDSelectorBatch, labels[among])
        by_label = faiss.SearchParameters(sel=selector)
        ways: dict[str, Callable[[Any], Any]] = {
            "unfiltered": lambda query: everything.search(query, N),
            "labels": lambda query, by=by_label: everything._index.search(query, N, params=by),
            "bitmap": lambda query, bitmap=bitmap: bitmap.search(query, N),
            "chosen": lambda query, chosen=chosen: chosen.search(query, N),
        }
        ms: dict[str, list[float]] = {way: [] for way in ways}
        for round_ in range(rounds + 1):
            found = {}
            for way, search in ways.items():
                found[way], took = _timed(search, queries[round_ : round_ + 1])
                if round_:  # the first is a warm-up
                    ms[way].append(took)
            for way in ("bitmap", "chosen"):
                np.testing.assert_array_equal(found[way][1], found["labels"][1])
        unfiltered += ms.pop("unfiltered")
        filters.append(
            {
                "share": share,
                "passing": len(chosen),
                "query_ms": {way: round(statistics.median(t), 3) for way, t in ms.items()},
                "make_ms": {"labels": round(made_labels, 2), "chosen": round(made, 2)},
            }
        )
    columns, columns_ms = _columns(phrasings // PER_QUESTION)
    conditions = [
        _timed(columns.passing, Condition(f"shop = 'de' AND price < {n}"))[1] for n in range(rounds)
    ]
    return {
        "phrasings": phrasings,
        "questions": phrasings // PER_QUESTION,
        "unfiltered_ms": round(statistics.median(unfiltered), 3),
        "filters": filters,
        "columns_s": round(columns_ms / 1000, 3),
        "condition_ms": round(statistics.median(conditions), 2),
    }


def _columns(n: int) -> tuple[Columns, float]:
    """The columns of n standard questions, read from a bank on disk, and milliseconds."""
    record = EncoderRecord("none", "none", False, {}, "onnx", "float32")
    vector = np.ones((1, 1), np.float32)
    changes = []
    for i in range(n):
        fields = {"shop": ("de", "fr", "cn")[i % 3], "price": f"{i % 100}.50"}
        question = StandardQuestion(f"k{i}", f"question {i}", "an answer " * 20, fields=fields)
        changes.append(Change(None, question, texts=question.texts, vectors=vector))
    with tempfile.TemporaryDirectory() as temporary:
        writer = BankWriter(Path(temporary))
        writer.apply(changes, Meta(dim=1, encoder=record, score="best"))
        writer.close()
        del changes
        reader = BankReader(Path(temporary))
        with reader.reading() as meta:
            found = _timed(reader.columns, meta)
        reader.close()
    return found


def _timed(step: Callable[[Any], Any], given: Any) -> tuple[Any, float]:
    started = time.perf_counter()
    result = step(given)
    return result, (time.perf_counter() - started) * 1000


if __name__ == "__main__":
    main()
