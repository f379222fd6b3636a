"""Small file systems, where this machine lets us mount them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(path: Path, size_bytes: int) -> Iterator[Path]:
    """A file system of this size at `path`; skips the test where mounting is not allowed."""
    path.mkdir()
    done = _run("mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(path))
    if done.returncode:
        pytest.skip(f"cannot mount a small disk here: {done.stderr.strip()}")
    try:
        yield path
    finally:
        _run("umount", "-l", str(path))


def make_read_only(disk: Path) -> None:
    done = _run("mount", "-o", "remount,ro", str(disk))
    assert not done.returncode, done.stderr


def fill(disk: Path, left_bytes: int) -> Path:
    """Fill a disk but for so many bytes; give the file that does it."""
    filler = disk / "filler"
    free = _free(disk)
    with filler.open("wb") as file:
        file.write(bytes(max(0, free - left_bytes)))
    return filler


def _free(disk: Path) -> int:
    stat = os.statvfs(disk)
    return stat.f_bavail * stat.f_frsize


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True)
