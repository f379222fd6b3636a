"""Run an encoder on OpenVINO: the CPU's own bfloat16 and int8, for many texts at a time.

It starts slower than ONNX Runtime, and only here pays: benchmarks/encoding.py.
"""

from __future__ import annotations

import importlib.util
import platform
from collections import deque
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from semsearch.encoder.graph import INPUTS, OUTPUTS, GraphRuntime, first_line, states_output
from semsearch.encoder.layout import Layout
from semsearch.encoder.onnx import has_int8_products
from semsearch.encoder.pooling import States
from semsearch.encoder.streams import cores
from semsearch.errors import EncoderError, MissingExtraError
from semsearch.types import Ids

PRECISIONS = ("int8", "bfloat16", "float32")
"""What it computes in, the fastest first."""

# Of Linux. Without such instructions OpenVINO computes in these formats, too, but slower.
_FLAGS = {
    "int8": {"avx512_vnni", "avx_vnni", "avx_vnni_int8", "amx_int8", "asimddp", "i8mm"},
    "bfloat16": {"avx512_bf16", "amx_bf16", "bf16"},
}
_CAPABILITIES = {"int8": "INT8", "bfloat16": "BF16", "float32": "FP32"}


def is_installed() -> bool:
    """Whether openvino is there; it is not imported."""
    return importlib.util.find_spec("openvino") is not None


def require() -> None:
    """Raise MissingExtraError where openvino is not installed."""
    if not is_installed():
        raise MissingExtraError("openvino (needed to encode in bfloat16 or int8)", "openvino")


@cache
def native() -> tuple[str, ...]:
    """Which of PRECISIONS this CPU has instructions for, the fastest first."""
    able = set(core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))
    flags = _cpu_flags()
    return tuple(
        name
        for name in PRECISIONS
        if _CAPABILITIES[name] in able and (not flags or name not in _FLAGS or flags & _FLAGS[name])
    )


@cache
def core() -> Any:
    """What reads and compiles bodies, one for the process."""
    import openvino

    return openvino.Core()


def own_precision(model: Path) -> str:
    """What a body is computed in where nothing else was asked for."""
    return "int8" if has_int8_products(model) else "float32"


class OpenVinoRuntime(GraphRuntime):
    """Body on OpenVINO, compiled for one stream on each core."""

    name = "openvino"
    # Each batch costs some milliseconds here beside its tokens: short texts with MiniLM in int8 on
    # 2 cores, 2,040 texts/s at 512, 2,125 at 1024 and 2,000 at 2048.
    budget = 1024

    def __init__(self, layout: Layout, model: Path, precision: str) -> None:
        """Compile a body.

        Args:
            precision: one of PRECISIONS. A body of 8-bit weights can be computed in all of them;
                bringing another one to int8 takes some seconds, once: see `openvino_int8`.

        Raises:
            EncoderError: the layout needs torch, the file is no transformer body, or it has
                nothing that could be int8.
            MissingExtraError: openvino is not installed.
        """
        require()
        super().__init__(layout, model)
        self.precision = precision
        self._compiled = self._compile()
        # A request is for one thread at a time; the next one may have it when that is done.
        self._idle: deque[Any] = deque()
        outputs = list(self._compiled.outputs)
        names = [_name(output) for output in outputs]
        shapes = [output.get_partial_shape() for output in outputs]
        ranks = [len(shape) if shape.rank.is_static else None for shape in shapes]
        self._output = names.index(states_output(names, ranks, model))
        last = shapes[self._output]
        width = last[-1].get_length() if last.rank.is_static and last[-1].is_static else None
        self._settle({_name(port) for port in self._compiled.inputs}, width)
        # Two threads whose first request this is can wait for each other for ever, one for the
        # interpreter and one for what OpenVINO's Python module makes at its first use.
        self.states({name: np.zeros((1, 2), np.int64) for name in self._inputs})

    def _compile(self) -> Any:
        from semsearch.encoder import openvino_int8

        # A core that computes for several streams must not be bound to one of them.
        settings = {
            "INFERENCE_PRECISION_HINT": self._hint(),
            "NUM_STREAMS": str(cores()),
            "INFERENCE_NUM_THREADS": str(cores()),
            "ENABLE_CPU_PINNING": "NO",
        }
        try:
            if self.precision == "int8":
                return openvino_int8.compiled(self._layout, self._model, settings)
            model = openvino_int8.read(self._model)
            return core().compile_model(model, "CPU", settings)
        except RuntimeError as error:  # OpenVINO's own kinds, and what comes from C++
            raise EncoderError(
                f"{self._model}: OpenVINO cannot load it: {first_line(error)} Use the onnx runtime."
            ) from error

    def _hint(self) -> str:
        """What is computed in beside linear layers in int8, and everything otherwise."""
        half = self.precision == "bfloat16" or (self.precision == "int8" and "bfloat16" in native())
        return "bf16" if half else "f32"

    def _session_for(self, alone: bool) -> Any:
        return None  # every thread has a request of its own

    def states(self, feeds: dict[str, Ids], session: Any = None) -> States:
        try:
            request = self._idle.pop()
        except IndexError:
            request = self._compiled.create_infer_request()
        try:
            request.infer(feeds)
            # What is given is the request's own memory, which the next batch writes to.
            states = np.array(request.get_output_tensor(self._output).data, np.float32)
        except RuntimeError as error:
            raise self._failed("OpenVINO", feeds, error) from error
        self._idle.append(request)
        return states


def _name(port: Any) -> str:
    """Ports can have several names; the ONNX file's own is then one that we know."""
    names = sorted(port.get_names())
    return next((name for name in names if name in (*INPUTS, *OUTPUTS)), names[0] if names else "")


def _cpu_flags() -> set[str]:
    """The instruction sets of this CPU; empty where the system does not list them."""
    if platform.system() != "Linux":
        return set()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return set()
    line = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return set(line.partition(":")[2].split())
