"""What the machine computes with when it trains; imports torch when asked."""

from __future__ import annotations

from pathlib import Path

from semsearch.errors import EncoderError
from semsearch.training.settings import Precision

# What processors call their bfloat16 instructions: without them it is slower than float32.
_BFLOAT16_FLAGS = ("avx512_bf16", "amx_bf16", "bf16")


def choose_device(asked: str) -> str:
    """ "cpu" or "cuda".

    Raises:
        EncoderError: a GPU is asked for and torch sees none.
    """
    import torch

    if asked not in ("auto", "cpu", "cuda"):
        raise EncoderError(f"unknown device {asked!r}. Choose from: auto, cpu, cuda.")
    there = torch.cuda.is_available()
    if asked == "cuda" and not there:
        raise EncoderError("torch sees no GPU here. Use device cpu.")
    return "cuda" if there and asked != "cpu" else "cpu"


def choose_precision(asked: Precision, device: str) -> Precision:
    """ "float32", "bfloat16" or "float16": what matrix products are computed in.

    Raises:
        EncoderError: the device does not do it.
    """
    import torch

    if device == "cpu":
        if asked == "float16":
            raise EncoderError("a CPU does not train in float16. Use bfloat16 or float32.")
        if asked == "auto":
            return "bfloat16" if _cpu_has_bfloat16() else "float32"
        return asked
    if asked == "bfloat16" and not torch.cuda.is_bf16_supported():
        raise EncoderError("this GPU does not compute in bfloat16. Use float16.")
    if asked == "auto":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float16"
    return asked


def _cpu_has_bfloat16() -> bool:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as file:
            flags = next((line for line in file if line.startswith(("flags", "Features"))), "")
    except OSError:
        return False
    return not set(_BFLOAT16_FLAGS).isdisjoint(flags.split())


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether torch raised it because memory ran out."""
    import torch

    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
