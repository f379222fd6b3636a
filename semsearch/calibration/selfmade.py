"""Queries made of the bank itself, for owners who have no labelled ones.

A phrasing that is held out is a query whose answer is known. Held out with its whole standard
question, it is a query without an answer, a hard one: the bank is full of its relatives. So it is
held out a third time, with the tenth of the standard questions that are most like its own, as a
query on a topic that the bank has nothing on. All from stored vectors by exact search.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from semsearch.calibration.heldout import HeldOut, SelfMade, as_queries
from semsearch.classifier import Opinion
from semsearch.confidence.looking import read_signals, said_of_hits, with_hits
from semsearch.confidence.signals import WIDTH, Nearest, Signals
from semsearch.hybrid import DEPTH, Beside, Exact, Rows, fuse, opinions_of, scored
from semsearch.lexical import Lexicon, Shares
from semsearch.ranking import VERBATIM, Counts, Ranked, rank
from semsearch.store import BankReader, Meta
from semsearch.store.rows import ID_BITS, split_label
from semsearch.types import Ids, Scores, Vectors

PHRASINGS = 2000
"""How many phrasings are held out, of a larger bank a sample."""

TOPIC = 0.1
"""Share of the standard questions that are held out as one topic."""

_WIDE = 576  # nearest phrasings that are sorted at once: few ranks need more
_NONE = np.zeros(0, np.int64)
_CELLS = 1 << 24  # similarities that are held at a time: bounds memory

Mask = NDArray[np.bool_]


def make(
    reader: BankReader,
    meta: Meta,
    *,
    by_top3: bool,
    seed: int = 0,
    limit: int = PHRASINGS,
    progress: Callable[[int, int], None] | None = None,
    beside: Beside | None = None,
) -> SelfMade:
    """Make queries of a bank of two standard questions or more; called inside `reading()`.

    Args:
        by_top3: how standard questions are scored.
        limit: phrasings that are held out at most.
        progress: called with (phrasings done so far, phrasings to do).
        beside: what counts beside vectors in the rank, None where nothing does.
    """
    labels, vectors = reader.newer(meta, use_snapshot=False)
    rows = _drawn(len(labels), seed, limit)
    held = hold_out(
        reader, labels, vectors, rows, by_top3=by_top3, progress=progress, beside=beside
    )
    return as_queries([held], held, held.refusable)


def hold_out(
    reader: Rows,
    labels: Ids,
    vectors: Vectors,
    rows: Ids,
    *,
    by_top3: bool,
    progress: Callable[[int, int], None] | None = None,
    beside: Beside | None = None,
    found: Mask | None = None,
    unanswerable: bool = True,
) -> HeldOut:
    """Hold out the phrasings of some rows (m,), one at a time.

    Args:
        reader: gives the phrasings by their ids.
        labels: (n,) of every phrasing.
        vectors: (n, d).
        beside: what counts beside vectors in the rank, None where nothing does.
        found: (n,) the phrasings that can be found at all, some of each standard question that is
            held out; None for all.
        unanswerable: whether they are held out with their standard question and topic, too.
    """
    seen = np.ones(len(labels), bool) if found is None else found
    bank, step = _Bank(labels[seen], vectors[seen], labels[~seen]), _step(len(labels))
    parts: list[_Part] = []
    for start in range(0, len(rows), step):
        some = rows[start : start + step]
        parts.append(
            _part(reader, bank, labels[some], vectors[some], by_top3, beside, unanswerable)
        )
        if progress is not None:
            progress(min(start + step, len(rows)), len(rows))
    groups, asked, places, alone, topic = (
        np.concatenate(column) for column in zip(*parts, strict=True)
    )
    several = bank.counts.of(groups) > seen[rows]
    return HeldOut(groups, asked, places == 1, alone, topic, several, places)


def asked(
    reader: BankReader,
    meta: Meta,
    lexicon: Lexicon,
    *,
    by_top3: bool,
    seed: int = 0,
    limit: int = PHRASINGS,
) -> Iterator[tuple[int, Ranked, Shares, Exact, Opinion | None]]:
    """The phrasings that `make` holds out one at a time, with what `mixing.outcomes` needs."""
    labels, vectors = reader.newer(meta, use_snapshot=False)
    bank, step = _Bank(labels, vectors), _step(len(labels))
    rows = _drawn(len(labels), seed, limit)
    for start in range(0, len(rows), step):
        some = rows[start : start + step]
        similar, gone, queries = _alone(reader, bank, labels[some], vectors[some])
        for number, row in enumerate(similar):
            question = int(bank.ids[bank.question[some[number]]])
            left = _Left(bank.counts, question, int(gone[number].sum()))
            if not left.of(np.array([question])).item():
                continue  # its only phrasing
            counts = left if by_top3 else None
            row = np.where(gone[number], -np.inf, row)
            shares = lexicon.shares(queries[number], bank.labels[gone[number]])
            near = _ranked(bank, row, DEPTH, counts)
            yield question, near, shares, _exact(bank, row, counts), None


def place(ranked: Ranked, question: int) -> int:
    """Where a standard question stands, 1 for the first; 0 where it was not looked for."""
    (found,) = np.nonzero(ranked.labels >> ID_BITS == question)
    return int(found[0]) + 1 if len(found) else 0


def _drawn(n: int, seed: int, limit: int) -> Ids:
    """The rows of n that are held out."""
    return np.sort(np.random.default_rng(seed).permutation(n)[:limit])


def _step(n: int) -> int:
    """How many of n phrasings are held out at a time."""
    return max(1, _CELLS // n)


def _alone(
    reader: Rows, bank: _Bank, labels: Ids, vectors: Vectors
) -> tuple[Scores, Mask, list[str]]:
    """Similarities (c, n) of some phrasings, which of all are the same words (c, n), and texts."""
    similar = vectors @ bank.vectors.T
    itself = (bank.question == bank.own(labels)[:, None]) & (similar >= VERBATIM)
    itself |= bank.labels == labels[:, None]
    ids = [split_label(label)[1] for label in labels.tolist()]
    texts = reader.phrasings(ids)
    return similar, itself, [texts[id_].text for id_ in ids]


_Part = tuple[Ids, Signals, Ids, Signals, Signals]
"""Groups (c,), signals asked (c, s), places (c,), signals alone and topic (c, s) or (0, s)."""


class _Bank:
    """Every phrasing that can be found, and which standard questions are alike."""

    def __init__(self, labels: Ids, vectors: Vectors, hidden: Ids = _NONE) -> None:
        """hidden: labels of phrasings that cannot be found, though the lexicon knows them."""
        self.labels, self.vectors, self.hidden = labels, vectors, hidden
        self.counts = Counts(labels)
        self.ids, self.question = np.unique(labels >> ID_BITS, return_inverse=True)
        sums = np.zeros((len(self.ids), vectors.shape[1]))
        np.add.at(sums, self.question, vectors)
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        self._centres = (sums / np.maximum(lengths, 1e-9)).astype(np.float32)

    def own(self, labels: Ids) -> Ids:
        """The places (c,) of the standard questions of labels (c,)."""
        return np.searchsorted(self.ids, labels >> ID_BITS).astype(np.int64)

    def topics(self, questions: Ids) -> Mask:
        """(c,) standard questions to (c, all of them): themselves and the tenth nearest them."""
        n = len(self.ids)
        near = min(max(1, round(TOPIC * n)), n - 2)
        alike = self._centres[questions] @ self._centres.T
        alike[np.arange(len(questions)), questions] = np.inf
        gone = np.zeros((len(questions), n), bool)
        order = np.argsort(-alike, axis=1, kind="stable")[:, : near + 1]
        np.put_along_axis(gone, order, True, axis=1)
        return gone


def _part(
    reader: Rows,
    bank: _Bank,
    labels: Ids,
    vectors: Vectors,
    by_top3: bool,
    beside: Beside | None,
    unanswerable: bool,
) -> _Part:
    """Hold out some phrasings by themselves, or in each of the three ways."""
    similar, itself, queries = _alone(reader, bank, labels, vectors)
    own = bank.own(labels)
    opinions = opinions_of(beside, queries, vectors)

    def held_out(gone: Mask, k: int) -> tuple[Signals, list[Ranked]]:
        left = np.where(gone, -np.inf, similar)
        near, labels, ranks = _nearest(bank, left, own, gone, by_top3, queries, beside, opinions, k)
        return read_signals(reader, near, labels, queries, vectors), ranks

    asked, ranks = held_out(itself, DEPTH)
    alone = topic = asked[:0]
    if unanswerable:
        alone, _ = held_out(bank.question == own[:, None], 1)
        topic, _ = held_out(bank.topics(own)[:, bank.question], 1)
    groups = bank.ids[own]
    places = [place(ranked, group) for ranked, group in zip(ranks, groups.tolist(), strict=True)]
    return groups, asked, np.array(places, np.int64), alone, topic


def _nearest(
    bank: _Bank,
    similar: Scores,
    own: Ids,
    gone: Mask,
    by_top3: bool,
    queries: list[str],
    beside: Beside | None,
    opinions: Sequence[Opinion | None],
    k: int,
) -> tuple[Nearest, Ids, list[Ranked]]:
    """What a search finds of a bank without some phrasings.

    Args:
        similar: (c, n), -inf for what is gone.
        own: (c,) the standard question that each query is of.
        gone: (c, n).
        queries: c texts.
        opinions: c, what the classifier says of them.
        k: standard questions that are ranked.

    Returns:
        The nearest phrasings with the top hit, their labels (c, w), and the ranks.
    """
    wide = min(_WIDE, similar.shape[1])
    columns = np.argpartition(-similar, wide - 1, axis=1)[:, :wide]
    scores = np.take_along_axis(similar, columns, 1)
    order = np.lexsort((columns, -scores), axis=1)
    columns, scores = np.take_along_axis(columns, order, 1), np.take_along_axis(scores, order, 1)
    labels = np.where(np.isfinite(scores), bank.labels[columns], -1)
    left = [
        _Left(bank.counts, int(bank.ids[question]), int(missing[bank.question == question].sum()))
        for question, missing in zip(own, gone, strict=True)
    ]
    ranks = []
    for number, row in enumerate(similar):
        counts = left[number] if by_top3 else None
        depth = k if beside is None else DEPTH
        ranked = _ranked(bank, row, depth, counts, (labels[number], scores[number]))
        if beside is not None:
            silent = np.concatenate([bank.hidden, bank.labels[gone[number]]])
            shares = beside.shares(queries[number], silent)
            exact = _exact(bank, row, counts)
            said = opinions[number]
            ranked = fuse(ranked, shares, exact, k, beside.weight, bank.ids, said)
        ranks.append(ranked)
    hits = np.array([ranked.labels[0] for ranked in ranks], np.int64)
    of_hits = np.array([ranked.scores[0] for ranked in ranks], np.float32)
    scores, labels = with_hits(scores[:, :WIDTH], labels[:, :WIDTH], hits, of_hits)
    questions = np.where(labels >= 0, labels >> ID_BITS, -1)
    found = np.where(questions >= 0, questions, questions[:, :1])
    sizes = np.stack([counts.of(row) for counts, row in zip(left, found, strict=True)])
    of_hits_said = said_of_hits(opinions, hits >> ID_BITS)
    return Nearest(scores, questions, sizes, hits >> ID_BITS, of_hits_said), labels, ranks


def _ranked(
    bank: _Bank,
    similar: Scores,
    k: int,
    counts: Counts | None,
    nearest: tuple[Ids, Scores] | None = None,
) -> Ranked:
    """The k best standard questions by vectors, by the rule of every search.

    Args:
        similar: (n,), -inf for what is gone.
        nearest: labels (w,) and scores (w,) of the nearest, where they are known.
    """
    labels, scores = nearest if nearest else (np.zeros(0, np.int64), np.zeros(0, np.float32))

    def search(_: Vectors, n: int) -> tuple[Scores, Ids]:
        if n <= len(labels):
            return scores[None], labels[None]  # what lies deeper settles more
        columns = np.arange(len(similar))
        if n < len(similar):
            columns = np.argpartition(-similar, n - 1)[:n]
        columns = columns[np.lexsort((columns, -similar[columns]))]
        found = similar[columns]
        return found[None], np.where(np.isfinite(found), bank.labels[columns], -1)[None]

    (ranked,) = rank(search, np.zeros((1, 1), np.float32), k, len(similar), counts)
    return ranked


def _exact(bank: _Bank, similar: Scores, counts: Counts | None) -> Exact:
    """What standard questions score where `similar` (n,) is left of the bank."""

    def exact(questions: Ids) -> Ranked:
        rows = np.flatnonzero(np.isin(bank.labels >> ID_BITS, questions) & np.isfinite(similar))
        return scored(similar[rows], bank.labels[rows], counts)

    return exact


class _Left(Counts):
    """How many phrasings each standard question has left when one of them has lost some."""

    def __init__(self, counts: Counts, question: int, lost: int) -> None:
        self._counts_before, self._question, self._lost = counts, question, lost

    def of(self, questions: Ids) -> Ids:
        gone = self._lost * (questions == self._question)
        return np.asarray(self._counts_before.of(questions) - gone, np.int64)
