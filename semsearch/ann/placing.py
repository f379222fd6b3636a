"""What of an index goes on which GPUs. Facts in, plans out: nothing here asks FAISS or a card."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["flat", "clusters", "graph"]
"""Every vector in 16 bits, the clusters of an IVF index, or the graph of a CAGRA index."""

Spread: TypeAlias = Literal["one", "replicas", "shards"]

_HALF = 2
_ID_BYTES = 8
_SLACK = 1.25
"""What lists that grow take beyond what they hold: FAISS's own growth of memory on a card."""
_GRAPH_SLACK = 1.5
_RESERVE = 2 << 30
"""Bytes that stay free: FAISS takes 1.5 GiB for what it computes, cuBLAS some more."""
_FLAT_FIRST = 8 << 30
"""Bytes; more than this are read for every batch only where there is nothing else. Not measured."""

# What it takes to begin on a GPU, which `auto` holds against what the CPU has taken. Not measured.
_START_SECONDS = 2.0
_MOVED_BYTES_PER_SECOND = 1e9
_TRAINING_FLOPS = 5e11
"""Seconds of a CPU with a few cores; with less to learn, starting a GPU takes longer."""
_ITERATIONS, _POINTS = 10, 256  # of FAISS's k-means: rounds, and points for each cluster


@dataclass(frozen=True, slots=True)
class Gpus:
    """The GPUs of this machine.

    Attributes:
        free: bytes of each, in CUDA's order.
        graphs: whether FAISS was built with cuVS, which has CAGRA.
    """

    free: tuple[int, ...]
    graphs: bool = False


@dataclass(frozen=True, slots=True)
class Shape:
    """An index, as far as it matters for where it fits.

    Attributes:
        keeps_vectors: whether the vectors are in it as they were added, or in 16 or 12 bits.
        clusters_bytes: of a vector in its lists, where it has clusters that FAISS has for GPUs,
            too; 0 where it has none.
        links: of each vector in a CAGRA graph; 0 where it is none.
    """

    n: int
    dim: int
    keeps_vectors: bool
    clusters_bytes: int = 0
    links: int = 0

    def size_bytes(self, kind: Kind) -> int:
        """On a card that holds all of it."""
        if kind == "flat":
            return self.n * self.dim * _HALF
        if kind == "clusters":
            return int(self.n * (self.clusters_bytes + _ID_BYTES) * _SLACK)
        return int(self.n * 4 * (self.dim + self.links) * _GRAPH_SLACK)


@dataclass(frozen=True, slots=True)
class Place:
    """What goes where.

    Attributes:
        cards: their numbers.
        spread: all of it on one card, all of it on each (queries are shared out), or a part of it
            on each.
        size_bytes: on each.
    """

    kind: Kind
    cards: tuple[int, ...]
    spread: Spread
    size_bytes: int

    def __str__(self) -> str:
        cards = "GPU " + ", ".join(map(str, self.cards))
        how = {"one": "", "replicas": " each", "shards": " a part each"}[self.spread]
        return f"{self.kind}, {self.size_bytes / 1e9:.1f} GB on {cards}{how}"


def places(shape: Shape, gpus: Gpus) -> list[Place]:
    """Where an index may go, the best place first; none where it must stay on the CPU.

    Every vector is looked at where they are few enough to be read in a few milliseconds: that is
    exact. Beyond, what the index has to look at fewer of them comes first. The places behind the
    first are for when memory runs out all the same: they take less of each card.
    """
    return [place for kind in _kinds(shape, gpus) for place in _spreads(shape, kind, gpus.free)]


def why_not(shape: Shape, gpus: Gpus) -> str:
    """Why there is no place for an index, and what to do."""
    kinds = list(_kinds(shape, gpus))
    if not kinds:
        return (
            "FAISS has no GPU index of this kind, and the vectors are not in it. Take another one: "
            "--factory auto"
        )
    least = min(shape.size_bytes(kind) for kind in kinds)
    free = ", ".join(f"{_usable(free) / 1e9:.1f}" for free in gpus.free)
    return f"{least / 1e9:.1f} GB are needed, and {free} GB are free on the GPUs"


def _kinds(shape: Shape, gpus: Gpus) -> Iterator[Kind]:
    if shape.links and gpus.graphs:
        yield "graph"
    flat_first = shape.size_bytes("flat") <= _FLAT_FIRST
    if shape.keeps_vectors and flat_first:
        yield "flat"
    if shape.clusters_bytes:
        yield "clusters"
    if shape.keeps_vectors and not flat_first:
        yield "flat"


def _spreads(shape: Shape, kind: Kind, free: tuple[int, ...]) -> Iterator[Place]:
    size = shape.size_bytes(kind)
    by_room = sorted(range(len(free)), key=lambda card: -_usable(free[card]))
    whole = tuple(sorted(card for card in by_room if _usable(free[card]) >= size))
    if whole:
        # FAISS takes the settings of a search in a graph on one card only.
        if len(whole) > 1 and kind != "graph":
            yield Place(kind, whole, "replicas", size)
        yield Place(kind, (by_room[0],), "one", size)
    if kind == "graph":
        return
    for n in range(len(by_room), 1, -1):
        part = -(-size // n)
        if part <= _usable(free[by_room[n - 1]]):
            yield Place(kind, tuple(sorted(by_room[:n])), "shards", part)
            return


def _usable(free: int) -> int:
    return free - min(_RESERVE, free // 4)


def moving_seconds(n: int, dim: int) -> float:
    """What it takes until n vectors are searched on a GPU, roughly."""
    return _START_SECONDS + 4 * n * dim / _MOVED_BYTES_PER_SECOND


def pays_to_train(n: int, dim: int, lists: int) -> bool:
    """Whether finding and filling so many clusters of n vectors is more than a GPU's start."""
    compared = min(n, _POINTS * lists) * _ITERATIONS + n
    return 2.0 * compared * lists * dim > _TRAINING_FLOPS
