"""Batches of sentences of about one length, so many that their tokens fill a budget."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from semsearch.encoder.truncation import Truncation
from semsearch.errors import DataError
from semsearch.types import Ids

_CHUNK = 10_000


@dataclass(frozen=True, slots=True, eq=False)
class LengthBatches:
    """What `batch_sampler` of sentence-transformers' training arguments takes; see there.

    Rows are sorted by length, those of one length in an order that depends on the seed and the
    epoch alone, cut into batches, and the batches shuffled. Every epoch has every row once, in as
    many batches of the same shapes: a resumed run counts on the first, and what is compiled for a
    shape on the second.

    Attributes:
        lengths: (n,) tokens of the rows of the dataset to come.
        budget: tokens of a batch at most, padding included.
    """

    lengths: Ids = field(repr=False)
    budget: int

    def __post_init__(self) -> None:
        longest = int(self.lengths.max(initial=0))
        if longest > self.budget:
            raise DataError(
                f"a sentence of {longest:,} tokens is more than --batch-tokens {self.budget:,}. "
                "Pass more, or a smaller --max-length."
            )

    def __call__(
        self,
        dataset: Any,
        batch_size: int,
        drop_last: bool,
        valid_label_columns: list[str] | None = None,
        generator: Any = None,
        seed: int = 0,
    ) -> Any:
        """The batch sampler of a dataset; how many rows a batch has does not hang on batch_size.

        Raises:
            DataError: the dataset has not as many rows as there are lengths.
        """
        if len(dataset) != len(self.lengths):
            raise DataError(f"{len(self.lengths):,} lengths do not go with {len(dataset):,} rows.")
        settings = (batch_size, drop_last, valid_label_columns, generator, seed)
        return _sampler_class()(dataset, *settings, lengths=self.lengths, budget=self.budget)


def token_lengths(model: Any, texts: Sequence[str]) -> Ids:
    """(n,) int64: how many tokens of each text a SentenceTransformer reads."""
    in_windows = Truncation(getattr(model, "semsearch_truncation", "head")).in_windows
    limit = {} if in_windows else {"truncation": True, "max_length": model.max_seq_length}
    found: list[int] = []
    for start in range(0, len(texts), _CHUNK):
        part = model.tokenizer(
            list(texts[start : start + _CHUNK]), return_attention_mask=False, **limit
        )
        found += map(len, part["input_ids"])
    return np.array(found, np.int64)


def cuts(lengths: Ids, budget: int) -> Ids:
    """Where to cut rows of ascending lengths into batches of at most `budget` padded tokens.

    Args:
        lengths: (n,) ascending, none above the budget.

    Returns:
        (batches + 1,) int64, from 0 to n.
    """
    found = [0]
    while (start := found[-1]) < len(lengths):
        window = lengths[start : start + budget // max(1, lengths[start])]
        padded = window * np.arange(1, len(window) + 1)
        found.append(start + int(np.searchsorted(padded, budget, side="right")))
    return np.array(found, np.int64)


@cache
def _sampler_class() -> Any:
    from sentence_transformers.base.sampler import DefaultBatchSampler

    class LengthBatchSampler(DefaultBatchSampler):  # type: ignore[misc]
        """Batches of rows of about one length, other ones in each epoch."""

        def __init__(self, *args: Any, lengths: Ids, budget: int) -> None:
            super().__init__(*args)
            self._lengths = lengths
            self._cuts = cuts(np.sort(lengths), budget)

        def __iter__(self) -> Iterator[list[int]]:
            rng = np.random.default_rng((self.seed or 0, self.epoch))
            rows = rng.permutation(len(self._lengths))
            rows = rows[np.argsort(self._lengths[rows], kind="stable")]
            for batch in rng.permutation(len(self)):
                yield rows[self._cuts[batch] : self._cuts[batch + 1]].tolist()

        def __len__(self) -> int:
            return len(self._cuts) - 1

    return LengthBatchSampler
