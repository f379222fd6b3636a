"""Changed copies of encoder directories."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any


def copy_of(path: Path, to: Path, **files: dict[str, Any] | None) -> Path:
    """A copy where JSON files have other values; `name__json={...}` updates, None deletes."""
    shutil.copytree(path, to)
    for name, values in files.items():
        file = to / name.replace("__", ".")
        if values is None:
            file.unlink()
        else:
            edit(file, **values)
    return to


def edit(file: Path, **values: Any) -> None:
    """Update a JSON object in place; a missing file counts as {}."""
    old = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    file.write_text(json.dumps({**old, **values}), encoding="utf-8")


def add_module(path: Path, name: str, kind: str, config: dict[str, Any], **tensors: Any) -> None:
    """Put a module at the end of modules.json, with weights where there are some."""
    from safetensors.numpy import save_file

    entries = json.loads((path / "modules.json").read_text())
    entries.append({"idx": len(entries), "name": name, "path": name, "type": kind})
    (path / "modules.json").write_text(json.dumps(entries))
    (path / name).mkdir()
    (path / name / "config.json").write_text(json.dumps(config))
    if tensors:
        renamed = {key.replace("__", "."): value for key, value in tensors.items()}
        save_file(renamed, path / name / "model.safetensors")


def drop_last_module(path: Path) -> None:
    entries = json.loads((path / "modules.json").read_text())
    (path / "modules.json").write_text(json.dumps(entries[:-1]))
