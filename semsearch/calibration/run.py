"""Calibrate an index: fit, judge, choose the operating point, store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from semsearch import identity
from semsearch.calibration import examples, fitting, mixing, selfmade
from semsearch.calibration.assembling import Assembled, assemble
from semsearch.calibration.choosing import choose
from semsearch.calibration.examples import Examples
from semsearch.calibration.mixing import Mixing
from semsearch.calibration.points import Curve, Judged, measure, reliability
from semsearch.calibration.report import CalibrationReport
from semsearch.confidence import Calibration
from semsearch.confidence.looking import look
from semsearch.confidence.signals import Signals
from semsearch.errors import DataError, Problem, SemsearchError
from semsearch.evaluation.queries import LabelledQuery, read_labelled
from semsearch.hybrid import DEPTH, Exact, Words, of_rows
from semsearch.index import Index
from semsearch.lexical import LEXICAL, Lexical, Lexicon, Shares
from semsearch.ranking import Ranked, Score, rank
from semsearch.store import BankReader, Meta
from semsearch.store.rows import ID_BITS
from semsearch.types import Ids, Vectors
from semsearch.view import View, made_of
from semsearch.writing import writing


def calibrate(
    index: Index,
    queries: Any = None,
    *,
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
        unanswerable: the share of all queries that has no answer; by default that of the labels,
            but at least 0.05, and 0.1 without labels.
        score: "best" or "top3", in place of the index's own.
        lexical: "auto" counts the words of a query beside its vector where that helps for sure,
            see `mixing.decide`; "on" in any case, "off" never. The index keeps it.
        column, key, none, encoding, skip_bad: see `retrieval.evaluate`.
        seed: of the folds and of the phrasings that are held out.
        wait_seconds: how long to wait for another writer.
        progress: called with (phrasings held out so far, phrasings to hold out).

    Raises:
        BadRowsError: a row has no text, or expects a key that the index has not.
        DataError: there is too little to fit on.
        ValueError: precision, coverage, unanswerable or lexical is out of range, or a precision and
            a coverage are given.
        IndexBusyError: another process is writing.
    """
    _check(precision, coverage, unanswerable)
    if lexical not in LEXICAL:
        raise ValueError(f"lexical must be one of {', '.join(LEXICAL)}, not {lexical!r}")
    labels, problems = _read(
        index, queries, column=column, key=key, none=none, encoding=encoding, skip_bad=skip_bad
    )
    mixed = mix(index, labels, lexical, score, seed)
    fitted, meta, bank = collect(index, labels, unanswerable, score, seed, progress, mixed.weight)
    judged = _judge(fitted.examples, seed)
    point = choose(judged, precision, coverage, fitted.promised)
    bins, error = reliability(judged)
    measured = measure(judged, point.threshold)
    calibration = Calibration(
        model=fitting.fit(fitted.examples),
        threshold=point.threshold,
        score=score or meta.score,
        point=point.name,
        source=_name(queries),
        queries=fitted.queries,
        unanswerable=fitted.assumed,
        measured={name: share.to_dict() for name, share in measured.items()}
        | {"calibration_error": round(error, 4)},
        bank=bank,
        made=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        lexical=mixed.weight,
    )
    with writing(index.path, wait_seconds=wait_seconds) as change:
        change.calibrate(calibration.to_dict(), meta, mixed.to_dict())
    return CalibrationReport(
        str(index.path),
        calibration,
        measured,
        Curve.of(judged),
        bins,
        error,
        point.promised,
        (*fitted.notes, *point.notes),
        tuple(problems),
        mixed,
    )


def collect(
    index: Index,
    labels: Sequence[LabelledQuery],
    unanswerable: float | None = None,
    score: Score | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    weight: float = 0.0,
) -> tuple[Assembled, Meta, dict[str, int]]:
    """What a calibration is fitted on, the state of the index, and how much it held then.

    Args:
        weight: of words in the rank.

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
            words = Words(_lexicon(reader, meta), weight) if weight else None
            own = None
            if vectors is not None:
                identity.check(index.path, meta.encoder, index.encoder, reader.first_phrasings)
                view = View.load(index.path, reader, meta, None)
                own = _ask(reader, view, labels, vectors, by_top3, words)
            made = selfmade.make(
                reader, meta, by_top3=by_top3, seed=seed, progress=progress, words=words
            )
            bank = {
                "questions": meta.questions,
                "phrasings": meta.phrasings,
                "last_phrasing": reader.last_phrasing(),
            }
            return assemble(str(index.path), own, made, unanswerable), meta, bank
    finally:
        reader.close()


def mix(
    index: Index,
    labels: Sequence[LabelledQuery],
    lexical: Lexical = "auto",
    score: Score | None = None,
    seed: int = 0,
) -> Mixing:
    """What words should count in an index; see `mixing.decide`. Errors as of `collect`."""
    if lexical == "off":
        return Mixing(0.0, "asked for")
    asked = [label for label in labels if label.key is not None]
    vectors = index.encoder.encode([q.text for q in asked], kind="query") if asked else None
    reader = BankReader(index.path)
    try:
        with reader.reading() as meta:
            if meta.phrasings < 2:
                return Mixing(0.0, "too little")
            try:
                lexicon = _lexicon(reader, meta)
            except SemsearchError:
                if lexical == "on":
                    raise
                return Mixing(0.0, "no FTS5")
            by_top3 = (score or meta.score) == "top3"
            own = mixing.outcomes(selfmade.asked(reader, meta, lexicon, by_top3=by_top3, seed=seed))
            by_labels = None
            if vectors is not None:
                identity.check(index.path, meta.encoder, index.encoder, reader.first_phrasings)
                view = View.load(index.path, reader, meta, None)
                near = _near(reader, view, lexicon, asked, vectors, by_top3)
                by_labels, _ = mixing.outcomes(near)
            return mixing.decide(own, by_labels, lexical, seed)
    finally:
        reader.close()


def _lexicon(reader: BankReader, meta: Meta) -> Lexicon:
    return made_of(reader, meta, reader.newer(meta, use_snapshot=False)[0])


def _near(
    reader: BankReader,
    view: View,
    lexicon: Lexicon,
    asked: Sequence[LabelledQuery],
    vectors: Vectors,
    by_top3: bool,
) -> Iterator[tuple[int, Ranked, Shares, Exact]]:
    """Labelled queries with what `mixing.outcomes` needs."""
    ids = {key: row.id for key, row in reader.questions_by_key(view.meta).items()}
    counts = view.counts if by_top3 else None
    found = rank(view.search, vectors, DEPTH, len(view), counts)
    for query, vector, near in zip(asked, vectors, found, strict=True):
        assert query.key is not None

        def exact(questions: Ids, vector: Vectors = vector) -> Ranked:
            return of_rows(reader, questions, vector, counts)

        yield ids[query.key], near, lexicon.shares(query.text), exact


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


def _name(queries: Any) -> str:
    if queries is None:
        return "the bank itself"
    return str(queries) if isinstance(queries, str | Path) else "rows"


def _ask(
    reader: BankReader,
    view: View,
    labels: Sequence[LabelledQuery],
    vectors: Vectors,
    by_top3: bool,
    words: Words | None,
) -> Examples:
    """Labelled queries with what they find."""
    ids = {key: row.id for key, row in reader.questions_by_key(view.meta).items()}
    texts = [label.text for label in labels]
    hits: list[int] = []
    found: list[Signals] = []
    for ranked, signals in look(reader, view, texts, vectors, 1, by_top3, words):
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
