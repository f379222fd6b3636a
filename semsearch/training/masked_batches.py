"""Blocks of text as batches in which some tokens are masked; imports torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import DataCollatorForLanguageModeling

from semsearch.training.blocks import Batches, Blocks
from semsearch.training.masking import NGRAMS, Masking, choose
from semsearch.types import Ids

Batch = dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class MaskedBatches:
    """Batches with their masks: number i is the same whenever it is read.

    Masks hang on the seed and on the number of the batch, not on what was drawn before: a text
    has other masks every time it comes, and a resumed run has those of an unbroken one. Of the
    tokens to guess 80% become the mask token, 10% a random one, and 10% stay, by Transformers'
    collator (Devlin et al. 2019, arXiv:1810.04805, appendix A.1).
    """

    blocks: Blocks
    batches: Batches
    tokenizer: Any
    masking: Masking
    rate: float
    seed: int

    def __len__(self) -> int:
        """Batches of an epoch; they go on behind it."""
        return len(self.batches)

    def __getitem__(self, number: int) -> Batch:
        """input_ids, attention_mask, labels: (b, l) int64; labels are -100 but where asked."""
        rng = np.random.default_rng((self.seed, 1, number))
        rows = self.batches[number]
        lengths = self.blocks.lengths[rows]
        tokens = _ranges(self.blocks.bounds[rows], lengths)
        starts = self.blocks.starts[tokens]
        asked = choose(
            np.ones_like(starts) if self.masking == "token" else starts,
            lengths,
            rng,
            ngrams=NGRAMS if self.masking == "ngram" else (1.0,),
            rate=self.rate,
        )
        before, after = special_tokens(self.tokenizer)
        column = np.arange(int(lengths.max()) + len(before) + len(after))[None] - len(before)
        content = (column >= 0) & (column < lengths[:, None])
        ids = np.full(content.shape, self.tokenizer.pad_token_id, np.int64)
        ids[:, : len(before)] = before
        ids[content] = self.blocks.ids[tokens]
        for offset, token in enumerate(after):
            ids[column == lengths[:, None] + offset] = token
        spared = np.ones(content.shape, np.bool_)
        spared[content] = ~asked
        inputs, labels = self._masked(ids, spared, int(rng.integers(2**63)))
        real = torch.from_numpy((column < lengths[:, None] + len(after)).astype(np.int64))
        return {"input_ids": inputs, "attention_mask": real, "labels": labels}

    def _masked(self, ids: Ids, spared: NDArray[np.bool_], seed: int) -> tuple[Any, Any]:
        collator = DataCollatorForLanguageModeling(self.tokenizer, mlm_probability=1.0)
        collator.generator = torch.Generator().manual_seed(seed)
        masked: tuple[Any, Any] = collator.torch_mask_tokens(
            torch.from_numpy(ids), special_tokens_mask=torch.from_numpy(spared)
        )
        return masked


def special_tokens(tokenizer: Any) -> tuple[list[int], list[int]]:
    """The special tokens that a tokenizer puts before a text, and those behind it."""
    encoding = tokenizer("a", return_special_tokens_mask=True)
    ids = list(encoding["input_ids"])
    text = np.flatnonzero(np.array(encoding["special_tokens_mask"]) == 0)
    return ids[: text[0]], ids[text[-1] + 1 :]


def _ranges(firsts: Ids, lengths: Ids) -> Ids:
    """firsts[0], firsts[0] + 1, …, `lengths[0]` of them, and so on."""
    ends = np.cumsum(lengths)
    inner: Ids = np.arange(ends[-1]) - np.repeat(ends - lengths, lengths)
    return inner + np.repeat(firsts, lengths)
