"""Which tokens a masked language model has to guess: tokens, whole words, or runs of words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from semsearch.errors import MissingExtraError
from semsearch.types import Ids

Bools = NDArray[np.bool_]
Masking = Literal["token", "word", "ngram"]

MASKINGS: tuple[Masking, ...] = get_args(Masking)
RATE = 0.15
NGRAMS = (0.4, 0.3, 0.2, 0.1)
"""How often a run of 1, 2, 3 and 4 words is masked (Cui et al. 2020, arXiv:2004.13922)."""

_HAN = re.compile(r"[㐀-䶿一-鿿豈-﫿\U00020000-\U0003ffff]+")


def word_starts(text: str, encoding: Any) -> Bools:
    """Where words begin among the tokens of a text.

    A word is what the tokenizer split off before it cut pieces, and in Chinese what jieba takes
    for a word (Cui et al. 2019, arXiv:1906.08101).

    Args:
        text: what was encoded.
        encoding: of `tokenizers`, without special tokens; n tokens.

    Returns:
        (n,) bool.

    Raises:
        MissingExtraError: there is Chinese, and jieba is not installed.
    """
    n = len(encoding)
    if n == 0:
        return np.zeros(0, np.bool_)
    words = np.array([-1 if word is None else word for word in encoding.word_ids], np.int64)
    starts = _changes(words) | (words < 0)
    if not _HAN.search(text):
        return starts
    begins = np.fromiter((_begin(text, *offsets) for offsets in encoding.offsets), np.int64, n)
    chinese = _chinese_words(text)[begins]
    # Characters of one Chinese word belong together, whatever the tokenizer split.
    return np.where(chinese >= 0, _changes(chinese), starts | _changes(chinese))


def choose(
    starts: Bools,
    lengths: Ids,
    rng: np.random.Generator,
    *,
    ngrams: Sequence[float] = (1.0,),
    rate: float = RATE,
) -> Bools:
    """Choose runs of whole words at random until `rate` of the tokens of each block are chosen.

    Every block is cut into runs of 1, 2, … words, as often as `ngrams` says; then runs are taken
    at random. The one that would be too much is taken with the chance that leaves `rate` as the
    mean, so that of a very short block sometimes none is chosen.

    Args:
        starts: (t,) bool, where words begin in the tokens of all blocks, one after the other.
        lengths: (b,) tokens of each block, above 0; their sum is t.
        rng: where chance comes from.
        ngrams: how often a run has 1, 2, … words; adds up to 1.
        rate: share of the tokens to choose.

    Returns:
        (t,) bool.
    """
    block_of = np.repeat(np.arange(len(lengths)), lengths)
    at = _run_starts(starts | _changes(block_of), block_of, rng, ngrams)
    widths = np.diff(at, append=len(starts))
    order = np.lexsort((rng.random(len(at)), block_of[at]))
    block, width = block_of[at][order], widths[order]
    before = np.cumsum(width) - width
    before -= np.maximum.accumulate(np.where(_changes(block), before, 0))
    chosen = np.zeros(len(at), np.bool_)
    chosen[order] = before + rng.random(len(at)) * width < rate * lengths[block]
    return np.repeat(chosen, widths)


def _run_starts(
    words: Bools, block_of: Ids, rng: np.random.Generator, ngrams: Sequence[float]
) -> Ids:
    """The tokens that a run begins with; no run goes on into the next block."""
    at = np.flatnonzero(words)
    firsts = np.flatnonzero(_changes(block_of[at]))
    counts = np.diff(firsts, append=len(at))
    sizes = 1 + rng.choice(len(ngrams), size=(len(counts), int(counts.max())), p=ngrams)
    begins = np.cumsum(sizes, axis=1) - sizes
    runs: Ids = (firsts[:, None] + begins)[begins < counts[:, None]]
    return at[runs]


def _changes(values: Ids) -> Bools:
    """(n,) whether a value differs from the one before; True for the first."""
    changes = np.ones(len(values), np.bool_)
    changes[1:] = values[1:] != values[:-1]
    return changes


def _begin(text: str, first: int, end: int) -> int:
    """The first character of a token; some tokenizers count the blank before it, too."""
    while first < end - 1 and text[first].isspace():
        first += 1
    return min(first, len(text) - 1)


def _chinese_words(text: str) -> Ids:
    """The number of the Chinese word that each character is in; -1 outside of Chinese."""
    words = np.full(len(text), -1, np.int64)
    number = 0
    for run in _HAN.finditer(text):
        at = run.start()
        for word in _jieba().lcut(run.group()):
            words[at : at + len(word)] = number
            at += len(word)
            number += 1
    return words


@cache
def _jieba() -> Any:
    """jieba with its own dictionary, silent."""
    try:
        import jieba
    except ImportError as error:
        raise MissingExtraError("jieba (needed to find Chinese words)", "train") from error
    jieba.setLogLevel("WARNING")
    return jieba.Tokenizer()
