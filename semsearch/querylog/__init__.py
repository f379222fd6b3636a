"""The query log: what was asked and what was answered, a line of JSON each; read and redacted."""

from __future__ import annotations

from semsearch.querylog.reader import read_log
from semsearch.querylog.record import Record
from semsearch.querylog.redaction import Redact, redactor
from semsearch.querylog.writer import QueryLog

__all__ = ["QueryLog", "Record", "Redact", "read_log", "redactor"]
