"""GPUs that are none: FAISS's names for them, given to CPU indexes of the same precision.

What FAISS does on a card is not tested with it, but all that is done around it: what goes
where, how results of 16 bits become those of the CPU, what happens when a card fails.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import faiss
import numpy as np
import pytest

GIB = 1 << 30


@dataclass
class Fake:
    """What was done on the cards, and when they fail."""

    made: list[tuple[str, Any]] = field(default_factory=list)
    searched: list[tuple[int, int]] = field(default_factory=list)
    """(queries, n) of every search."""
    refuse: Any = lambda kind, card: None
    """Called before anything is copied to a card; raises."""
    most_queries: int = 1 << 30
    broken: bool = False

    def check(self, queries: Any, n: int) -> None:
        self.searched.append((len(queries), n))
        if self.broken:
            raise RuntimeError("Error in search: Error: 'err' failed: CUDA error 700")
        if len(queries) > self.most_queries:
            raise out_of_memory()


def out_of_memory() -> RuntimeError:
    return RuntimeError(
        "Error in allocMemory at StandardGpuResources.cpp:452: Error: 'err == cudaSuccess' failed: "
        "alloc fail type TemporaryMemoryOverflow size 4513 bytes (cudaMalloc error out of memory "
        "[2])"
    )


class Config:
    device = 0
    useFloat16 = False  # noqa: N815  FAISS's name
    use_cuvs = shard = False


class Copy:
    """An index on a card: searches as FAISS's do, without any settings."""

    def __init__(self, index: Any, fake: Fake) -> None:
        self.index, self.fake = index, fake

    def search(self, queries: Any, n: int, params: Any = None) -> Any:
        self.fake.check(queries, n)
        return self.index.search(queries, n)


class Half(faiss.IndexScalarQuantizer):  # type: ignore[misc]
    """Every vector in 16 bits; a query is rounded, too."""

    fake: Any = None

    def __init__(self, dim: int, metric: int, fake: Fake) -> None:
        super().__init__(dim, faiss.ScalarQuantizer.QT_fp16, metric)
        self.fake = fake

    def search(self, queries: Any, n: int, params: Any = None) -> Any:
        self.fake.check(queries, n)
        return super().search(queries.astype(np.float16).astype(np.float32), n)


def install(
    monkeypatch: pytest.MonkeyPatch, *free: int, options: str = "OPTIMIZE AVX2 GPU "
) -> Fake:
    """Cards with so much memory free each."""
    fake = Fake()

    def flat(resources: Any, dim: int, metric: int, config: Config) -> Any:
        fake.refuse("flat", config.device)
        assert config.useFloat16 and not config.use_cuvs
        fake.made.append(("flat", config.device))
        return Half(dim, metric, fake)

    def to_gpu(resources: Any, card: int, index: Any, options: Any = None) -> Any:
        index = faiss.downcast_index(index)
        fake.refuse(type(index).__name__, card)
        fake.made.append((type(index).__name__, card))
        copy = faiss.clone_index(index)
        return copy if isinstance(index, faiss.IndexFlat) else Copy(copy, fake)

    def to_gpus(resources: Any, index: Any, options: Any, gpus: list[int]) -> Any:
        spread = "shards" if options.shard else "replicas"
        index = faiss.downcast_index(index)
        fake.refuse(spread, tuple(gpus))
        fake.made.append((spread, tuple(gpus)))
        return Copy(faiss.clone_index(index), fake)

    names = {
        "StandardGpuResources": object,
        "GpuIndexFlatConfig": Config,
        "GpuClonerOptions": Config,
        "GpuMultipleClonerOptions": Config,
        "GpuIndexFlat": flat,
        "index_cpu_to_gpu": to_gpu,
        "index_cpu_to_gpu_multiple_py": to_gpus,
        "get_num_gpus": lambda: len(free),
        "get_compile_options": lambda: options,
    }
    for name, value in names.items():
        monkeypatch.setattr(faiss, name, value, raising=False)
    monkeypatch.delattr(faiss, "GpuIndexCagra", raising=False)
    monkeypatch.setattr("semsearch.ann.cards.runtime_accepts_driver", lambda: True)
    monkeypatch.setattr("semsearch.ann.cards.count", lambda: len(free))
    monkeypatch.setattr("semsearch.ann.cards.free_bytes", lambda cards: free[:cards])
    return fake


def install_graphs(monkeypatch: pytest.MonkeyPatch, fake: Fake) -> None:
    """A FAISS with cuVS: a graph is copied from one that the CPU makes."""

    class Cagra:
        def __init__(self, resources: Any, dim: int, metric: int, config: Any) -> None:
            self.made = faiss.IndexHNSWCagra(dim, config.graph_degree // 2, metric)
            fake.refuse("graph", config.device)
            fake.made.append(("graph", config.device))

        def train(self, vectors: Any) -> None:
            self.made.add(vectors)

        def copyTo(self, index: Any) -> None:  # noqa: N802  FAISS's name
            assert index.base_level_only
            index.base_level_only = False
            vectors = self.made.reconstruct_n(0, self.made.ntotal)
            index.add(vectors)
            index.base_level_only = True

    class Parameters:
        itopk_size = 0

    monkeypatch.setattr(faiss, "GpuIndexCagraConfig", Config, raising=False)
    monkeypatch.setattr(faiss, "GpuIndexCagra", Cagra, raising=False)
    monkeypatch.setattr(faiss, "SearchParametersCagra", Parameters, raising=False)
