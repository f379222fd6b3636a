"""The dropout of a body, which is what SimCSE makes its two views with."""

from __future__ import annotations

from typing import Any

# What attention modules that keep a rate instead of a torch.nn.Dropout call it.
_RATES = ("attention_dropout", "dropout_prob", "attn_dropout", "dropout_p")


def set_dropout(model: Any, rate: float) -> None:
    """Let every dropout of a torch module drop a share `rate`; its saved settings stay."""
    import torch

    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = rate
        for name in _RATES:
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, rate)


def largest_dropout(model: Any) -> float:
    """The highest rate of the dropouts of a torch module; 0 where it has none."""
    import torch

    rates = [module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)]
    return float(max(rates, default=0.0))
