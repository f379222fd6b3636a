"""Batches of sentences of about one length, or one topic, whose tokens fill a budget."""

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
_STEP = 8  # tokens by which sentences of one topic may differ


@dataclass(frozen=True, slots=True, eq=False)
class LengthBatches:
    """What `batch_sampler` of sentence-transformers' training arguments takes; see there.

    Rows are sorted by length, those of one length in an order that depends on the seed and the
    epoch alone, cut into batches, and the batches shuffled. Every epoch has every row once, in as
    many batches of the same shapes: a resumed run counts on the first, and what is compiled for a
    shape on the second.

    With topics, rows are sorted by these first, and by length in steps of 8 tokens.

    Attributes:
        lengths: (n,) tokens of the rows of the dataset to come.
        budget: tokens of a batch at most, padding included.
        topics: (n,) numbers from 0: a batch has rows of one, or of two that follow each other.
    """

    lengths: Ids = field(repr=False)
    budget: int
    topics: Ids | None = field(default=None, repr=False)

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
        return _sampler_class()(dataset, *settings, kinds=self._kinds(), plan=self)

    def _kinds(self) -> Ids:
        """(n,): rows of one kind can stand for each other."""
        if self.topics is None:
            return self.lengths
        steps = -(-self.lengths // _STEP)
        return self.topics * (int(steps.max(initial=0)) + 1) + steps


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
    """Where to cut rows into batches of at most `budget` padded tokens, as large as that allows.

    Args:
        lengths: (n,) in the order of the rows, none above the budget.

    Returns:
        (batches + 1,) int64, from 0 to n.
    """
    found, longest = [0], 0
    for place, length in enumerate(lengths.tolist()):
        longest = max(longest, length)
        if longest * (place + 1 - found[-1]) > budget:
            found.append(place)
            longest = length
    return np.array([*found, len(lengths)] if len(lengths) else found, np.int64)


@cache
def _sampler_class() -> Any:
    from sentence_transformers.base.sampler import DefaultBatchSampler

    class LengthBatchSampler(DefaultBatchSampler):  # type: ignore[misc]
        """Batches of rows of about one length, other ones in each epoch."""

        def __init__(self, *args: Any, kinds: Ids, plan: LengthBatches) -> None:
            super().__init__(*args)
            self._kinds = kinds
            # Whichever row of its kind comes to a place, it is no longer than this.
            longest = np.zeros(int(kinds.max(initial=-1)) + 1, np.int64)
            np.maximum.at(longest, kinds, plan.lengths)
            self._cuts = cuts(longest[np.sort(kinds)], plan.budget)

        def __iter__(self) -> Iterator[list[int]]:
            rng = np.random.default_rng((self.seed or 0, self.epoch))
            rows = rng.permutation(len(self._kinds))
            rows = rows[np.argsort(self._kinds[rows], kind="stable")]
            for batch in rng.permutation(len(self)):
                yield rows[self._cuts[batch] : self._cuts[batch + 1]].tolist()

        def __len__(self) -> int:
            return len(self._cuts) - 1

    return LengthBatchSampler
