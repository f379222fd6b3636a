"""Collect what a calibration is fitted on: labelled queries, and those made of the bank."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from semsearch import identity
from semsearch.calibration import examples, heldout, prior, selfmade
from semsearch.calibration.assembling import Assembled, assemble
from semsearch.calibration.examples import Examples
from semsearch.calibration.heldout import SelfMade
from semsearch.confidence.looking import first_hits
from semsearch.confidence.signals import Signals
from semsearch.errors import DataError
from semsearch.evaluation.queries import LabelledQuery
from semsearch.hybrid import Beside
from semsearch.index import Index
from semsearch.ranking import Score
from semsearch.rescoring import Searchable
from semsearch.store import BankReader, Meta
from semsearch.types import Vectors
from semsearch.view import View, classifier_of, lexicon_of


def encoded(index: Index, labels: Sequence[LabelledQuery]) -> Vectors | None:
    """Labelled queries (m, d). None without any: then no encoder is needed, and none is loaded."""
    return index.encoder.encode([query.text for query in labels], kind="query") if labels else None


def collect(
    index: Index,
    labels: Sequence[LabelledQuery],
    vectors: Vectors | None,
    unanswerable: float | None = None,
    score: Score | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    weight: float = 0.0,
    log: Sequence[str] = (),
) -> tuple[Assembled, Meta, dict[str, int]]:
    """What a calibration is fitted on, the state of the index, and how much it held then.

    Args:
        vectors: of the labels, see `encoded`.
        weight: of words in the rank.
        log: what users asked; of those, the share without an answer is estimated.

    Raises:
        DataError: there is too little to fit on.
        EncoderMismatchError: another process built the index again with another encoder.
    """
    logged = index.encoder.encode(log, kind="query") if log else None
    reader = BankReader(index.path)
    try:
        with reader.reading() as meta:
            if meta.questions < 2:
                raise DataError(
                    f"{index.path}: nothing can be learnt from {meta.questions} standard "
                    "questions. Add some."
                )
            by_top3 = (score or meta.score) == "top3"
            known = classifier_of(index.path, meta)
            among = None
            if known is not None:  # it may know standard questions that were removed since
                among = np.array(sorted(q.id for q in reader.questions_by_key(meta).values()))
            lexicon = lexicon_of(reader, meta) if weight else None
            beside = Beside.of(lexicon, weight, known, among)
            own = None
            seen: Signals | None = None
            if vectors is not None or logged is not None:
                identity.check(index.path, meta.encoder, index.encoder, reader.first_phrasings)
                whole = View.load(index.path, reader, meta, None)
                view = whole.scored(reader, whole)
                if vectors is not None:
                    own = _ask(reader, meta, view, labels, vectors, by_top3, beside)
                if logged is not None:
                    _, seen = first_hits(reader, view, log, logged, by_top3, beside)
            made = _kept(index.path, meta, by_top3, weight) or selfmade.make(
                reader, meta, by_top3=by_top3, seed=seed, progress=progress, beside=beside
            )
            bank = {
                "questions": meta.questions,
                "phrasings": meta.phrasings,
                "last_phrasing": reader.last_phrasing(),
            }
            name = str(index.path)
            found = assemble(name, own, made, unanswerable, meta.phrasings)
            if seen is not None:
                found = _by_log(name, found, own, made, meta.phrasings, seen, seed)
            return found, meta, bank
    finally:
        reader.close()


def _by_log(
    name: str,
    found: Assembled,
    own: Examples | None,
    made: SelfMade,
    phrasings: int,
    seen: Signals,
    seed: int,
) -> Assembled:
    """What was assembled, with the shares of what users asked, where they can be told.

    Args:
        own: labelled queries.
        seen: signals (n, s) of what users asked.
    """
    likely = prior.estimate(seen, found.examples, seed)
    if not likely.believed:
        note = (
            f"The {len(seen):,} logged queries are worded unlike the phrasings (told apart in "
            f"{likely.apart:.0%} of pairs): how many have no answer cannot be read off them, and "
            f"they were left out. Label a hundred of them: semsearch calibrate {name} LABELLED"
        )
        return replace(found, notes=(note, *found.notes))
    found = assemble(name, own, made, likely.share, phrasings, likely.hard)
    note = f"Of {len(seen):,} logged queries, {likely.share:.0%} seem to have no answer."
    return replace(found, promised=prior.cautious(likely.share), notes=(note, *found.notes))


def _kept(directory: Path, meta: Meta, by_top3: bool, weight: float) -> SelfMade | None:
    """What `semsearch improve` made of the bank, with phrasings that its encoder had not learnt.

    Those that it has learnt find their standard question more surely than any query will.

    Raises:
        DataError: it was made where the index answered otherwise.
    """
    if meta.improved is None:
        return None
    was, words = meta.improved["score"], meta.improved["lexical"]
    if by_top3 != (was == "top3") or weight != words:
        counted = f"words counted {words:g}" if words else "words did not count"
        raise DataError(
            f"{directory}: it was improved with --score {was}, and {counted}: what its encoder had "
            "not learnt was asked so, and nothing else can be calibrated. Improve it again as it "
            f"is to answer now: semsearch improve {directory}"
        )
    return SelfMade.load(directory / meta.encoder.source / heldout.FILE)


def _ask(
    reader: BankReader,
    meta: Meta,
    view: Searchable,
    labels: Sequence[LabelledQuery],
    vectors: Vectors,
    by_top3: bool,
    beside: Beside | None,
) -> Examples:
    """Labelled queries with what they find."""
    ids = {key: row.id for key, row in reader.questions_by_key(meta).items()}
    texts = [label.text for label in labels]
    hits, found = first_hits(reader, view, texts, vectors, by_top3, beside)
    expected = np.array([-1 if q.key is None else ids[q.key] for q in labels])
    return examples.labelled(found, hits == expected, expected >= 0, labels)
