"""Plots of a run as PNG files: scores, predictions against gold, scores against dimensions."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from semsearch.errors import MissingExtraError
from semsearch.evaluation.outcome import LANGUAGES, Row, StsReport
from semsearch.evaluation.tasks import Language
from semsearch.evaluation.variants import Variant

_MAX_POINTS = 3000
_MAX_BOXES = 6  # gold scores that are so few are drawn as boxes
_DPI = 110


def require() -> None:
    """Raise MissingExtraError unless matplotlib is there, before anything long is begun."""
    blank(1, 1)


def draw(report: StsReport) -> dict[str, bytes]:
    """The plots by file name: `scores.png`, `pairs.png` and, for a sweep, `dimensions.png`.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    found = {"scores.png": _scores(report), "pairs.png": _pairs(report)}
    if any(row.variant.kind in ("pca", "truncated") for row in report.rows):
        found["dimensions.png"] = _dimensions(report)
    return found


def _scores(report: StsReport) -> bytes:
    """A bar with its interval for each task and row; a sweep has a plot of its own."""
    swept = {row.variant.dim for row in report.rows if row.variant.kind in ("pca", "truncated")}
    rows = [row for row in report.rows if row.variant.dim not in swept or row.variant.kind == "raw"]
    names = [pairs.task.name for pairs in report.tasks]
    figure = blank(max(6.0, 1.0 + len(names) * (0.5 + 0.18 * len(rows))), 4.2)
    axes = figure.subplots()
    width = 0.8 / len(rows)
    for number, row in enumerate(rows):
        places = [place - 0.4 + width * (number + 0.5) for place in range(len(names))]
        scores = [row.scores[name] for name in names]
        errors = [[s.value - s.low for s in scores], [s.high - s.value for s in scores]]
        axes.bar(
            places,
            [score.value for score in scores],
            width,
            yerr=[[max(0.0, error) for error in side] for side in errors],
            error_kw={"linewidth": 0.7},
            color="0.7" if row.encoder is None else None,
            label=row.label,
        )
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right")
    axes.set_ylabel(f"{report.metric.capitalize()} of {report.similarity} x100")
    axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return as_png(figure)


def _pairs(report: StsReport) -> bytes:
    """What the first encoder predicts against the gold scores, a panel for each task."""
    columns = min(4, len(report.tasks))
    lines = math.ceil(len(report.tasks) / columns)
    figure = blank(3.2 * columns, 3.0 * lines)
    panels = figure.subplots(lines, columns, squeeze=False).ravel()
    label = report.compared_with
    for axes, pairs in zip(panels, report.tasks, strict=False):
        predicted = report.predictions[label][pairs.task.name]
        levels = sorted(set(pairs.gold.tolist()))
        if len(levels) <= _MAX_BOXES:
            boxes = [predicted[pairs.gold == level] for level in levels]
            axes.boxplot(boxes, sym=",", medianprops={"color": "C0"})
            axes.set_xticks(range(1, len(levels) + 1), [f"{level:g}" for level in levels])
        else:
            step = math.ceil(len(pairs) / _MAX_POINTS)
            axes.scatter(pairs.gold[::step], predicted[::step], s=3, alpha=0.25, linewidths=0)
        axes.set_title(
            f"{pairs.task.name}: {report.row(label).scores[pairs.task.name].value:.2f}",
            fontsize="medium",
        )
    for axes in panels[len(report.tasks) :]:
        axes.remove()
    figure.supxlabel("gold score")
    figure.supylabel(f"{report.similarity} of {label}")
    return as_png(figure)


def _dimensions(report: StsReport) -> bytes:
    """Mean score against dimensions, a panel for each encoder and language."""
    raw = [row for row in report.rows if row.encoder is not None and row.variant.kind == "raw"]
    languages = report.languages
    figure = blank(5.0 * len(languages), 3.8 * len(raw))
    panels = figure.subplots(len(raw), len(languages), squeeze=False)
    baseline = report.rows[0]
    for line, row in zip(panels, raw, strict=True):
        for axes, language in zip(line, languages, strict=True):
            for (kind, on), found in _curves(report, row).items():
                points = sorted((r.variant.dim or 0, _mean(report, r, language)) for r in found)
                name = {"whitened": "whitening", "pca": "PCA", "truncated": "first dimensions"}[
                    kind
                ]
                label = f"{name} on {on}" if on else name
                axes.plot(*zip(*points, strict=True), marker="o", label=label)
            axes.axhline(_mean(report, row, language), color="0.3", ls="--", label="as it is")
            axes.axhline(_mean(report, baseline, language), color="0.7", ls=":", label="tf-idf")
            axes.set_title(f"{row.label}, {LANGUAGES[language]}", fontsize="medium")
            axes.set_xlabel("dimensions")
            axes.set_ylabel(f"mean {report.metric} x100")
    panels[0][0].legend(fontsize="small")
    return as_png(figure)


def _curves(report: StsReport, base: Row) -> dict[tuple[str, str | None], list[Row]]:
    """The reduced rows of one encoder, by what was done and what that was fitted on."""
    found: dict[tuple[str, str | None], list[Row]] = {}
    for row in report.rows:
        variant: Variant = row.variant
        if row.encoder is base.encoder and variant.kind != "raw":
            found.setdefault((variant.kind, variant.fitted_on), []).append(row)
    return found


def _mean(report: StsReport, row: Row, language: Language) -> float:
    scores = [row.scores[pairs.task.name].value for pairs in report.of(language)]
    return sum(scores) / len(scores)


def curves(
    points: Mapping[str, Sequence[tuple[float, float]]],
    *,
    x: str,
    y: str,
    mark_x: float | None = None,
    mark_y: float | None = None,
) -> bytes:
    """Lines through (x, y) by name, y on a logarithmic scale, as PNG.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figure = blank(9.0, 4.8)
    axes = figure.subplots()
    for name, found in points.items():
        axes.plot(*zip(*sorted(found), strict=True), marker="o", ms=3, lw=1, label=name)
    if mark_x is not None:
        axes.axvline(mark_x, color="0.5", ls="--", lw=0.8)
    if mark_y is not None:
        axes.axhline(mark_y, color="0.5", ls="--", lw=0.8)
    axes.set_yscale("log")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return as_png(figure)


def blank(width: float, height: float) -> Any:
    """An empty matplotlib figure, in inches. MissingExtraError where matplotlib is not there."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("matplotlib", "benchmarks") from None
    return Figure(figsize=(width, height), layout="constrained")


def as_png(figure: Any) -> bytes:
    """A figure as the bytes of a PNG file, the same ones each time."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # The font that comes with matplotlib lacks Chinese; a name may show as boxes.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
    return buffer.getvalue()
