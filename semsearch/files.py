"""Files that appear whole or not at all."""

from __future__ import annotations

import atexit
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from semsearch.errors import StorageError


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Write beside, fsync, rename: whoever opens `path` sees the old file or the whole new one.

    Where `path` is a link, what it leads to is written.

    Raises:
        StorageError: the disk is full, or refuses, or `path` is a pipe or a device; it is as it
            was.
    """
    if path.is_symlink():
        path = path.resolve()
    if path.exists() and not path.is_file():
        kind = "a directory" if path.is_dir() else "no file that can be replaced"
        raise StorageError(f"{path}: is {kind}. Name another file.")
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        try:
            with beside.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
        fsync(path.parent)
    except OSError as error:
        raise storage_error(path, error) from error


@contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """Fill a directory beside, fsync, rename: `path` is not there, or whole.

    The block gets a path that does not exist yet. An empty directory at `path` is replaced.

    Raises:
        StorageError: the disk is full, or refuses; nothing is left behind.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as beside:
            folder = Path(beside) / path.name
            yield folder
            for written in [*folder.rglob("*"), folder]:
                fsync(written)
            if path.exists():  # empty
                path.rmdir()
            folder.rename(path)
        fsync(path.parent)
    except OSError as error:
        raise storage_error(path, error) from error


def folder_until_exit(prefix: str) -> Path:
    """A new folder that this process removes when it ends.

    Raises:
        OSError: there is no place for it.
    """
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def folder_size(folder: Path) -> int:
    """Bytes of all files in a folder and below."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def fsync(path: Path) -> None:
    """Make a file, or the names in a directory, survive a power cut."""
    with suppress(PermissionError):  # where directories cannot be opened, as on Windows
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def storage_error(path: Path, error: OSError) -> StorageError:
    """What the file system said, with the file it said it of."""
    return StorageError(f"{path}: {error.strerror or error}. Check free space and permissions.")
