"""From queries to results: search, decide whether to answer, read the hits."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from semsearch.confidence import Calibration
from semsearch.hits import gather
from semsearch.hybrid import Beside, opinions_of, rank_beside
from semsearch.lexical import WEIGHT, Lexical
from semsearch.ranking import Ranked, Score
from semsearch.rescoring import Searchable
from semsearch.selection import Selection
from semsearch.store import BankReader, Meta
from semsearch.types import Result, Vectors
from semsearch.view import View

log = logging.getLogger(__name__)


def answer(
    reader: BankReader,
    whole: View,
    view: View | Selection,
    meta: Meta,
    texts: Sequence[str],
    queries: Vectors,
    k: int,
    *,
    score: Score,
    lexical: Lexical,
    min_score: float | None,
    refused: bool,
) -> list[Result]:
    """The result of each query; to be called inside `reader.reading()`.

    Args:
        whole: all phrasings.
        view: those that may be found: all, or what passes a condition.
        meta: of the index.
        queries: (m, d), the vectors of `texts`.
        score: how standard questions are scored. A calibration holds for the score and the weight
            of words that it was made with; with others, nothing is refused.
        lexical: whether words count beside vectors.
        min_score: given, it alone decides what is a hit.
        refused: keep the hits of queries that are refused.

    Raises:
        CorruptIndexError: a row that was found is damaged or missing.
    """
    calibration = calibration_of(meta) if len(view) else None
    if calibration and calibration.score != score:
        log.warning("The calibration is for --score %s: nothing is refused.", calibration.score)
        calibration = None
    weight = weight_of(meta, lexical)
    if calibration and calibration.lexical != weight:
        log.warning("The calibration is for --lexical auto: nothing is refused.")
        calibration = None
    beside = _beside(reader, whole, view, weight)
    by_top3 = score == "top3"
    searched = whole.scored(reader, view)
    ranked, confidences = _find(reader, searched, texts, queries, k, by_top3, beside, calibration)
    threshold = calibration.threshold if calibration and min_score is None else 0.0
    below = [sure is not None and sure < threshold for sure in confidences]
    shown = [
        _NOTHING if low and not refused else found for found, low in zip(ranked, below, strict=True)
    ]
    hits = gather(reader, shown, min_score)
    rows = zip(texts, hits, confidences, below, strict=True)
    return [Result(text, found, sure, low) for text, found, sure, low in rows]


def calibration_of(meta: Meta) -> Calibration | None:
    """The calibration of an index, None where there is none."""
    stored = meta.calibration
    return None if stored is None else Calibration.from_dict(stored)


def weight_of(meta: Meta, lexical: Lexical) -> float:
    """What words count in an index, 0 where they do not."""
    chosen = float((meta.lexical or {}).get("weight", 0))
    if lexical == "off":
        return 0.0
    return chosen or WEIGHT if lexical == "on" else chosen


def _beside(
    reader: BankReader, whole: View, view: View | Selection, weight: float
) -> Beside | None:
    if not len(view):
        return None
    known = whole.classifier
    among = None if known is None else whole.counts.questions
    if isinstance(view, Selection):
        among = view.questions
    return Beside.of(whole.lexicon(reader) if weight else None, weight, known, among)


_NOTHING = Ranked(np.zeros(0, np.float32), np.zeros(0, np.int64))


def _find(
    reader: BankReader,
    view: Searchable,
    texts: Sequence[str],
    queries: Vectors,
    k: int,
    by_top3: bool,
    beside: Beside | None,
    calibration: Calibration | None,
) -> tuple[list[Ranked], list[float | None]]:
    """What is found, and how sure the top hit is; None without a calibration."""
    if calibration is None:
        counts = view.counts if by_top3 else None
        said = opinions_of(beside, texts, queries)
        found = rank_beside(
            reader, view.search, view.of, texts, queries, k, len(view), counts, beside, said
        )
        return found, [None] * len(texts)
    # Only an index that is calibrated pays for the reading of signals.
    from semsearch.confidence.looking import look

    ranked: list[Ranked] = []
    confidences: list[float | None] = []
    for found, signals in look(reader, view, texts, queries, k, by_top3, beside):
        ranked += found
        confidences += calibration.model.confidence(signals).tolist()
    return ranked, confidences
