"""What a run found, for people: the table on the terminal, and a directory with the rest."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from semsearch.errors import StorageError
from semsearch.evaluation import lexical, nli
from semsearch.evaluation.outcome import LANGUAGES, Row, Score, StsReport
from semsearch.evaluation.tasks import Language
from semsearch.files import atomic_write

_AGGREGATIONS = {
    "all": "subsets concatenated (all: SimCSE, MTEB)",
    "mean": "mean over subsets (mean: SentEval)",
    "wmean": "mean over subsets weighted by their pairs (wmean: SentEval)",
}


def table(report: StsReport) -> str:
    """The table for a terminal, a block for each language, and what must be known to read it."""
    blocks = []
    for language in report.languages:
        header, *lines = _cells(report, language, _marked)
        width = max(_width(line[0]) for line in lines)
        widths = [max(map(len, column)) for column in zip(header, *lines, strict=True)][1:]
        shown = [
            line[0] + " " * (width - _width(line[0]))
            + "".join(f"  {cell:>{size}}" for cell, size in zip(line[1:], widths, strict=True))
            for line in (header, *lines)
        ]  # fmt: skip
        blocks.append("\n".join([title(report, language), *(line.rstrip() for line in shown)]))
    return "\n\n".join([*blocks, "\n".join(notes(report))])


def markdown(report: StsReport) -> str:
    """The report as a page: tables, intervals, differences, data and provenance."""
    parts = ["# STS", ""]
    for language in report.languages:
        parts += [f"## {LANGUAGES[language]}", "", title(report, language), ""]
        parts += pipes(_cells(report, language, _marked))
        parts += ["", "95% intervals:", "", *pipes(_cells(report, language, _interval))]
        parts += ["", f"Differences from {report.compared_with}:", ""]
        parts += [*pipes(_cells(report, language, _difference)), ""]
    parts += [*(f"- {note}" for note in notes(report)), "", "## Data", "", *_data(report), ""]
    parts += ["## Provenance", "", "```json"]
    parts += [json.dumps(dict(report.provenance), ensure_ascii=False, indent=2), "```", ""]
    return "\n".join(parts)


def write(report: StsReport, directory: Path) -> list[Path]:
    """Write `sts.md`, `sts.json` and the plots into a directory, which is made if need be.

    Raises:
        MissingExtraError: matplotlib is not installed.
        StorageError: the disk refused.
    """
    from semsearch.evaluation import plots

    files = {
        "sts.json": json.dumps(report.to_dict(), ensure_ascii=False, indent=2).encode() + b"\n",
        "sts.md": markdown(report).encode(),
        **plots.draw(report),
    }
    return write_files(directory, files)


def write_files(directory: Path, files: Mapping[str, bytes]) -> list[Path]:
    """Write files by name into a directory, which is made if need be.

    Raises:
        StorageError: the disk refused.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{directory}: {error.strerror or error}.") from error
    for name, content in files.items():
        with atomic_write(directory / name) as file:
            file.write(content)
    return [directory / name for name in files]


def title(report: StsReport, language: Language) -> str:
    """What the figures of a table are."""
    return (
        f"STS, {LANGUAGES[language]}: {report.metric.capitalize()} of {report.similarity} x100, "
        f"{_AGGREGATIONS[report.aggregation]}"
    )


def notes(report: StsReport) -> list[str]:
    """What must be known to read the tables: baseline, marks, whitening, what is missing."""
    settings = "; ".join(
        f"{lexical.SETTINGS[language]} ({LANGUAGES[language]})" for language in report.languages
    )
    found = [
        f"tf-idf: {settings}, cosine, idf of the task's own sentences; no encoder at all.",
        f"+ better, - worse than {report.compared_with}: the 95% interval of the difference "
        f"leaves out 0 (paired bootstrap over pairs, {report.draws} draws, seed {report.seed}).",
    ]
    on = {row.variant.fitted_on for row in report.rows}
    if "target" in on:
        found.append("on target: fitted on both sides of the task's own pairs, without scores.")
    if "nli" in on:
        sets = "; ".join(", ".join(nli.SETS[language]) for language in report.languages)
        found.append(
            f"on nli: fitted on NLI sentences of the task's language, at most {nli.LIMIT} "
            f"(those there are of {sets})."
        )
    for pairs in report.tasks:
        for reason, count in pairs.dropped.items():
            total = len(pairs) + sum(pairs.dropped.values())
            found.append(f"{pairs.task.name}: {count} of {total} pairs dropped: {reason}.")
    if report.trained_on:
        dropped = sum(pairs.dropped.get("in the training files", 0) for pairs in report.tasks)
        found.append(f"pairs found in {', '.join(report.trained_on)}: {dropped} in all.")
    found += [f"skipped {reason}." for reason in report.skipped.values()]
    return found


def _cells(report: StsReport, language: Language, show: Callable[[Score], str]) -> list[list[str]]:
    """The header and a line for each row: its label, its tasks, the average if there is one."""
    names = [pairs.task.name for pairs in report.of(language)]
    averaged = language in report.rows[0].averages
    header = ["", *names, *(["Avg."] if averaged else [])]
    return [
        header,
        *([row.label, *map(show, _scores(row, names, language))] for row in report.rows),
    ]


def _scores(row: Row, names: Sequence[str], language: Language) -> list[Score]:
    average = row.averages.get(language)
    return [row.scores[name] for name in names] + ([average] if average else [])


def _marked(score: Score) -> str:
    return f"{score.value:.2f}{score.mark or ' '}"


def _interval(score: Score) -> str:
    return f"{score.low:.2f} to {score.high:.2f}"


def _difference(score: Score) -> str:
    if score.difference is None:
        return ""
    gap = score.difference
    return f"{gap.value:+.2f} ({gap.low:+.2f} to {gap.high:+.2f}) {score.mark}".rstrip()


def _data(report: StsReport) -> list[str]:
    lines = [["task", "pairs", "dropped", "data", "sha256", "citation", "licence"]]
    for pairs in report.tasks:
        dropped = "; ".join(f"{count} {reason}" for reason, count in pairs.dropped.items())
        names = "<br>".join(
            source.name + (f" @ {source.revision[:10]}" if source.revision else "")
            for source in pairs.sources
        )
        shas = "<br>".join(f"`{source.sha256[:12]}`" for source in pairs.sources)
        task = pairs.task
        line = [
            task.name,
            str(len(pairs)),
            dropped or "0",
            names,
            shas,
            task.citation,
            task.licence,
        ]
        lines.append(line)
    return pipes(lines, right=0)


def pipes(lines: list[list[str]], right: int | None = None) -> list[str]:
    """A Markdown table; all columns but the first are set to the right, unless told otherwise."""
    header, *body = [[cell.strip().replace("|", "\\|") for cell in line] for line in lines]
    rule = ["---", *(["---:" if right is None else "---"] * (len(header) - 1))]
    return [f"| {' | '.join(line)} |" for line in (header, rule, *body)]


def _width(label: str) -> int:
    """Columns on a terminal, where Chinese characters take two."""
    return sum(2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in label)
