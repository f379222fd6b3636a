"""Plots of a calibration as PNG files: reliability, and precision against coverage."""

from __future__ import annotations

from semsearch.calibration.report import CalibrationReport
from semsearch.evaluation.plots import as_png, blank, require

__all__ = ["draw", "require"]


def draw(report: CalibrationReport) -> dict[str, bytes]:
    """The plots by file name: `reliability.png` and `precision.png`.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    return {"reliability.png": _reliability(report), "precision.png": _precision(report)}


def _reliability(report: CalibrationReport) -> bytes:
    """How often the top hit is right against the confidence; the diagonal is what is promised."""
    drawn = blank(4.6, 5.2)
    axes, below = drawn.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    bins = report.reliability
    confidence = [row["confidence"] for row in bins]
    right = [row["right"] for row in bins]
    errors = [
        [max(0.0, row["right"] - row["low"]) for row in bins],
        [max(0.0, row["high"] - row["right"]) for row in bins],
    ]
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=1, linestyle="--")
    axes.errorbar(confidence, right, yerr=errors, marker="o", capsize=3, linewidth=1)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_ylabel("share of first hits that are right")
    axes.set_title(f"expected calibration error {report.error:.3f}")
    below.bar(confidence, [row["share"] for row in bins], width=0.06)
    below.axvline(report.calibration.threshold, color="C1", linewidth=1)
    below.set_xlabel("confidence (line: answers from here on)")
    below.set_ylabel("queries")
    return as_png(drawn)


def _precision(report: CalibrationReport) -> bytes:
    """Precision with its interval against coverage, and what is refused; the point is chosen."""
    curve, threshold = report.curve, report.calibration.threshold
    drawn = blank(5.6, 4.2)
    axes = drawn.subplots()
    shown = curve.coverage > 0
    axes.fill_between(
        curve.coverage[shown], curve.low[shown], curve.high[shown], alpha=0.25, linewidth=0
    )
    axes.plot(curve.coverage[shown], curve.precision[shown], label="precision, 95% interval")
    axes.plot(
        curve.coverage[shown],
        curve.refused[shown],
        linestyle=":",
        label="refused, of the queries that have no answer",
    )
    at = int((curve.thresholds >= threshold).sum()) - 1
    axes.plot([curve.coverage[at]], [curve.precision[at]], "o", label=report.calibration.point)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("coverage: answered, of the queries that have an answer")
    axes.legend(loc="lower left", fontsize="small")
    return as_png(drawn)
