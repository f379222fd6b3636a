"""The words of a text, as they are looked up: one rule for what is stored and what is asked."""

from __future__ import annotations

import re
import unicodedata

VERSION = 1
"""Of the rule below; what was stored by another one is made again."""

# Scripts that are written without spaces: Chinese characters, kana. Their pairs stand for words.
_UNSPACED = re.compile(
    r"[\u3005\u3007\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+"
)
_PIECE = re.compile(r"\d+|[^\W\d_]+")


def is_unspaced(term: str) -> bool:
    """Whether a term is of Chinese or kana: a pair of characters, or one that stands alone."""
    return _UNSPACED.match(term) is not None


def terms(text: str) -> list[str]:
    """The distinct words of a text, in the order they come.

    Full-width letters and digits count as plain ones, capitals as small ones. Of Chinese and kana,
    each pair of neighbouring characters is a word. Letters beside digits are words each for
    itself and both together, whatever one sign stands between them: "AX-200", "AX 200" and "ax200"
    are the same three words, ax, 200 and ax200. Only a space behind a number parts it from what
    comes: "12 days" is no code.
    """
    found: dict[str, None] = {}
    text = unicodedata.normalize("NFKC", text).casefold()
    for run in _UNSPACED.findall(text):
        found.update(dict.fromkeys(run[i : i + 2] for i in range(max(len(run) - 1, 1))))
    text = _UNSPACED.sub("  ", text)
    before, end = "", 0
    for piece in _PIECE.finditer(text):
        word, between = piece[0], text[end : piece.start()]
        found[word] = None
        near = len(between) <= 1 and (word.isdigit() or not between.isspace())
        if before and near and before.isdigit() != word.isdigit():
            found[before + word] = None
        before, end = word, piece.end()
    return list(found)
