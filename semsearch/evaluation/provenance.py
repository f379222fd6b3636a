"""What a figure was measured with, so that somebody else can measure it again."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

import semsearch
from semsearch.encoder import Encoder

PACKAGES = ("numpy", "scikit-learn", "onnxruntime", "tokenizers", "torch", "sentence-transformers")


def collect(packages: Sequence[str] = PACKAGES) -> dict[str, Any]:
    """Commit, versions, processor and time; JSON-ready, without names of machine or user."""
    return {
        "semsearch": semsearch.__version__,
        "commit": commit(),
        "python": platform.python_version(),
        "versions": {name: found for name in packages if (found := _version(name))},
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu": cpu(),
        "cpu_count": os.cpu_count(),
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def describe(encoder: Encoder) -> dict[str, Any]:
    """What an encoder is; equal fingerprints give equal vectors."""
    return {
        "source": encoder.source,
        "fingerprint": encoder.fingerprint.digest,
        "dim": encoder.dim,
        "pooling": encoder.pooling,
        "max_length": encoder.max_length,
        "truncate": encoder.truncate,
        "runtime": encoder.runtime,
        "precision": encoder.precision,
    }


def commit() -> str | None:
    """The commit of the checkout that runs, with "-dirty" where files differ; None elsewhere."""
    root = Path(semsearch.__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return None
    with suppress(OSError, subprocess.SubprocessError):
        head = _git(root, "rev-parse", "HEAD")
        return head + ("-dirty" if _git(root, "status", "--porcelain", "-uno") else "")
    return None


def cpu() -> str:
    """The processor's name."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True, timeout=10
    )
    return done.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
