"""Calibrate an index: fit, judge, choose the operating point, store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, cast

import numpy as np

from semsearch import identity
from semsearch.calibration import examples, fitting, selfmade
from semsearch.calibration.assembling import Assembled, assemble
from semsearch.calibration.choosing import choose
from semsearch.calibration.examples import Examples
from semsearch.calibration.points import Curve, Judged, measure, reliability
from semsearch.calibration.report import CalibrationReport
from semsearch.calibration.selfmade import SelfMade
from semsearch.confidence import Calibration
from semsearch.confidence.looking import look
from semsearch.confidence.signals import Signals
from semsearch.errors import DataError, Problem
from semsearch.evaluation.queries import LabelledQuery, read_labelled
from semsearch.index import Index
from semsearch.ranking import Score
from semsearch.store import BankReader, Meta
from semsearch.store.rows import ID_BITS
from semsearch.types import Vectors
from semsearch.view import View
from semsearch.writing import writing


def calibrate(
    index: Index,
    queries: Any = None,
    *,
    precision: float | None = None,
    coverage: float | None = None,
    unanswerable: float | None = None,
    score: Score | None = None,
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
        unanswerable: the share of all queries that has no answer; by default that of the labels,
            but at least 0.05, and 0.1 without labels.
        score: "best" or "top3", in place of the index's own.
        column, key, none, encoding, skip_bad: see `retrieval.evaluate`.
        seed: of the folds and of the phrasings that are held out.
        wait_seconds: how long to wait for another writer.
        progress: called with (phrasings held out so far, phrasings to hold out).

    Raises:
        BadRowsError: a row has no text, or expects a key that the index has not.
        DataError: there is too little to fit on.
        ValueError: precision, coverage or unanswerable is out of range, or both are given.
        IndexBusyError: another process is writing.
    """
    _check(precision, coverage, unanswerable)
    labels, problems = _read(
        index, queries, column=column, key=key, none=none, encoding=encoding, skip_bad=skip_bad
    )
    fitted, meta, bank = collect(index, labels, unanswerable, score, seed, progress)
    report = fit_on(
        fitted,
        index=str(index.path),
        bank=bank,
        score=score or cast(Score, meta.score),
        source=_name(queries),
        precision=precision,
        coverage=coverage,
        seed=seed,
    )
    with writing(index.path, wait_seconds=wait_seconds) as change:
        change.calibrate(report.calibration.to_dict(), meta)
    return replace(report, skipped=tuple(problems))


def fit_on(
    fitted: Assembled,
    *,
    index: str,
    bank: dict[str, int],
    score: Score,
    source: str,
    precision: float | None = None,
    coverage: float | None = None,
    seed: int = 0,
) -> CalibrationReport:
    """Fit a calibration and judge it; nothing is stored.

    Args:
        index: the directory, for the report.
        bank: what the index holds; see `Calibration`.
        source: what the queries are, for the report.

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
    )


def collect(
    index: Index,
    labels: Sequence[LabelledQuery],
    unanswerable: float | None = None,
    score: Score | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Assembled, Meta, dict[str, int]]:
    """What a calibration is fitted on, the state of the index, and how much it held then.

    Raises:
        DataError: there is too little to fit on.
        EncoderMismatchError: another process built the index again with another encoder.
    """
    texts = [label.text for label in labels]
    # Without labels nothing is encoded, so that no encoder is needed.
    vectors = index.encoder.encode(texts, kind="query") if labels else None
    reader = BankReader(index.path)
    try:
        with reader.reading() as meta:
            if meta.questions < 2:
                raise DataError(
                    f"{index.path}: nothing can be learnt from {meta.questions} standard "
                    "questions. Add some."
                )
            by_top3 = (score or meta.score) == "top3"
            own = None
            if vectors is not None:
                identity.check(index.path, meta.encoder, index.encoder, reader.first_phrasings)
                view = View.load(index.path, reader, meta, None)
                own = _ask(reader, view, labels, vectors, by_top3)
            made = _kept(index.path, meta, by_top3) or selfmade.make(
                reader, meta, by_top3=by_top3, seed=seed, progress=progress
            )
            bank = {
                "questions": meta.questions,
                "phrasings": meta.phrasings,
                "last_phrasing": reader.last_phrasing(),
            }
            return assemble(str(index.path), own, made, unanswerable), meta, bank
    finally:
        reader.close()


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


def _kept(directory: Path, meta: Meta, by_top3: bool) -> SelfMade | None:
    """What `semsearch improve` made of the bank, with phrasings that its encoder had not learnt.

    Those that it has learnt find their standard question more surely than any query will.
    """
    file = directory / meta.encoder.source / selfmade.FILE
    if meta.improved is None or by_top3 != (meta.improved["score"] == "top3"):
        return None
    return SelfMade.load(file)


def _name(queries: Any) -> str:
    if queries is None:
        return "the bank itself"
    return str(queries) if isinstance(queries, str | Path) else "rows"


def _ask(
    reader: BankReader, view: View, labels: Sequence[LabelledQuery], vectors: Vectors, by_top3: bool
) -> Examples:
    """Labelled queries with what they find."""
    ids = {key: row.id for key, row in reader.questions_by_key(view.meta).items()}
    hits: list[int] = []
    found: list[Signals] = []
    for ranked, signals in look(reader, view, [q.text for q in labels], vectors, 1, by_top3):
        hits += [int(best.labels[0]) >> ID_BITS for best in ranked]
        found.append(signals)
    expected = np.array([-1 if q.key is None else ids[q.key] for q in labels])
    return examples.labelled(np.concatenate(found), np.array(hits) == expected, expected >= 0)


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
