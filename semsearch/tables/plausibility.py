"""How much a decoded text looks like something a person wrote.

Legacy encodings decode nearly any bytes: what tells them apart is whether the outcome is made of
common characters. Only what is not ASCII says anything, so only that is looked at.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

from semsearch.tables.hanzi import COMMON

_BEYOND_ASCII = re.compile(r"[^\x01-\x7f]+")
_SAMPLE = 500_000
_WORDS = re.compile(r"[^\W\d_]*[^\W\d_\x00-\x7f][^\W\d_]*")
# Few signs of Latin-1: most of the others are first bytes of common Big5 characters.
_PUNCTUATION = frozenset(
    "‘’“”„‚–—…«»‹›¿¡£€°·•©®™×\u00a0"
    + "、。！，．：；？（）《》「」『』【】〈〉～／％￥＂＇－＋＝＆＊＃＠｜　"
)
# Arrows, circled numbers, stars, signs of mathematics: people write them between words, while what
# Latin-1 writes before a letter (¡Último) looks like one that is glued to it. Those that are in
# Latin-1 are first bytes of Big5 characters, too, and then hardly stand alone.
_LATIN_SIGNS = "±×÷§¼½¾²³"
_SIGNS = re.compile(
    rf"[\u2100-\u27bf](?![a-z])|(?:^|(?<=[\s\d(,]))[{_LATIN_SIGNS}](?=[\s\d).,;]|$)", re.MULTILINE
)
# Between an accented Latin letter (1) and a character that no ordinary text has (-2).
_COMMON_HAN, _OTHER_HAN, _KANA, _HANGUL, _ODD, _NEVER = 1.0, 0.2, 0.9, 0.8, 0.0, -2.0


def plausibility(text: str) -> float:
    """How plausible a text is, at most 1; a text of ASCII alone (without NUL) is 1.

    Chinese text scores near 0.9, and near or below 0.3 when it was decoded with the wrong encoding.
    """
    text = _sample(text)
    beyond = "".join(_BEYOND_ASCII.findall(text))
    if not beyond:
        return 1.0
    words = _coherent_letters(text)
    words += Counter(_SIGNS.findall(text))
    score = 0.0
    for character, count in Counter(beyond).items():
        weight = _weight(character)
        score += words.get(character, 0) if weight is None else weight * count
    return score / len(beyond)


def _sample(text: str) -> str:
    """Lines beyond ASCII from all over a text: all of them, or about as many as the limit holds."""
    lines = [line for line in text.splitlines() if not line.isascii() or "\0" in line]
    step = 1 + sum(map(len, lines)) // _SAMPLE
    return "\n".join(lines[::step])[: 2 * _SAMPLE]


def _weight(character: str) -> float | None:
    """The weight of one character; None for a letter or a sign, which what is around it decides."""
    code = ord(character)
    if character in COMMON:
        return _COMMON_HAN
    if character in _PUNCTUATION or 0xFF10 <= code <= 0xFF5A or 0x1F300 <= code <= 0x1FAFF:
        return 1.0
    if 0x4E00 <= code <= 0x9FFF:
        return _OTHER_HAN
    if 0x3041 <= code <= 0x30FF:
        return _KANA
    if 0xAC00 <= code <= 0xD7A3:
        return _HANGUL
    if 0x3400 <= code <= 0x4DBF or 0x20000 <= code <= 0x3FFFF or 0xFF61 <= code <= 0xFFDC:
        return _ODD
    if 0x2100 <= code <= 0x27BF or character in _LATIN_SIGNS:
        return None
    category = unicodedata.category(character)
    if character == "\ufffd" or category in ("Cn", "Co", "Cs", "Cc"):
        return _NEVER
    return None if category[0] in "LM" else _ODD


def _coherent_letters(text: str) -> Counter[str]:
    """The non-ASCII letters that stand in words of one script and a usual case."""
    letters: Counter[str] = Counter()
    for word, count in Counter(_WORDS.findall(text)).items():
        if _is_coherent(word):
            for letter in word:
                if letter > "\x7f":
                    letters[letter] += count
    return letters


def _is_coherent(word: str) -> bool:
    if not (word.islower() or word.isupper() or word.istitle() or word.casefold() == word):
        return False
    if len(word) == 1:
        return True
    latin = [letter for letter in word if letter < "\u0250"]
    if latin:  # an accented word keeps some plain letters; mis-decoded Chinese has none
        accented = sum(letter > "\x7f" for letter in latin)
        return len(latin) == len(word) and accented <= max(1, len(word) // 2)
    return len({_script(letter) for letter in word}) == 1


def _script(letter: str) -> str:
    return unicodedata.name(letter, "?").partition(" ")[0]
