"""What an encoder is improved with: the phrasings of a bank, and queries that users asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from semsearch.errors import DataError
from semsearch.evaluation.queries import LabelledQuery
from semsearch.lexical import Lexicon
from semsearch.store import PhrasingRow
from semsearch.store.lexical import in_memory as words_in_memory
from semsearch.training.components import folded
from semsearch.training.phrasings import BankPhrasings
from semsearch.training.splits import split_bank
from semsearch.types import Ids

HELD_OUT = 0.2
"""Share of the phrasings that an attempt does not learn, and of the standard questions' own."""

NEW_QUESTIONS = 0.1
"""Share of the standard questions that an attempt knows nothing of."""

LEAST = 20
"""Phrasings or queries that must be held out to show anything."""

_MOST_HELD_OUT = 0.25
_MOST_OF_THE_REST = 0.9  # of those that no other trial asks
_ASKED = 2000  # phrasings or queries that are asked at most
NONE = np.zeros(0, np.int64)
_LEAST_QUESTIONS = 20  # of which some can be held out

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Bank:
    """The phrasings of an index as they lie there, in the order they came.

    Attributes:
        rows: n phrasings.
        keys: of the standard questions by their ids.
    """

    rows: Sequence[PhrasingRow]
    keys: dict[int, str]
    texts: tuple[str, ...] = field(init=False)
    questions: Ids = field(init=False)  # (n,) ids
    labels: Ids = field(init=False)  # (n,)

    def __post_init__(self) -> None:
        object.__setattr__(self, "texts", tuple(row.text for row in self.rows))
        object.__setattr__(
            self, "questions", np.array([row.question_id for row in self.rows], np.int64)
        )
        object.__setattr__(self, "labels", np.array([row.label for row in self.rows], np.int64))

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def ids(self) -> dict[str, int]:
        """The ids of standard questions by their keys."""
        return {key: id_ for id_, key in self.keys.items()}

    def lexicon(self) -> Lexicon:
        """The words of all phrasings."""
        return Lexicon(words_in_memory((row.id, row.text) for row in self.rows), self.labels)


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """Texts with the standard questions that they ask, to learn from.

    Attributes:
        texts: n of them.
        questions: (n,) ids.
    """

    texts: tuple[str, ...]
    questions: Ids

    def __len__(self) -> int:
        return len(self.texts)

    def phrasings(self) -> BankPhrasings:
        """Those of one standard question together, none twice in it."""
        ids, groups = np.unique(self.questions, return_inverse=True)
        seen: set[tuple[int, str]] = set()
        rows = []
        for row in np.argsort(groups, kind="stable").tolist():
            mark = int(groups[row]), folded(self.texts[row])
            if mark not in seen:
                seen.add(mark)
                rows.append(row)
        texts = tuple(self.texts[row] for row in rows)
        return BankPhrasings(texts, groups[rows], tuple(map(str, ids)))


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """What an attempt learns, and what it is asked then.

    Attributes:
        learnt: the bank without what is held out, with queries that say their standard question.
        everything: what the final encoder learns.
        rows: (l,) of the bank that are learnt.
        phrasings: rows (p,) of the bank that are held out, of standard questions that are learnt.
        new: rows (q,) of standard questions that are held out whole, those that are asked.
        of_new: all of those.
        labelled: labelled queries that are held out.
    """

    learnt: Lesson
    everything: Lesson
    rows: Ids
    phrasings: Ids
    new: Ids
    of_new: Ids
    labelled: tuple[LabelledQuery, ...]


def share_for(n: int) -> float:
    """The share of n phrasings to hold out where there are several trials.

    More than `HELD_OUT`, up to a quarter, where a trial then asks as many as it may: the fewer
    trials it takes.
    """
    wanted = _ASKED / max(1, (1 - NEW_QUESTIONS) * n)
    return wanted if HELD_OUT < wanted <= _MOST_HELD_OUT else HELD_OUT


def arrange(
    bank: Bank,
    labelled: Sequence[LabelledQuery],
    logged: Sequence[LabelledQuery],
    seed: int,
    asked_before: Ids = NONE,
    share: float = HELD_OUT,
) -> Trial | None:
    """Split a bank and queries into what is learnt and what is held out.

    A text that is held out is nowhere in what is learnt, whatever its case, width and spaces.

    Args:
        labelled: with the key that each expects, or None.
        logged: the same without anyone's word for it: they are learnt, and never asked.
        asked_before: rows of the bank that another trial asks: not asked again.
        share: of the phrasings that are held out, 0..1.

    Returns:
        None where too little can be held out to show anything.
    """
    rng = np.random.default_rng(seed)
    ids = bank.ids
    new = _new_questions(bank.questions, rng)
    is_new = np.isin(bank.questions, new)
    groups = np.unique(bank.questions, return_inverse=True)[1]
    rest = np.flatnonzero(~is_new)
    phrasings = BankPhrasings(tuple(bank.texts[row] for row in rest), groups[rest], ())
    held = _held_phrasings(phrasings, np.isin(rest, asked_before), share, seed)
    held_rows = rest[held]
    asked_queries = _held_queries(labelled, rng)
    if len(held_rows) + len(asked_queries) < LEAST:
        return None
    hidden = {folded(bank.texts[row]) for row in held_rows}
    hidden |= {folded(query.text) for query in asked_queries}
    known = [query for query in (*labelled, *logged) if query.key is not None]
    asked = {id(query) for query in asked_queries}
    more = [query for query in known if id(query) not in asked]
    texts = (*bank.texts, *(query.text for query in more))
    questions = np.concatenate(
        [bank.questions, np.array([ids[query.key or ""] for query in more], np.int64)]
    )
    everything = (*texts, *(q.text for q in asked_queries if q.key is not None))
    all_questions = np.concatenate(
        [
            questions,
            np.array([ids[q.key] for q in asked_queries if q.key is not None], np.int64),
        ]
    )
    learnt = np.array([folded(text) not in hidden for text in texts])
    learnt &= ~np.isin(questions, new)
    rows = np.flatnonzero(learnt)
    return Trial(
        Lesson(tuple(texts[row] for row in rows), questions[rows]),
        Lesson(everything, all_questions),
        rows[rows < len(bank)],
        np.setdiff1d(np.sort(rng.permutation(held_rows)[:_ASKED]), asked_before),
        np.setdiff1d(np.sort(rng.permutation(np.flatnonzero(is_new))[: _ASKED // 2]), asked_before),
        np.flatnonzero(is_new),
        tuple(asked_queries),
    )


def _new_questions(questions: Ids, rng: np.random.Generator) -> Ids:
    """The ids of standard questions that are held out whole: none of a few."""
    ids = np.unique(questions)
    if len(ids) < _LEAST_QUESTIONS:
        return ids[:0]
    return np.sort(rng.permutation(ids)[: max(2, round(NEW_QUESTIONS * len(ids)))])


def _held_phrasings(phrasings: BankPhrasings, asked_before: Mask, share: float, seed: int) -> Ids:
    """Rows of those whose standard questions keep two others to learn from, where there are any.

    Those that another trial asks are left to be learnt, so that each trial asks others.
    """
    counts = np.bincount(phrasings.groups) if len(phrasings) else np.zeros(0, np.int64)
    several = counts[phrasings.groups] > 2
    enough = np.flatnonzero(several & ~asked_before)
    if not len(enough):
        return enough
    share = min(share * int(several.sum()) / len(enough), _MOST_OF_THE_REST)
    numbered = BankPhrasings(
        tuple(phrasings.texts[row] for row in enough), phrasings.groups[enough], ()
    )
    try:
        _, held = split_bank(numbered, share, seed=seed)
    except DataError:  # every text stands under several standard questions
        return enough[:0]
    wanted = set(zip(held.texts, held.groups.tolist(), strict=True))
    return np.array(
        [
            row
            for row in enough.tolist()
            if (phrasings.texts[row], int(phrasings.groups[row])) in wanted
        ],
        np.int64,
    )


def _held_queries(
    labelled: Sequence[LabelledQuery], rng: np.random.Generator
) -> list[LabelledQuery]:
    """Half of the labelled queries, and all that expect no answer: nothing learns from those."""
    with_key = [query for query in labelled if query.key is not None]
    order = rng.permutation(len(with_key))[: min(len(with_key) // 2, _ASKED)]
    return [with_key[n] for n in sorted(order.tolist())] + [
        query for query in labelled if query.key is None
    ]
