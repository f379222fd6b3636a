"""What is tried: kinds of FAISS index, and for each how much a search may look at, step by step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from semsearch.ann import Setting, candidates_for

_STEPS = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
_LINKS = 32
_LINK_BYTES = 8 * _LINKS + 20
"""Of a graph, by vector: twice the links in its lowest layer, and what the others take."""
_LABEL_BYTES = 8
_K = 10  # neighbours, of which k_factor_rf is a multiple
_REFINEMENTS = ((",RFlat", 4), (",Refine(SQfp16)", 2), (",Refine(SQ12)", 1.5), (",Refine(SQ8)", 1))
"""What decides among candidates, and its bytes for each number of a vector."""
_SMALL = 2_000
"""Fewer vectors are all looked at in a moment, and too few to learn clusters from."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A factory, and the parameters of its searches from the fastest to the most thorough."""

    factory: str
    parameters: tuple[str, ...] = ("",)

    @property
    def settings(self) -> list[Setting]:
        return [Setting(self.factory, parameters) for parameters in self.parameters]


def candidates(n: int, dim: int, bytes_per_vector: float = float("inf")) -> Iterator[Candidate]:
    """Kinds of index for n vectors that take no more than so many bytes each, or nearly.

    Where the vectors themselves, or 16, 12 or 8 bits of each number, find room beside the codes,
    they decide among the candidates that the codes give.
    """
    for name, size in (("Flat", 4 * dim), ("SQfp16", 2 * dim), ("SQ8", dim)):
        if size + _LABEL_BYTES <= bytes_per_vector:
            yield Candidate(name)
    if n < _SMALL:
        return
    half = max(8, dim // 16 * 8)
    for base, size, seen in _graphs(dim, half):
        refined = _refined(base, size, dim, bytes_per_vector)
        if refined is not None:
            yield Candidate(refined, tuple(_graph_steps(refined != base, seen)))
    for base, size, lists, factor in _clusters(n, dim):
        refined = _refined(base, size, dim, bytes_per_vector)
        if refined is not None:
            yield Candidate(refined, tuple(_cluster_steps(refined != base, lists, factor)))


def _lists(n: int) -> int:
    """A power of two near twice the root of n: half of what FAISS's guidelines begin with."""
    lists = 16
    while lists < 4 * n**0.5:
        lists *= 2
    return lists // 2


def _graphs(dim: int, half: int) -> Iterator[tuple[str, int, int]]:
    """Factory, bytes by vector, and of how many that were seen one is scored again."""
    yield f"HNSW{_LINKS}_SQ8", dim + _LINK_BYTES, 8
    if dim >= 64:
        most = dim * 2 // 3 // 8 * 8
        yield f"PCA{most},HNSW{_LINKS}_SQ8", most + _LINK_BYTES, 2
        yield f"PCA{half},HNSW{_LINKS}_SQ8", half + _LINK_BYTES, 1


def _clusters(n: int, dim: int) -> Iterator[tuple[str, int, int, int]]:
    """Factory, bytes by vector, clusters, how many times as many candidates are scored again.

    Comparing the short codes costs so little that fewer clusters, and more of them looked at, may
    be faster than many. Half of the dimensions with as many bits each, those that vary most, keep
    more than coarser codes of all.
    """
    lists = _lists(n)
    yield f"IVF{lists},SQ8", dim + 8, lists, 1
    for few, turned in ((2, f"RR{dim}"), (4, f"PCAR{dim // 2}")):
        if dim % few == 0:
            for fewer in (lists, lists // 2):
                base = f"{turned},IVF{fewer},PQ{dim // few}x4fs"
                yield base, dim // few // 2 + 8, fewer, (few - 1) * candidates_for(n)
    yield f"IVF{lists},RaBitQ", dim // 8 + 16, lists, 16


def _refined(base: str, size: int, dim: int, most: float) -> str | None:
    """The factory with the most exact scores that there is room for."""
    for name, more in _REFINEMENTS:
        if size + more * dim + _LABEL_BYTES <= most:
            return base + name
    return base if size + _LABEL_BYTES <= most else None


def _graph_steps(refined: bool, seen: int) -> Iterator[str]:
    for step in _STEPS:
        again = f",k_factor_rf={max(2, step // (_K * seen))}" if refined else ""
        yield f"efSearch={step}{again}"


def _cluster_steps(refined: bool, lists: int, factor: int) -> Iterator[str]:
    for step in (4, 6, 8, 12, *_STEPS):
        if step < lists:
            yield f"nprobe={step}" + (f",k_factor_rf={factor}" if refined else "")
