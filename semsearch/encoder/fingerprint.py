"""What an encoder is: enough to tell whether two of them give the same vectors."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from semsearch.encoder import cache, safetensors
from semsearch.encoder.body import read_json
from semsearch.encoder.layout import Layout
from semsearch.encoder.tokens import bert_options, tokenizer_file
from semsearch.errors import EncoderError

# Says how a config was saved, or what the model hands out, not what it computes.
_NOISE = {
    "_name_or_path",
    "transformers_version",
    "torch_dtype",
    "dtype",
    "architectures",
    "output_hidden_states",
}

MADE_FROM = "made_from.json"
"""Beside an ONNX body that we saved: {"weights": the sha256 of the weights it was made from}."""

# Counts up when export.py writes other files, so that those of older releases are not used.
_EXPORT = 1


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Identity of an encoder. Equal fingerprints give equal vectors."""

    weights: str  # sha256 of the tensors of the body
    dtype: str  # what the weights are stored in: F32, F16, BF16
    tokenizer: str  # sha256 of the tokenizer and its options
    modules: str  # sha256 of the architecture, the pooling and everything behind it
    max_length: int
    prompts: tuple[tuple[str, str], ...]
    truncation: str = "head"

    @property
    def digest(self) -> str:
        """One sha256, hexadecimal, over all fields."""
        return _sha(self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        values = {**asdict(self), "prompts": dict(self.prompts)}
        if self.truncation == "head":  # as it was written when there was no other
            del values["truncation"]
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Fingerprint:
        """The inverse of to_dict.

        Raises:
            EncoderError: a field is missing.
        """
        try:
            return cls(
                weights=str(values["weights"]),
                dtype=str(values["dtype"]),
                tokenizer=str(values["tokenizer"]),
                modules=str(values["modules"]),
                max_length=int(values["max_length"]),
                prompts=_pairs(values["prompts"]),
                truncation=str(values.get("truncation", "head")),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise EncoderError(f"not the fingerprint of an encoder: {error!r}.") from error

    def differs_in(self, other: Fingerprint) -> tuple[str, ...]:
        """Names of the fields that are not equal."""
        mine, theirs = asdict(self), asdict(other)
        return tuple(name for name in mine if mine[name] != theirs[name])

    def same_but_precision(self, other: Fingerprint) -> bool:
        """Perhaps the same weights in another precision: only comparing vectors can tell."""
        return set(self.differs_in(other)) == {"weights", "dtype"}


def fingerprint(layout: Layout, tail: tuple[Any, ...]) -> Fingerprint:
    """The fingerprint of what was read from a directory, with this tail behind its pooling."""
    weights, dtype = weights_of(layout)
    return Fingerprint(
        weights=weights,
        dtype=dtype,
        tokenizer=_tokenizer_of(layout),
        modules=_sha(
            [
                architecture(layout),
                [layout.pooling.modes, layout.pooling.include_prompt, *_layers(layout)],
                [module.describe() for module in tail],
                layout.unsupported,
            ]
        ),
        max_length=layout.max_length,
        prompts=_pairs(layout.prompts),
        truncation=layout.truncation.name,
    )


def weights_of(layout: Layout) -> tuple[str, str]:
    """sha256 and dtype of the body's weights; hashed once per file, then remembered."""
    paths = weight_files(layout)

    def compute() -> dict[str, Any]:
        if paths[0].suffix == ".onnx":
            return {"sha256": _file_sha(paths), "dtype": "ONNX"}
        sha, dtype = safetensors.digest(paths)
        return {"sha256": sha, "dtype": dtype}

    found = cache.remembered("weights", paths, compute)
    return str(found["sha256"]), str(found["dtype"])


def is_of(layout: Layout, model: Path) -> bool:
    """Whether an ONNX body was made from the weights of the layout, as far as it says so itself."""
    made_from = read_json(model.with_name(MADE_FROM)).get("weights")
    return made_from is None or made_from == weights_of(layout)[0]


def weight_files(layout: Layout) -> list[Path]:
    """The safetensors of the body, or its ONNX file where there are none.

    Raises:
        EncoderError: neither is there, or only pickled weights.
    """
    body = layout.body
    index = read_json(body / "model.safetensors.index.json").get("weight_map")
    if isinstance(index, dict) and index:
        paths = [body / Path(str(name)).name for name in sorted(set(index.values()))]
    elif (body / "model.safetensors").is_file():
        paths = [body / "model.safetensors"]
    else:
        paths = sorted(body.glob("*.safetensors")) or sorted(body.glob("onnx/model.onnx*"))
        paths = paths or sorted(layout.path.rglob("*.safetensors"))  # bodies of other kinds
    if not paths and (any(body.glob("*.bin")) or any(body.glob("*.pt"))):
        raise EncoderError(
            f"{body}: only pickled weights (.bin), which can run code when they are loaded. "
            "Convert them to safetensors first."
        )
    if not paths:
        raise EncoderError(f"{body}: no weights: neither model.safetensors nor onnx/model.onnx.")
    for path in paths:
        if not path.is_file():
            raise EncoderError(f"{path}: no such file, though the weights are listed there.")
    return paths


def architecture(layout: Layout) -> dict[str, Any]:
    """config.json without the lines that say how it was saved."""
    return {key: value for key, value in layout.model_config.items() if key not in _NOISE}


def onnx_key(layout: Layout) -> str:
    """The name under which the exported body is cached: one for each weighting of its layers."""
    parts = [_EXPORT, weights_of(layout)[0], architecture(layout), *_layers(layout)]
    return _sha(parts)[:40]


def _layers(layout: Layout) -> list[tuple[float, ...]]:
    return [layout.pooling.layers] if layout.pooling.layers else []


def _tokenizer_of(layout: Layout) -> str:
    path = tokenizer_file(layout.body)
    if path is None:
        return _sha([layout.tokenizer_config, layout.lower_case])

    def compute() -> dict[str, Any]:
        if path.suffix != ".json":
            return {"sha256": _file_sha([path])}
        content = read_json(path)
        # Set anew by every program that loads it; MiniLM's file says 128 where its limit is 256.
        content.pop("truncation", None)
        content.pop("padding", None)
        return {"sha256": _sha(content)}

    found = cache.remembered("tokenizer", [path], compute)
    return _sha([found["sha256"], bert_options(layout), layout.lower_case])


def _pairs(prompts: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((str(name), str(text)) for name, text in prompts.items()))


def _file_sha(paths: list[Path]) -> str:
    sha = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                sha.update(block)
    return sha.hexdigest()


def _sha(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
