"""Open the SQLite file of an index, and say in our own words what SQLite complains about."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from semsearch.errors import CorruptIndexError, IndexBusyError, StorageError

DATABASE = "questions.db"

# Readers never block on a writer in WAL mode; this covers the short moments of a checkpoint.
BUSY_TIMEOUT_MS = 30_000

# How SQLite words it; error codes come with Python 3.11 only.
_NOT_TEXT = ("could not decode to utf-8",)
_BUSY = ("locked", "busy")
_REFUSED = ("full", "i/o error", "unable to open", "readonly", "locking protocol", "memory")


@contextmanager
def sqlite_errors(path: Path) -> Iterator[None]:
    """Turn what sqlite3 raises into a SemsearchError that names the file and what to do."""
    try:
        yield
    except sqlite3.Error as error:
        if isinstance(error, sqlite3.ProgrammingError) and "closed" in str(error):
            raise ValueError(f"{path.parent}: the index was closed; open it again") from error
        if _is_because(_NOT_TEXT, error):
            # SQLite quotes all of the text, which is the owner's and may hold any word.
            raise CorruptIndexError(damaged(path, "text that is not UTF-8")) from error
        if _is_because(_BUSY, error):
            raise IndexBusyError(f"{path}: another process is writing. Try again.") from error
        if _is_because(_REFUSED, error):
            raise StorageError(f"{path}: {error}. Check free space and permissions.") from error
        raise CorruptIndexError(damaged(path, str(error))) from error
    except (UnicodeDecodeError, OverflowError) as error:
        # A flipped byte can turn stored text into bytes that are not UTF-8.
        raise CorruptIndexError(damaged(path, str(error))) from error


def _is_because(words: tuple[str, ...], error: sqlite3.Error) -> bool:
    text = str(error).lower()
    return isinstance(error, sqlite3.OperationalError) and any(word in text for word in words)


def damaged(path: Path, why: str) -> str:
    """The one message for a damaged file."""
    why = " ".join(why.split())  # SQLite quotes SQL over several lines
    return (
        f"{path}: the file is damaged ({why}). Restore it from a backup, or delete {path.parent} "
        "and build it again."
    )


def connect_reader(path: Path) -> tuple[sqlite3.Connection, bool]:
    """Open for reading only.

    Returns:
        The connection, and whether it is immutable: on a disk that is read-only or full, SQLite
        cannot keep its shared memory there, so the file is read as it is, without locks. The
        caller must then see to it that the file did not change under it.
    """
    # An absolute URI: a name may hold '?' or '#', and the working directory may change.
    uri = path.resolve().as_uri()
    connection = _connect(f"{uri}?mode=ro")
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except BaseException as error:
        connection.close()
        log = path.with_name(path.name + "-wal")
        if (
            not isinstance(error, sqlite3.OperationalError)
            or _is_because(_BUSY, error)
            or (log.exists() and log.stat().st_size)  # then the file alone is an older state
        ):
            raise
        return _connect(f"{uri}?mode=ro&immutable=1"), True
    return connection, False


def connect_writer(path: Path) -> sqlite3.Connection:
    """Open for writing: WAL, so that readers go on; every commit is on disk when it returns."""
    connection = _connect(f"{path.resolve().as_uri()}?mode=rwc", isolation_level="DEFERRED")
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _connect(uri: str, isolation_level: Literal["DEFERRED"] | None = None) -> sqlite3.Connection:
    connection = sqlite3.connect(
        uri, uri=True, isolation_level=isolation_level, check_same_thread=False
    )
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    return connection
