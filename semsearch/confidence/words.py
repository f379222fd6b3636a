"""The words and the pairs of characters of a text, for what two texts share."""

from __future__ import annotations

import re
from functools import lru_cache

_WORD = re.compile(r"[^\W_]+")
# Scripts that are written without spaces: Chinese characters, kana. Their pairs stand for words.
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")


@lru_cache(maxsize=65536)
def words(text: str) -> frozenset[str]:
    """Lower-case words; of Chinese and kana, each pair of neighbouring characters."""
    found: set[str] = set()
    for run in _WORD.findall(text.lower()):
        unspaced = _UNSPACED.findall(run)
        found.update(_UNSPACED.sub(" ", run).split())
        for part in unspaced:
            found.update(_pairs(part))
    return frozenset(found)


@lru_cache(maxsize=65536)
def pairs(text: str) -> frozenset[str]:
    """Neighbouring characters of a text in lower case, its spaces made even."""
    return _pairs(" ".join(text.lower().split()))


def _pairs(text: str) -> frozenset[str]:
    return frozenset(text[i : i + 2] for i in range(max(len(text) - 1, 1)))
