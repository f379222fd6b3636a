"""How torch computes on a GPU: in which numbers, how much at a time, and what when memory runs out.

Attention is left to torch's fused kernels, which Transformers takes by itself (SDPA). Copies go
through pinned memory and are not waited for, so the next texts are cut into tokens meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from semsearch.errors import EncoderError
from semsearch.types import Embeddings, Ids

Begun: TypeAlias = Callable[[], Embeddings]
"""Waits for what was begun, and gives it."""

AHEAD = 2
"""Batches that a GPU may have before it when the next one is made."""

LEAST_BUDGET, MOST_BUDGET = 4096, 1 << 17
"""Tokens of a batch; more keep no GPU busier. Not measured."""

_SHARE = 0.5  # of the free memory
_WIDTHS = 64
"""Numbers by token and hidden unit that are there at a time: states, queries, keys, values, and the
inner layer, four times as wide, before and after its activation; twice over, for the allocator."""


def choose_precision(asked: str, device: str) -> str:
    """What linear layers and attention compute in, "float32", "bfloat16" or "float16".

    Raises:
        EncoderError: the device does not compute in that, or it is not worth it there.
    """
    if device == "cpu":
        if asked not in ("auto", "float32"):
            raise EncoderError(f"the torch runtime computes in float32, not in {asked}.")
        return "float32"
    if asked == "int8":
        raise EncoderError("the torch runtime computes in bfloat16 or float32, not in int8.")
    if asked == "float32":
        return asked
    import torch

    able = torch.cuda.get_device_capability()[0] >= 8  # before Ampere it is emulated, and slow
    if asked == "bfloat16" and not able:
        raise EncoderError("this GPU does not compute in bfloat16. Leave out --precision.")
    return "bfloat16" if able else "float16"


def compute_in(model: Any, precision: str) -> None:
    """Let the body of a SentenceTransformer compute in 16 bits, and all behind it in float32."""
    if precision == "float32":
        return
    import torch

    model[0].to(getattr(torch, precision))
    model[0].register_forward_hook(lambda _module, _inputs, output: _in_full(output))


def _in_full(features: Any) -> Any:
    import torch

    if isinstance(features, Mapping):
        return {name: _in_full(value) for name, value in features.items()}
    if isinstance(features, (list, tuple)):
        return type(features)(_in_full(value) for value in features)
    if isinstance(features, torch.Tensor) and features.is_floating_point():
        return features.float()
    return features


def budget_on(model: Any, precision: str) -> int:
    """Tokens of a batch that the free memory of the GPU holds."""
    import torch

    free, _ = torch.cuda.mem_get_info()
    config = getattr(getattr(model[0], "auto_model", None), "config", None)
    width = int(getattr(config, "hidden_size", 0) or 1024)
    return budget(free, width, 4 if precision == "float32" else 2)


def budget(free_bytes: int, width: int, number_bytes: int) -> int:
    """Tokens of a batch for a body of so many hidden units."""
    fits = int(_SHARE * free_bytes) // (_WIDTHS * width * number_bytes)
    return min(MOST_BUDGET, max(LEAST_BUDGET, fits))


def to_device(values: Mapping[str, Ids], device: Any) -> dict[str, Any]:
    """Arrays as tensors there; a GPU fetches them while others are made."""
    import torch

    tensors = {name: torch.from_numpy(value) for name, value in values.items()}
    if device.type != "cuda":
        return {name: tensor.to(device) for name, tensor in tensors.items()}
    return {
        name: tensor.pin_memory().to(device, non_blocking=True) for name, tensor in tensors.items()
    }


def from_device(embeddings: Any) -> Begun:
    """What fetches a tensor (n, d); it is on its way at once."""
    import torch

    if embeddings.device.type != "cuda":
        here = np.asarray(embeddings.float().cpu().numpy(), np.float32)
        return lambda: here
    host = torch.empty(embeddings.shape, dtype=torch.float32, pin_memory=True)
    host.copy_(embeddings.float(), non_blocking=True)
    arrived = torch.cuda.Event()
    arrived.record()

    def wait() -> Embeddings:
        arrived.synchronize()
        # A copy: pinned memory is scarce, and goes back.
        return np.array(host.numpy(), np.float32)

    return wait


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch failed for want of memory, of a GPU or of the machine."""
    import torch

    words = ("can't allocate memory", "out of memory", "ALLOC_FAILED")
    return isinstance(error, torch.OutOfMemoryError) or any(word in str(error) for word in words)


def free_cached(device: Any) -> None:
    """Give back what torch keeps for later, so that smaller pieces fit."""
    if device.type == "cuda":
        import torch

        torch.cuda.empty_cache()
