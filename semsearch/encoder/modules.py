"""The modules that may follow pooling, in NumPy: Dense, LayerNorm and Normalize."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semsearch.encoder import safetensors
from semsearch.errors import EncoderError
from semsearch.types import Embeddings, Vectors

_Array = NDArray[np.float32]

_ON_ONE_THREAD = 1 << 18
"""Multiplications up to which OpenBLAS does a product on one thread."""
_ROWS = 32


def _gelu(x: Embeddings) -> Embeddings:
    from scipy.special import erf  # type: ignore[import-untyped]

    return np.asarray(0.5 * x * (1 + erf(x / np.sqrt(2))), dtype=np.float32)


def _sigmoid(x: Embeddings) -> Embeddings:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)), dtype=np.float32)


ACTIVATIONS: Mapping[str, Callable[[Embeddings], Embeddings]] = {
    "Identity": lambda x: x,
    "Tanh": np.tanh,
    "ReLU": lambda x: np.maximum(x, np.float32(0)),
    "GELU": _gelu,
    "Sigmoid": _sigmoid,
    "SiLU": lambda x: x * _sigmoid(x),
}
"""By the class name in torch.nn."""


def _product(x: Embeddings, weight: _Array) -> Embeddings:
    """x @ weight.T, on this thread alone.

    OpenBLAS shares larger products among threads that then wait busily for more, on the cores
    that the next batch of the encoder needs: a small int8 encoder gave 1.4 in place of 3.2 times
    the texts per second of MiniLM, on two cores.
    """
    y = np.empty((len(x), len(weight)), np.float32)
    width = max(1, _ON_ONE_THREAD // (_ROWS * weight.shape[1]))
    for top in range(0, len(x), _ROWS):
        rows = slice(top, top + _ROWS)
        for left in range(0, len(weight), width):
            y[rows, left : left + width] = x[rows] @ weight[left : left + width].T
    return y


@dataclass(frozen=True, slots=True, eq=False)
class Dense:
    """activation(x @ weight.T + bias), plus x itself if residual; a whitening is one of these."""

    weight: _Array  # (dim, d)
    bias: _Array | None = None  # (dim,)
    activation: str = "Identity"
    residual: _Array | bool = False  # (dim, d) where dim != d

    @property
    def dim(self) -> int:
        return len(self.weight)

    def __call__(self, x: Embeddings) -> Embeddings:
        y: Embeddings = _product(x, self.weight)
        if self.bias is not None:
            y = y + self.bias
        y = ACTIVATIONS[self.activation](y)
        if self.residual is not False:
            y = y + (x if self.residual is True else _product(x, np.asarray(self.residual)))
        return y

    def describe(self) -> list[Any]:
        return ["dense", self.activation, _sha(self.weight), _sha(self.bias), _sha(self.residual)]


@dataclass(frozen=True, slots=True, eq=False)
class LayerNorm:
    """As torch.nn.LayerNorm over the last axis."""

    weight: _Array  # (d,)
    bias: _Array  # (d,)

    @property
    def dim(self) -> int:
        return len(self.weight)

    def __call__(self, x: Embeddings) -> Embeddings:
        centred = x - x.mean(axis=1, keepdims=True)
        variance = (centred**2).mean(axis=1, keepdims=True)
        y: Embeddings = centred / np.sqrt(variance + np.float32(1e-5)) * self.weight + self.bias
        return y

    def describe(self) -> list[Any]:
        return ["layer_norm", _sha(self.weight), _sha(self.bias)]


@dataclass(frozen=True, slots=True)
class Normalize:
    """To unit length; a row of zeros stays as it is."""

    def __call__(self, x: Embeddings) -> Vectors:
        norms = np.linalg.norm(x.astype(np.float64), axis=1, keepdims=True)
        return np.asarray(x / np.maximum(norms, 1e-12), np.float32)

    def describe(self) -> list[Any]:
        return ["normalize"]


Module = Dense | LayerNorm | Normalize


def load(kind: str, folder: Path, config: Mapping[str, Any]) -> Module | str:
    """The module of a sentence-transformers folder, or why it cannot run in NumPy."""
    for key in ("module_input_name", "module_output_name"):
        if config.get(key) not in (None, "sentence_embedding"):
            return f"{kind} with {key} {config[key]!r}"
    if kind == "Normalize":
        return Normalize()
    function = str(config.get("activation_function", "torch.nn.Tanh"))
    activation = function.rsplit(".", 1)[-1]
    if kind == "Dense" and not (function.startswith("torch.") and activation in ACTIVATIONS):
        return f"Dense with the activation function {function}"
    tensors = safetensors.read(weights_file(folder))
    try:
        if kind == "LayerNorm":
            return LayerNorm(tensors["norm.weight"], tensors["norm.bias"])
        residual = bool(config.get("use_residual")) and tensors.get("residual.weight", True)
        return Dense(tensors["linear.weight"], tensors.get("linear.bias"), activation, residual)
    except KeyError as error:
        raise EncoderError(f"{folder}: the weights of {kind} lack the tensor {error}.") from error


def weights_file(folder: Path) -> Path:
    """model.safetensors of a folder; pickled weights are refused."""
    path = folder / "model.safetensors"
    if path.is_file():
        return path
    if any(folder.glob("*.bin")):
        raise EncoderError(
            f"{folder}: only pickled weights (.bin), which can run code when they are loaded. "
            "Convert them to safetensors first."
        )
    raise EncoderError(f"{path}: no such file.")


def _sha(array: _Array | bool | None) -> str | bool | None:
    if array is None or isinstance(array, bool):
        return array
    data = np.ascontiguousarray(array, "<f4")
    return hashlib.sha256(f"{data.shape}".encode() + data.tobytes()).hexdigest()
