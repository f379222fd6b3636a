"""A tuning for people: a table, and a plot of recall against latency."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from semsearch.evaluation import plots
from semsearch.evaluation.reports import pipes, write_files
from semsearch.tuning.outcome import Trial, TuneReport


def table(report: TuneReport) -> str:
    """The settings that no other one beats, and the chosen one as it was proved."""
    lines = [
        f"{report.index}: {report.phrasings:,} phrasings of {report.dim} dimensions; "
        f"{report.queries:,} {report.source}",
        "",
        *pipes(_rows(report, report.front)),
        "",
    ]
    if report.chosen is None:
        return "\n".join([*lines, "nothing is chosen"])
    lines += [
        "in use now:" if report.applied else "would be used:",
        "",
        *pipes(_rows(report, [report.chosen])),
        "",
        f"The last figures were measured on {report.queries - report.queries // 2:,} queries that "
        "had no part in the choice.",
    ]
    return "\n".join(lines)


def write(report: TuneReport, directory: Path) -> list[Path]:
    """Write `tune.md`, `tune.json` and `tune.png` into a directory, which is made if need be.

    Raises:
        MissingExtraError: matplotlib is not installed.
        StorageError: the disk refused.
    """
    every = "\n".join(pipes(_rows(report, report.trials)))
    return write_files(
        directory,
        {
            "tune.json": json.dumps(report.to_dict(), ensure_ascii=False, indent=2).encode()
            + b"\n",
            "tune.md": f"{table(report)}\n\n## Everything that was tried\n\n{every}\n".encode(),
            "tune.png": _plot(report),
        },
    )


def _plot(report: TuneReport) -> bytes:
    curves: dict[str, list[tuple[float, float]]] = {}
    for trial in report.trials:
        curves.setdefault(trial.setting.split(" ")[0], []).append((trial.recall, trial.p50_ms))
    return plots.curves(
        curves,
        x=f"recall@{report.k} on queries that are not in the index",
        y="median latency of one query, ms",
        mark_x=report.recall,
        mark_y=report.latency_ms,
    )


def _rows(report: TuneReport, trials: Sequence[Trial]) -> list[list[str]]:
    rows = [
        ["setting", f"recall@{report.k}", "[95%]", "p50 ms", "p99 ms", "QPS, 1 thread",
         f"QPS, {report.threads}", "bytes a vector", "built in s"]
    ]  # fmt: skip
    for trial in trials:
        rows.append(
            [
                trial.setting,
                f"{trial.recall:.4f}",
                f"[{trial.recall_low:.4f}, {trial.recall_high:.4f}]",
                f"{trial.p50_ms:.3f}",
                f"{trial.p99_ms:.3f}",
                f"{trial.qps_1:,.0f}",
                f"{trial.qps_all:,.0f}",
                f"{trial.bytes_per_vector:,.0f}",
                f"{trial.build_seconds:.1f}",
            ]
        )
    return rows
