"""Nearest neighbours among 100,000 real vectors: semsearch and the libraries people take instead.

Sentences of the shared Wikipedia text, encoded; queries are other sentences of it, in no index.
Everybody builds its index in a process of its own. Then each is made more thorough until recall@10
reaches the target on one half of the queries, and at that setting all are measured in turn on the
other half, round by round: a batch on all cores, and single queries one by one. Memory is what the
process grew by after searching, its own pages and those mapped from files apart; what a library
takes by itself, found out on 20,000 vectors, is not in it. Libraries that are
not installed are left out: pip install hnswlib usearch lancedb chromadb pymilvus milvus-lite
sqlite-vec (and pysqlite3-binary where Python's own sqlite3 loads no extension)

    python benchmarks/neighbours.py [--n 100000] [--encoder minilm] [--recall 0.99] [--rounds 5]
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import gc
import json
import mmap
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import provenance
import pyarrow.parquet as parquet

from semsearch import Encoder
from semsearch.ann import EXACT, Neighbours, Setting, automatic, clusters
from semsearch.types import Ids, Vectors

WORK = Path(__file__).parent / "work" / "neighbours"
N_QUERIES, K, SINGLES = 1_000, 10, 300
N_WARM, N_LEAST = 20_000, 100_000
"""Vectors to warm up on, by the setting of so many as are measured at least."""
FEW = 50
"""As many queries are measured of who needs over a second for them."""
BASELINE = "hnswlib"
_ENDS = re.compile(r"(?<=[.!?])\s+(?=[A-Z])|(?<=[。！？；])")

Search = Callable[[Vectors, int], Ids]
"""(queries (m, d), effort) → rows (m, K)."""

EFFORTS = (16, 24, 32, 48, 64, 80, 96, 128, 160, 192, 256, 384, 512)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=100_000)
    parser.add_argument("--encoder", default="minilm")
    parser.add_argument("--recall", type=float, default=0.99)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sides", help="names, by comma; default: all that are installed")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    file = WORK / f"{arguments.encoder}-{arguments.n}.npy"
    if arguments.worker:
        return _worker(arguments.worker, file)
    _prepare(file, arguments.encoder, arguments.n)
    wanted = arguments.sides.split(",") if arguments.sides else list(SIDES)
    workers = {name: Worker(name, sys.argv[1:]) for name in wanted if _installed(name)}
    found: dict[str, dict[str, Any]] = {}
    for name, worker in workers.items():
        found[name] = worker.ask(build=True)
        curve = []
        for effort in SIDES[name][1]:
            curve.append(worker.ask(effort=effort, half=0))
            if curve[-1]["recall"] >= arguments.recall:
                break
        found[name] |= {"curve": curve, "effort": curve[-1]["effort"], "rounds": []}
        print(f"{name}: {json.dumps(found[name])}", file=sys.stderr)
    for _ in range(arguments.rounds):
        for name, worker in workers.items():
            found[name]["rounds"].append(worker.ask(effort=found[name]["effort"], half=1))
    for worker in workers.values():
        worker.close()
    rows = []
    for name, side in found.items():
        rounds = side["rounds"]
        side["memory"] = rounds[-1]["memory"]
        ratios = [
            mine["qps"] / theirs["qps"]
            for mine, theirs in zip(rounds, found.get(BASELINE, side)["rounds"], strict=True)
        ]
        side["ratio_median"] = round(statistics.median(ratios), 3)
        rows.append(
            [
                name,
                f"{rounds[0]['recall']:.4f}",
                f"{statistics.median(r['qps'] for r in rounds):,.0f}",
                f"{side['ratio_median']:.2f} [{min(ratios):.2f}, {max(ratios):.2f}]",
                f"{statistics.median(r['p50_ms'] for r in rounds):.3f}",
                f"{side['memory']['own'] / arguments.n:,.0f} + "
                f"{side['memory']['mapped'] / arguments.n:,.0f}",
                f"{side['build_seconds']:.0f}",
            ]
        )
    head = ["", f"recall@{K}", "QPS", f"of {BASELINE} [min, max]", "p50 ms",
            "bytes a vector, own + mapped", "built in s"]  # fmt: skip
    print(provenance.table(head, rows))
    result = {**vars(arguments), "dim": int(np.load(file, mmap_mode="r").shape[1]), "sides": found}
    provenance.write(f"neighbours_{arguments.encoder}_{arguments.n}", result, sources(arguments.n))


def sources(n: int) -> list[Path]:
    names = ["enwiki"] if n <= 400_000 else ["enwiki", "zhwiki"]
    return [provenance.data_dir() / f"text/{name}/train.parquet" for name in names]


def sentences(n: int) -> list[str]:
    """n different sentences in an order of chance, and after them 1,000 more for queries."""
    texts: list[str] = []
    for source in sources(n):
        shortest, longest = (20, 220) if "enwiki" in str(source) else (6, 120)
        column = parquet.read_table(source, columns=["text"])["text"].to_pylist()
        parts = (part.strip() for text in column for part in _ENDS.split(text))
        texts += dict.fromkeys(part for part in parts if shortest <= len(part) <= longest)
    random.Random(0).shuffle(texts)
    if len(texts) < n + N_QUERIES:
        sys.exit(f"The shared text has {len(texts):,} sentences only.")
    return texts[: n + N_QUERIES]


def _prepare(file: Path, encoder: str, n: int) -> None:
    if file.exists():
        return
    vectors = Encoder.load(encoder).encode(sentences(n))
    file.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError), file.with_suffix(".part").open("wb") as part:
        np.save(part, vectors.astype(np.float32))
    file.with_suffix(".part").rename(file)


class Worker:
    """One library in a process of its own, asked in JSON lines."""

    def __init__(self, name: str, arguments: list[str]) -> None:
        command = [sys.executable, __file__, *arguments, "--worker", name]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, **question: Any) -> dict[str, Any]:
        assert self._process.stdin and self._process.stdout
        print(json.dumps(question), file=self._process.stdin, flush=True)
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()


def _worker(name: str, file: Path) -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints is no answer
    every: Any = np.load(file, mmap_mode="r")
    n = len(every) - N_QUERIES
    queries = np.array(every[n:])
    truth = _truth(every[:n], queries)
    search: Search | None = None
    before: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        for line in sys.stdin:
            question = json.loads(line)
            if question.get("build"):
                _warm_up(name, every, queries)
                every._mmap.madvise(mmap.MADV_DONTNEED)
                before = _memory()
                started = time.perf_counter()
                search = SIDES[name][0](every[:n], Path(folder))
                answer = {"build_seconds": round(time.perf_counter() - started, 2)}
            else:
                assert search is not None
                start = question["half"] * N_QUERIES // 2
                half = slice(start, start + N_QUERIES // 2)
                answer = _measure(search, queries[half], truth[half], question["effort"])
                gc.collect()
                every._mmap.madvise(mmap.MADV_DONTNEED)  # the vectors as given are not the index
                answer["memory"] = {key: value - before[key] for key, value in _memory().items()}
            print(json.dumps(answer), file=answers, flush=True)


def _warm_up(name: str, vectors: Vectors, queries: Vectors) -> None:
    """Search a small index, so that the library is loaded and has what it needs for a search."""
    build, efforts = SIDES[name]
    with tempfile.TemporaryDirectory() as folder:
        search = build(vectors[:N_WARM], Path(folder))
        for few in (queries[:1], queries[: N_QUERIES // 2]):
            search(few, efforts[0])
        del search
    gc.collect()


def _truth(vectors: Vectors, queries: Vectors) -> Ids:
    found = []
    step = max(1, 10_000_000 // len(vectors))  # of which the order takes memory, too
    for start in range(0, len(queries), step):
        scores = queries[start : start + step] @ vectors.T
        found.append(np.argpartition(-scores, K, axis=1)[:, :K].copy())  # not all of the order
    return np.concatenate(found).astype(np.int64)


def _measure(search: Search, queries: Vectors, truth: Ids, effort: int) -> dict[str, Any]:
    started = time.perf_counter()
    search(queries[:FEW], effort)
    if time.perf_counter() - started > 1:  # minutes otherwise
        queries, truth = queries[:FEW], truth[:FEW]
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        rows = search(queries, effort)
        seconds.append(time.perf_counter() - started)
    singles = []
    for query in queries[:SINGLES]:
        started = time.perf_counter()
        search(query[None], effort)
        singles.append(time.perf_counter() - started)
    found = (rows[:, :, None] == truth[:, None, :]).any(axis=1).mean()
    return {
        "effort": effort,
        "recall": round(float(found), 4),
        "qps": round(len(queries) / statistics.median(seconds), 1),
        "p50_ms": round(1000 * statistics.median(singles), 4),
        "p99_ms": round(1000 * float(np.percentile(singles, 99)), 4),
    }


def _memory() -> dict[str, int]:
    with contextlib.suppress(AttributeError):  # what was freed is not in use
        ctypes.CDLL(None).malloc_trim(0)
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {
        "own": int(fields["RssAnon"].split()[0]) * 1024,
        "mapped": int(fields["RssFile"].split()[0]) * 1024,
    }


def _installed(name: str) -> bool:
    modules = {
        "FAISS Flat": "faiss",
        "sqlite-vec": "sqlite_vec",
        "LanceDB": "lancedb",
        "Chroma": "chromadb",
        "Milvus Lite": "milvus_lite",
    }
    module = modules.get(name, name.split(" ")[0])
    try:
        import_module(module)
    except ImportError:
        print(f"{name} is not installed, and left out", file=sys.stderr)
        return False
    return True


def _semsearch(setting_of: Callable[[int, int], Setting]) -> Callable[..., Search]:
    """Args:
    setting_of: n, d → setting, whose first parameter the effort takes the place of.
    """

    def build(vectors: Vectors, folder: Path) -> Search:
        n, d = vectors.shape
        setting = setting_of(max(n, N_LEAST), d)
        made = Neighbours.build(np.arange(len(vectors)), np.array(vectors), setting)
        made.save(folder / "vectors.faiss")
        del made
        neighbours = Neighbours.load(folder / "vectors.faiss")  # mapped, as an index has it
        first, _, others = setting.parameters.partition(",")

        def search(queries: Vectors, effort: int) -> Ids:
            if first:
                name = first.split("=")[0]
                neighbours.configure(Setting(setting.factory, f"{name}={effort},{others}"))
            return neighbours.search(queries, K)[1]

        return search

    return build


def _faiss_flat(vectors: Vectors, folder: Path) -> Search:
    import faiss

    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(np.array(vectors))

    def search(queries: Vectors, effort: int) -> Ids:
        return np.asarray(index.search(queries, K)[1], np.int64)

    return search


def _hnswlib(vectors: Vectors, folder: Path) -> Search:
    import hnswlib

    index = hnswlib.Index("ip", vectors.shape[1])
    index.init_index(len(vectors), M=32, ef_construction=200)
    index.add_items(vectors, np.arange(len(vectors)))

    def search(queries: Vectors, effort: int) -> Ids:
        index.set_ef(effort)
        return np.asarray(index.knn_query(queries, k=K)[0], np.int64)

    return search


def _usearch(dtype: str) -> Callable[..., Search]:
    def build(vectors: Vectors, folder: Path) -> Search:
        from usearch.index import Index

        index = Index(ndim=vectors.shape[1], metric="ip", dtype=dtype, connectivity=32)
        index.add(np.arange(len(vectors)), np.array(vectors))

        def search(queries: Vectors, effort: int) -> Ids:
            index.expansion_search = effort
            found = index.search(queries, K)
            return np.asarray(found.keys, np.int64).reshape(len(queries), -1)

        return search

    return build


def _lancedb(vectors: Vectors, folder: Path) -> Search:
    import lancedb
    import pyarrow as pa

    d = vectors.shape[1]
    values = pa.FixedSizeListArray.from_arrays(pa.array(np.array(vectors).ravel()), d)
    data = pa.table({"id": np.arange(len(vectors)), "vector": values})
    table = lancedb.connect(folder / "lance").create_table("t", data)
    lists = max(1, len(vectors) // 4096)
    table.create_index(metric="dot", vector_column_name="vector", index_type="IVF_HNSW_SQ",
                       num_partitions=lists)  # fmt: skip

    def search(queries: Vectors, effort: int) -> Ids:
        return np.array(
            [
                table.search(query)
                .distance_type("dot")
                .nprobes(max(1, effort * lists // 512))
                .ef(max(effort, 4 * K))  # as many as are scored again
                .refine_factor(4)
                .limit(K)
                .select(["id"])
                .to_arrow()["id"]
                .to_pylist()
                for query in queries
            ],
            np.int64,
        )

    return search


def _chroma(vectors: Vectors, folder: Path) -> Search:
    import chromadb

    path = str(folder / "chroma")
    client = chromadb.PersistentClient(path)
    graph = {"space": "ip", "max_neighbors": 32, "ef_construction": 200, "ef_search": 100}
    collection = client.create_collection(
        "sentences", configuration={"hnsw": graph}, embedding_function=None
    )
    for start in range(0, len(vectors), 5_000):
        part = np.array(vectors[start : start + 5_000])
        collection.add(ids=[str(start + i) for i in range(len(part))], embeddings=part)
    set_to = [0]

    def search(queries: Vectors, effort: int) -> Ids:
        nonlocal collection
        if set_to[0] != effort:
            collection.modify(configuration={"hnsw": {"ef_search": effort}})
            client.clear_system_cache()  # read when a collection is opened
            collection = chromadb.PersistentClient(path).get_collection("sentences")
            set_to[0] = effort
        found = collection.query(query_embeddings=queries, n_results=K, include=[])["ids"]
        return np.array(found, np.int64)

    return search


def _milvus(vectors: Vectors, folder: Path) -> Search:
    from pymilvus import DataType, MilvusClient

    client = MilvusClient(str(folder / "milvus.db"))
    schema = client.create_schema()
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=vectors.shape[1])
    params = client.prepare_index_params()
    params.add_index(
        "vector", index_type="HNSW", metric_type="IP", params={"M": 32, "efConstruction": 200}
    )
    client.create_collection("t", schema=schema)
    for start in range(0, len(vectors), 5_000):
        part = np.array(vectors[start : start + 5_000])
        client.insert("t", [{"id": start + i, "vector": row} for i, row in enumerate(part)])
    client.flush("t")
    client.create_index("t", params)
    client.load_collection("t")

    def search(queries: Vectors, effort: int) -> Ids:
        found = client.search("t", list(queries), limit=K, search_params={"params": {"ef": effort}})
        return np.array([[hit["id"] for hit in hits] for hits in found], np.int64)

    return search


def _sqlite_vec(vectors: Vectors, folder: Path) -> Search:
    import sqlite3

    import sqlite_vec

    has = hasattr(sqlite3.Connection, "enable_load_extension")
    module: Any = sqlite3 if has else import_module("pysqlite3")
    db = module.connect(folder / "vec.db")
    db.enable_load_extension(True)
    sqlite_vec.load(db)
    db.execute(f"CREATE VIRTUAL TABLE v USING vec0(e float[{vectors.shape[1]}])")
    with db:
        db.executemany(
            "INSERT INTO v (rowid, e) VALUES (?, ?)",
            ((row, vector.tobytes()) for row, vector in enumerate(np.array(vectors))),
        )

    def search(queries: Vectors, effort: int) -> Ids:
        query = f"SELECT rowid FROM v WHERE e MATCH ? AND k = {K}"
        return np.array(
            [[row for (row,) in db.execute(query, (q.tobytes(),))] for q in queries], np.int64
        )

    return search


NPROBES = (8, 16, 24, 32, 48, 64, 80, 96, 112, 128, 144, 160, 192, 256, 384, 512, 768)


def _lists(n: int) -> int:
    return int(automatic(n, 1 << 10).factory.split(",")[1].removeprefix("IVF"))


SIDES: dict[str, tuple[Callable[..., Search], tuple[int, ...]]] = {
    "FAISS Flat": (_faiss_flat, (0,)),
    "semsearch Flat": (_semsearch(lambda n, d: EXACT), (0,)),
    "semsearch auto": (_semsearch(automatic), NPROBES),
    "semsearch (32-bit vectors)": (
        _semsearch(lambda n, d: clusters(n, _lists(n), d, ",RFlat", 1)),
        NPROBES,
    ),
    "semsearch (16-bit vectors)": (
        _semsearch(lambda n, d: clusters(n, _lists(n), d, ",Refine(SQfp16)", 1)),
        NPROBES,
    ),
    "semsearch (8-bit vectors)": (
        _semsearch(lambda n, d: clusters(n, _lists(n), d, ",Refine(SQ8)", 1)),
        NPROBES,
    ),
    "semsearch graph": (
        _semsearch(lambda n, d: Setting("HNSW32_SQ8,RFlat", "efSearch=16,k_factor_rf=2")),
        EFFORTS,
    ),
    "hnswlib": (_hnswlib, EFFORTS),
    "usearch f16": (_usearch("f16"), EFFORTS),
    "usearch i8": (_usearch("i8"), EFFORTS),
    "LanceDB": (_lancedb, EFFORTS),
    "Chroma": (_chroma, EFFORTS),
    "Milvus Lite": (_milvus, EFFORTS),
    "sqlite-vec": (_sqlite_vec, (0,)),
}


if __name__ == "__main__":
    main()
