"""Whether two answers to one question say the same."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence

import numpy as np

from semsearch.confidence.words import words
from semsearch.types import Vectors

_NUMBER = re.compile(
    r"\d+(?:[.,:]\d+)*"
    r"|[零〇一二两兩三四五六七八九十百千万萬]+(?=个|個|天|日|周|週|月|年|小时|小時|分|元|块|塊|次|笔|筆|倍|成|点|點)"
    r"|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|twelve|twenty|thirty)\b"
)
_NEGATION = re.compile(
    r"\b(?:no|not|never|cannot|none|neither|nor|without|unable|impossible)\b|n['’]t\b"
    r"|[不没沒无無未勿别別]"
)
_YES = re.compile(r"(?:yes|sure|of course)\b|可以|能|会|會|是的|支持")
_NO = re.compile(r"(?:no|not|sorry|unfortunately)\b|不[是能可会會行支需]|[没沒]有|[无無]法|抱歉")
_ALIKE_WORDS = 0.5
"""Share of all words that two answers have in common, from which a negation turns one round."""

_ANSWERS = 1000
_LEAST = 20


class Answers:
    """Compares answers, by what those of the whole bank are like."""

    def __init__(
        self, answers: Sequence[str], encode: Callable[[Sequence[str]], Vectors], seed: int = 0
    ) -> None:
        """
        Args:
            answers: of every standard question.
            encode: texts to vectors; called only where wording does not settle it.
        """
        self._distinct = list(dict.fromkeys(answer for answer in answers if answer))
        self._encode = encode
        self._random = np.random.default_rng(seed)
        self._usual: float | None = None

    def differ(self, one: str, other: str) -> str | None:
        """Why two answers do not agree, None where they do or one is missing."""
        if not one or not other or plain(one) == plain(other):
            return None
        mine, theirs = (set(_NUMBER.findall(_folded(text))) for text in (one, other))
        if mine and theirs and not (mine <= theirs or theirs <= mine):
            return (
                f"one says {', '.join(sorted(mine - theirs))}, the other "
                f"{', '.join(sorted(theirs - mine))}"
            )
        if _turned(one, other):
            return "one says yes and the other no"
        if len(self._distinct) < _LEAST:
            return "they are worded differently"
        vectors = self._encode([one, other])
        if float(vectors[0] @ vectors[1]) <= self._threshold():
            return "they are no more alike than answers to different questions"
        return None

    def _threshold(self) -> float:
        """What 19 in 20 answers do not reach with the answer most like them."""
        if self._usual is None:
            picked = self._random.permutation(len(self._distinct))[:_ANSWERS]
            vectors = self._encode([self._distinct[number] for number in np.sort(picked)])
            similar = vectors @ vectors.T
            np.fill_diagonal(similar, -1)
            self._usual = float(np.quantile(similar.max(axis=1), 0.95))
        return self._usual


def plain(text: str) -> str:
    """A text without case, width, spaces and punctuation; itself where nothing else is in it."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(sign for sign in folded if sign.isalnum()) or folded.strip()


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold().strip()


def _turned(one: str, other: str) -> bool:
    one, other = _folded(one), _folded(other)
    for yes, no in ((one, other), (other, one)):
        if _YES.match(yes) and _NO.match(no):
            return True
    mine, theirs = words(one), words(other)
    shared = len(mine & theirs) / max(len(mine | theirs), 1)
    return shared >= _ALIKE_WORDS and bool(_NEGATION.search(one)) != bool(_NEGATION.search(other))
