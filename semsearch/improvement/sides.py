"""A bank as it answers before or after an attempt."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semsearch.ann import Neighbours
from semsearch.calibration.heldout import HeldOut
from semsearch.calibration.selfmade import hold_out, place
from semsearch.classifier import Classifier
from semsearch.confidence import looking
from semsearch.confidence.signals import Signals
from semsearch.evaluation.queries import LabelledQuery
from semsearch.hybrid import DEPTH, Beside
from semsearch.improvement.material import Bank
from semsearch.ranking import Score
from semsearch.selection import Selection
from semsearch.store import PhrasingRow
from semsearch.store.rows import dump_vector
from semsearch.types import Ids, Vectors


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """The bank and the queries as one encoder sees them.

    Attributes:
        vectors: (n, d) of the phrasings.
        queries: (m, d) of the labelled queries that are held out.
        classifier: what has been learnt beside the encoder, None before.
    """

    vectors: Vectors
    queries: Vectors
    classifier: Classifier | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """A bank as it answers before or after an attempt."""

    bank: Bank
    state: State
    score: Score
    beside: Beside | None


def first_hits(side: Side, texts: Sequence[str]) -> tuple[Ids, Signals]:
    """The standard questions (m,) that come first for queries, and their signals (m, s)."""
    return looking.first_hits(
        *_searchable(side), texts, side.state.queries, side.score == "top3", side.beside
    )


def _searchable(side: Side) -> tuple[Rows, Selection]:
    neighbours = Neighbours.build(side.bank.labels, side.state.vectors)
    return Rows(side.bank, side.state.vectors), Selection((neighbours,), len(side.bank))


def places(side: Side, asked: Sequence[LabelledQuery]) -> NDArray[np.int64]:
    """Where labelled queries find the standard question that they expect; 0 not among ten."""
    texts, queries = [query.text for query in asked], side.state.queries[: len(asked)]
    found = looking.look(
        *_searchable(side), texts, queries, DEPTH, side.score == "top3", side.beside
    )
    ranks = [ranked for some, _ in found for ranked in some]
    ids = side.bank.ids
    return np.array(
        [place(ranked, ids[query.key or ""]) for query, ranked in zip(asked, ranks, strict=True)],
        np.int64,
    )


def held(rows: Ids, asked_of: Ids, side: Side, unanswerable: bool) -> HeldOut | None:
    """Rows of the bank that are asked of others; None without any.

    Args:
        unanswerable: whether they stand for queries without an answer, too.
    """
    if not len(rows):
        return None
    bank, vectors = side.bank, side.state.vectors
    found = np.zeros(len(bank), bool)
    found[asked_of] = True
    return hold_out(
        Rows(bank, vectors), bank.labels, vectors, rows,
        by_top3=side.score == "top3", beside=side.beside, found=found, unanswerable=unanswerable,
    )  # fmt: skip


class Rows:
    """The phrasings of a bank with the vectors of an attempt."""

    def __init__(self, bank: Bank, vectors: Vectors) -> None:
        self._bank, self._vectors = bank, vectors
        self._place = {row.id: n for n, row in enumerate(bank.rows)}

    def phrasings(self, ids: Iterable[int]) -> dict[int, PhrasingRow]:
        found = {}
        for id_ in ids:
            n = self._place[id_]
            row = self._bank.rows[n]
            vector = dump_vector(self._vectors[n])
            found[id_] = PhrasingRow(id_, row.question_id, row.text, vector, 0)
        return found

    def phrasings_of(self, question_ids: Sequence[int]) -> dict[int, list[PhrasingRow]]:
        wanted = np.flatnonzero(np.isin(self._bank.questions, question_ids))
        rows = self.phrasings(self._bank.rows[n].id for n in wanted.tolist())
        found: dict[int, list[PhrasingRow]] = {id_: [] for id_ in question_ids}
        for row in rows.values():
            found[row.question_id].append(row)
        return found
