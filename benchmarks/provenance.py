"""What every result file says of itself, and where it goes."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
PACKAGES = ("semsearch", "numpy", "onnxruntime", "faiss-cpu", "torch", "sentence-transformers")


def data_dir() -> Path:
    """The shared data: SEMSEARCH_DATA, or ../shared/data beside the checkout."""
    return Path(os.environ.get("SEMSEARCH_DATA", HERE.parent.parent / "shared" / "data"))


def checksum(path: Path) -> str:
    """First 16 hex digits of a file's SHA-256."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def write(name: str, result: dict[str, Any], data: list[Path] | None = None, seed: int = 0) -> Path:
    """Write results/<name>.json with provenance beside the result."""
    root = data_dir()
    record = {
        "provenance": {
            "commit": _git("rev-parse", "--short", "HEAD"),
            "dirty": bool(_git("status", "--porcelain", "--", "semsearch")),
            "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
            "python": platform.python_version(),
            "versions": {name: _version(name) for name in PACKAGES},
            "cpu": _cpu(),
            "cores": os.cpu_count(),
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


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(HERE), *arguments], capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _cpu() -> str:
    path = Path("/proc/cpuinfo")
    if path.exists():
        for line in path.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()
