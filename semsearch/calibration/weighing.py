"""Find out what words should count in an index: ask it, and the bank itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from semsearch import identity
from semsearch.calibration import selfmade
from semsearch.calibration.mixing import LARGE, Mixing, Right, decide, outcomes
from semsearch.classifier import Opinion
from semsearch.errors import SemsearchError
from semsearch.evaluation.queries import LabelledQuery
from semsearch.hybrid import DEPTH, Beside, Exact, exactly, opinions_of
from semsearch.index import Index
from semsearch.lexical import Lexical, Lexicon, Shares
from semsearch.ranking import Ranked, Score, rank
from semsearch.store import BankReader, Meta
from semsearch.types import Vectors
from semsearch.view import View, lexicon_of


def mix(
    index: Index,
    labels: Sequence[LabelledQuery],
    vectors: Vectors | None,
    lexical: Lexical = "auto",
    score: Score | None = None,
    seed: int = 0,
) -> Mixing:
    """What words should count in an index; see `mixing.decide`.

    Arguments and errors as of `collect`.
    """
    if lexical == "off":
        return Mixing(0.0, "asked for")
    rows = [row for row, label in enumerate(labels) if label.key is not None]
    asked = [labels[row] for row in rows]
    reader = BankReader(index.path)
    try:
        with reader.reading() as meta:
            if meta.phrasings < 2:
                return Mixing(0.0, "too little")
            if meta.improved is not None and lexical == "auto":
                # An encoder that has learnt its phrasings finds them without any words, and what
                # it has not learnt was asked with as many words as counted then.
                weight = float(meta.improved["lexical"])
                if meta.lexical and meta.lexical["weight"] == weight:
                    return Mixing(**meta.lexical)
                return Mixing(weight, "as when it was improved")
            try:
                lexicon = lexicon_of(reader, meta)
            except SemsearchError:
                if lexical == "on":
                    raise
                return Mixing(0.0, "no FTS5")
            by_top3 = (score or meta.score) == "top3"
            own = outcomes(
                selfmade.asked(reader, meta, lexicon, by_top3=by_top3, seed=seed)
                if meta.improved is None
                else ()
            )
            by_labels = None
            if vectors is not None and asked:
                by_labels = _tried(index, reader, meta, lexicon, asked, vectors[rows], by_top3)
            return decide(own, by_labels, lexical, seed, large=meta.phrasings >= LARGE)
    finally:
        reader.close()


def tried(index: Index, labels: Sequence[LabelledQuery], vectors: Vectors) -> Right:
    """Which of n labelled queries, all with an answer, find it at each of w `WEIGHTS`: (n, w)."""
    reader = BankReader(index.path)
    try:
        with reader.reading() as meta:
            lexicon = lexicon_of(reader, meta)
            return _tried(index, reader, meta, lexicon, labels, vectors, meta.score == "top3")
    finally:
        reader.close()


def _tried(
    index: Index,
    reader: BankReader,
    meta: Meta,
    lexicon: Lexicon,
    labels: Sequence[LabelledQuery],
    vectors: Vectors,
    by_top3: bool,
) -> Right:
    identity.check(index.path, meta.encoder, index.encoder, reader.first_phrasings)
    view = View.load(index.path, reader, meta, None)
    right, _ = outcomes(_near(reader, view, lexicon, labels, vectors, by_top3))
    return right


def _near(
    reader: BankReader,
    view: View,
    lexicon: Lexicon,
    asked: Sequence[LabelledQuery],
    vectors: Vectors,
    by_top3: bool,
) -> Iterator[tuple[int, Ranked, Shares, Exact, Opinion | None]]:
    """Labelled queries with what `outcomes` needs."""
    ids = {key: row.id for key, row in reader.questions_by_key(view.meta).items()}
    counts = view.counts if by_top3 else None
    searched = view.scored(reader, view)
    found = rank(searched.search, vectors, DEPTH, len(view), counts)
    texts = [query.text for query in asked]
    opinions = opinions_of(Beside.of(None, 0.0, view.classifier), texts, vectors)
    for query, vector, near, opinion in zip(asked, vectors, found, opinions, strict=True):
        assert query.key is not None
        exact = exactly(reader, searched.of, vector, counts)
        yield ids[query.key], near, lexicon.shares(query.text), exact, opinion
