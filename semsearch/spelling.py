"""What the words of a text say for each standard question, whatever their vector says.

A word counts, and so do the pieces that it is made of, so that another form of it or a slip of the
pen still does. Their weights are fitted together with those of the vector; see `classifier`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from semsearch.terms import is_unspaced, terms
from semsearch.types import Ids, Scores

SCALE = 1.0
"""Length of what a text is made of, beside its vector of length 1."""

_LENGTHS = (2, 3, 4)  # of pieces, in characters
_MOST_TERMS = 64  # of one text
_LONGEST = 64  # characters of a word


def pieces(text: str) -> list[str]:
    """The distinct words of a text, what they are made of, and pairs of words that come together.

    A word of three characters or more has pieces of two to four, with its beginning and its end
    marked by spaces; of Chinese and kana, whose words are pairs of characters, each character is
    one.
    """
    found: dict[str, None] = {}
    known = [term[:_LONGEST] for term in terms(text)[:_MOST_TERMS]]
    for term in known:
        found[term] = None
        if is_unspaced(term):
            found.update(dict.fromkeys(term))
        elif len(term) > 2:
            marked = f" {term} "
            for n in _LENGTHS:
                found.update(dict.fromkeys(marked[i : i + n] for i in range(len(marked) - n + 1)))
    found.update(dict.fromkeys(map(" ".join, pairwise(known))))
    return list(found)


@dataclass(frozen=True, slots=True, eq=False)
class Vocabulary:
    """Pieces, and how rare each is: TF-IDF of a text, each of its pieces counted once.

    Attributes:
        pieces: V.
        rarity: (V,) float32, the inverse document frequency of each.
    """

    pieces: tuple[str, ...]
    rarity: NDArray[np.float32]
    _places: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_places", {piece: n for n, piece in enumerate(self.pieces)})

    def row(self, found: Iterable[str]) -> tuple[Ids, NDArray[np.float32]]:
        """Places (p,) and values (p,), of length `SCALE`, of those pieces of a text it has."""
        known = (self._places.get(piece) for piece in found)
        places = np.array([place for place in known if place is not None], np.int64)
        values = self.rarity[places]
        length = max(float(np.linalg.norm(values)), 1e-12)
        return places, values * np.float32(SCALE / length)


@dataclass(frozen=True, slots=True, eq=False)
class Spelling:
    """What the pieces of a text say.

    Attributes:
        vocabulary: V pieces.
        weights: (V, K) float16, what each says for K standard questions.
    """

    vocabulary: Vocabulary
    weights: NDArray[np.float16]

    def logits(self, texts: Sequence[str]) -> Scores:
        """What it says of m texts: (m, K) float32."""
        said = np.zeros((len(texts), self.weights.shape[1]), np.float32)
        for row, text in zip(said, texts, strict=True):
            places, values = self.vocabulary.row(pieces(text))
            row += values @ self.weights[places].astype(np.float32)
        return said
