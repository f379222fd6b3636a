"""Append to a query log: whole lines, from any number of processes, within a size."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

from semsearch.querylog.record import Record
from semsearch.querylog.redaction import Redact
from semsearch.types import Result

log = logging.getLogger(__name__)

MAX_BYTES = 64_000_000
LEAST_BYTES = 4096
_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
_ATTEMPTS = 100
_LOCK_SECONDS = 1.0


def predecessor(path: Path) -> Path:
    """Where the older half of a log is."""
    return path.with_name(path.name + ".1")


class QueryLog:
    """A log of queries at a path, JSON Lines; see `Record` for the fields.

    Each `add` is one write to the end of the file, so lines of several processes never mix. A
    line that a crash or a full disk tore stays alone: the next one begins on a line of its own.

    At half of `max_bytes` the file is renamed to `<name>.1`, in place of the one before it: the
    two together stay within `max_bytes`, and what is kept is never less than half of it.

    A log that cannot be written says so once and never raises: answers matter more.
    """

    def __init__(
        self, path: str | Path, *, redact: Redact | None = None, max_bytes: int = MAX_BYTES
    ) -> None:
        """
        Args:
            path: the file, made when it is first written, for its owner's eyes only.
            redact: what may be kept of a query; None as its answer keeps nothing at all.
            max_bytes: of the log and its predecessor together.

        Raises:
            ValueError: max_bytes is too small to hold anything.
        """
        if max_bytes < LEAST_BYTES:
            raise ValueError(f"max_bytes must be at least {LEAST_BYTES}, not {max_bytes}")
        self.path = Path(path)
        self._redact = redact
        self._half = max_bytes // 2
        self._warned = False

    def add(self, results: Sequence[Result]) -> None:
        """Append the records of some results, in their order."""
        time = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        try:
            lines = [line for result in results for line in self._line(result, time)]
            for part in self._parts(lines):
                self._append(part)
        except OSError as error:
            self._warn(f"not written: {error.strerror or error}")
        else:
            self._warned = False

    def _line(self, result: Result, time: str) -> Iterator[bytes]:
        record = Record.of(result, time)
        if self._redact is not None:
            try:
                kept = self._redact(record.query)
            except Exception as error:  # the owner's code; what it did not pass must not be kept
                self._warn(f"a query is left out: its redaction failed with {error!r}")
                return
            if kept is None:
                return
            record = Record(
                kept, time, record.key, record.score, record.confidence, record.answered
            )
        line = record.to_line()
        if len(line) > self._half:
            self._warn(f"a query is left out: it is longer than {self._half} bytes")
            return
        yield line

    def _parts(self, lines: Sequence[bytes]) -> Iterator[bytes]:
        """Lines together, as many as fit into one file."""
        part = b""
        for line in lines:
            if part and len(part) + len(line) > self._half:
                yield part
                part = b""
            part += line
        if part:
            yield part

    def _append(self, data: bytes) -> None:
        """One write of whole lines.

        Raises:
            OSError: it cannot be done.
        """
        for _ in range(_ATTEMPTS):
            descriptor = os.open(self.path, _FLAGS, 0o600)
            try:
                status = os.fstat(descriptor)
                full = status.st_size > 0 and status.st_size + len(data) > self._half
                if not full:
                    torn = b"\n" if status.st_size and _last_byte(descriptor) != b"\n" else b""
                    written = os.write(descriptor, torn + data)
                    if written < len(torn + data):
                        raise OSError("the disk is full")
                    # Two rotations by others meanwhile, and it was written to a file that is gone.
                    if os.fstat(descriptor).st_nlink:
                        return
            finally:
                os.close(descriptor)
            if full:
                self._rotate(status.st_ino)
        raise OSError("other processes rotate it all the time")

    def _rotate(self, inode: int) -> None:
        """Make the file the predecessor, unless another process just did."""
        import filelock

        lock = filelock.FileLock(self.path.with_name(self.path.name + ".lock"), mode=0o600)
        try:
            with lock.acquire(timeout=_LOCK_SECONDS):
                if self.path.stat().st_ino == inode:
                    self.path.replace(predecessor(self.path))
        except filelock.Timeout:
            raise OSError("another process has been rotating it for a second") from None
        except FileNotFoundError:
            pass  # taken away meanwhile, as log rotation by others does

    def _warn(self, why: str) -> None:
        if not self._warned:
            self._warned = True
            log.warning("%s: %s.", self.path, why)


def _last_byte(descriptor: int) -> bytes:
    with suppress(OSError):  # a pipe has none
        os.lseek(descriptor, -1, os.SEEK_END)
        return os.read(descriptor, 1)
    return b"\n"
