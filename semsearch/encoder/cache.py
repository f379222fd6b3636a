"""The user's cache: ONNX bodies exported once, and hashes of files that did not change."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from semsearch.errors import StorageError
from semsearch.files import atomic_write

_RACY_SECONDS = 2.0


def cache_dir() -> Path:
    """`$SEMSEARCH_CACHE`, else `semsearch` in the cache folder of this platform."""
    if chosen := os.environ.get("SEMSEARCH_CACHE"):
        return Path(chosen).expanduser()
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base).expanduser() / "semsearch"
    if sys.platform == "darwin":
        return Path("~/Library/Caches/semsearch").expanduser()
    if sys.platform == "win32" and (base := os.environ.get("LOCALAPPDATA")):
        return Path(base) / "semsearch"
    return Path("~/.cache/semsearch").expanduser()


def remembered(
    what: str, paths: Sequence[Path], compute: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """compute(), or what it gave the last time if no file of `paths` has changed since.

    Files are known by real path, size, modification time and inode. A cache that cannot be
    written, or holds nonsense, costs only time.
    """
    stats = [(os.path.realpath(path), path.stat()) for path in paths]
    known = [(path, stat.st_size, stat.st_mtime_ns, stat.st_ino) for path, stat in stats]
    key = hashlib.sha256(json.dumps([what, known]).encode()).hexdigest()[:32]
    entry = cache_dir() / "hashes" / f"{key}.json"
    with contextlib.suppress(OSError, ValueError):
        value = json.loads(entry.read_text(encoding="utf-8"))
        if isinstance(value, dict):
            return value
    value = compute()
    # A file written this moment may be written again within the clock's grain: do not trust it.
    if all(time.time() - stat.st_mtime > _RACY_SECONDS for _, stat in stats):
        with contextlib.suppress(OSError, StorageError):
            entry.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(entry) as file:
                file.write(json.dumps(value).encode())
    return value
