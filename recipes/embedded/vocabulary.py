"""The word pieces of the embedded encoder: the teacher's that occur, and Chinese characters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from semsearch.training.wordpieces import is_special

LEAST_ENGLISH = 3
LEAST_CHINESE = 10


def pieces(
    tokenizer: Any,
    english: Sequence[str],
    chinese: Iterable[str],
    variants: Mapping[str, str],
) -> list[str]:
    """Word pieces: the teacher's in its own order, then characters, the most frequent first.

    Single letters and signs are kept whether they occur or not, so that every word can be spelt.

    Args:
        tokenizer: the teacher's, of `tokenizers`.
        chinese: in simplified characters.
        variants: traditional characters and the simplified ones that they stand for.
    """
    known = tokenizer.get_vocab()
    counts: Counter[str] = Counter()
    for start in range(0, len(english), 20_000):
        batch = tokenizer.encode_batch(english[start : start + 20_000], add_special_tokens=False)
        for encoding in batch:
            counts.update(encoding.tokens)
    kept = [
        piece
        for piece, _ in sorted(known.items(), key=lambda item: item[1])
        if not is_special(piece)
        and not any(map(is_chinese, piece))
        and (counts[piece] >= LEAST_ENGLISH or len(piece.removeprefix("##")) == 1)
    ]
    characters: Counter[str] = Counter()
    for text in chinese:
        characters.update(filter(is_chinese, text))
    frequent = [character for character, n in characters.most_common() if n >= LEAST_CHINESE]
    known_characters = set(frequent)
    traditional = [
        character
        for character, simple in variants.items()
        if simple in known_characters and character not in known_characters
    ]
    return [*kept, *frequent, *traditional]


def is_chinese(character: str) -> bool:
    """Of Han, kana, or the punctuation that goes with them."""
    return any(
        low <= character <= high
        for low, high in (("\u3400", "\u9fff"), ("\u3000", "\u30ff"), ("\uff00", "\uffef"))
    )
