"""Plain lists of texts: queries to answer, sentences to fit a whitening on."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from semsearch.errors import DataError, Problem
from semsearch.tables.cells import flaw, text
from semsearch.tables.encodings import decode
from semsearch.tables.readers import STDIN, read_bytes, read_table
from semsearch.tables.roles import find, listed, pick
from semsearch.tables.table import bad_rows


def read_texts(
    source: str | Path, *, column: str | None = None, encoding: str | None = None
) -> list[str]:
    """Texts of a file, stripped, empty ones left out.

    Args:
        source: a `.txt` file or `-`: one text a line; or a table: one text a row.
        column: the column of a table; when None, one called text, query, question or the like,
            or else the only one there is.
        encoding: of text files; found out when None.

    Raises:
        BadRowsError: some rows cannot be read.
        DataError: the file cannot be read, holds no text, or it is not clear which column to take.
    """
    name = str(source)
    if column is None and (name == STDIN or Path(name).suffix.lower() == ".txt"):
        return _lines(name, encoding)
    table = read_table(source, encoding=encoding)
    _raise_if_bad(table.source, table.problems)
    if column is not None:
        column = find(table.columns, column, table.source)
    elif len(table.columns) == 1:
        column = table.columns[0]
    else:
        column = pick(table.columns, "text", table.source)
    if column is None:
        raise DataError(
            f"{table.source}: no text column among {listed(table.columns)}. "
            "Call the column of the texts 'text', or name it."
        )
    return _kept([text(row.values.get(column)) for row in table.rows], table.source)


def _lines(name: str, encoding: str | None) -> list[str]:
    source = "<stdin>" if name == STDIN else name
    content = decode(read_bytes(name), source, encoding).text.removeprefix("\ufeff")
    lines = content.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if flaw(content):
        flaws = [(line, flaw(item)) for line, item in enumerate(lines, 1)]
        _raise_if_bad(source, [Problem(line, why) for line, why in flaws if why])
    return _kept([line.strip() for line in lines], source)


def _raise_if_bad(source: str, problems: Iterable[Problem]) -> None:
    found = [(source, problem) for problem in problems]
    if found:
        raise bad_rows(found, "Fix the file.")


def _kept(texts: list[str], source: str) -> list[str]:
    kept = [item for item in texts if item]
    if not kept:
        raise DataError(f"{source}: holds no text.")
    return kept
