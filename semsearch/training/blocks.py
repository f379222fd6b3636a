"""Plain text as blocks of tokens, and blocks of equal length as batches."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semsearch.errors import DataError
from semsearch.training.masking import Bools, word_starts
from semsearch.types import Ids

_Part = tuple[NDArray[np.int32], Bools]

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？；])|\n+")
_CHUNK = 1000


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """Pieces of text as token ids, special tokens left out.

    Attributes:
        ids: (t,) int32, the tokens of all blocks, one after the other.
        starts: (t,) bool, where a word begins.
        bounds: (n + 1,) int64: block i is ids[bounds[i] : bounds[i + 1]].
    """

    ids: NDArray[np.int32]
    starts: Bools
    bounds: Ids

    def __len__(self) -> int:
        return len(self.bounds) - 1

    @property
    def lengths(self) -> Ids:
        """(n,) tokens of each block."""
        return np.diff(self.bounds)


def cut(
    texts: Sequence[str],
    tokenizer: Any,
    room: int,
    *,
    whole_words: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Blocks:
    """Cut texts into blocks of up to `room` tokens, at the ends of sentences where possible.

    Sentences of one text share a block as long as they fit; a sentence that is longer than a
    block is cut at a word. No block holds parts of two texts.

    Args:
        texts: paragraphs or documents.
        tokenizer: of Transformers, a fast one.
        room: tokens of a block, without special ones.
        whole_words: find out where words begin; otherwise every token counts as a word.
        progress: called with (texts done, texts in all).

    Raises:
        DataError: no text gives a token.
    """
    splitter = _splitter(tokenizer)
    parts: list[_Part] = []
    lengths: list[int] = []
    for first in range(0, len(texts), _CHUNK):
        for sentences in _encoded(texts[first : first + _CHUNK], splitter, whole_words):
            for block in _packed(sentences, room):
                parts.extend(block)
                lengths.append(sum(len(ids) for ids, _ in block))
        if progress:
            progress(min(first + _CHUNK, len(texts)), len(texts))
    if not parts:
        raise DataError("the texts hold no token.")
    ids, starts = (np.concatenate(kind) for kind in zip(*parts, strict=True))
    return Blocks(ids, starts, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))


def _splitter(tokenizer: Any) -> Any:
    """A copy of what is behind a tokenizer, which may have been saved cutting and padding texts."""
    from tokenizers import Tokenizer

    splitter = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    splitter.no_truncation()
    splitter.no_padding()
    return splitter


def _encoded(texts: Sequence[str], splitter: Any, whole_words: bool) -> Iterator[list[_Part]]:
    """The sentences of each text as ids and word starts."""
    split = [[part for part in _SENTENCE_END.split(text) if part] for text in texts]
    flat = [sentence for sentences in split for sentence in sentences]
    encodings = iter(splitter.encode_batch(flat, add_special_tokens=False))
    for sentences in split:
        parts = []
        for sentence, encoding in zip(sentences, encodings, strict=False):
            ids = np.array(encoding.ids, np.int32)
            starts = word_starts(sentence, encoding) if whole_words else np.ones(len(ids), np.bool_)
            if len(ids):
                parts.append((ids, starts))
        yield parts


def _packed(sentences: Sequence[_Part], room: int) -> Iterator[list[_Part]]:
    """Sentences in order, put together while they fit."""
    block: list[_Part] = []
    used = 0
    for ids, starts in sentences:
        if block and used + len(ids) > room:
            yield block
            block, used = [], 0
        while len(ids) > room:
            # At the last word that begins in the block, unless one word fills half of it.
            half = room // 2 + 1
            begins = np.flatnonzero(starts[half : room + 1])
            end = half + int(begins[-1]) if len(begins) else room
            yield [(ids[:end], starts[:end])]
            ids, starts = ids[end:], starts[end:]
        block.append((ids, starts))
        used += len(ids)
    if block:
        yield block


class Batches:
    """The batches of a whole run: number i is the same whenever it is asked for.

    Blocks of equal length come together, so that next to nothing is padding; every epoch puts
    other blocks of that length together, in another order.
    """

    def __init__(self, lengths: Ids, batch_tokens: int, extra: int, seed: int) -> None:
        """Plan them.

        Args:
            lengths: (n,) tokens of each block.
            batch_tokens: tokens of a batch at most, special ones and padding included; a batch
                holds one block at least.
            extra: special tokens that every block gets.
            seed: of the order.
        """
        self._lengths = lengths
        self._seed = seed
        self._cuts = _cuts(np.sort(lengths)[::-1] + extra, batch_tokens)
        self._epoch = -1
        self._order = self._batch = np.zeros(0, np.int64)

    def __len__(self) -> int:
        """Batches of an epoch."""
        return len(self._cuts) - 1

    def __getitem__(self, number: int) -> Ids:
        """The blocks of a batch, by their numbers; batches go on from epoch to epoch."""
        epoch, place = divmod(number, len(self))
        if epoch != self._epoch:
            rng = np.random.default_rng((self._seed, epoch))
            self._order = np.lexsort((rng.random(len(self._lengths)), -self._lengths))
            self._batch = rng.permutation(len(self))
            self._epoch = epoch
        batch = self._batch[place]
        return self._order[self._cuts[batch] : self._cuts[batch + 1]]


def _cuts(widths: Ids, batch_tokens: int) -> list[int]:
    """Where batches begin among blocks sorted from long to short."""
    cuts = [0]
    while cuts[-1] < len(widths):
        rows = max(1, batch_tokens // int(widths[cuts[-1]]))
        cuts.append(min(cuts[-1] + rows, len(widths)))
    return cuts
