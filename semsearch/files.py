"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from semsearch.errors import StorageError


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Write beside, fsync, rename: whoever opens `path` sees the old file or the whole new one.

    Raises:
        StorageError: the disk is full, or refuses; `path` is as it was.
    """
    beside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        try:
            with beside.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
        fsync_directory(path.parent)
    except OSError as error:
        raise storage_error(path, error) from error


def fsync_directory(path: Path) -> None:
    """Make a rename inside `path` survive a power cut."""
    if os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def storage_error(path: Path, error: OSError) -> StorageError:
    """What the file system said, with the file it said it of."""
    return StorageError(f"{path}: {error.strerror or error}. Check free space and permissions.")
