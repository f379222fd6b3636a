"""Try settings on a bank's own vectors, prove the best one, and put it into the index."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import perf_counter
from typing import TypeAlias

import numpy as np

from semsearch.ann import Neighbours, Setting, all_threads
from semsearch.errors import DataError
from semsearch.index import Index
from semsearch.tuning.candidates import candidates
from semsearch.tuning.measure import Truth, measure
from semsearch.tuning.outcome import Trial, TuneReport
from semsearch.types import Device, Ids, RuntimeName, Vectors

N_HELD_OUT = 2_000
_MOST_HELD_OUT = 0.1
LEAST_QUERIES = 40

Progress: TypeAlias = Callable[[str], None]
"""Called with the setting that is tried next."""


def tune(
    path: str | Path,
    *,
    recall: float = 0.99,
    latency_ms: float | None = None,
    memory_bytes: int | None = None,
    queries: Sequence[str] | None = None,
    k: int = 10,
    factories: Sequence[str] | None = None,
    dry_run: bool = False,
    seed: int = 0,
    wait_seconds: float = 0.0,
    progress: Progress | None = None,
    runtime: RuntimeName = "auto",
    device: Device = "cpu",
) -> TuneReport:
    """Find the fastest setting that finds the true neighbours of queries that are not in the bank.

    Half of the queries choose, the other half prove: what is reported of the chosen setting was
    measured on queries that had no part in choosing it. A setting counts as good enough when the
    lower end of its recall's 95% interval is.

    Args:
        path: of the index.
        recall: share of the k nearest phrasings to be found, 0..1.
        latency_ms: what half of the single queries may take at most.
        memory_bytes: of all vectors together.
        queries: what users ask; those that the bank holds word for word are left out. None holds
            phrasings out of the index that is tried, a tenth of them at most.
        k: neighbours.
        factories: try these settings only, such as "HNSW32,Flat efSearch=64".
        dry_run: leave the index as it is.
        device: what encodes queries, finds their true neighbours and learns clusters. Latency and
            throughput are always the CPU's.

    Raises:
        DataError: there are too few queries to prove anything.
        FactoryError: FAISS does not know one of `factories`.
        IndexBusyError: another process is writing.
    """
    with Index.open(path, runtime=runtime, device=device) as index:
        held_in, asked, source = _split(index, queries, seed)
        truth = _truths(held_in, asked, k, seed, device)
        most = memory_bytes / len(held_in) if memory_bytes else float("inf")
        trials: list[Trial] = []
        best: tuple[Trial, Trial] | None = None
        for steps in _steps(len(held_in), held_in.shape[1], most, factories):
            good = _climb(steps, held_in, truth, recall, seed, progress, trials, device)
            if good is None or not _fits(good[0], latency_ms, most):
                continue
            if best is None or good[0].p50_ms < best[0].p50_ms:
                best = good
        report = TuneReport(
            index=str(path),
            phrasings=len(held_in) + (0 if queries is not None else len(asked)),
            dim=held_in.shape[1],
            k=k,
            recall=recall,
            latency_ms=latency_ms,
            memory_bytes=memory_bytes,
            queries=len(asked),
            source=source,
            threads=all_threads(),
            seed=seed,
            trials=tuple(trials),
            chosen=best[1] if best else None,
            applied=best is not None and not dry_run,
        )
        if report.applied:
            assert report.chosen is not None
            setting = Setting.parse(report.chosen.setting)
            index.use(setting, report.proof(), wait_seconds=wait_seconds)
    return report


def _split(index: Index, queries: Sequence[str] | None, seed: int) -> tuple[Vectors, Vectors, str]:
    """Vectors to be indexed, those of the queries, and in words where these come from."""
    vectors = index.vectors()
    if queries is None:
        chosen = np.random.default_rng(seed).permutation(len(vectors))
        n = min(N_HELD_OUT, int(_MOST_HELD_OUT * len(vectors)))
        asked, held_in = vectors[chosen[:n]], vectors[np.sort(chosen[n:])]
        source = "phrasings, held out of the index"
    else:
        known = {text for question in index.questions() for text in question.texts}
        texts = [text for text in dict.fromkeys(queries) if text not in known]
        asked, held_in = index.encoder.encode(texts, kind="query"), vectors
        source = "queries that are not in the bank"
    if len(asked) < LEAST_QUERIES:
        raise DataError(
            f"{index.path}: {len(asked)} {source}, and fewer than {LEAST_QUERIES} prove nothing. "
            + ("Give more of them." if queries is not None else "Give some with --queries FILE.")
        )
    return held_in, asked, source


def _truths(
    vectors: Vectors, queries: Vectors, k: int, seed: int, device: Device
) -> tuple[Truth, Truth]:
    """Of the queries that choose, and of those that prove."""
    exact = Neighbours.build(_rows(vectors), vectors).served_on(device)
    order = np.random.default_rng(seed).permutation(len(queries))
    half = len(queries) // 2
    k = min(k, len(vectors))
    choosing, proving = (queries[part] for part in (order[:half], order[half:]))
    return Truth.of(exact, choosing, k), Truth.of(exact, proving, k)


def _steps(
    n: int, dim: int, most: float, factories: Sequence[str] | None
) -> Iterator[list[Setting]]:
    if factories is not None:
        yield from ([Setting.parse(text)] for text in factories)
    else:
        yield from (candidate.settings for candidate in candidates(n, dim, most))


def _climb(
    steps: Sequence[Setting],
    vectors: Vectors,
    truths: tuple[Truth, Truth],
    target: float,
    seed: int,
    progress: Progress | None,
    trials: list[Trial],
    device: Device,
) -> tuple[Trial, Trial] | None:
    """Search more and more until recall is surely high enough, on the CPU, which is measured.

    Every step is added to `trials`. Returns the last one and its proof, or None.
    """
    choosing, proving = truths
    if progress:
        progress(steps[0].factory)
    started = perf_counter()
    neighbours = Neighbours.build(_rows(vectors), vectors, steps[0], device)
    built = perf_counter() - started
    for setting in steps:
        neighbours.configure(setting)
        trial = measure(neighbours, choosing, vectors, str(setting), built, seed)
        trials.append(trial)
        if trial.recall_low >= target:
            return trial, measure(neighbours, proving, vectors, str(setting), built, seed)
    return None


def _fits(trial: Trial, latency_ms: float | None, most: float) -> bool:
    return (latency_ms is None or trial.p50_ms <= latency_ms) and trial.bytes_per_vector <= most


def _rows(vectors: Vectors) -> Ids:
    return np.arange(len(vectors), dtype=np.int64)
