"""An encoder directory as it was read, and what may be chosen in place of what it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from semsearch.encoder.body import layer_count, longest_input
from semsearch.encoder.modules import Module
from semsearch.encoder.pooling import LEARNT, MODES, WIDE, Pooling
from semsearch.encoder.truncation import Truncation
from semsearch.errors import EncoderError

Kind = Literal["query", "document"]


@dataclass(frozen=True, slots=True)
class Layout:
    """An encoder directory as it was read; nothing heavy is loaded yet."""

    path: Path
    body: Path  # where the transformer, its tokenizer and their settings lie
    model_config: Mapping[str, Any]  # config.json
    tokenizer_config: Mapping[str, Any]
    max_length: int  # tokens, special ones included
    lower_case: bool
    pooling: Pooling
    tail: tuple[Module, ...]  # what follows pooling, a last Normalize left out
    prompts: Mapping[str, str]  # "query" and "document"
    modules: tuple[Mapping[str, Any], ...]  # modules.json, for saving
    truncation: Truncation
    plain: bool = False  # there is no modules.json
    odd_body: bool = False  # it is fed by more than a tokenizer
    unsupported: tuple[str, ...] = ()  # what keeps it from running without torch
    changed: frozenset[str] = frozenset()  # "pooling", "max_length", "truncation": by the caller

    def choosing(
        self,
        *,
        pooling: str | None = None,
        max_length: int | None = None,
        truncate: str | None = None,
    ) -> Layout:
        """The same with another pooling, length or truncation; None keeps what it has.

        Raises:
            EncoderError: the encoder cannot have one of them.
        """
        chosen = self
        if pooling is not None:
            chosen = chosen._changing("pooling", self._pooling(pooling))
        if max_length is not None:
            chosen = chosen._changing("max_length", self._length(max_length))
        if truncate is not None:
            chosen = chosen._changing("truncation", self._truncation(truncate))
        return chosen

    def _changing(self, field: str, value: Any) -> Layout:
        if value == getattr(self, field):
            return self
        return replace(self, **{field: value, "changed": self.changed | {field}})

    def _pooling(self, name: str) -> Pooling:
        if name not in MODES and name not in WIDE:
            names = ", ".join([*MODES, *WIDE])
            raise EncoderError(f"unknown pooling {name!r}. Choose from: {names}.")
        if self.pooling.modes == ("none",):
            raise EncoderError(f"{self.path}: has no pooling that could be {name}.")
        if name == LEARNT == str(self.pooling):
            return self.pooling  # with the weights that were learnt
        n_layers = layer_count(self.model_config)
        if len(WIDE.get(name, ())) > n_layers:
            raise EncoderError(
                f"{self.path}: pooling {name} averages {len(WIDE[name])} layers, and config.json "
                f"names {n_layers or 'none'}."
            )
        chosen = Pooling.named(name, n_layers, self.pooling.include_prompt)
        if self.tail and len(chosen.modes) != len(self.pooling.modes):
            raise EncoderError(
                f"{self.path}: what follows its pooling {self.pooling} does not fit {name}."
            )
        return chosen

    def _length(self, max_length: int) -> int:
        longest = longest_input(self.model_config)
        if not 3 <= max_length <= longest:
            raise EncoderError(
                f"max_length {max_length}: {self.path} takes 3 to {longest} tokens, special "
                "ones included."
            )
        return max_length

    def _truncation(self, name: str) -> Truncation:
        try:
            chosen = Truncation.named(name)
        except ValueError as error:
            raise EncoderError(f"{error}") from error
        if self.odd_body and not chosen.on_one_side:
            raise EncoderError(
                f"{self.path}: {name} needs a body that is fed by a tokenizer alone, and it has "
                f"{self.unsupported[0]}. Choose head or tail."
            )
        return chosen
