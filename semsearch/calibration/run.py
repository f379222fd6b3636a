"""Calibrate an index: fit, judge, choose the operating point, store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, cast

from semsearch.calibration import fitting
from semsearch.calibration.assembling import Assembled
from semsearch.calibration.choosing import choose
from semsearch.calibration.collecting import collect, encoded
from semsearch.calibration.examples import Examples
from semsearch.calibration.mixing import Mixing
from semsearch.calibration.points import Curve, Judged, measure, reliability
from semsearch.calibration.report import CalibrationReport
from semsearch.calibration.weighing import mix
from semsearch.confidence import Calibration
from semsearch.errors import Problem
from semsearch.evaluation.queries import LabelledQuery, once, read_labelled
from semsearch.index import Index
from semsearch.lexical import LEXICAL, Lexical
from semsearch.querylog import read_log
from semsearch.ranking import Score
from semsearch.writing import writing

_ALIKE = 0.05  # share of the standard questions that may have the text of another


def calibrate(
    index: Index,
    queries: Any = None,
    *,
    log: str | Path | None = None,
    precision: float | None = None,
    coverage: float | None = None,
    unanswerable: float | None = None,
    score: Score | None = None,
    lexical: Lexical = "auto",
    column: str | None = None,
    key: str | None = None,
    none: str = "",
    encoding: str | None = None,
    skip_bad: bool = False,
    seed: int = 0,
    wait_seconds: float = 0.0,
    progress: Callable[[int, int], None] | None = None,
) -> CalibrationReport:
    """Fit how sure an answer of an index is, choose from where it answers, and store both.

    The operating point is one of those of `choosing.choose`.

    Args:
        queries: labelled queries: a path, rows as mappings or a DataFrame, with a column of texts
            and one of keys, empty where no answer is expected. None takes the bank itself; see
            `selfmade`. Whichever kind labels lack is taken from the bank.
        log: what users asked, without labels: a query log, or what else `read_log` takes. The share
            of them that has no answer is estimated; see `prior.estimate`.
        unanswerable: the share of all queries that has no answer; by default that of the labels,
            but at least 0.05, and 0.1 without labels.
        score: "best" or "top3", in place of the index's own.
        lexical: "auto" counts the words of a query beside its vector by as much as helps, see
            `mixing.decide`; "on" in any case, "off" never. The index keeps it.
        column, key, none, encoding, skip_bad: see `retrieval.evaluate`. Without labelled queries,
            column and encoding are those of the log.
        seed: of the folds and of the phrasings that are held out.
        wait_seconds: how long to wait for another writer.
        progress: called with (phrasings held out so far, phrasings to hold out).

    Raises:
        BadRowsError: a row has no text, or expects a key that the index has not.
        DataError: there is too little to fit on.
        ValueError: precision, coverage, unanswerable or lexical is out of range, or a precision and
            a coverage are given, or a log and a share.
        IndexBusyError: another process is writing.
    """
    _check(precision, coverage, unanswerable)
    if log is not None and unanswerable is not None:
        raise ValueError("the share of queries without an answer is given, or estimated of a log")
    if lexical not in LEXICAL:
        raise ValueError(f"lexical must be one of {', '.join(LEXICAL)}, not {lexical!r}")
    read, problems = _read(
        index, queries, column=column, key=key, none=none, encoding=encoding, skip_bad=skip_bad
    )
    labels = once(read)
    vectors = encoded(index, labels)
    mixed = mix(index, labels, vectors, lexical, score, seed)
    asked = [] if log is None else _logged(log, queries is None, column, encoding)
    fitted, meta, bank = collect(
        index, labels, vectors, unanswerable, score, seed, progress, mixed.weight, asked
    )
    report = fit_on(
        fitted,
        index=str(index.path),
        bank=bank,
        score=score or cast(Score, meta.score),
        source=_name(queries),
        mixed=mixed,
        precision=precision,
        coverage=coverage,
        seed=seed,
    )
    notes = [*_repeated(read, labels), *_alike(index)]
    if score not in (None, meta.score):
        notes.append(
            f"The index scores by {meta.score}: only what is asked with --score {score} is refused "
            f"or has a confidence. To score so always: semsearch build TABLE {index.path} --score "
            f"{score}"
        )
    report = replace(report, notes=(*notes, *report.notes))
    with writing(index.path, wait_seconds=wait_seconds) as change:
        change.calibrate(report.calibration.to_dict(), meta, mixed.to_dict())
    return replace(report, skipped=tuple(problems))


def fit_on(
    fitted: Assembled,
    *,
    index: str,
    bank: dict[str, int],
    score: Score,
    source: str,
    mixed: Mixing,
    precision: float | None = None,
    coverage: float | None = None,
    seed: int = 0,
) -> CalibrationReport:
    """Fit a calibration and judge it; nothing is stored.

    Args:
        index: the directory, for the report.
        bank: what the index holds; see `Calibration`.
        source: what the queries are, for the report.
        mixed: what words count in the rank that it was collected with.

    Raises:
        DataError: there is too little to fit on.
    """
    judged = _judge(fitted.examples, seed)
    point = choose(judged, precision, coverage, fitted.promised)
    bins, error = reliability(judged)
    measured = measure(judged, point.threshold)
    calibration = Calibration(
        model=fitting.fit(fitted.examples),
        threshold=point.threshold,
        score=score,
        point=point.name,
        source=source,
        queries=fitted.queries,
        unanswerable=fitted.assumed,
        measured={name: share.to_dict() for name, share in measured.items()}
        | {"calibration_error": round(error, 4)},
        bank=bank,
        made=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        lexical=mixed.weight,
    )
    return CalibrationReport(
        index,
        calibration,
        measured,
        Curve.of(judged),
        bins,
        error,
        point.promised,
        (*fitted.notes, *point.notes),
        (),
        mixed,
    )


def remove(index: Index, *, wait_seconds: float = 0.0) -> bool:
    """Remove the calibration of an index; whether there was one."""
    with writing(index.path, wait_seconds=wait_seconds) as change:
        return change.calibrate(None)


def _check(precision: float | None, coverage: float | None, unanswerable: float | None) -> None:
    if precision is not None and coverage is not None:
        raise ValueError("one operating point has a precision or a coverage, not both")
    for name, value in (
        ("precision", precision),
        ("coverage", coverage),
        ("unanswerable", unanswerable),
    ):
        if value is not None and not 0 < value < 1:
            raise ValueError(f"{name} must lie between 0 and 1, not {value}")


def _read(index: Index, queries: Any, **table: Any) -> tuple[list[LabelledQuery], list[Problem]]:
    if queries is None:
        return [], []
    keys = {question.key for question in index.questions()}
    return read_labelled(queries, keys, **table)


def _repeated(read: Sequence[LabelledQuery], labels: Sequence[LabelledQuery]) -> Iterator[str]:
    """What the owner must know of labelled queries that stand several times in a table."""
    if len(labels) < len(read):
        yield (
            f"{len(read) - len(labels):,} of {len(read):,} labelled queries repeat others: they "
            "count as what is asked often, not as more evidence."
        )
    texts = Counter(query.text for query in labels)
    lines = [str(query.line) for query in labels if texts[query.text] > 1]
    if lines:
        yield (
            f"{len(lines)} labelled queries expect what others of the same text do not, the first "
            f"on line {lines[0]}: at most one of a text can be right."
        )


def _alike(index: Index) -> Iterator[str]:
    """What the owner must know of standard questions of one text."""
    texts = Counter(question.question for question in index.questions())
    n, alike = texts.total(), sum(count for count in texts.values() if count > 1)
    if alike > _ALIKE * n:
        yield (
            f"{alike:,} of {n:,} standard questions have the text of another, and queries were "
            "asked of all of them: where a condition (--where) leaves one, the confidence is too "
            "low. Make an index for each part of the bank that is asked by itself."
        )


def _logged(log: str | Path, alone: bool, column: str | None, encoding: str | None) -> list[str]:
    """What users asked; alone: whether no labelled queries have the column and the encoding."""
    records = read_log(log, column=column, encoding=encoding) if alone else read_log(log)
    return [record.query for record in records]


def _name(queries: Any) -> str:
    if queries is None:
        return "the bank itself"
    return str(queries) if isinstance(queries, str | Path) else "rows"


def _judge(fitted: Examples, seed: int) -> Judged:
    confidence = fitting.cross_validated(fitted, seed)
    judged = fitted.judged
    return Judged(
        confidence[judged],
        fitted.right[judged],
        fitted.answerable[judged],
        fitted.weights[judged],
        fitted.topic[judged],
    )
