"""Read what a sentence-transformers directory, or a plain Transformers one, says about itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from semsearch.encoder import modules, safetensors
from semsearch.encoder.modules import Module, Normalize
from semsearch.encoder.pooling import MODES, WIDE, Pooling, shares
from semsearch.errors import EncoderError

Kind = Literal["query", "document"]

UNLIMITED = 1 << 20
"""Tokens; for encoders that name no longest input."""

_BODY_OPTIONS = (
    "sentence_bert_config.json",
    "sentence_roberta_config.json",
    "sentence_distilbert_config.json",
    "sentence_camembert_config.json",
    "sentence_albert_config.json",
    "sentence_xlm-roberta_config.json",
    "sentence_xlnet_config.json",
)
_LEGACY_MODES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
# What BERT, DistilBERT, GPT-2 and T5 call the number of their layers, and their width.
_LAYER_COUNTS = ("num_hidden_layers", "n_layers", "n_layer", "num_layers")
_WIDTHS = ("hidden_size", "dim", "n_embd", "d_model")
_PLAIN = (
    {"path": "", "type": "sentence_transformers.models.Transformer"},
    {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
)


@dataclass(frozen=True, slots=True)
class Layout:
    """An encoder directory as it was read; nothing heavy is loaded yet."""

    path: Path
    body: Path  # where the transformer, its tokenizer and their settings lie
    model_config: Mapping[str, Any]  # config.json
    tokenizer_config: Mapping[str, Any]
    max_length: int  # tokens, special ones included
    lower_case: bool
    pooling: Pooling
    tail: tuple[Module, ...]  # what follows pooling, a last Normalize left out
    prompts: Mapping[str, str]  # "query" and "document"
    modules: tuple[Mapping[str, Any], ...]  # modules.json, for saving
    plain: bool = False  # there is no modules.json
    unsupported: tuple[str, ...] = ()  # what keeps it from running without torch
    changed: frozenset[str] = frozenset()  # "pooling", "max_length": chosen by the caller


def read_layout(
    path: Path,
    *,
    pooling: str | None = None,
    max_length: int | None = None,
    trust_remote_code: bool = False,
) -> Layout:
    """Read the JSON files and the small modules of an encoder directory.

    Raises:
        EncoderError: no encoder there, files that make no sense, custom code without
            `trust_remote_code`, or a pooling or max_length that it cannot have.
    """
    entries = _modules(path, trust_remote_code)
    plain = not (path / "modules.json").is_file()
    body = _inside(path, entries[0])
    # Without modules.json sentence-transformers reads none of its own files.
    options = {} if plain else _first_json(body, _BODY_OPTIONS)
    own_config = {} if plain else read_json(path / "config_sentence_transformers.json")
    model_config = read_json(body / "config.json")
    tokenizer_config = read_json(body / "tokenizer_config.json")
    pooling_module, tail, unsupported = _read_modules(path, entries, options, model_config)
    unsupported = [*_unsupported_body(entries[0], options, model_config, body), *unsupported]
    if tail and isinstance(tail[-1], Normalize):
        tail = tail[:-1]
    layout = Layout(
        path=path,
        body=body,
        model_config=model_config,
        tokenizer_config=tokenizer_config,
        max_length=_max_length(options, tokenizer_config, model_config),
        lower_case=bool(options.get("do_lower_case", False)),
        pooling=_plain_pooling(model_config) if plain else pooling_module or Pooling(("none",)),
        tail=tuple(tail),
        prompts=_prompts(own_config),
        modules=tuple(entries),
        plain=plain,
        unsupported=tuple(unsupported),
    )
    return _with_choices(layout, pooling, max_length)


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


def module_kind(entry: Mapping[str, Any]) -> str:
    """`Pooling` for any release's path to that class."""
    return str(entry["type"]).rsplit(".", 1)[-1]


def _modules(path: Path, trust_remote_code: bool) -> list[Mapping[str, Any]]:
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


def _inside(path: Path, entry: Mapping[str, Any]) -> Path:
    relative = PurePosixPath(str(entry["path"]))
    if relative.is_absolute() or ".." in relative.parts or "\\" in str(relative):
        raise EncoderError(f"{path}: modules.json points outside the directory: {relative}.")
    return path / relative


def _first_json(folder: Path, names: tuple[str, ...]) -> dict[str, Any]:
    return next((value for name in names if (value := read_json(folder / name))), {})


def _read_modules(
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
        kind, folder = module_kind(entry), _inside(path, entry)
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


def _plain_pooling(config: Mapping[str, Any]) -> Pooling:
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
    start, n_layers = config.get("layer_start", 4), _n_layers(model_config)
    fits = isinstance(start, int) and 0 <= start <= n_layers
    if weights is None or not fits or weights.shape != (n_layers + 1 - start,):
        raise EncoderError(f"{folder}: its layer weights do not fit a body of {n_layers} layers.")
    try:
        return (0.0,) * int(start) + shares(weights)
    except ValueError as error:
        raise EncoderError(f"{folder}: has {error}.") from error


def _n_layers(model_config: Mapping[str, Any]) -> int:
    """The number of layers of a body; 0 where its config.json does not say it."""
    found = next((model_config[key] for key in _LAYER_COUNTS if key in model_config), 0)
    return found if isinstance(found, int) else 0


def _unsupported_body(
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


def _max_length(
    options: Mapping[str, Any], tokenizer: Mapping[str, Any], model: Mapping[str, Any]
) -> int:
    """As sentence-transformers resolves it: its own setting, else tokenizer and positions."""
    own = options.get("max_seq_length")
    if own is None:
        own = tokenizer.get("model_max_length") or UNLIMITED
        positions = model.get("max_position_embeddings", -1)
        if isinstance(positions, int) and positions != -1:
            own = min(own, positions)
    if not isinstance(own, (int, float)) or own < 1:
        raise EncoderError(f"the encoder's longest input makes no sense: {own!r} tokens.")
    return int(min(own, UNLIMITED))


def _prompts(config: Mapping[str, Any]) -> dict[str, str]:
    """The text that is put before every query, and before every document."""
    prompts = config.get("prompts") or {}
    default = prompts.get(config.get("default_prompt_name") or "")
    found = {}
    for kind, names in (("query", ("query",)), ("document", ("document", "passage", "corpus"))):
        named = next((prompts[name] for name in names if name in prompts), default)
        found[kind] = str(named or "")
    return found


def _with_choices(layout: Layout, pooling: str | None, max_length: int | None) -> Layout:
    if pooling is not None:
        if pooling not in MODES and pooling not in WIDE:
            names = ", ".join([*MODES, *WIDE])
            raise EncoderError(f"unknown pooling {pooling!r}. Choose from: {names}.")
        if layout.pooling.modes == ("none",):
            raise EncoderError(f"{layout.path}: has no pooling that could be {pooling}.")
        n_layers = _n_layers(layout.model_config)
        if pooling in WIDE and n_layers < 2:
            raise EncoderError(
                f"{layout.path}: pooling {pooling} averages two layers, and config.json names "
                f"{n_layers or 'none'}."
            )
        chosen = Pooling.named(pooling, n_layers, layout.pooling.include_prompt)
        if layout.tail and len(chosen.modes) != len(layout.pooling.modes):
            raise EncoderError(
                f"{layout.path}: what follows its pooling {layout.pooling} does not fit {pooling}."
            )
        if chosen != layout.pooling:
            layout = replace(layout, pooling=chosen, changed=layout.changed | {"pooling"})
    if max_length is not None:
        longest = longest_input(layout.model_config)
        if not 3 <= max_length <= longest:
            raise EncoderError(
                f"max_length {max_length}: {layout.path} takes 3 to {longest} tokens, special "
                "ones included."
            )
        if max_length != layout.max_length:
            layout = replace(layout, max_length=max_length, changed=layout.changed | {"max_length"})
    return layout


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
