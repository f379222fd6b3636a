"""Search on a GPU: 1 and 10 million x 256, every vector in 16 bits, clusters, and CAGRA with cuVS.

Baseline: every vector on the CPU. The limit for one query is reading the vectors once: what a copy
on the card reads and writes a second is measured here with torch, if that is installed. FAISS's
GpuIndexFlat by itself stands beside, so that what scoring again costs is seen. All of one size in
turn, round by round; recall@10 is against every vector in 32 bits.

    python benchmarks/gpu.py [--sizes 1000000 10000000] [--rounds 7]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import provenance

from semsearch.ann import Neighbours, Setting, gpu
from semsearch.errors import SemsearchError

DIM, INNER, K, SEED = 256, 64, 10, 0
BATCHES = (1, 16, 256, 4096)
CPU_BATCHES = (1, 16, 256)
PROBES = (8, 32, 128)
CHUNK = 1 << 18

Search = Callable[[Any], Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    try:
        gpus = gpu.find()
    except SemsearchError as error:
        sys.exit(f"nothing measured: {error}")
    bandwidth = _bandwidth()
    sizes = {}
    for n in arguments.sizes:
        sizes[n] = _measure(n, arguments.rounds, gpus.graphs, bandwidth)
        # Written as it goes: a lease may end before the largest size does.
        provenance.write(
            "gpu",
            {
                "gpu": _name(),
                "gpus": len(gpus.free),
                "copy_gb_s": bandwidth and round(bandwidth / 1e9, 1),
                "dim": DIM,
                "k": K,
                "rounds": arguments.rounds,
                "sizes": sizes,
            },
            seed=SEED,
        )


def _measure(n: int, rounds: int, graphs: bool, bandwidth: float | None) -> dict[str, Any]:
    vectors, queries = _data(n)
    labels = np.arange(n, dtype=np.int64)
    exact = Neighbours.build(labels, vectors)
    truth = exact.search(queries[:1000], K)[0][:, -1]
    ways: dict[str, tuple[Search, tuple[int, ...]]] = {
        "CPU, every vector": (lambda batch: exact.search(batch, K), CPU_BATCHES),
    }
    flat = exact.served_on("cuda")
    ways["every vector, 16 bits"] = (lambda batch: flat.search(batch, K), BATCHES)
    alone = _faiss_alone(vectors)
    ways["FAISS alone, 16 bits"] = (lambda batch: alone.search(batch, K), BATCHES)
    built: dict[str, float] = {}
    for name, neighbours in _approximate(labels, vectors, queries[:1], graphs, built):
        ways[name] = (lambda batch, found=neighbours: found.search(batch, K), BATCHES)
    found = {name: _one(search, vectors, queries, truth) for name, (search, _) in ways.items()}
    ms: dict[str, dict[int, list[float]]] = {
        name: {size: [] for size in sizes} for name, (_, sizes) in ways.items()
    }
    for round_ in range(rounds + 1):
        for name, (search, sizes) in ways.items():
            for size in sizes:
                started = time.perf_counter()
                search(queries[:size])
                if round_:  # the first is a warm-up
                    ms[name][size].append(1000 * (time.perf_counter() - started))
    rows = []
    for name, times in ms.items():
        medians = {size: statistics.median(values) for size, values in times.items()}
        found[name] |= {
            "built_s": built.get(name),
            "ms": {size: round(median, 3) for size, median in medians.items()},
            "p99_ms_1": round(float(np.percentile(times[1], 99)), 3),
            "qps": {size: round(1000 * size / median) for size, median in medians.items()},
            "times_cpu": {
                size: round(statistics.median(ms["CPU, every vector"][size]) / medians[size], 1)
                for size in CPU_BATCHES
            },
        }
        if bandwidth and name.endswith("16 bits"):
            read = n * DIM * 2 / (medians[1] / 1000)
            found[name]["of_bandwidth"] = round(read / bandwidth, 3)
        rows.append(_row(name, found[name]))
    print(f"\n{n:,} x {DIM}\n")
    head = ["", "recall@10", *(f"QPS, {size}" for size in BATCHES), "ms, 1", "x CPU, 1",
            "x CPU, 256", "of bandwidth, 1"]  # fmt: skip
    print(provenance.table(head, rows), flush=True)
    return found


def _row(name: str, facts: dict[str, Any]) -> list[str]:
    return [
        name,
        f"{facts['recall']:.4f}",
        *(f"{facts['qps'][size]:,}" if size in facts["qps"] else "" for size in BATCHES),
        f"{facts['ms'][1]:.3f}",
        *(f"{facts['times_cpu'][size]:.1f}" for size in (1, 256)),
        f"{facts['of_bandwidth']:.0%}" if "of_bandwidth" in facts else "",
    ]


def _one(search: Search, vectors: Any, queries: Any, truth: Any) -> dict[str, Any]:
    """Recall of the queries whose k-th neighbour is known; ties are as good as it."""
    rows = search(queries[: len(truth)])[1]
    scores = np.einsum("md,mkd->mk", queries[: len(truth)], vectors[rows])
    near = (scores >= truth[:, None] - 1e-5) & (rows >= 0)
    return {"recall": round(float(near.mean()), 4)}


def _approximate(
    labels: Any, vectors: Any, query: Any, graphs: bool, built: dict[str, float]
) -> Iterator[tuple[str, Neighbours]]:
    """Made once with the GPU's help; a copy on the card for each setting of its searches."""
    lists = 1 << round(np.log2(4 * np.sqrt(len(vectors))))
    kinds = {f"IVF{lists},SQfp16": [f"nprobe={probes}" for probes in PROBES]}
    if graphs:
        kinds["CAGRA64"] = [f"efSearch={kept}" for kept in (256, 512)]
    for factory, steps in kinds.items():
        started = time.perf_counter()
        made = Neighbours.build(labels, vectors, Setting(factory, steps[0]), "cuda")
        seconds = round(time.perf_counter() - started, 1)
        for parameters in steps:
            made.configure(Setting(factory, parameters))
            served = made.served_on("cuda")
            served.search(query, K)  # it is copied to the card now, as it is set now
            built[f"{factory} {parameters}"] = seconds
            yield f"{factory} {parameters}", served


def _faiss_alone(vectors: Any) -> Any:
    import faiss

    config = faiss.GpuIndexFlatConfig()
    config.useFloat16 = True
    index = faiss.GpuIndexFlat(
        faiss.StandardGpuResources(), DIM, faiss.METRIC_INNER_PRODUCT, config
    )
    index.add(vectors)
    return index


def _data(n: int) -> tuple[Any, Any]:
    """Unit vectors with fewer dimensions inside than they have, as those of sentences, and queries
    from the same distribution that are not among them."""
    random = np.random.default_rng(SEED)
    centres = random.standard_normal((1000, INNER), dtype=np.float32)
    spread = random.standard_normal((INNER, DIM), dtype=np.float32)

    def some(count: int) -> Any:
        found = centres[random.integers(0, len(centres), count)]
        found = found + random.standard_normal((count, INNER), dtype=np.float32)
        found = found @ spread
        found += random.standard_normal(found.shape, dtype=np.float32)
        found /= np.linalg.norm(found, axis=1, keepdims=True)
        return found

    vectors = np.empty((n, DIM), np.float32)
    for first in range(0, n, CHUNK):
        part = vectors[first : first + CHUNK]
        part[:] = some(len(part))
    return vectors, some(max(BATCHES))


def _bandwidth() -> float | None:
    """Bytes a second that a copy on the card reads and writes; None without torch."""
    torch = _torch()
    if torch is None:
        print("bandwidth is not measured: torch is not installed, or sees no GPU")
        return None
    values = torch.ones(1 << 30, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(values)
    seconds = []
    for _ in range(20):
        begun, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begun.record()
        target.copy_(values)
        ended.record()
        torch.cuda.synchronize()
        seconds.append(begun.elapsed_time(ended) / 1000)
    copied: float = 2 * values.numel() / statistics.median(seconds)
    del values, target
    torch.cuda.empty_cache()
    return copied


def _name() -> str | None:
    torch = _torch()
    return None if torch is None else str(torch.cuda.get_device_name())


def _torch() -> Any:
    try:
        import torch
    except ImportError:
        return None
    return torch if torch.cuda.is_available() else None


if __name__ == "__main__":
    main()
