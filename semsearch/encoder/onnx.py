"""Run an encoder on ONNX Runtime, `tokenizers` and NumPy; torch is never imported."""

from __future__ import annotations

import mmap
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from semsearch.encoder.graph import GraphRuntime, first_line, states_output
from semsearch.encoder.layout import Layout
from semsearch.encoder.pooling import States
from semsearch.errors import EncoderError
from semsearch.types import Ids

_FLOATS = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(double)": "float64"}

# Products of 8-bit integers, in the words of ONNX and of ONNX Runtime.
_INT8 = (b"MatMulInteger", b"QLinearMatMul", b"DynamicQuantizeMatMul")
# The nodes of a graph stand before its weights in an ONNX file.
_NODES = 4 << 20


class OnnxRuntime(GraphRuntime):
    """Body on ONNX Runtime, which starts quickly: for queries, and where nothing else is."""

    name = "onnx"

    def __init__(self, layout: Layout, model: Path) -> None:
        """Load a body.

        Raises:
            EncoderError: the layout needs torch, or the file is no transformer body.
        """
        import onnxruntime  # noqa: F401  before the thread, which would wait for the interpreter

        # Reading a body lets go of the interpreter, reading a tokenizer does not.
        with ThreadPoolExecutor(1) as pool:
            session = pool.submit(_session, model)
            super().__init__(layout, model)
        self._session = session.result()
        outputs = {value.name: value for value in self._session.get_outputs()}
        ranks = [len(value.shape or ()) for value in outputs.values()]
        self._output = states_output(list(outputs), ranks, model)
        self.precision = _precision(outputs[self._output], model)
        inputs = {value.name for value in self._session.get_inputs()}
        self._settle(inputs, (outputs[self._output].shape or [None])[-1])

    def _session_for(self, alone: bool) -> Any:
        return self._session if alone else self._one_thread

    @cached_property
    def _one_thread(self) -> Any:
        """A session that leaves the other cores alone."""
        return _session(self._model, threads=1)

    def states(self, feeds: dict[str, Ids], session: Any = None) -> States:
        try:
            (states,) = (session or self._session).run([self._output], feeds)
        except Exception as error:  # onnxruntime raises its own kinds, all from Exception
            raise self._failed("ONNX Runtime", feeds, error) from error
        return np.asarray(states, np.float32)


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
            f"{model}: ONNX Runtime cannot load it: {first_line(error)} Delete the file to have "
            "it made again."
        ) from error


def _precision(output: Any, model: Path) -> str:
    precision = _FLOATS.get(output.type)
    if precision is None:
        raise EncoderError(f"{model}: its output is {output.type}, not floating point.")
    return "int8" if has_int8_products(model) else precision


def has_int8_products(model: Path) -> bool:
    """Whether the linear layers of an ONNX body multiply 8-bit integers."""
    if not model.stat().st_size:  # nothing that could be mapped
        return False
    with model.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return any(content.find(name, 0, _NODES) >= 0 for name in _INT8)
