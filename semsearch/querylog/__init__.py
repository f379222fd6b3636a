"""The query log: what was asked and what was answered, a line of JSON each; read and redacted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["QueryLog", "Record", "Redact", "read_log", "redactor"]

if TYPE_CHECKING:
    from semsearch.querylog.reader import read_log
    from semsearch.querylog.record import Record
    from semsearch.querylog.redaction import Redact, redactor
    from semsearch.querylog.writer import QueryLog

_HOMES = {
    "QueryLog": "writer",
    "Record": "record",
    "Redact": "redaction",
    "read_log": "reader",
    "redactor": "redaction",
}


def __getattr__(name: str) -> Any:
    """A query that is logged needs no tables, and loads none."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
