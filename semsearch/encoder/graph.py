"""What the runtimes of ONNX bodies share: everything but what computes the token states."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from semsearch.encoder.body import width
from semsearch.encoder.layout import Kind, Layout
from semsearch.encoder.modules import Normalize
from semsearch.encoder.pooling import Mask, States
from semsearch.encoder.runtime import Batch
from semsearch.encoder.streams import cores, in_streams
from semsearch.encoder.tokens import TextTokenizer, padded, prepared
from semsearch.encoder.truncation import averaged
from semsearch.errors import EncoderError
from semsearch.types import Embeddings, Ids

INPUTS = {"input_ids", "attention_mask", "token_type_ids"}
OUTPUTS = ("last_hidden_state", "token_embeddings")


class GraphRuntime(ABC):
    """Body from an ONNX file in the hub's layout, pooling and modules in NumPy."""

    name: str
    precision: str
    # More tokens at once are slower on a CPU, where the states of a batch fall out of the cache:
    # questions of 16 tokens with MiniLM on 2 cores, 929 texts/s at 512 and 689 at 4096.
    budget = 512

    def __init__(self, layout: Layout, model: Path) -> None:
        """Read the tokenizer; a runtime then loads the body and calls `_settle`.

        Raises:
            EncoderError: the layout needs torch.
        """
        self.check(layout)
        self._layout = layout
        self._model = model
        self.tokenizer = TextTokenizer.load(layout)
        self._prompt_lengths = {
            kind: 0 if layout.pooling.include_prompt else self.tokenizer.prompt_length(prompt)
            for kind, prompt in layout.prompts.items()
        }

    def _settle(self, inputs: set[str], states_width: Any) -> None:
        """Take over what the body says of itself.

        Args:
            inputs: names of what it reads.
            states_width: of a token's state; no int where an export names every axis.

        Raises:
            EncoderError: it is no transformer body.
        """
        if not {"input_ids", "attention_mask"} <= inputs <= INPUTS:
            raise EncoderError(f"{self._model}: unexpected inputs: {', '.join(sorted(inputs))}.")
        self._inputs = inputs
        self.dim = self._dim(states_width)

    @staticmethod
    def check(layout: Layout) -> None:
        """Raise EncoderError, naming the module, if a layout needs torch."""
        if layout.unsupported:
            raise EncoderError(
                f"{layout.path}: the onnx runtime does not know {layout.unsupported[0]}. "
                "Use the torch runtime."
            )

    def prepare(self, texts: Sequence[str], kind: Kind) -> tuple[list[Any], Ids]:
        return prepared(self.tokenizer, texts, self._layout.prompts[kind])

    def run_all(self, batches: Iterable[Batch], kind: Kind) -> Iterator[tuple[Ids, Embeddings]]:
        batches = iter(batches)
        first = list(islice(batches, 2))
        # One batch is shared among all cores; of several, each core takes one by itself.
        alone = len(first) < 2 or cores() == 1
        session = self._session_for(alone)

        def run(batch: Batch) -> tuple[Ids, Embeddings]:
            chosen, items = batch
            return chosen, self._run(items, kind, session)

        return in_streams(run, chain(first, batches), 1 if alone else cores())

    @abstractmethod
    def _session_for(self, alone: bool) -> Any:
        """What `states` runs on: for one batch on all cores, or for one of several at once."""

    @abstractmethod
    def states(self, feeds: dict[str, Ids], session: Any = None) -> States:
        """(n, longest, d) float32, what the body makes of every token."""

    def _run(self, items: Sequence[Any], kind: Kind, session: Any) -> Embeddings:
        if not self.tokenizer.truncation.in_windows:
            return self._embed(items, kind, session)
        return averaged(lambda rows: self._embed(rows, kind, session), items, self.budget)

    def _embed(self, rows: Sequence[Any], kind: Kind, session: Any) -> Embeddings:
        feeds, mask = self.feeds(rows)
        x = self._layout.pooling(self.states(feeds, session), mask, self._prompt_lengths[kind])
        for module in self._layout.tail:
            x = module(x)
        return x.astype(np.float32, copy=False)

    def feeds(self, rows: Sequence[Any]) -> tuple[dict[str, Ids], Mask]:
        """The inputs of the body, (n, longest) int64 each, and the mask."""
        feeds = padded(rows, self.tokenizer.pad_id)
        return {name: feeds[name] for name in self._inputs}, feeds["attention_mask"]

    def _failed(self, engine: str, feeds: dict[str, Ids], error: Exception) -> EncoderError:
        n, longest = feeds["input_ids"].shape
        return EncoderError(
            f"{self._layout.path}: {engine} failed on {n} texts of up to {longest} tokens: "
            f"{first_line(error)}"
        )

    def _dim(self, states_width: Any) -> int:
        for module in reversed(self._layout.tail):
            if not isinstance(module, Normalize):
                return module.dim
        d = states_width if isinstance(states_width, int) else width(self._layout.model_config)
        return d * len(self._layout.pooling.modes)


def states_output(names: Sequence[str], ranks: Sequence[int | None], model: Path) -> str:
    """Which output of a body has the token states.

    Args:
        ranks: of the outputs; None or 0 where one says nothing.

    Raises:
        EncoderError: none of them.
    """
    chosen = next((name for name in OUTPUTS if name in names), None)
    if chosen is None and len(names) == 1:
        chosen = names[0]
    if chosen is None or ranks[list(names).index(chosen)] not in (None, 0, 3):
        raise EncoderError(f"{model}: no output {OUTPUTS[0]}: only {', '.join(names)}.")
    return chosen


def first_line(error: Exception) -> str:
    """What an error of a library says, short enough for a message."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
