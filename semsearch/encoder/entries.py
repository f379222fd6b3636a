"""What modules.json lists, and the modules that lie in its folders."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from semsearch.encoder import modules, safetensors
from semsearch.encoder.body import layer_count, read_json
from semsearch.encoder.modules import Module
from semsearch.encoder.pooling import MODES, Pooling, shares
from semsearch.errors import EncoderError

_LEGACY_MODES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_PLAIN = (
    {"path": "", "type": "sentence_transformers.models.Transformer"},
    {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
)


def read_entries(path: Path, trust_remote_code: bool) -> list[Mapping[str, Any]]:
    file = path / "modules.json"
    if not file.is_file():
        if not (path / "config.json").is_file():
            raise EncoderError(
                f"{path}: no encoder: neither modules.json nor config.json is there."
            )
        return list(_PLAIN)
    try:
        entries = json.loads(file.read_text(encoding="utf-8"))
        kinds = [(module_kind(entry), str(entry["type"]), entry["path"]) for entry in entries]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EncoderError(f"{file}: not a list of modules: {error}.") from error
    if not kinds:
        raise EncoderError(f"{file}: the list of modules is empty.")
    for kind, full_name, _ in kinds:
        if not full_name.startswith("sentence_transformers.") and not trust_remote_code:
            raise EncoderError(
                f"{path}: the module {kind} is code of its own ({full_name}). If you trust "
                "its author, load it with trust_remote_code."
            )
    return list(entries)


def module_kind(entry: Mapping[str, Any]) -> str:
    """`Pooling` for any release's path to that class."""
    return str(entry["type"]).rsplit(".", 1)[-1]


def inside(path: Path, entry: Mapping[str, Any]) -> Path:
    relative = PurePosixPath(str(entry["path"]))
    if relative.is_absolute() or ".." in relative.parts or "\\" in str(relative):
        raise EncoderError(f"{path}: modules.json points outside the directory: {relative}.")
    return path / relative


def read_modules(
    path: Path,
    entries: list[Mapping[str, Any]],
    options: Mapping[str, Any],
    model_config: Mapping[str, Any],
) -> tuple[Pooling | None, list[Module], list[str]]:
    pooling: Pooling | None = None
    layers: tuple[float, ...] = ()
    tail: list[Module] = []
    unsupported: list[str] = []
    for entry in entries[1:]:
        kind, folder = module_kind(entry), inside(path, entry)
        config = read_json(folder / "config.json")
        if kind == "Pooling" and pooling is None and not tail:
            pooling = replace(_pooling(folder, config), layers=layers)
        elif kind == "WeightedLayerPooling" and pooling is None:
            if _gives_layers(options, model_config):
                layers = _layers(folder, config, model_config)
            else:
                unsupported.append(f"{kind} of a body without output_hidden_states")
        elif kind in ("Dense", "LayerNorm", "Normalize") and pooling is not None:
            module = modules.load(kind, folder, config)
            if isinstance(module, str):
                unsupported.append(module)
            else:
                tail.append(module)
        elif kind != "Dropout":  # does nothing when encoding
            unsupported.append(kind)
    if pooling is None and not unsupported:
        unsupported.append("no Pooling module")
    return pooling, tail, unsupported


def plain_pooling(config: Mapping[str, Any]) -> Pooling:
    """What sentence-transformers puts behind a model that says nothing about it."""
    names = config.get("architectures") or [""]
    causal = str(names[0]).endswith("ForCausalLM") and config.get("is_causal", True)
    return Pooling(("lasttoken" if causal else "mean",))


def _pooling(folder: Path, config: Mapping[str, Any]) -> Pooling:
    named = config.get("pooling_mode")
    if named is None:
        chosen = tuple(mode for key, mode in _LEGACY_MODES.items() if config.get(key))
    else:
        chosen = (named,) if isinstance(named, str) else tuple(named)
    for mode in chosen:
        if mode not in MODES:
            raise EncoderError(f"{folder}: unknown pooling mode {mode!r}.")
    return Pooling(chosen or ("mean",), bool(config.get("include_prompt", True)))


def _gives_layers(options: Mapping[str, Any], model_config: Mapping[str, Any]) -> bool:
    """Whether the layers come to a WeightedLayerPooling, which does nothing without them."""
    own = options.get("config_kwargs") or options.get("config_args") or {}
    return own.get("output_hidden_states", model_config.get("output_hidden_states")) is True


def _layers(
    folder: Path, config: Mapping[str, Any], model_config: Mapping[str, Any]
) -> tuple[float, ...]:
    """The weight of every hidden state of the body, as Pooling takes them."""
    weights = safetensors.read(modules.weights_file(folder)).get("layer_weights")
    start, n_layers = config.get("layer_start", 4), layer_count(model_config)
    fits = isinstance(start, int) and 0 <= start <= n_layers
    if weights is None or not fits or weights.shape != (n_layers + 1 - start,):
        raise EncoderError(f"{folder}: its layer weights do not fit a body of {n_layers} layers.")
    try:
        return (0.0,) * int(start) + shares(weights)
    except ValueError as error:
        raise EncoderError(f"{folder}: has {error}.") from error


def unsupported_body(
    entry: Mapping[str, Any],
    options: Mapping[str, Any],
    model_config: Mapping[str, Any],
    body: Path,
) -> list[str]:
    """What a transformer asks for that only sentence-transformers itself can do."""
    kind = module_kind(entry)
    if kind != "Transformer":
        return [kind]
    if not model_config:
        return ["a body without config.json"]
    found = [
        f"a Transformer with {key}"
        for key in (
            "processing_kwargs",
            "query_length",
            "document_length",
            "query_expansion",
        )
        if options.get(key)
    ]
    if options.get("transformer_task", "feature-extraction") != "feature-extraction":
        found.append(f"the task {options['transformer_task']}")
    text = options.get("modality_config", {}).get("text", {"method_output_name": None})
    if text["method_output_name"] not in (None, "last_hidden_state"):
        found.append(f"token states from {text['method_output_name']}")
    if "message" in options.get("modality_config", {}):
        found.append("a chat template")
    if (body / "adapter_config.json").is_file():
        found.append("a PEFT adapter")
    return found
