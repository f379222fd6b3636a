"""Read what a sentence-transformers directory, or a plain Transformers one, says about itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from semsearch.encoder.body import UNLIMITED, read_json
from semsearch.encoder.entries import (
    inside,
    plain_pooling,
    read_entries,
    read_modules,
    unsupported_body,
)
from semsearch.encoder.layout import Layout
from semsearch.encoder.modules import Normalize
from semsearch.encoder.pooling import Pooling
from semsearch.encoder.truncation import Truncation
from semsearch.errors import EncoderError

CONFIG = "config_sentence_transformers.json"

# Of our own in CONFIG: {"truncate": NAME}. Plain sentence-transformers leaves it unread, and reads
# only the head of a text where a tokenizer cannot do what is named there.
OWN_KEY = "semsearch"

_BODY_OPTIONS = (
    "sentence_bert_config.json",
    "sentence_roberta_config.json",
    "sentence_distilbert_config.json",
    "sentence_camembert_config.json",
    "sentence_albert_config.json",
    "sentence_xlm-roberta_config.json",
    "sentence_xlnet_config.json",
)


def read_layout(
    path: Path,
    *,
    pooling: str | None = None,
    max_length: int | None = None,
    truncate: str | None = None,
    trust_remote_code: bool = False,
) -> Layout:
    """Read the JSON files and the small modules of an encoder directory.

    Raises:
        EncoderError: no encoder there, files that make no sense, custom code without
            `trust_remote_code`, or a pooling, max_length or truncation that it cannot have.
    """
    entries = read_entries(path, trust_remote_code)
    plain = not (path / "modules.json").is_file()
    body = inside(path, entries[0])
    # Without modules.json sentence-transformers reads none of its own files.
    options = {} if plain else _first_json(body, _BODY_OPTIONS)
    own_config = {} if plain else read_json(path / CONFIG)
    model_config = read_json(body / "config.json")
    tokenizer_config = read_json(body / "tokenizer_config.json")
    pooling_module, tail, unsupported = read_modules(path, entries, options, model_config)
    odd = unsupported_body(entries[0], options, model_config, body)
    if tail and isinstance(tail[-1], Normalize):
        tail = tail[:-1]
    layout = Layout(
        path=path,
        body=body,
        model_config=model_config,
        tokenizer_config=tokenizer_config,
        max_length=_max_length(options, tokenizer_config, model_config),
        lower_case=bool(options.get("do_lower_case", False)),
        pooling=plain_pooling(model_config) if plain else pooling_module or Pooling(("none",)),
        tail=tuple(tail),
        prompts=_prompts(own_config),
        modules=tuple(entries),
        truncation=_truncation(path, own_config, tokenizer_config),
        plain=plain,
        odd_body=bool(odd),
        unsupported=(*odd, *unsupported),
    )
    return layout.choosing(pooling=pooling, max_length=max_length, truncate=truncate)


def _first_json(folder: Path, names: tuple[str, ...]) -> dict[str, Any]:
    return next((value for name in names if (value := read_json(folder / name))), {})


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


def _truncation(
    path: Path, config: Mapping[str, Any], tokenizer_config: Mapping[str, Any]
) -> Truncation:
    own = config.get(OWN_KEY)
    name = own.get("truncate") if isinstance(own, dict) else None
    if name is None:
        return Truncation("tail" if tokenizer_config.get("truncation_side") == "left" else "head")
    try:
        return Truncation.named(str(name))
    except ValueError as error:
        raise EncoderError(f"{path / CONFIG}: {error}") from error


def _prompts(config: Mapping[str, Any]) -> dict[str, str]:
    """The text that is put before every query, and before every document."""
    prompts = config.get("prompts") or {}
    default = prompts.get(config.get("default_prompt_name") or "")
    found = {}
    for kind, names in (("query", ("query",)), ("document", ("document", "passage", "corpus"))):
        named = next((prompts[name] for name in names if name in prompts), default)
        found[kind] = str(named or "")
    return found
