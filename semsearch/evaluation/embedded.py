"""Every sentence of a run, encoded once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from time import perf_counter

import numpy as np

from semsearch.encoder import Encoder
from semsearch.types import Embeddings, Ids


class Embedded:
    """The embeddings of distinct texts, before they are brought to unit length.

    Attributes:
        unit: whether the encoder's own last step brings them to unit length; plain
            sentence-transformers gives such vectors then, and so do published figures.
        seconds: what encoding took.
    """

    def __init__(
        self,
        encoder: Encoder,
        texts: Iterable[str],
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """Encode the distinct ones of the texts in one call."""
        distinct = list(dict.fromkeys(texts))
        done = 0

        def finished(n: int) -> None:
            nonlocal done
            done += n
            if progress is not None:
                progress(done, len(distinct))

        started = perf_counter()
        self._embeddings = encoder.embed(distinct, progress=finished)
        self.seconds = perf_counter() - started
        self.unit = _ends_in_unit_length(encoder)
        self._row = {text: row for row, text in enumerate(distinct)}

    def __len__(self) -> int:
        return len(self._row)

    def of(self, texts: Sequence[str]) -> Embeddings:
        """(n, d) float32, a row for each text."""
        rows: Ids = np.fromiter((self._row[text] for text in texts), np.int64, len(texts))
        return self._embeddings[rows]


def _ends_in_unit_length(encoder: Encoder) -> bool:
    try:
        modules = json.loads((encoder.path / "modules.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return False
    return bool(modules) and str(modules[-1]["type"]).endswith("Normalize")
