"""From token states to one embedding per text, in NumPy, as sentence-transformers does it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from semsearch.types import Embeddings

States: TypeAlias = NDArray[np.float32]
Mask: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Pooling:
    """Which token states make the embedding; several modes are concatenated."""

    modes: tuple[str, ...]
    include_prompt: bool = True

    def __str__(self) -> str:
        return "+".join(self.modes)

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
