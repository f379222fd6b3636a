"""Queries made of the bank itself, for owners who have no labelled ones.

A phrasing that is held out is a query whose answer is known. Held out with its whole standard
question, it is a query without an answer, a hard one: the bank is full of its relatives. So it is
held out a third time, with the tenth of the standard questions that are most like its own, as a
query on a topic that the bank has nothing on. All from stored vectors by exact search.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from semsearch.calibration.heldout import HeldOut, SelfMade
from semsearch.confidence.looking import read_signals, with_hits
from semsearch.confidence.signals import WIDTH, Nearest, Signals
from semsearch.hybrid import DEPTH, Exact, Rows, Words, fuse, scored
from semsearch.lexical import Lexicon, Shares
from semsearch.ranking import VERBATIM, Counts, Ranked, rank
from semsearch.store import BankReader, Meta
from semsearch.store.rows import ID_BITS, split_label
from semsearch.types import Ids, Scores, Vectors

PHRASINGS = 2000
"""How many phrasings are held out, of a larger bank a sample."""

TOPIC = 0.1
"""Share of the standard questions that are held out as one topic."""

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
    words: Words | None = None,
) -> SelfMade:
    """Make queries of a bank of two standard questions or more; called inside `reading()`.

    Args:
        by_top3: how standard questions are scored.
        limit: phrasings that are held out at most.
        progress: called with (phrasings done so far, phrasings to do).
        words: what words count in the rank, None where they do not.
    """
    labels, vectors = reader.newer(meta, use_snapshot=False)
    rows = _drawn(len(labels), seed, limit)
    return hold_out(
        reader, labels, vectors, rows, by_top3=by_top3, progress=progress, words=words
    ).queries()


def hold_out(
    reader: Rows,
    labels: Ids,
    vectors: Vectors,
    rows: Ids,
    *,
    by_top3: bool,
    progress: Callable[[int, int], None] | None = None,
    words: Words | None = None,
) -> HeldOut:
    """Hold out the phrasings of some rows (m,), one at a time.

    Args:
        reader: gives the phrasings by their ids.
        labels: (n,) of every phrasing.
        vectors: (n, d).
        words: what words count in the rank, None where they do not.
    """
    bank, step = _Bank(labels, vectors), _step(len(labels))
    parts: list[_Part] = []
    for start in range(0, len(rows), step):
        parts.append(_part(reader, bank, rows[start : start + step], by_top3, words))
        if progress is not None:
            progress(min(start + step, len(rows)), len(rows))
    groups, asked, right, alone, topic = (
        np.concatenate(column) for column in zip(*parts, strict=True)
    )
    return HeldOut(groups, asked, right, alone, topic, bank.counts.of(groups) > 1)


def asked(
    reader: BankReader,
    meta: Meta,
    lexicon: Lexicon,
    *,
    by_top3: bool,
    seed: int = 0,
    limit: int = PHRASINGS,
) -> Iterator[tuple[int, Ranked, Shares, Exact]]:
    """The phrasings that `make` holds out one at a time, with what `mixing.outcomes` needs."""
    labels, vectors = reader.newer(meta, use_snapshot=False)
    bank, step = _Bank(labels, vectors), _step(len(labels))
    rows = _drawn(len(labels), seed, limit)
    for start in range(0, len(rows), step):
        some = rows[start : start + step]
        similar, gone, queries = _alone(reader, bank, some)
        for number, row in enumerate(similar):
            question = int(bank.ids[bank.question[some[number]]])
            left = _Left(bank.counts, question, int(gone[number].sum()))
            if not left.of(np.array([question])).item():
                continue  # its only phrasing
            counts = left if by_top3 else None
            row = np.where(gone[number], -np.inf, row)
            shares = lexicon.shares(queries[number], bank.labels[gone[number]])
            yield question, _ranked(bank, row, DEPTH, counts), shares, _exact(bank, row, counts)


def _drawn(n: int, seed: int, limit: int) -> Ids:
    """The rows of n that are held out."""
    return np.sort(np.random.default_rng(seed).permutation(n)[:limit])


def _step(n: int) -> int:
    """How many of n phrasings are held out at a time."""
    return max(1, _CELLS // n)


def _alone(reader: Rows, bank: _Bank, rows: Ids) -> tuple[Scores, Mask, list[str]]:
    """Similarities (c, n) of some phrasings, which of all are the same words (c, n), and texts."""
    similar = bank.vectors[rows] @ bank.vectors.T
    itself = (bank.question == bank.question[rows][:, None]) & (similar >= VERBATIM)
    itself[np.arange(len(rows)), rows] = True
    ids = [split_label(label)[1] for label in bank.labels[rows].tolist()]
    texts = reader.phrasings(ids)
    return similar, itself, [texts[id_].text for id_ in ids]


_Part = tuple[Ids, Signals, Mask, Signals, Signals]
"""Groups (c,), signals asked (c, s), right (c,), signals alone (c, s), signals topic (c, s)."""


class _Bank:
    """Every phrasing, and which standard questions are alike."""

    def __init__(self, labels: Ids, vectors: Vectors) -> None:
        self.labels, self.vectors = labels, vectors
        self.counts = Counts(labels)
        self.ids, self.question = np.unique(labels >> ID_BITS, return_inverse=True)
        sums = np.zeros((len(self.ids), vectors.shape[1]))
        np.add.at(sums, self.question, vectors)
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        self._centres = (sums / np.maximum(lengths, 1e-9)).astype(np.float32)

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


def _part(reader: Rows, bank: _Bank, rows: Ids, by_top3: bool, words: Words | None) -> _Part:
    """Hold out some phrasings in each of the three ways."""
    similar, itself, queries = _alone(reader, bank, rows)
    own = bank.question[rows]
    family = bank.question == own[:, None]

    def held_out(gone: Mask) -> tuple[Signals, Ids]:
        left = np.where(gone, -np.inf, similar)
        near, labels = _nearest(bank, left, own, gone, by_top3, queries, words)
        return read_signals(reader, near, labels, queries, bank.vectors[rows]), near.hits

    asked, hits = held_out(itself)
    alone, _ = held_out(family)
    topic, _ = held_out(bank.topics(own)[:, bank.question])
    return bank.ids[own], asked, hits == bank.ids[own], alone, topic


def _nearest(
    bank: _Bank,
    similar: Scores,
    own: Ids,
    gone: Mask,
    by_top3: bool,
    queries: list[str],
    words: Words | None,
) -> tuple[Nearest, Ids]:
    """What a search finds of a bank without some phrasings.

    Args:
        similar: (c, n), -inf for what is gone.
        own: (c,) the standard question that each query is of.
        gone: (c, n).
        queries: c texts.

    Returns:
        The nearest phrasings with the top hit, and their labels (c, w).
    """
    width = min(WIDTH, similar.shape[1])
    columns = np.argpartition(-similar, width - 1, axis=1)[:, :width]
    scores = np.take_along_axis(similar, columns, 1)
    order = np.lexsort((columns, -scores), axis=1)
    columns, scores = np.take_along_axis(columns, order, 1), np.take_along_axis(scores, order, 1)
    labels = np.where(np.isfinite(scores), bank.labels[columns], -1)
    left = [
        _Left(bank.counts, int(bank.ids[question]), int(missing[bank.question == question].sum()))
        for question, missing in zip(own, gone, strict=True)
    ]
    hits, of_hits = np.zeros(len(similar), np.int64), np.zeros(len(similar), np.float32)
    for number, row in enumerate(similar):
        counts = left[number] if by_top3 else None
        depth = 1 if words is None else DEPTH
        ranked = _ranked(bank, row, depth, counts, (labels[number], scores[number]))
        if words is not None:
            shares = words.lexicon.shares(queries[number], bank.labels[gone[number]])
            ranked = fuse(ranked, shares, _exact(bank, row, counts), 1, words.weight)
        hits[number], of_hits[number] = ranked.labels[0], ranked.scores[0]
    scores, labels = with_hits(scores, labels, hits, of_hits)
    questions = np.where(labels >= 0, labels >> ID_BITS, -1)
    found = np.where(questions >= 0, questions, questions[:, :1])
    sizes = np.stack([counts.of(row) for counts, row in zip(left, found, strict=True)])
    return Nearest(scores, questions, sizes, hits >> ID_BITS), labels


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
            return scores[None, :n], labels[None, :n]
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
