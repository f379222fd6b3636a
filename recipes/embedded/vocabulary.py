"""The word pieces of the embedded encoder: English ones, Chinese characters, and words."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lexicon import chinese_words

from semsearch.training.wordpieces import is_special

LEAST_ENGLISH = 3
LEAST_CHINESE = 10
N_WORDS = 3_500
LEAST_TRANSLATED = 4
"""Translated texts that a word is in: it starts from what stands opposite it."""
_LENGTHS = range(2, 5)


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


def words(
    translations: Mapping[str, Sequence[str]],
    others: Mapping[str, Sequence[str]],
    weights: Mapping[str, float],
) -> list[str]:
    """Chinese words of two to four characters, those that are used most first.

    How much a word is used is its share in the words of a source, counted once a text, times the
    weight of the source, over all sources.

    Args:
        translations: source -> texts in simplified characters, of sentences that are there in
            English, too; words that are rare in them are left out.
        others: the same of other sentences.
    """
    used: defaultdict[str, float] = defaultdict(float)
    translated: Counter[str] = Counter()
    for name, texts in {**translations, **others}.items():
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(set(filter(_is_word, chinese_words(text))))
        for word, n in counts.items():
            used[word] += weights[name] * n / counts.total()
        if name in translations:
            translated.update(counts)
    frequent = [word for word in used if translated[word] >= LEAST_TRANSLATED]
    return sorted(frequent, key=lambda word: (-used[word], word))[:N_WORDS]


def _is_word(text: str) -> bool:
    return len(text) in _LENGTHS and share_of_chinese(text) == 1


def share_of_chinese(text: str) -> float:
    """Of the characters of a text, those of Han."""
    return sum("\u4e00" <= character <= "\u9fff" for character in text) / max(1, len(text))


def is_chinese(character: str) -> bool:
    """Of Han, kana, or the punctuation that goes with them."""
    return any(
        low <= character <= high
        for low, high in (("\u3400", "\u9fff"), ("\u3000", "\u30ff"), ("\uff00", "\uffef"))
    )
