"""What was tried, what came out, and what was chosen."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Trial:
    """One setting, measured.

    Attributes:
        setting: factory string and parameters.
        recall: share of the k nearest neighbours that it finds, and its 95% interval.
        p50_ms, p99_ms: latency of one query by itself.
        qps_1, qps_all: queries a second in a batch, on one thread and on all.
        bytes_per_vector: of the index in memory, labels included.
        build_seconds: to make it.
    """

    setting: str
    recall: float
    recall_low: float
    recall_high: float
    p50_ms: float
    p99_ms: float
    qps_1: float
    qps_all: float
    bytes_per_vector: float
    build_seconds: float


@dataclass(frozen=True, slots=True)
class TuneReport:
    """The settings that were tried, on queries that no index held.

    Attributes:
        chosen: the fastest that holds everything asked for, measured on queries that had no part in
            choosing it; None where nothing does.
        trials: every step of every kind, measured on the other half.
        queries: how many there were, and where they came from.
    """

    index: str
    phrasings: int
    dim: int
    k: int
    recall: float
    latency_ms: float | None
    memory_bytes: int | None
    queries: int
    source: str
    threads: int
    seed: int
    trials: tuple[Trial, ...]
    chosen: Trial | None
    applied: bool = False

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self)

    @property
    def front(self) -> list[Trial]:
        """The trials that no other one beats in both recall and latency, by recall."""
        return [
            one
            for one in sorted(self.trials, key=lambda trial: trial.recall)
            if not any(
                other.recall >= one.recall and other.p50_ms < one.p50_ms for other in self.trials
            )
        ]

    def proof(self) -> dict[str, Any]:
        """What an index keeps of it."""
        assert self.chosen is not None
        return {
            **asdict(self.chosen),
            "k": self.k,
            "asked_recall": self.recall,
            "queries": self.queries - self.queries // 2,
            "source": self.source,
            "phrasings": self.phrasings,
            "threads": self.threads,
        }
