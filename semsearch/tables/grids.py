"""Header and records, mappings or lines of JSON: what becomes columns, rows and problems."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from semsearch.errors import DataError, Problem
from semsearch.tables.cells import brief, flaw, plain, text
from semsearch.tables.dialects import parse
from semsearch.tables.encodings import decode
from semsearch.tables.table import Row, Table

_MAGIC = {b"PK\x03\x04": ".xlsx", b"PAR1": ".parquet", b"SQLite format 3\0": ".db"}
_EMPTY = "is empty. A table needs a header and at least one row."


def delimited(data: bytes, source: str, kind: str, encoding: str | None) -> Table:
    """A table from the bytes of a CSV or TSV file."""
    _refuse_binary(data, source)
    decoded = decode(data, source, encoding)
    content = decoded.text.removeprefix("\ufeff")
    parsed = parse(content, source, "\t" if kind == "tsv" else None)
    header = [name.strip() for name in parsed.header]
    why = flaw(header)
    if why:
        raise DataError(f"{source}: the header {why}.")
    suspect = flaw(content) is not None
    names = _names(header, (cells for _, cells in parsed.records), source)
    least = max((place + 1 for place, name in enumerate(header) if name), default=1)
    used = [place for place, name in enumerate(names) if name is not None]
    columns = [name for name in names if name is not None]
    rows, problems = [], parsed.problems
    for line, cells in parsed.records:
        why = flaw(cells) if suspect else None
        if len(cells) != len(names):
            if not least <= len(cells) < len(names):
                why = f"{_count(len(cells), 'field')} where the header has {len(names)}"
            cells = cells + [""] * (len(names) - len(cells))
        if why:
            problems.append(Problem(line, why))
        elif len(columns) == len(cells):
            rows.append(Row(line, dict(zip(columns, cells, strict=True))))
        else:
            rows.append(Row(line, {names[place] or "": cells[place] for place in used}))
    return _checked(
        Table(
            source,
            kind,
            tuple(columns),
            rows,
            _ordered(problems),
            decoded.encoding,
            parsed.delimiter,
        )
    )


def json_lines(data: bytes, source: str, encoding: str | None) -> Table:
    """A table from the bytes of a JSON Lines file; its columns are those of all objects."""
    _refuse_binary(data, source)
    decoded = decode(data, source, encoding)
    content = decoded.text.removeprefix("\ufeff")
    if re.match(r"\s*\[\s*\{", content):
        raise DataError(f"{source}: is one JSON array. JSON Lines has one object on each line.")
    records: list[tuple[int, Any]] = []
    problems = []
    for line, record in enumerate(content.split("\n"), 1):
        if not record.strip():
            continue
        if "\0" in record:
            problems.append(Problem(line, "contains a NUL byte"))
            continue
        try:
            value = json.loads(record, object_pairs_hook=_object)
        except _TwiceError as error:
            problems.append(Problem(line, str(error)))
            continue
        except (ValueError, RecursionError) as error:
            reason = getattr(error, "msg", "") or type(error).__name__
            problems.append(Problem(line, f"is not valid JSON ({reason})"))
            continue
        if isinstance(value, dict):
            records.append((line, value))
        else:
            problems.append(Problem(line, "is not a JSON object"))
    table = _collect(source, "jsonl", [], records, problems)
    return _checked(
        Table(source, "jsonl", table.columns, table.rows, table.problems, decoded.encoding)
    )


class _TwiceError(ValueError):
    """An object has two values of one name."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON, which must not say one thing twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _TwiceError(f"has {brief(twice)} twice")
    return found


def sheet(source: str, numbered: list[tuple[int, list[Any]]]) -> Table:
    """A table from the numbered rows of a sheet, the header first."""
    if not numbered:
        raise DataError(f"{source}: {_EMPTY}")
    first = [text(cell) for cell in numbered[0][1]]
    first += [""] * (max(len(cells) for _, cells in numbered) - len(first))
    names = _names(first, (cells for _, cells in numbered[1:]), source)
    used = [(place, name) for place, name in enumerate(names) if name is not None]
    columns = [name for _, name in used]
    records = (
        (line, {name: cells[place] if place < len(cells) else None for place, name in used})
        for line, cells in numbered[1:]
    )
    return _checked(_collect(source, "xlsx", columns, records, []))


def mappings(source: str, kind: str, columns: list[str], rows: Iterable[Any]) -> Table:
    """A table from mappings; columns that are not named come as the rows bring them."""
    refuse_duplicates(columns, source)
    return _checked(_collect(source, kind, columns, enumerate(rows, 1), []))


def _collect(
    source: str,
    kind: str,
    columns: Sequence[str],
    records: Iterable[tuple[int, Any]],
    problems: list[Problem],
) -> Table:
    """Rows of simple values from mappings, sorting out those that cannot be stored."""
    seen = dict.fromkeys(columns)
    rows = []
    for line, record in records:
        if not isinstance(record, Mapping):
            kinds = type(record).__name__
            raise DataError(f"{source}: row {line} is not a mapping but {kinds}.")
        try:
            values = {str(name).strip(): plain(value) for name, value in record.items()}
            why = flaw(values) or ("has a name twice" if len(values) < len(record) else None)
        except RecursionError:
            why = "is nested too deeply"
        if why:
            problems.append(Problem(line, why))
            continue
        seen.update(dict.fromkeys(values))
        rows.append(Row(line, values))
    return Table(source, kind, tuple(seen), rows, _ordered(problems))


def _names(
    header: Sequence[str], records: Iterable[Sequence[object]], source: str
) -> list[str | None]:
    """Column names; one without a name is dropped (None) if it is empty, else numbered."""
    names: list[str | None] = [name or None for name in header]
    unnamed = [place for place, name in enumerate(header) if not name]
    if unnamed:
        for cells in records:
            for place in unnamed:
                if place < len(cells) and text(cells[place]):
                    names[place] = f"column {place + 1}"
    refuse_duplicates([name for name in names if name is not None], source)
    return names


def refuse_duplicates(columns: Sequence[str], source: str) -> None:
    """Raise a DataError when two columns share a name."""
    twice = next((name for name in columns if columns.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"{source}: two columns are called {brief(twice)}. Rename one of them.")


def _refuse_binary(data: bytes, source: str) -> None:
    for magic, suffix in _MAGIC.items():
        if data.startswith(magic):
            raise DataError(f"{source}: is not text. Its name should end in {suffix}.")
    if not data.strip():
        raise DataError(f"{source}: {_EMPTY}")


def _checked(table: Table) -> Table:
    if not table.rows and not table.problems:
        raise DataError(f"{table.source}: has no rows.")
    return table


def _ordered(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    return tuple(sorted(problems, key=lambda problem: problem.line))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
