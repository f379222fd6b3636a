"""What can go wrong, as one tree. The command line prints any of these as one line, exit code 2.

SemsearchError
├── DataError                a table or a row cannot be used
│   └── BadRowsError         rows of a table are bad; `problems` lists them
├── EncoderError             an encoder cannot be loaded, or cannot do what was asked
│   └── EncoderMismatchError an index is opened with an encoder that did not build it
├── DeviceError              a GPU was asked for and there is none that could be used
├── FactoryError             FAISS cannot index vectors in the way that was asked for
├── MissingExtraError        an optional dependency is not installed
├── IndexNotFoundError       no index at this path
├── CorruptIndexError        a file of an index is damaged
├── IndexBusyError           another process is writing to the index
├── ConfirmationError        a change is so large that it wants an explicit yes
└── StorageError             the disk is full, read-only or failing
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class SemsearchError(Exception):
    """Base of every error that semsearch raises on purpose."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One bad row: where it stands and why it cannot be used."""

    line: int  # 1-based line (text tables) or row (Parquet, Excel, SQLite) in the file
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}"


class DataError(SemsearchError):
    """A table, a row or a value cannot be used."""


class BadRowsError(DataError):
    """Some rows of a table are bad; nothing was taken from it."""

    def __init__(self, message: str, problems: Sequence[Problem]) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


class EncoderError(SemsearchError):
    """An encoder cannot be found or loaded, or cannot do what was asked."""


class EncoderMismatchError(EncoderError):
    """An index is opened with an encoder other than the one it was built with."""


class DeviceError(SemsearchError):
    """A GPU was asked for, and there is none, or none that the installed faiss can use."""


class FactoryError(SemsearchError):
    """FAISS does not know such an index, or there are too few vectors for it."""


class MissingExtraError(SemsearchError):
    """An optional dependency is missing; the message names the `pip install`."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} is not installed. Run: pip install 'semsearch[{extra}]'")
        self.extra = extra


class IndexNotFoundError(SemsearchError):
    """There is no index at this path."""


class CorruptIndexError(SemsearchError):
    """A file of an index is damaged."""


class IndexBusyError(SemsearchError):
    """Another process is writing to the index."""


class ConfirmationError(SemsearchError):
    """A change is so large that it needs an explicit yes."""


class StorageError(SemsearchError):
    """The file system refused a read or a write: full, read-only or failing."""
