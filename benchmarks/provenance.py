"""What every result file says of itself, and where it goes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from semsearch.evaluation.provenance import collect

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
PACKAGES = (
    "numpy",
    "onnxruntime",
    "openvino",
    "faiss-cpu",
    "faiss-gpu",
    "faiss-gpu-cuvs",
    "torch",
    "sentence-transformers",
    "transformers",
)


def data_dir() -> Path:
    """The shared data: SEMSEARCH_DATA, or ../shared/data beside the checkout."""
    return Path(os.environ.get("SEMSEARCH_DATA", HERE.parent.parent / "shared" / "data"))


def environment(**more: str) -> dict[str, str]:
    """For processes that are measured: Python keeps what it compiled, as pip does at installing."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | more


def checksum(path: Path) -> str:
    """First 16 hex digits of a file's SHA-256."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def read(name: str) -> dict[str, Any]:
    """What results/<name>.json holds; nothing where there is none."""
    path = RESULTS / f"{name}.json"
    return dict(json.loads(path.read_text("utf-8"))) if path.exists() else {}


def merged(
    kept: Sequence[dict[str, Any]], rows: Sequence[dict[str, Any]], names: Sequence[str]
) -> list[dict[str, Any]]:
    """The rows that were kept, with new ones in place of those that agree with them in `names`."""
    found = {tuple(row[name] for name in names): row for row in [*kept, *rows]}
    return list(found.values())


def write(name: str, result: dict[str, Any], data: list[Path] | None = None, seed: int = 0) -> Path:
    """Write results/<name>.json with provenance beside the result."""
    root = data_dir()
    record = {
        "provenance": {
            **collect(PACKAGES),
            "seed": seed,
            "data": {str(path.relative_to(root)): checksum(path) for path in data or []},
        },
        **result,
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def table(columns: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])
