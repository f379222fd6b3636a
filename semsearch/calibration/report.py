"""What a calibration found, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semsearch.calibration.mixing import Mixing
from semsearch.calibration.points import Curve, Share
from semsearch.confidence import Calibration
from semsearch.errors import Problem
from semsearch.evaluation.reports import write_files

_ROWS = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 1.0)


@dataclass(frozen=True, slots=True)
class CalibrationReport:
    """What `calibrate` fitted and measured, by cross-validation.

    Attributes:
        index: the directory.
        calibration: what was stored.
        measured: at the operating point; see `points.measure`.
        curve: precision against coverage.
        reliability: how often the top hit is right, for what confidence; see `points.reliability`.
        error: the expected calibration error.
        promised: whether the interval of the precision lies above what was asked; None where no
            precision was asked for.
        notes: what the owner must know to trust the figures.
        skipped: bad rows of the labelled queries that were left out.
        lexical: what words count beside vectors, and what showed it.
    """

    index: str
    calibration: Calibration
    measured: Mapping[str, Share]
    curve: Curve
    reliability: list[dict[str, float]]
    error: float
    promised: bool | None
    notes: tuple[str, ...]
    skipped: tuple[Problem, ...]
    lexical: Mixing

    def rows(self) -> list[dict[str, float]]:
        """The curve at some coverages: confidence, coverage, precision, low, high, refused."""
        found = []
        for coverage in _ROWS:
            at = self.curve.covering(coverage)
            found.append(
                {
                    "confidence": float(self.curve.thresholds[at]),
                    "coverage": float(self.curve.coverage[at]),
                    "precision": float(self.curve.precision[at]),
                    "low": float(self.curve.low[at]),
                    "high": float(self.curve.high[at]),
                    "refused": float(self.curve.refused[at]),
                }
            )
        return found

    def to_dict(self) -> dict[str, Any]:
        """The stable JSON form."""
        made = self.calibration
        return {
            "index": self.index,
            "source": made.source,
            "queries": dict(made.queries),
            "skipped": len(self.skipped),
            "score": made.score,
            "lexical": self.lexical.to_dict(),
            "unanswerable": made.unanswerable,
            "point": made.point,
            "threshold": round(made.threshold, 4),
            "promised": self.promised,
            "measured": {name: share.to_dict() for name, share in self.measured.items()},
            "calibration_error": round(self.error, 4),
            "curve": [_rounded(row) for row in self.rows()],
            "reliability": [_rounded(row) for row in self.reliability],
            "notes": list(self.notes),
            "made": made.made,
        }


def _rounded(row: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in row.items()}


def markdown(report: CalibrationReport) -> str:
    """The report as a page."""
    made = report.calibration
    lines = [
        "# Calibration",
        "",
        f"{report.index}, calibrated on {made.source}: {made.queries['answerable']} queries that "
        f"have an answer, {made.queries['unanswerable']} that have none. Answers from confidence "
        f"{made.threshold:.3f} on ({made.point}). Expected calibration error {report.error:.3f}. "
        f"All figures by cross-validation. Of words beside vectors: {report.lexical}.",
        "",
        *(f"- {note}" for note in report.notes),
        "",
        "| at this point | share | 95% interval | of |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name, share in report.measured.items():
        if share.value is not None:
            lines.append(
                f"| {name} | {share.value:.3f} | {share.low:.3f} to {share.high:.3f} | {share.n} |"
            )
    lines += [
        "",
        "![reliability](reliability.png) ![precision against coverage](precision.png)",
        "",
        "| confidence from | coverage | precision | 95% interval | refused |",
        "| ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in report.rows():
        lines.append(
            f"| {row['confidence']:.3f} | {row['coverage']:.3f} | {row['precision']:.3f} "
            f"| {row['low']:.3f} to {row['high']:.3f} | {row['refused']:.3f} |"
        )
    return "\n".join([*lines, ""])


def write(report: CalibrationReport, directory: Path) -> list[Path]:
    """Write `calibration.md`, `calibration.json` and the plots; the directory is made if need be.

    Raises:
        MissingExtraError: matplotlib is not installed.
        StorageError: the disk refused.
    """
    from semsearch.calibration import plots

    content = json.dumps(report.to_dict(), ensure_ascii=False, indent=2)
    files = {
        "calibration.json": content.encode() + b"\n",
        "calibration.md": markdown(report).encode(),
        **plots.draw(report),
    }
    return write_files(directory, files)
