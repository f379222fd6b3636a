"""Read a table from a file, standard input, or rows in memory."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from semsearch.errors import DataError
from semsearch.tables import containers, grids
from semsearch.tables.roles import listed
from semsearch.tables.table import Table

STDIN = "-"
_SUFFIXES = {
    "": "csv",
    ".csv": "csv",
    ".txt": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".xlsx": "xlsx",
    ".xlsm": "xlsx",
    ".db": "sqlite",
    ".sqlite": "sqlite",
    ".sqlite3": "sqlite",
}


def read_table(source: str | Path, *, encoding: str | None = None) -> Table:
    """Read CSV, TSV, JSON Lines, Parquet, Excel or SQLite, by the suffix of the file.

    Args:
        source: a path; `bank.db::faq` for a table of a database, `bank.xlsx::Sheet2` for a sheet
            other than the first; `-` for CSV on standard input.
        encoding: a Python codec name for text files; found out when None.

    Raises:
        DataError: the file is missing, empty, damaged, or fits no encoding.
        MissingExtraError: Parquet without pyarrow, or Excel without openpyxl.
    """
    if str(source) == STDIN:
        return grids.delimited(read_bytes(STDIN), "<stdin>", "csv", encoding)
    path, part = _split(str(source))
    kind = _SUFFIXES.get(path.suffix.lower())
    try:
        if part is not None and kind not in ("xlsx", "sqlite"):
            kind = "sqlite"
        if kind in ("csv", "tsv"):
            return grids.delimited(read_bytes(path), str(path), kind, encoding)
        if kind == "jsonl":
            return grids.json_lines(read_bytes(path), str(path), encoding)
        if kind == "parquet":
            columns, rows = containers.read_parquet(path)
            return grids.mappings(str(source), "parquet", columns, rows)
        if kind == "xlsx":
            return grids.sheet(str(source), containers.read_xlsx(path, part))
        if kind == "sqlite":
            if part is None:
                names = listed(containers.sqlite_tables(path)) or "none"
                raise DataError(f"{path}: say which table: {path.name}::TABLE. It has {names}.")
            columns, rows = containers.read_sqlite(path, part)
            return grids.mappings(str(source), "sqlite", columns, rows)
    except OSError as error:
        raise unreadable(path, error) from None
    hint = " Save it as .xlsx." if path.suffix.lower() == ".xls" else ""
    raise DataError(
        f"{path}: '{path.suffix}' is no table format that semsearch reads. It reads .csv, .tsv, "
        f".jsonl, .parquet, .xlsx and tables of SQLite (bank.db::faq).{hint}"
    )


def table_from_rows(rows: Any) -> Table:
    """A table from an iterable of mappings, or from a pandas or polars DataFrame.

    Raises:
        DataError: a row is no mapping, or two columns share a name.
    """
    if hasattr(rows, "iter_rows"):  # polars
        columns = [str(name) for name in rows.columns]
        return grids.mappings("<rows>", "rows", columns, rows.iter_rows(named=True))
    if hasattr(rows, "to_dict") and hasattr(rows, "columns"):  # pandas
        columns = [str(name) for name in rows.columns]
        grids.refuse_duplicates(columns, "<rows>")
        return grids.mappings("<rows>", "rows", columns, rows.to_dict("records"))
    if isinstance(rows, str | bytes | Mapping) or not isinstance(rows, Iterable):
        raise DataError(f"<rows>: expected rows as mappings, not {type(rows).__name__}.")
    return grids.mappings("<rows>", "rows", [], rows)


def read_bytes(source: str | Path) -> bytes:
    """All bytes of a file, or of standard input for `-`.

    Raises:
        DataError: it is missing or cannot be read.
    """
    if source == STDIN:
        stream = getattr(sys.stdin, "buffer", sys.stdin)
        if stream is None:
            raise DataError("<stdin>: there is no standard input to read.")
        data = stream.read()
        return data.encode("utf-8") if isinstance(data, str) else bytes(data)
    try:
        return Path(source).read_bytes()
    except OSError as error:
        raise unreadable(source, error) from None


def unreadable(path: str | Path, error: OSError) -> DataError:
    """The DataError that says why a file cannot be opened."""
    if isinstance(error, FileNotFoundError):
        return DataError(f"{path}: there is no such file.")
    if isinstance(error, IsADirectoryError):
        return DataError(f"{path}: is a directory, not a table.")
    return DataError(f"{path}: cannot be read: {error.strerror or error}.")


def _split(source: str) -> tuple[Path, str | None]:
    name, sign, part = source.rpartition("::")
    if not sign or Path(source).exists():
        return Path(source), None
    return Path(name), part
