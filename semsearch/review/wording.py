"""How likely the words of a phrasing are under a standard question.

Vectors say what is meant, and miss what a single word tells apart. Words are drawn from those of
the standard question and, the fewer phrasings it has the more, from those of the whole bank: query
likelihood with a Dirichlet prior (Zhai and Lafferty 2004, ACM TOIS 22(2), eq. 6).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from semsearch.confidence.words import words
from semsearch.review.bank import Filed, Floats
from semsearch.types import Ids

_PRIOR = 3.0  # phrasings' worth of belief in what words the whole bank has


@dataclass(frozen=True, slots=True, eq=False)
class Wording:
    """How many phrasings have a word.

    Attributes:
        words: of each of n phrasings, sorted, so that two runs agree.
        question: (n,) where each is filed.
        sizes: (K,) phrasings of each standard question.
        within: of each standard question, by word.
        everywhere: in the whole bank, by word.
    """

    words: Sequence[Sequence[str]]
    question: Ids
    sizes: Ids
    within: Sequence[Counter[str]]
    everywhere: Counter[str]

    @classmethod
    def of(cls, bank: Filed) -> Wording:
        """Count the words of a bank."""
        found = [sorted(words(text)) for text in bank.texts]
        within: list[Counter[str]] = [Counter() for _ in bank.keys]
        for own, question in zip(found, bank.question.tolist(), strict=True):
            within[question].update(own)
        everywhere = Counter(word for own in found for word in own)
        return cls(found, bank.question, bank.sizes, within, everywhere)

    def log_likelihood(self, rows: Ids, questions: Ids) -> Floats:
        """Of phrasings (m,) under standard questions (m,), each pair.

        The sum over n words counts as that of their root: words of one text come together. A
        phrasing is left out of the standard question that it is filed under.
        """
        return np.array(
            [self._of(*pair) for pair in zip(rows.tolist(), questions.tolist(), strict=True)]
        )

    def _of(self, row: int, question: int) -> float:
        own, within = self.words[row], self.within[question]
        itself = int(self.question[row] == question)
        drawn = _PRIOR / len(self.words)
        chances = [within[word] - itself + drawn * self.everywhere[word] for word in own]
        size = int(self.sizes[question]) - itself + _PRIOR
        n = max(len(own), 1)
        return float((np.log(chances).sum() - len(own) * np.log(size)) / np.sqrt(n))
