"""How many of a query's words a phrasing has, the rarer the more: names, codes and numbers."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np

from semsearch.errors import CorruptIndexError
from semsearch.store import Postings
from semsearch.store.rows import ID_BITS
from semsearch.terms import terms
from semsearch.types import Ids, Mask, Scores

Lexical: TypeAlias = Literal["auto", "on", "off"]
"""Whether words count beside vectors: as the index was calibrated, in any case, or not at all."""

LEXICAL: tuple[Lexical, ...] = ("auto", "on", "off")

WEIGHT = 0.15
"""Of the words beside the vectors, where nothing was measured; the vectors count the rest."""

_MOST_TERMS = 64  # of one query
_COMMON = 0.1  # share of the phrasings from which a word says nothing
_ALWAYS = 5000  # phrasings that may have a word in any case
_KEPT = 1 << 21  # places that are remembered: bounds memory


class Lexicon:
    """The words of the phrasings of one state of an index; asked while `reading()` only."""

    def __init__(self, postings: Postings, labels: Ids) -> None:
        """labels: (n,) of every phrasing."""
        self._postings = postings
        self._labels = np.sort(labels)  # by standard question, then by phrasing
        self.questions, self._starts = np.unique(self._labels >> ID_BITS, return_index=True)
        """Ids (q,) of the standard questions, ascending."""
        ids = self._labels & ((1 << ID_BITS) - 1)
        self._by_id = np.argsort(ids)
        self._ids = ids[self._by_id]
        self._limit = max(_ALWAYS, int(_COMMON * len(labels)))
        self._places: dict[str, Ids] = {}
        self._n_kept = 0

    def shares(self, query: str, gone: Ids | None = None) -> Shares:
        """What each standard question has of a query's words, by the best of its phrasings.

        Args:
            gone: labels (g,) of phrasings that have no words, as if they were not there.

        Raises:
            CorruptIndexError: the words are not those of these phrasings.
        """
        found = np.zeros(len(self._labels), np.float32)
        whole = 0.0
        for term in terms(query)[:_MOST_TERMS]:
            places = self._of(term)
            if len(places) > self._limit:
                continue
            rarity = self._rarity(len(places))
            whole += rarity
            found[places] += rarity
        if gone is not None:
            found[np.searchsorted(self._labels, gone)] = 0
        if not whole:
            return Shares(self.questions, np.zeros(len(self.questions), np.float32))
        best = np.maximum.reduceat(found, self._starts) / np.float32(whole)
        return Shares(self.questions, np.minimum(best, 1))

    def _rarity(self, n: int) -> float:
        """How much a word of n phrasings says (Robertson and Zaragoza 2009, eq. 3.3)."""
        return float(np.log1p((len(self._labels) - n + 0.5) / (n + 0.5)))

    def _of(self, term: str) -> Ids:
        """Places of the phrasings that have a word; one more than the limit where it is common."""
        known = self._places.get(term)
        if known is not None:
            return known
        ids = np.array(self._postings.of(term, self._limit + 1), np.int64)
        at = np.minimum(np.searchsorted(self._ids, ids), max(len(self._ids) - 1, 0))
        if len(ids) and not (len(self._ids) and np.array_equal(self._ids[at], ids)):
            raise CorruptIndexError(
                "the table of words names phrasings that there are not. Mend it with: semsearch "
                "compact INDEX"
            )
        places = self._by_id[at] if len(ids) else ids
        self._n_kept += len(places)
        if self._n_kept > _KEPT:
            self._places.clear()
            self._n_kept = len(places)
        self._places[term] = places
        return places


class Shares:
    """A number from 0 to 1 for each standard question: the share of the query's words it has."""

    def __init__(self, questions: Ids, values: Scores) -> None:
        """questions: (q,) ascending; values: (q,)."""
        self.questions, self._values = questions, values

    def of(self, questions: Ids) -> Scores:
        """Shares (n,) of standard questions (n,)."""
        return np.asarray(self._values[np.searchsorted(self.questions, questions)])

    def best(self, n: int, besides: Ids, among: Ids | None = None) -> tuple[Ids, Scores]:
        """The at most n standard questions that have most, with their shares, most first.

        Args:
            besides: ids (m,) that are left out, as is what has nothing.
            among: ids that it must be one of; None allows all.
        """
        open_: Mask = self._values > 0
        open_[np.searchsorted(self.questions, besides)] = False
        if among is not None:
            open_ &= np.isin(self.questions, among)
        columns = np.flatnonzero(open_)
        if len(columns) > n:
            # The n largest, then by order of id, so that two runs agree.
            lowest = np.partition(self._values[columns], -n)[-n]
            columns = columns[self._values[columns] >= lowest]
        order = np.argsort(-self._values[columns], kind="stable")[:n]
        return self.questions[columns[order]], self._values[columns[order]]
