"""Word translations learnt from sentence pairs, and English sentences with them put in.

A sentence in which words stand in the other language still means what it meant, so the teacher's
vector of the English one is its target too (code-switching: Qin et al. 2020, arXiv:2006.06402).
That brings questions as customers ask them to an encoder that has no Chinese ones to learn from.
"""

from __future__ import annotations

import logging
import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

N_TRANSLATIONS = 4
LEAST_PROBABILITY = 0.06
LEAST_COUNT = 1.5

Lexicon = Mapping[str, Sequence[tuple[str, float]]]
"""English word -> (Chinese word, probability), the most probable first."""

_ENGLISH = re.compile(r"[a-z]+(?:'[a-z]+)?|\d+|[^\sa-z\d]")
_HAN = re.compile(r"[\u4e00-\u9fff]")
# Chinese has no word for these, most of the time.
_SILENT = frozenset(
    (
        "the",
        "a",
        "an",
        "of",
        "is",
        "are",
        "to",
        "do",
        "does",
        "did",
        "am",
        "be",
        "been",
        "was",
        "were",
        "it",
    )
)


def english_words(text: str) -> list[str]:
    return _ENGLISH.findall(text.lower())


def chinese_words(text: str) -> list[str]:
    import jieba

    jieba.setLogLevel(logging.ERROR)
    return list(jieba.cut(text))


def learn(pairs: Sequence[tuple[str, str]], rounds: int = 8) -> dict[str, list[tuple[str, float]]]:
    """The translations t(zh | en) of IBM Model 1 (Brown et al. 1993), by expectation maximisation.

    Args:
        pairs: an English sentence and a Chinese one each.
        rounds: of EM, from equal probabilities.
    """
    split = [(english_words(en), chinese_words(zh)) for en, zh in pairs]
    english = ["", *dict.fromkeys(word for words, _ in split for word in words)]  # "" is NULL
    chinese = list(dict.fromkeys(word for _, words in split for word in words))
    at_en = {word: number for number, word in enumerate(english)}
    at_zh = {word: number for number, word in enumerate(chinese)}
    sources, targets, places = [], [], []
    place = 0
    for en, zh in split:
        candidates = [0, *(at_en[word] for word in en)]
        for word in zh:
            sources += candidates
            targets += [at_zh[word]] * len(candidates)
            places += [place] * len(candidates)
            place += 1
    keys = np.array(sources, np.int64) * len(chinese) + np.array(targets, np.int64)
    distinct, link = np.unique(keys, return_inverse=True)
    from_en, to_zh = distinct // len(chinese), distinct % len(chinese)
    of_place = np.array(places, np.int64)
    probability = np.ones(len(distinct))
    counts = probability
    for _ in range(rounds):
        weights = probability[link]
        weights /= np.bincount(of_place, weights, minlength=place)[of_place]
        counts = np.bincount(link, weights, minlength=len(distinct))
        totals = np.bincount(from_en, counts, minlength=len(english))
        probability = counts / np.maximum(totals[from_en], 1e-9)
    return _best(english, chinese, from_en, to_zh, probability, counts)


def switched(text: str, lexicon: Lexicon, share: float, rng: random.Random) -> str:
    """The sentence with about this share of its known words translated."""
    out = []
    for word in english_words(text):
        if word in lexicon and rng.random() < share:
            if word not in _SILENT:
                words, weights = zip(*lexicon[word], strict=True)
                # Sharper than they are: the rarer translations are mostly mistakes.
                out.append(rng.choices(words, [weight**1.5 for weight in weights])[0])
        else:
            out.append(f" {word} ")
    return " ".join("".join(out).split())


def has_chinese(text: str) -> bool:
    return _HAN.search(text) is not None


def coverage(texts: Sequence[str], lexicon: Lexicon) -> float:
    """Share of the words of texts that the lexicon has."""
    words = Counter(word for text in texts for word in english_words(text) if word.isalpha())
    return sum(n for word, n in words.items() if word in lexicon) / max(1, words.total())


def _best(
    english: list[str],
    chinese: list[str],
    sources: np.ndarray,
    targets: np.ndarray,
    probability: np.ndarray,
    counts: np.ndarray,
) -> dict[str, list[tuple[str, float]]]:
    found: dict[str, list[tuple[str, float]]] = {}
    for link in np.lexsort((targets, -probability, sources)):
        en, zh = english[sources[link]], chinese[targets[link]]
        if not en.isalpha() or not has_chinese(zh) or counts[link] < LEAST_COUNT:
            continue
        known = found.setdefault(en, [])
        if len(known) < N_TRANSLATIONS and probability[link] > LEAST_PROBABILITY:
            known.append((zh, float(probability[link])))
    return {en: known for en, known in found.items() if known}
