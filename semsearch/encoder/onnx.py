"""Run an encoder on ONNX Runtime, `tokenizers` and NumPy; torch is never imported."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
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

_INPUTS = {"input_ids", "attention_mask", "token_type_ids"}
_OUTPUTS = ("last_hidden_state", "token_embeddings")
_FLOATS = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(double)": "float64"}


class OnnxRuntime:
    """Body from an ONNX file in the hub's layout, pooling and modules in NumPy."""

    name = "onnx"
    # More tokens at once are slower on a CPU, where the states of a batch fall out of the cache:
    # questions of 16 tokens with MiniLM on 2 cores, 929 texts/s at 512 and 689 at 4096.
    budget = 512

    def __init__(self, layout: Layout, model: Path) -> None:
        """Load a body.

        Raises:
            EncoderError: the layout needs torch, or the file is no transformer body.
        """
        self.check(layout)
        self._layout = layout
        self._model = model
        self.tokenizer = TextTokenizer.load(layout)
        self._session = _session(model)
        self._inputs = {value.name for value in self._session.get_inputs()}
        self._output, self.precision = _states_output(self._session, model)
        if not {"input_ids", "attention_mask"} <= self._inputs <= _INPUTS:
            raise EncoderError(f"{model}: unexpected inputs: {', '.join(sorted(self._inputs))}.")
        self._prompt_lengths = {
            kind: 0 if layout.pooling.include_prompt else self.tokenizer.prompt_length(prompt)
            for kind, prompt in layout.prompts.items()
        }
        self.dim = self._dim()

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
        session = self._session if alone else self._one_thread

        def run(batch: Batch) -> tuple[Ids, Embeddings]:
            chosen, items = batch
            return chosen, self._run(items, kind, session)

        return in_streams(run, chain(first, batches), 1 if alone else cores())

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

    @cached_property
    def _one_thread(self) -> Any:
        """A session that leaves the other cores alone."""
        return _session(self._model, threads=1)

    def feeds(self, rows: Sequence[Any]) -> tuple[dict[str, Ids], Mask]:
        """The inputs of the body, (n, longest) int64 each, and the mask."""
        feeds = padded(rows, self.tokenizer.pad_id)
        return {name: feeds[name] for name in self._inputs}, feeds["attention_mask"]

    def states(self, feeds: dict[str, Ids], session: Any = None) -> States:
        """(n, longest, d) float32, what the body makes of every token."""
        try:
            (states,) = (session or self._session).run([self._output], feeds)
        except Exception as error:  # onnxruntime raises its own kinds, all from Exception
            shape = feeds["input_ids"].shape
            raise EncoderError(
                f"{self._layout.path}: ONNX Runtime failed on {shape[0]} texts of up to "
                f"{shape[1]} tokens: {_first_line(error)}"
            ) from error
        return np.asarray(states, np.float32)

    def _dim(self) -> int:
        for module in reversed(self._layout.tail):
            if not isinstance(module, Normalize):
                return module.dim
        d = next(o.shape[-1] for o in self._session.get_outputs() if o.name == self._output)
        if not isinstance(d, int):  # some exports name every axis
            d = width(self._layout.model_config)
        return d * len(self._layout.pooling.modes)


def _session(model: Path, threads: int = 0) -> Any:
    """A session that computes on so many threads; 0: one for each core."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(3)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    # Beyond BASIC nothing gets faster on exported bodies, and loading takes longer.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    try:
        return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise EncoderError(
            f"{model}: ONNX Runtime cannot load it: {_first_line(error)} Delete the file to have "
            "it made again."
        ) from error


def _states_output(session: Any, model: Path) -> tuple[str, str]:
    outputs = {value.name: value for value in session.get_outputs()}
    chosen = next((name for name in _OUTPUTS if name in outputs), None)
    if chosen is None and len(outputs) == 1:
        chosen = next(iter(outputs))
    if chosen is None or len(outputs[chosen].shape or ()) not in (0, 3):
        raise EncoderError(f"{model}: no output {_OUTPUTS[0]}: only {', '.join(outputs)}.")
    precision = _FLOATS.get(outputs[chosen].type)
    if precision is None:
        raise EncoderError(f"{model}: its output is {outputs[chosen].type}, not floating point.")
    return chosen, precision


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
