"""Write rows as a table that reads back the same."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from semsearch.errors import DataError, MissingExtraError
from semsearch.files import atomic_write
from semsearch.tables.cells import brief, flaw, plain, scalar

Rows = Sequence[Mapping[str, Any]]

_EXCEL_CELL = 32_767
_EXCEL_ROWS = 1_048_576
# Control characters, carriage returns that XML would turn into line feeds, what looks escaped.
_TO_ESCAPE = re.compile(r"[\x00-\x08\x0b-\x1f\ufffe\uffff]|_(?=x[0-9A-Fa-f]{4}_)")


def write_table(
    path: str | Path,
    rows: Iterable[Mapping[str, Any]],
    *,
    columns: Sequence[str] | None = None,
    encoding: str = "utf-8",
    delimiter: str | None = None,
) -> None:
    """Write rows as CSV, TSV, JSON Lines, Parquet or Excel, by the suffix of `path`.

    The file appears whole or not at all: it is written beside `path` and then renamed.

    Args:
        path: ends in .csv, .tsv, .jsonl, .parquet or .xlsx.
        rows: one mapping a row; a missing or None cell is empty.
        columns: the columns and their order; by first appearance in the rows when None.
        encoding: a Python codec name, for text formats.
        delimiter: one character, for CSV and TSV; a comma and a tab when None.

    Raises:
        DataError: no such format or encoding, or a value that the format cannot hold.
        MissingExtraError: Parquet without pyarrow, or Excel without openpyxl.
        StorageError: the file system refuses the write.
    """
    target, rows = Path(path), list(rows)
    seen = dict.fromkeys(name for row in rows for name in row)
    names = list(seen if columns is None else columns)
    _refuse_flaws(target, names, rows)
    suffix = target.suffix.lower()
    if suffix in (".csv", ".tsv"):
        sign = delimiter or ("\t" if suffix == ".tsv" else ",")
        if len(sign) != 1 or sign in '"\r\n':
            raise DataError(f"{target}: {sign!r} cannot be a delimiter. Use one of , ; | or a tab.")
        data = _encode(target, _delimited(names, rows, sign), encoding)
    elif suffix == ".jsonl":
        data = _encode(target, _json_lines(names, rows), encoding)
    elif suffix == ".parquet":
        data = _parquet(target, names, rows)
    elif suffix == ".xlsx":
        data = _xlsx(target, names, rows)
    else:
        raise DataError(
            f"{target}: cannot write '{suffix}'. Use .csv, .tsv, .jsonl, .parquet or .xlsx."
        )
    with atomic_write(target) as file:
        file.write(data)


def _delimited(names: Sequence[str], rows: Rows, delimiter: str) -> str:
    # csv.writer leaves a lone carriage return or line feed unquoted, depending on its version.
    special = re.compile(rf'["\r\n{re.escape(delimiter)}]|^\s|\s$')

    def cell(value: object) -> str:
        simple = scalar(value)
        content = "" if simple is None else str(simple)
        if (not content and len(names) == 1) or special.search(content):
            return '"' + content.replace('"', '""') + '"'
        return content

    lines = [delimiter.join(map(cell, names))]
    lines += [delimiter.join(cell(row.get(name)) for name in names) for row in rows]
    return "\n".join(lines) + "\n"


def _json_lines(names: Sequence[str], rows: Rows) -> str:
    lines = (
        json.dumps({name: plain(row[name]) for name in names if name in row}, ensure_ascii=False)
        for row in rows
    )
    return "".join(line + "\n" for line in lines)


def _parquet(target: Path, names: Sequence[str], rows: Rows) -> bytes:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise MissingExtraError("pyarrow", "tables") from None
    buffer = io.BytesIO()
    columns = {}
    for name in names:
        try:
            columns[name] = pa.array([row.get(name) for row in rows])
        except (pa.ArrowException, OverflowError) as error:
            message = " ".join(str(error).split())
            raise DataError(
                f"{target}: Parquet cannot hold column {name!r}: {message}. Write .jsonl or .csv."
            ) from None
    try:
        table = pa.table(columns)
        pq.write_table(table, buffer, write_page_checksum=True)
    except (pa.ArrowException, OverflowError) as error:
        message = " ".join(str(error).split())
        raise DataError(f"{target}: Parquet cannot hold these rows: {message}.") from None
    return buffer.getvalue()


def _xlsx(target: Path, names: Sequence[str], rows: Rows) -> bytes:
    try:
        from openpyxl import Workbook
        from openpyxl.cell import WriteOnlyCell
    except ImportError:
        raise MissingExtraError("openpyxl", "tables") from None
    if len(rows) >= _EXCEL_ROWS:
        raise DataError(f"{target}: Excel holds {_EXCEL_ROWS - 1:,} rows at most. Write .csv.")
    # All cells first: a sheet that is left half-written complains when it is collected.
    grid = [[_excel_value(target, name) for name in names]]
    grid += [[_excel_value(target, row.get(name)) for name in names] for row in rows]
    book = Workbook(write_only=True)
    sheet = book.create_sheet("Sheet1")
    for values in grid:
        cells = [WriteOnlyCell(sheet, value) for value in values]
        for cell in cells:
            if isinstance(cell.value, str):
                cell.data_type = "s"  # a leading = is text here, never a formula
        sheet.append(cells)
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def _excel_value(target: Path, value: object) -> str | int | float | bool | None:
    simple = scalar(value)
    if not isinstance(simple, str):
        return simple
    content = _TO_ESCAPE.sub(lambda match: f"_x{ord(match[0]):04X}_", simple)
    if len(content) > _EXCEL_CELL:
        raise DataError(
            f"{target}: a cell of {len(content):,} characters is more than Excel holds "
            f"({_EXCEL_CELL:,}). Write .csv."
        )
    return content


def _refuse_flaws(target: Path, names: Sequence[str], rows: Rows) -> None:
    if len(set(names)) < len(names):
        raise DataError(f"{target}: two columns share a name.")
    for number, row in enumerate(rows, 1):
        for name in names:
            why = flaw(row.get(name))
            if why:
                raise DataError(f"{target}: row {number}, column {brief(name)}: {why}.")


def _encode(target: Path, content: str, encoding: str) -> bytes:
    try:
        return content.encode(encoding)
    except LookupError:
        raise DataError(f"{target}: there is no encoding '{encoding}'.") from None
    except UnicodeEncodeError as error:
        character = content[error.start]
        line = content.count("\n", 0, error.start) + 1
        raise DataError(
            f"{target}: {encoding} has no character {character!r} (line {line}). Write utf-8."
        ) from None
