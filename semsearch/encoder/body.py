"""What config.json says of a transformer body."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from semsearch.errors import EncoderError

UNLIMITED = 1 << 20
"""Tokens; for encoders that name no longest input."""

# What BERT, DistilBERT, GPT-2 and T5 call the number of their layers, and their width.
_LAYER_COUNTS = ("num_hidden_layers", "n_layers", "n_layer", "num_layers")
_WIDTHS = ("hidden_size", "dim", "n_embd", "d_model")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object, or {} where the file is missing."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise EncoderError(f"{path}: not a readable JSON file: {error}.") from error
    if not isinstance(value, dict):
        raise EncoderError(f"{path}: a JSON object was expected.")
    return value


def layer_count(model_config: Mapping[str, Any]) -> int:
    """The number of layers of a body; 0 where its config.json does not say it."""
    found = next((model_config[key] for key in _LAYER_COUNTS if key in model_config), 0)
    return found if isinstance(found, int) else 0


def width(config: Mapping[str, Any]) -> int:
    """The width of the body's token states."""
    found = next((config[key] for key in _WIDTHS if key in config), None)
    if not isinstance(found, int):
        raise EncoderError("config.json does not say how wide the states of the encoder are.")
    return found


def longest_input(config: Mapping[str, Any]) -> int:
    """The longest input for which the body has positions."""
    positions = config.get("max_position_embeddings", -1)
    if not isinstance(positions, int) or positions < 1:
        return UNLIMITED
    # RoBERTa and its kin count positions from the padding token on.
    offset = any(
        name in str(config.get("model_type")) for name in ("roberta", "camembert", "mpnet")
    )
    return positions - (int(config.get("pad_token_id") or 0) + 1 if offset else 0)
