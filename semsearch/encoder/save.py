"""Write an encoder as a sentence-transformers directory, without torch."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from semsearch.encoder import safetensors
from semsearch.encoder.body import read_json, width
from semsearch.encoder.config import CONFIG, OWN_KEY
from semsearch.encoder.entries import module_kind
from semsearch.encoder.fingerprint import MADE_FROM, is_of, weight_files, weights_of
from semsearch.encoder.layout import Layout
from semsearch.encoder.modules import Dense
from semsearch.encoder.truncation import Truncation
from semsearch.errors import EncoderError
from semsearch.files import atomic_directory

# Everything else in an encoder's directory is pickled, for other frameworks, or not needed.
_KEPT = {".json", ".txt", ".model", ".safetensors", ".py", ".md"}
_TYPES = "sentence_transformers.models"


def save(
    layout: Layout,
    added: Sequence[Dense],
    path: Path,
    beside: Callable[[Path], None] | None = None,
) -> None:
    """Write the encoder with `added` modules to a new directory; all of it or nothing.

    Args:
        beside: writes more into the directory.

    Raises:
        EncoderError: something is at `path` already.
        StorageError: the disk refused.
    """
    refuse_existing(path)
    with atomic_directory(path) as folder:
        _write(layout, added, folder)
        if beside is not None:
            beside(folder)


def refuse_existing(path: Path) -> None:
    """An empty directory is as good as none.

    Raises:
        EncoderError: something is at `path` already.
    """
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise EncoderError(f"{path}: already there. Choose a new directory.")


def write_truncation(config: Path, name: str) -> None:
    """Note in config_sentence_transformers.json what no tokenizer can do."""
    values = read_json(config)
    values.pop(OWN_KEY, None)
    if not Truncation(name).on_one_side:
        values[OWN_KEY] = {"truncate": name}
    _write_json(config, values)


def _write(layout: Layout, added: Sequence[Dense], folder: Path) -> None:
    folder.mkdir()
    entries = [dict(entry) for entry in layout.modules]
    if module_kind(entries[-1]) == "Normalize":
        entries.pop()  # comes back behind what is added
    if "pooling" in layout.changed:
        entries = [entry for entry in entries if module_kind(entry) != "WeightedLayerPooling"]
    _copy_body(layout, folder / str(entries[0]["path"]))
    if layout.body != layout.path:
        _copy_files(layout.path, folder)
    for entry in entries[1:]:
        if entry["path"] and (layout.path / str(entry["path"])).is_dir():
            _copy_files(layout.path / str(entry["path"]), folder / str(entry["path"]))
    _write_choices(layout, entries, folder)
    if "pooling" in layout.changed:
        _write_layers(layout, entries, folder)
    for module in added:
        entries.append(_new_entry(folder, len(entries), "Dense"))
        _write_dense(module, folder / entries[-1]["path"])
    entries.append(_new_entry(folder, len(entries), "Normalize"))
    numbered = [{**entry, "idx": i, "name": _name(entry, i)} for i, entry in enumerate(entries)]
    _write_json(folder / "modules.json", numbered)
    config = folder / CONFIG
    if layout.plain or not config.is_file():
        _write_json(config, {"prompts": {}, "default_prompt_name": None})
    if "truncation" in layout.changed:
        write_truncation(config, layout.truncation.name)


def _new_entry(folder: Path, position: int, kind: str) -> dict[str, Any]:
    """The line of a module in modules.json, with a folder that no other module has."""
    number = next(n for n in count(position) if not (folder / f"{n}_{kind}").exists())
    (folder / f"{number}_{kind}").mkdir()
    return {"path": f"{number}_{kind}", "type": f"{_TYPES}.{kind}"}


def _name(entry: Mapping[str, Any], position: int) -> str:
    # Two modules of one name would be one to sentence-transformers: numbers follow the position.
    name = str(entry.get("name", position))
    return str(position) if name.isdigit() else name


def _copy_body(layout: Layout, folder: Path) -> None:
    weight_files(layout)  # raises where there are only pickled ones, which are not copied
    _copy_files(layout.body, folder)
    if layout.pooling.layers:  # it would be taken for the body of this encoder, and is not
        return
    onnx = layout.body / "onnx"
    if not (onnx / "model.onnx").is_file() or not is_of(layout, onnx / "model.onnx"):
        return
    (folder / "onnx").mkdir()
    for source in (onnx / "model.onnx", *onnx.glob("model.onnx?data")):
        shutil.copyfile(source, folder / "onnx" / source.name)
    # Whoever trains the body further in its place leaves an ONNX body that is no longer its own.
    _write_json(folder / "onnx" / MADE_FROM, {"weights": weights_of(layout)[0]})


def _copy_files(source: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for path in source.iterdir():
        if path.is_file() and path.suffix in _KEPT and path.name != "README.md":
            shutil.copyfile(path, folder / path.name)


def _write_choices(layout: Layout, entries: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """The pooling and the length that this encoder has, where the copied files say otherwise."""
    if layout.plain or "pooling" in layout.changed:
        entry = next(entry for entry in entries if module_kind(entry) == "Pooling")
        file = folder / str(entry["path"]) / "config.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        _write_json(file, _pooling_config(layout, read_json(file)))
    if layout.plain or "max_length" in layout.changed:
        file = folder / str(entries[0]["path"]) / "sentence_bert_config.json"
        old = {} if layout.plain else read_json(file)
        _write_json(file, {**old, "max_seq_length": layout.max_length})
    if "truncation" in layout.changed:
        file = folder / str(entries[0]["path"]) / "tokenizer_config.json"
        _write_json(file, {**read_json(file), "truncation_side": layout.truncation.side})


def _write_layers(layout: Layout, entries: list[dict[str, Any]], folder: Path) -> None:
    """Put a WeightedLayerPooling behind the body, and make the body give what it needs."""
    start, weights = layout.pooling.counted
    file = folder / str(entries[0]["path"]) / "config.json"
    config = read_json(file)
    if weights or config.get("output_hidden_states"):
        _write_json(file, {**config, "output_hidden_states": bool(weights)})
    if not weights:
        return
    entry = _new_entry(folder, 1, "WeightedLayerPooling")
    _write_json(
        folder / entry["path"] / "config.json",
        {
            "word_embedding_dimension": width(layout.model_config),
            "layer_start": start,
            "num_hidden_layers": len(layout.pooling.layers) - 1,
        },
    )
    tensors = {"layer_weights": np.array(weights, np.float32)}
    safetensors.write(folder / entry["path"] / "model.safetensors", tensors)
    entries.insert(1, entry)


def _pooling_config(layout: Layout, old: Mapping[str, Any]) -> dict[str, Any]:
    """In the form that every release of sentence-transformers reads."""
    modes = layout.pooling.modes
    known = old.get("word_embedding_dimension") or old.get("embedding_dimension")
    return {
        "word_embedding_dimension": known or width(layout.model_config),
        "pooling_mode_cls_token": "cls" in modes,
        "pooling_mode_mean_tokens": "mean" in modes,
        "pooling_mode_max_tokens": "max" in modes,
        "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens" in modes,
        "pooling_mode_weightedmean_tokens": "weightedmean" in modes,
        "pooling_mode_lasttoken": "lasttoken" in modes,
        "include_prompt": layout.pooling.include_prompt,
    }


def _write_dense(module: Dense, folder: Path) -> None:
    dim, d = module.weight.shape
    _write_json(
        folder / "config.json",
        {
            "in_features": d,
            "out_features": dim,
            "bias": module.bias is not None,
            "activation_function": "torch.nn.modules.linear.Identity",
        },
    )
    tensors = {"linear.weight": module.weight}
    if module.bias is not None:
        tensors["linear.bias"] = module.bias
    safetensors.write(folder / "model.safetensors", tensors)


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
