"""What reading a table gives: rows with their line numbers, before any column has a meaning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from semsearch.errors import BadRowsError, Problem

_FORMATS = {
    "csv": "CSV",
    "tsv": "TSV",
    "jsonl": "JSON Lines",
    "parquet": "Parquet",
    "xlsx": "Excel",
    "sqlite": "SQLite",
    "rows": "rows",
}
_ENCODINGS = {
    "utf-8-sig": "UTF-8 with BOM",
    "big5": "Big5",
    "cp950": "Big5",
    "big5hkscs": "Big5-HKSCS",
}
_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}


@dataclass(frozen=True, slots=True)
class Row:
    """One record: the 1-based line (or row) it starts on, and its cells by column name."""

    line: int
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows as they stand in the source; rows that could not be read are in `problems`.

    `encoding` is a Python codec name and `delimiter` one character, None where they do not apply.
    Cells of text tables are str; other formats keep the types they have.
    """

    source: str
    format: str
    columns: tuple[str, ...]
    rows: list[Row]
    problems: tuple[Problem, ...] = ()
    encoding: str | None = None
    delimiter: str | None = None

    def describe(self) -> str:
        """The format in words, such as `CSV, GB18030, semicolon`."""
        words = [_FORMATS.get(self.format, self.format)]
        if self.encoding is not None:
            words.append(_ENCODINGS.get(self.encoding, self.encoding.upper()))
        if self.delimiter is not None:
            words.append(_DELIMITERS.get(self.delimiter, repr(self.delimiter)))
        return ", ".join(words)


def bad_rows(found: Sequence[tuple[str, Problem]], remedy: str) -> BadRowsError:
    """The error for bad rows, each given with its source: how many, the first one, what to do."""
    source, problem = found[0]
    where = f"{source}:{problem.line}: {problem.reason}"
    count = "1 bad row:" if len(found) == 1 else f"{len(found)} bad rows; the first is"
    return BadRowsError(f"{count} {where}. {remedy}", [problem for _, problem in found])
