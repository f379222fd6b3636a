"""Tables in files that are not text: Parquet, Excel and SQLite.

Damaged files make the libraries raise nearly anything, so whatever they raise becomes a DataError.
"""

from __future__ import annotations

import re
import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from semsearch.errors import DataError, MissingExtraError, SemsearchError
from semsearch.tables.cells import brief
from semsearch.tables.roles import listed

_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")  # how Excel writes control characters, ECMA-376


def read_parquet(path: Path) -> tuple[list[str], list[dict[str, Any]]]:
    """The columns and rows of a Parquet file.

    Raises:
        DataError: it cannot be read, or two columns share a name.
        MissingExtraError: pyarrow is not installed.
    """
    try:
        import pyarrow.parquet as pq
    except ImportError:
        raise MissingExtraError("pyarrow", "tables") from None
    with _naming(path, "a Parquet file"), path.open("rb") as file:
        table = pq.ParquetFile(file, page_checksum_verification=True).read()
        table.validate(full=True)  # offsets of a damaged file may point anywhere
        names = [str(name) for name in table.schema.names]
        rows = table.to_pylist() if len(set(names)) == len(names) else []
    return names, rows


def read_xlsx(path: Path, sheet: str | None = None) -> list[tuple[int, list[Any]]]:
    """The rows of a sheet (the first one unless named) that hold anything, with their numbers.

    Raises:
        DataError: it cannot be read, or has no such sheet.
        MissingExtraError: openpyxl is not installed.
    """
    try:
        import openpyxl
    except ImportError:
        raise MissingExtraError("openpyxl", "tables") from None
    # openpyxl warns about styles and extensions, which have no bearing on the cells.
    with _naming(path, "an Excel workbook"), path.open("rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with closing(openpyxl.load_workbook(file, read_only=True, data_only=True)) as book:
            names = [page.title for page in book.worksheets]
            if not names or (sheet is not None and sheet not in names):
                raise DataError(f"{path}: no sheet {brief(sheet or '')} among {listed(names)}.")
            page = book[sheet if sheet is not None else names[0]]
            page.reset_dimensions()  # what the file says about its size is often wrong
            rows = enumerate(page.iter_rows(values_only=True), 1)
            return [(line, [*map(_unescape, row)]) for line, row in rows if any(map(_filled, row))]


def read_sqlite(path: Path, table: str) -> tuple[list[str], list[dict[str, Any]]]:
    """The columns and rows of a table or view; the database is opened for reading only.

    Raises:
        DataError: it cannot be read, or has no such table.
    """
    from sqlite_utils import Database

    with _naming(path, "an SQLite database"), closing(_connect(path)) as connection:
        # Text that is not UTF-8 becomes lone surrogates, which make its row a bad one.
        connection.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
        database = Database(connection, execute_plugins=False)
        names = sorted((*database.table_names(), *database.view_names()))
        if table not in names:
            raise DataError(f"{path}: no table {brief(table)} among {listed(names)}.")
        columns = [str(column.name) for column in database[table].columns]
        return columns, list(database[table].rows)


def sqlite_tables(path: Path) -> list[str]:
    """The names of the tables of a database, for a message.

    Raises:
        DataError: it cannot be read.
    """
    from sqlite_utils import Database

    with _naming(path, "an SQLite database"), closing(_connect(path)) as connection:
        return sorted(Database(connection, execute_plugins=False).table_names())


def _connect(path: Path) -> sqlite3.Connection:
    path.open("rb").close()  # sqlite3 does not say why a file cannot be opened
    return sqlite3.connect(f"file:{quote(str(path.resolve()))}?mode=ro", uri=True)


def _filled(cell: object) -> bool:
    return cell is not None and not (isinstance(cell, str) and not cell.strip())


def _unescape(cell: object) -> object:
    if isinstance(cell, str) and "_x" in cell:
        return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), cell)
    return cell


@contextmanager
def _naming(path: Path, kind: str) -> Iterator[None]:
    """Turn whatever a library raises into a DataError that names the file."""
    try:
        yield
    except (SemsearchError, OSError) as error:
        if isinstance(error, SemsearchError) or error.errno is not None:
            raise
        raise DataError(f"{path}: cannot be read as {kind}: {_line(error)}.") from None
    except Exception as error:
        raise DataError(f"{path}: cannot be read as {kind}: {_line(error)}.") from None


def _line(error: BaseException) -> str:
    message = " ".join(str(error).split()) or type(error).__name__
    return message[:200].rstrip(".")
