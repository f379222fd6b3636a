"""What is read of a text that has more tokens than an encoder takes at a time."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from semsearch.types import TRUNCATIONS, Embeddings, Ids

_HEAD_TAIL = "128+382"
_PARTS = re.compile(r"([1-9]\d{0,6})\+([1-9]\d{0,6})")


@dataclass(frozen=True, slots=True)
class Truncation:
    """Which tokens of a long text are read; a short one is always read as it is.

    - head: the first ones. tail: the last ones, as a tokenizer with truncation_side "left" reads
      them, which drops a prompt, too.
    - head+tail: the first quarter from the beginning and the rest from the end, 128 + 382 of the
      510 tokens of a BERT, which was best in Sun et al. 2019, arXiv:1905.05583, section 5.3.1.
      A+B is the same in another ratio, 256+254; with another `max_length` the ratio is kept.
    - windows: all of it. Windows of full length are laid over the text at equal distances, as few
      as let neighbours share at least a quarter of their tokens; each has the special tokens, and
      the prompt, and the text's embedding is the mean of theirs.
    """

    name: str = "head"

    @classmethod
    def named(cls, name: str) -> Truncation:
        """One of TRUNCATIONS, or A+B.

        Raises:
            ValueError: it is none of these.
        """
        if name not in TRUNCATIONS and not _PARTS.fullmatch(name):
            raise ValueError(
                f"unknown truncation {name!r}. Choose from: {', '.join(TRUNCATIONS)}, or tokens "
                "from the beginning and the end, such as 256+254."
            )
        return cls("head+tail" if name == _HEAD_TAIL else name)

    @property
    def side(self) -> str:
        """Where tokenizers and sentence-transformers cut: of more than one place they know none."""
        return "left" if self.name == "tail" else "right"

    @property
    def on_one_side(self) -> bool:
        """Whether a tokenizer can do it."""
        return self.name in ("head", "tail")

    @property
    def in_windows(self) -> bool:
        """Whether a text can become several rows."""
        return self.name == "windows"

    def rows(self, n_tokens: int, max_length: int, first: int, last: int) -> Ids:
        """The tokens that are read of a text with n_tokens > max_length.

        Args:
            first: tokens at the beginning that every row has: special ones, and a prompt.
            last: special tokens at the end, which every row has, too.

        Returns:
            (rows, max_length) int64, positions in the text, rising in every row.
        """
        room = max_length - first - last
        begin, end = np.arange(first), np.arange(n_tokens - last, n_tokens)
        if self.in_windows:
            starts = _starts(n_tokens - first - last, room)
            content = first + starts[:, None] + np.arange(room)
        else:
            head, tail = self._parts(room)
            beyond = np.arange(n_tokens - last - tail, n_tokens - last)
            content = np.concatenate([first + np.arange(head), beyond])[None]
        parts = [np.broadcast_to(part, (len(content), len(part))) for part in (begin, end)]
        return np.concatenate([parts[0], content, parts[1]], axis=1).astype(np.int64)

    def _parts(self, room: int) -> tuple[int, int]:
        parts = _PARTS.fullmatch(_HEAD_TAIL if self.name == "head+tail" else self.name)
        assert parts, f"{self.name} is cut by the tokenizer"
        head, tail = int(parts[1]), int(parts[2])
        head = min(max(round(room * head / (head + tail)), 1), room - 1)
        return head, room - head


def _starts(n_tokens: int, room: int) -> Ids:
    """Where windows of `room` tokens begin, so that they cover n_tokens > room."""
    step = room - room // 4
    gaps = -(-(n_tokens - room) // step)
    return np.arange(gaps + 1) * (n_tokens - room) // gaps


def averaged(
    embed: Callable[[Sequence[Any]], Embeddings], texts: Sequence[Sequence[Any]], budget: int
) -> Embeddings:
    """The mean of the embeddings of each text's rows.

    Args:
        embed: n rows to (n, d).
        texts: rows by text, none of them empty.
        budget: tokens, padding included, that are embedded at a time.

    Returns:
        (n, d) float32, a row for each text.
    """
    rows = [row for text in texts for row in text]
    size = max(1, budget // max(1, *map(len, rows)))
    parts = [embed(rows[start : start + size]) for start in range(0, len(rows), size)]
    counts = np.array([len(text) for text in texts])
    starts = np.cumsum(counts) - counts
    sums = np.add.reduceat(np.concatenate(parts), starts, axis=0)
    return np.asarray(sums / counts[:, None], np.float32)
