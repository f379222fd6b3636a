"""From token states to one embedding per text, in NumPy, as sentence-transformers does it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from semsearch.types import Embeddings

States: TypeAlias = NDArray[np.float32]
Mask: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Pooling:
    """Which token states make the embedding; several modes are concatenated.

    Where there are `layers`, the token states are the average of the body's hidden states with
    these weights, which add up to 1: the first is that of the embeddings, the last that of the
    last layer. The runtimes give such states; what is done with them here is the same.
    """

    modes: tuple[str, ...]
    include_prompt: bool = True
    layers: tuple[float, ...] = ()  # () takes the output of the last layer

    @classmethod
    def named(cls, name: str, n_layers: int, include_prompt: bool = True) -> Pooling:
        """One of MODES, or one of WIDE over a body of at least as many layers as it takes."""
        if name in MODES:
            return cls((name,), include_prompt)
        weights = np.zeros(n_layers + 1, np.float32)
        weights[list(WIDE[name])] = 1
        return cls(("mean",), include_prompt, shares(weights))

    @property
    def counted(self) -> tuple[int, tuple[float, ...]]:
        """The first of the layers that counts, and the weights from it on."""
        start = next((i for i, weight in enumerate(self.layers) if weight), 0)
        return start, self.layers[start:]

    @property
    def learnt(self) -> bool:
        """Whether the weights of its layers are for training to find."""
        name = str(self)
        return bool(self.layers) and (name == LEARNT or name not in WIDE)

    def __str__(self) -> str:
        modes = "+".join(self.modes)
        if not self.layers:
            return modes
        n_layers = len(self.layers) - 1
        for name, chosen in WIDE.items():
            if n_layers < len(chosen) or self.modes != ("mean",):
                continue
            same = self.layers == Pooling.named(name, n_layers).layers
            if same or (name == LEARNT and not any(self.layers[:-4]) and all(self.layers[-4:])):
                return name
        return f"{modes} of weighted layers"

    def __call__(self, states: States, mask: Mask, prompt_length: int = 0) -> Embeddings:
        """states (n, tokens, d) and mask (n, tokens), padded on the right, to (n, modes * d)."""
        if prompt_length and not self.include_prompt:
            seen = mask.copy()
            seen[:, :prompt_length] = 0
        else:
            seen = mask
        parts = [MODES[mode](states, seen) for mode in self.modes]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def _cls(states: States, mask: Mask) -> Embeddings:
    first: Embeddings = states[np.arange(len(states)), mask.argmax(axis=1)]
    return first


def _last(states: States, mask: Mask) -> Embeddings:
    last = mask.shape[1] - 1 - mask[:, ::-1].argmax(axis=1)
    return np.where(mask.any(axis=1, keepdims=True), states[np.arange(len(states)), last], 0)


def _max(states: States, mask: Mask) -> Embeddings:
    largest: Embeddings = np.where(mask[:, :, None] > 0, states, np.float32(-np.inf)).max(axis=1)
    return largest


def _weighted(states: States, weights: NDArray[np.float32]) -> Embeddings:
    # One (1, tokens) @ (tokens, d) product per text: no masked copy of the states.
    total: Embeddings = np.matmul(weights[:, None, :], states)[:, 0]
    return total


def _sum(states: States, mask: Mask) -> tuple[Embeddings, NDArray[np.float32]]:
    weights = mask.astype(np.float32)
    return _weighted(states, weights), _positive(weights.sum(axis=1, keepdims=True))


def _mean(states: States, mask: Mask) -> Embeddings:
    total, count = _sum(states, mask)
    return total / count


def _mean_sqrt_len(states: States, mask: Mask) -> Embeddings:
    total, count = _sum(states, mask)
    return np.asarray(total / np.sqrt(count), np.float32)


def _weighted_mean(states: States, mask: Mask) -> Embeddings:
    weights = (mask * np.arange(1, mask.shape[1] + 1)).astype(np.float32)
    return _weighted(states, weights) / _positive(weights.sum(axis=1, keepdims=True))


def _positive(x: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(np.maximum(x, 1e-9), np.float32)


MODES: Mapping[str, Callable[[States, Mask], Embeddings]] = {
    "cls": _cls,
    "max": _max,
    "mean": _mean,
    "mean_sqrt_len_tokens": _mean_sqrt_len,
    "weightedmean": _weighted_mean,
    "lasttoken": _last,
}
"""The modes by their sentence-transformers names, in its order of concatenation."""

LEARNT = "weighted-last-4"
"""The one of WIDE whose weights are trained: they are equal only until then."""

WIDE: Mapping[str, tuple[int, ...]] = {
    "first-last-avg": (1, -1),
    "last-2-avg": (-2, -1),
    LEARNT: (-4, -3, -2, -1),
}
"""Mean pooling of several layers: the hidden states that are averaged first, then over tokens.

They are numbered as in Transformers: 0 is the output of the embeddings, 1 that of the first
layer. first-last-avg is that of BERT-flow (Li et al. 2020, arXiv:2011.05864) and BERT-whitening
(Su et al. 2021, arXiv:2103.15316, whose code takes the first and the last feed-forward output).
SimCSE's avg_first_last was another one, with 0 for 1, until it was corrected in January 2022
(https://github.com/princeton-nlp/SimCSE/issues/133); code that copied it often still is.
"""


def shares(weights: Sequence[float] | NDArray[np.float32]) -> tuple[float, ...]:
    """Weights of layers, brought to a sum of 1 and float32 precision.

    Raises:
        ValueError: they add up to nothing, or to no number.
    """
    values = np.asarray(weights, np.float64)
    total = float(values.sum())
    if not np.isfinite(total) or abs(total) <= 1e-6 * float(np.abs(values).max(initial=0.0)):
        raise ValueError(f"layer weights that add up to {total:g}")
    # Those that were brought there before stay as they are to the last bit.
    scale = 1.0 if abs(total - 1) < 1e-6 else total
    return tuple((values / scale).astype(np.float32).tolist())
