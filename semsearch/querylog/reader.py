"""Read a query log, or the queries of any table."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

from semsearch.errors import DataError
from semsearch.querylog.record import START, Record
from semsearch.querylog.writer import predecessor
from semsearch.tables import read_texts
from semsearch.tables.cells import brief, flaw
from semsearch.tables.readers import unreadable
from semsearch.tables.roles import find, pick

log = logging.getLogger(__name__)

_JSON_LINES = (".jsonl", ".ndjson", ".log")
_NOTHING = b" \t\r\n\0"  # a power cut can leave zeros at the end of a file
_BOM = b"\xef\xbb\xbf"


def read_log(
    source: str | Path, *, column: str | None = None, encoding: str | None = None
) -> Iterator[Record]:
    """The records of a query log, oldest first; its predecessor is read before it.

    JSON Lines are read a line at a time. Lines that a crash tore are left out, and counted in a
    warning; empty queries are left out.

    Args:
        source: a log, as `QueryLog` writes it, or any source that `read_texts` takes.
        column: of the queries; in a log "query", elsewhere as `read_texts` finds it.
        encoding: of tables; found out when None. Logs are UTF-8.

    Raises:
        DataError: the file is missing or cannot be read, or holds no query; the message names
            the line.
    """
    path = Path(source)
    if not _is_json_lines(path):
        for text in read_texts(source, column=column, encoding=encoding):
            yield Record(text)
        return
    found, torn = False, _Torn()
    with ExitStack() as stack:
        try:
            files = _open(path, stack)
            for name, file in files:
                for record in _records(name, file, column, torn):
                    found = True
                    yield record
        except OSError as error:
            raise unreadable(path, error) from None
    if torn.count:
        log.warning(
            "%s: %d lines are torn, as by a crash, and left out; the first is %s.",
            path, torn.count, torn.first,
        )  # fmt: skip
    if not found:
        raise DataError(f"{path}: holds no query.")


class _Torn:
    """How many lines were torn, and where the first one stands."""

    count = 0
    first = ""

    def add(self, where: str) -> None:
        self.first = self.first or where
        self.count += 1


def _is_json_lines(path: Path) -> bool:
    return path.suffix.lower() in _JSON_LINES or _begins_as_log(path)


def _begins_as_log(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(START)) == START
    except (OSError, ValueError):
        return False  # whoever reads it says why


def _open(path: Path, stack: ExitStack) -> list[tuple[Path, BinaryIO]]:
    """The files of a log, the older one first.

    The newer one is opened first: it may become the older one in between, but is not missed.
    """
    newer = stack.enter_context(path.open("rb"))
    files: list[tuple[Path, BinaryIO]] = [(path, newer)]
    try:
        older = stack.enter_context(predecessor(path).open("rb"))
    except FileNotFoundError:
        return files
    if not os.path.sameopenfile(newer.fileno(), older.fileno()):
        files.insert(0, (predecessor(path), older))
    return files


def _records(path: Path, file: BinaryIO, column: str | None, torn: _Torn) -> Iterator[Record]:
    name = column
    for number, line in enumerate(file, 1):
        content = line.removeprefix(_BOM).strip(_NOTHING)
        if not content:
            continue
        where = f"{path}:{number}"
        fields = _parse(content, where, torn)
        if fields is None:
            continue
        if name is None or name not in fields:
            name = _column(fields, column, where)
        query = fields[name]
        if not isinstance(query, str):
            raise DataError(f"{where}: {name} is no text but {brief(json.dumps(query))}.")
        if why := flaw(query):
            raise DataError(f"{where}: {name} {why}.")
        if not query.strip():
            continue
        # Only a log means by its other fields what a log does.
        known = fields if "answered" in fields else {}
        try:
            yield Record.from_fields(query.strip(), known)
        except ValueError as error:
            raise DataError(f"{where}: {error}: no line of a query log.") from None


def _parse(content: bytes, where: str, torn: _Torn) -> dict[str, Any] | None:
    """The fields of a line, None where a crash tore it."""
    try:
        fields = json.loads(content)
    except (ValueError, RecursionError):
        if content.startswith(START) or START.startswith(content):
            torn.add(where)
            return None
        raise DataError(
            f"{where}: {brief(content.decode('utf-8', 'replace'))} is no JSON."
        ) from None
    if not isinstance(fields, dict):
        raise DataError(f"{where}: expected an object with a query, not {brief(str(fields))}.")
    return fields


def _column(fields: dict[str, Any], column: str | None, where: str) -> str:
    names = [name for name in fields if isinstance(name, str)]
    if column is not None:
        return find(names, column, where)
    if "query" in names:
        return "query"
    found = names[0] if len(names) == 1 else pick(names, "text", where)
    if found is None:
        raise DataError(f"{where}: no query in it. Name the column of the queries: --column NAME.")
    return found
