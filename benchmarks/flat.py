"""Search of every vector, beside what the machine can do: 100,000 x 256, batches of 1 to 256.

Baseline: `IndexFlatIP.search` as FAISS comes. For one query the limit is reading the vectors once:
the inner product of the whole array with itself on all cores is what memory gives. For many it is
arithmetic: NumPy's float32 product of two matrices of 2,048. Everything in turn, round by round.

    python benchmarks/flat.py [--rounds 15]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import faiss
import numpy as np
import provenance

from semsearch.ann import Neighbours
from semsearch.encoder.streams import cores

# As FAISS has it before semsearch is asked for anything.
FAISS_THRESHOLD = faiss.cvar.distance_compute_blas_threshold
N, DIM, K, SEED = 100_000, 256, 10, 0
BATCHES = (1, 4, 16, 64, 256)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    random = np.random.default_rng(SEED)
    vectors = random.standard_normal((N, DIM), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    queries = vectors[random.choice(N, max(BATCHES), replace=False)] + np.float32(0.01)
    ours = Neighbours.build(np.arange(N), vectors)
    theirs = faiss.IndexFlatIP(DIM)
    theirs.add(vectors)
    threads = faiss.omp_get_max_threads()
    square = np.ones((2048, 2048), np.float32)

    def as_faiss_comes(batch: Any) -> Any:
        faiss.cvar.distance_compute_blas_threshold = FAISS_THRESHOLD
        faiss.omp_set_num_threads(threads)
        return theirs.search(batch, K)

    ways: dict[str, Callable[[], Any]] = {
        "read": lambda: _read(vectors),
        "multiply": lambda: square @ square,
    }
    for size in BATCHES:
        batch = queries[:size]
        ways[f"semsearch {size}"] = lambda batch=batch: ours.search(batch, K)  # type: ignore[misc]
        ways[f"faiss {size}"] = lambda batch=batch: as_faiss_comes(batch)  # type: ignore[misc]
    ms: dict[str, list[float]] = {way: [] for way in ways}
    for round_ in range(rounds + 1):
        for way, run in ways.items():
            started = time.perf_counter()
            run()
            if round_:  # the first is a warm-up
                ms[way].append(1000 * (time.perf_counter() - started))
    read = vectors.nbytes / 1e6 / statistics.median(ms["read"])
    peak = 2 * 2048**3 / 1e6 / statistics.median(ms["multiply"])
    rows, found = [], {}
    for size in BATCHES:
        mine, default = (statistics.median(ms[f"{way} {size}"]) for way in ("semsearch", "faiss"))
        gb, gflops = vectors.nbytes / 1e6 / mine, 2 * size * N * DIM / 1e6 / mine
        found[size] = {
            "semsearch_ms": round(mine, 2),
            "faiss_ms": round(default, 2),
            "ratio": round(default / mine, 2),
            "of_read_bandwidth": round(gb / read, 3),
            "of_multiply_peak": round(gflops / peak, 3),
        }
        rows.append(
            [str(size), f"{mine:.1f}", f"{default:.1f}", f"{default / mine:.1f}",
             f"{gb / read:.0%}", f"{gflops / peak:.0%}"]
        )  # fmt: skip
    head = ["queries", "semsearch, ms", "FAISS as it comes, ms", "ratio", "of read bandwidth",
            "of GEMM peak"]  # fmt: skip
    print(provenance.table(head, rows))
    print(f"\nread {read:.1f} GB/s, multiply {peak:.0f} GFLOP/s, medians of {rounds} rounds")
    result = {"read_gb_s": round(read, 1), "multiply_gflops": round(peak), "batches": found}
    provenance.write("flat", {**result, "rounds_ms": ms}, seed=SEED)


def _read(vectors: Any) -> None:
    flat = vectors.reshape(-1)
    parts = np.array_split(flat, cores())
    with ThreadPoolExecutor(len(parts)) as pool:
        list(pool.map(lambda part: float(np.dot(part, part)), parts))


if __name__ == "__main__":
    main()
