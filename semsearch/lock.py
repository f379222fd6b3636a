"""One writer at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from semsearch.errors import IndexBusyError
from semsearch.files import storage_error

FILE = "write.lock"


@contextmanager
def write_lock(directory: Path, wait_seconds: float = 0.0) -> Iterator[None]:
    """Hold the right to write to the index in `directory`, which is made where it is missing.

    The operating system frees the lock when the process ends, however it ends.

    Args:
        wait_seconds: how long to wait for another writer; negative waits for ever.

    Raises:
        IndexBusyError: another process writes, and still did when the time was over.
        StorageError: the directory cannot be written.
    """
    import filelock

    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(directory / FILE, timeout=wait_seconds)
        lock.acquire()
    except filelock.Timeout as error:
        raise IndexBusyError(
            f"{directory}: another process is writing to this index. Wait for it to end, or pass "
            "--wait SECONDS."
        ) from error
    except OSError as error:
        raise storage_error(directory, error) from error
    try:
        yield
    finally:
        lock.release()
