"""Delimited text: which delimiter it uses, and its records with the line each one starts on."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from semsearch.errors import DataError, Problem
from semsearch.tables.cells import brief
from semsearch.tables.roles import is_usual_name

DELIMITERS = (",", ";", "\t", "|")
_FIELD_LIMIT = 2**31 - 1  # the largest that a C long holds on every platform
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\s*')  # how Excel notes the delimiter of a CSV file


@dataclass(frozen=True, slots=True)
class Records:
    """The header and the records of a delimited text, each record with its first line."""

    header: list[str]
    records: list[tuple[int, list[str]]]
    problems: list[Problem]
    delimiter: str | None  # None: one column


def parse(text: str, source: str, delimiter: str | None = None) -> Records:
    """Split a text into records; without `delimiter` the one that fits best is taken.

    A delimiter fits when it splits the header into several columns, most records into as many,
    and when the columns have usual names. When none does, the text has one column.

    Raises:
        DataError: there is no header, or it cannot be read.
    """
    if csv.field_size_limit() < _FIELD_LIMIT:
        csv.field_size_limit(_FIELD_LIMIT)
    lines = list(io.StringIO(text, newline=""))
    skip = 0
    noted = _SEPARATOR_LINE.fullmatch(lines[0]) if lines else None
    if noted:
        delimiter, skip = delimiter or noted[1], 1
    if delimiter is not None:
        return _records(lines, skip, source, delimiter)
    fitting = [sign for sign in DELIMITERS if len(_first(lines, skip, sign)) > 1]
    choices = [_records(lines, skip, source, sign) for sign in fitting]
    best = max(choices, key=_fit, default=None)
    if best is not None and _is_real(best):
        return best
    # A character that the text does not hold never splits a cell.
    unused = next((sign for sign in "\x1f\x1e\x1d\x1c\x01\x02" if sign not in text), "\x1f")
    return _records(lines, skip, source, unused, single=True)


def _fit(records: Records) -> float:
    return _same_width(records) + sum(map(is_usual_name, records.header)) / len(records.header)


def _is_real(records: Records) -> bool:
    """Whether a delimiter splits more than the header: "Question, as asked" may be one column."""
    return (
        all(is_usual_name(name) for name in records.header if name.strip())
        or not (records.records or records.problems)
        or _same_width(records) > 0.5
    )


def _same_width(records: Records) -> float:
    """The share of records with as many cells as the header."""
    width, total = len(records.header), len(records.records) + len(records.problems)
    return sum(len(cells) == width for _, cells in records.records) / max(total, 1)


def _first(lines: Sequence[str], skip: int, delimiter: str) -> list[str]:
    reader = csv.reader(lines[skip:] if skip else lines, delimiter=delimiter, strict=True)
    try:
        return next((cells for cells in reader if any(map(str.strip, cells))), [])
    except csv.Error:
        return []


def _records(
    lines: Sequence[str], skip: int, source: str, delimiter: str, *, single: bool = False
) -> Records:
    records: list[tuple[int, list[str]]] = []
    problems: list[Problem] = []
    for line, parsed in _parse(lines, skip, delimiter):
        if isinstance(parsed, str):
            if not records:
                raise DataError(f"{source}:{line}: the header cannot be read: {parsed}.")
            problems.append(Problem(line, parsed))
        elif any(map(str.strip, parsed)):
            records.append((line, parsed))
    if not records:
        raise DataError(f"{source}: is empty. A table needs a header and at least one row.")
    header = records.pop(0)[1]
    return Records(header, records, problems, None if single else delimiter)


def _parse(
    lines: Sequence[str], skip: int, delimiter: str
) -> Iterator[tuple[int, list[str] | str]]:
    """Yield each record with its first line; a reason stands in for a record that is broken.

    A broken quote swallows the records after it, so reading starts again on the line below it, as
    long as that costs no more than reading the text a few times.
    """
    budget = 4 * len(lines) + 1000
    done = skip
    while done < len(lines):
        reader = csv.reader(
            map(lines.__getitem__, range(done, len(lines))), delimiter=delimiter, strict=True
        )
        base = done
        while True:
            start = base + reader.line_num
            try:
                record = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield start + 1, _reason(error)
                done = base + reader.line_num
                budget -= done - start
                if budget > 0 or done == start:
                    done = start + 1
                break
            yield start + 1, record


def _reason(error: csv.Error) -> str:
    message = str(error)
    if "NUL" in message:
        return "contains a NUL byte"
    if "unexpected end" in message:
        return "a quoted cell is never closed"
    if "expected after" in message:
        return "text follows a closing quote; double the quotes inside a quoted cell"
    return f"cannot be read as delimited text ({brief(message, 60)})"
