"""Encode texts so that an interrupt loses nothing, and say which of them read badly."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from semsearch.encoder import Encoder
from semsearch.pending import Pending
from semsearch.sync import EXAMPLES, SyncWarning, shorten
from semsearch.types import Embeddings, Ids, Vectors

Progress: TypeAlias = Callable[[int, int], None]
"""Called with (texts encoded so far, texts to encode)."""

Batches: TypeAlias = Callable[[Sequence[str]], Iterable[tuple[Ids, Embeddings]]]

UNKNOWN_SHARE = 0.25


@dataclass(slots=True)
class Encoding:
    """Encodes for the index in one directory, and counts."""

    directory: Path
    progress: Progress | None
    encoded: int = 0  # texts that no interrupted run had left

    def vectors(self, encoder: Encoder, texts: Sequence[str]) -> dict[str, Vectors]:
        """(dim,) of unit length by text."""
        identity = f"{encoder.fingerprint.digest}:{encoder.precision}"
        return self._through_pending(identity, encoder.dim, texts, encoder.encode_batches)

    def embeddings(self, encoder: Encoder, texts: Sequence[str]) -> dict[str, Vectors]:
        """(dim,) by text, before whitening."""
        identity = f"{encoder.fingerprint.digest}:raw"
        return self._through_pending(identity, encoder.dim, texts, encoder.embed_batches)

    def _through_pending(
        self, identity: str, dim: int, texts: Sequence[str], batches: Batches
    ) -> dict[str, Vectors]:
        """Every batch goes to `Pending` as it comes; what an interrupted run left is taken over."""
        with Pending(self.directory, identity, dim) as pending:
            vectors = {text: known for text in texts if (known := pending.get(text)) is not None}
            todo = [text for text in texts if text not in vectors]
            self.encoded += len(todo)
            self._show(vectors, texts)
            for rows, found in batches(todo):
                done = [todo[row] for row in rows]
                pending.put(done, found)
                vectors.update(zip(done, found, strict=True))
                self._show(vectors, texts)
        return vectors

    def _show(self, done: Mapping[str, Vectors], texts: Sequence[str]) -> None:
        if self.progress:
            self.progress(len(done), len(texts))


def text_warnings(encoder: Encoder, texts: Sequence[str]) -> list[SyncWarning]:
    """What an encoder reads only in part, or not at all."""
    if not texts:
        return []
    stats = encoder.measure(texts)
    found = []
    long = np.flatnonzero(stats.too_long)
    if len(long) and encoder.truncate != "windows":
        found.append(
            SyncWarning(
                "too_long",
                f"{len(long)} of {len(texts)} texts are longer than the {encoder.max_length} "
                f"tokens that {encoder.source} reads; the rest of them is not searched. To read "
                "all of them, encode the bank again: --truncate windows --rebuild",
                len(long),
                _examples(texts, long),
            )
        )
    unknown = np.flatnonzero(stats.unknown_share > UNKNOWN_SHARE)
    if len(unknown):
        found.append(
            SyncWarning(
                "unknown_tokens",
                f"{len(unknown)} of {len(texts)} texts have more than a quarter of their tokens "
                f"unknown to {encoder.source}, so it cannot tell them apart well. Take an encoder "
                "of their language: --encoder.",
                len(unknown),
                _examples(texts, unknown),
            )
        )
    return found


def _examples(texts: Sequence[str], rows: Ids) -> tuple[str, ...]:
    return tuple(shorten(texts[row]) for row in rows[:EXAMPLES])
