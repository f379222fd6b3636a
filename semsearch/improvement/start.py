"""An index as it is before it is improved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np

from semsearch.encoder import Encoder
from semsearch.evaluation.queries import LabelledQuery
from semsearch.hybrid import Beside
from semsearch.improvement.material import Bank
from semsearch.improvement.sides import State
from semsearch.index import Index
from semsearch.lexical import Lexicon
from semsearch.ranking import Score
from semsearch.recipe import Recipe
from semsearch.store import BankReader, Meta
from semsearch.store.rows import load_vectors
from semsearch.swapping import encoder_before, weight


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """An index as it is before an attempt.

    Attributes:
        encoder: the one that is improved.
        state: what it makes of the bank and of the queries.
        lexicon: of the bank, None where words do not count in the rank.
    """

    directory: Path
    meta: Meta
    bank: Bank
    encoder: Encoder
    state: State
    last_phrasing: int
    lexicon: Lexicon | None

    @classmethod
    def of(cls, index: Index) -> Start:
        reader = BankReader(index.path)
        try:
            with reader.reading() as meta:
                rows = reader.every_phrasing(meta)
                by_key = reader.questions_by_key(meta)
                former = reader.former_vectors(meta.dim) if meta.improved else {}
                last = reader.last_phrasing()
                searchable = bool(weight(meta)) and reader.postings(meta) is not None
        finally:
            reader.close()
        bank = Bank(rows, {row.id: key for key, row in by_key.items()})
        if meta.improved is None:
            encoder = index.encoder
            vectors = load_vectors([row.vector for row in rows], meta.dim)
            runs = ((record.runtime, record.precision) for record in (encoder, meta.encoder))
            if len(set(runs)) > 1:  # what a map stretches is to be the same for all
                vectors = encoder.encode(bank.texts)
        else:
            encoder = encoder_before(index.path, meta, rows, former, Recipe())
            vectors = np.empty((len(rows), meta.dim), np.float32)
            new = [n for n, row in enumerate(rows) if row.id not in former]
            for n, row in enumerate(rows):
                if row.id in former:
                    vectors[n] = former[row.id]
            vectors[new] = encoder.encode([rows[n].text for n in new])
        nothing = np.zeros((0, meta.dim), np.float32)
        lexicon = bank.lexicon() if searchable else None
        return cls(index.path, meta, bank, encoder, State(vectors, nothing), last, lexicon)

    @property
    def score(self) -> Score:
        """How the index scores a standard question by its phrasings."""
        return cast(Score, self.meta.score)

    def beside(self, state: State) -> Beside | None:
        """What counts beside vectors in a state."""
        return Beside.of(self.lexicon, weight(self.meta), state.classifier)

    def asked(self, labelled: Sequence[LabelledQuery]) -> Start:
        """The same with queries."""
        queries = self.encoder.encode([query.text for query in labelled], kind="query")
        return replace(self, state=State(self.state.vectors, queries))
