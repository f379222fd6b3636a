"""Chinese words that are tokens of their own, now and then read character by character.

An encoder that always reads a word as one token does not know that it shares its characters with
others. Reading it now one way and now the other teaches both (subword regularization, Kudo 2018,
arXiv:1804.10959). Spaces between the characters take a word apart: the tokenizer drops them.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Sequence

TEXTS = 0.5
"""Share of the texts in which words are taken apart."""
WORDS = 0.5
"""Share of the words of such a text."""


def taken_apart(texts: Sequence[str], words: Collection[str], rng: random.Random) -> list[str]:
    """The texts, in some of them some of the words with spaces between their characters."""
    lengths = sorted({len(word) for word in words}, reverse=True)
    made = []
    for text in texts:
        parts = list(_parts(text, words, lengths))
        if any(is_word for _, is_word in parts) and rng.random() < TEXTS:
            text = "".join(
                " ".join(part) if is_word and rng.random() < WORDS else part
                for part, is_word in parts
            )
        made.append(text)
    return made


def _parts(text: str, words: Collection[str], lengths: Sequence[int]) -> Iterator[tuple[str, bool]]:
    """Words, the longest at each place as the tokenizer takes them, and what lies between."""
    at = 0
    while at < len(text):
        n = next((n for n in lengths if text[at : at + n] in words), 0)
        yield text[at : at + max(n, 1)], n > 0
        at += max(n, 1)
