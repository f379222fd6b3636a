"""Labelled queries: what users ask, and the key of the standard question that answers it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from semsearch.errors import DataError, Problem
from semsearch.tables import Table, derived_key, read_table, table_from_rows
from semsearch.tables.cells import brief, text
from semsearch.tables.roles import find, listed, pick, plain_name
from semsearch.tables.table import bad_rows

_EXPECTED = (
    "expected",
    "expectedkey",
    "expectedid",
    "expectedquestionid",
    "期望",
    "期望编号",
    "預期",
)


_OF_A_LOG = {"time", "query", "answered"}
"""Columns by which it is known."""


@dataclass(frozen=True, slots=True)
class LabelledQuery:
    """A query and the key of the standard question that answers it, None where none does."""

    text: str
    key: str | None
    line: int = 0  # where it stands in its table
    times: int = 1  # how often it stands there, see `once`


def once(queries: Sequence[LabelledQuery]) -> list[LabelledQuery]:
    """Each text with each key that is expected of it once, where it stands first.

    What is asked often stands in a log often, and is no more evidence for that: figures taken of
    copies would seem surer than they are.
    """
    times: Counter[tuple[str, str | None]] = Counter()
    first: dict[tuple[str, str | None], LabelledQuery] = {}
    for query in queries:
        mark = query.text, query.key
        times[mark] += query.times
        first.setdefault(mark, query)
    return [replace(query, times=times[mark]) for mark, query in first.items()]


def read_labelled(
    queries: Any,
    keys: Container[str],
    *,
    column: str | None = None,
    key: str | None = None,
    none: str = "",
    encoding: str | None = None,
    skip_bad: bool = False,
    unlabelled: bool = False,
) -> tuple[list[LabelledQuery], list[Problem]]:
    """Read queries that say which standard question they expect.

    Args:
        queries: a path, rows as mappings or a DataFrame, with a column of texts and one of keys,
            or a table that was read; of a query log, the lines that have something `expected`.
        keys: those of the bank.
        column: of the texts; recognised by its name when None.
        key: column of the expected key (or the text of a standard question, where the bank had
            no keys); recognised by its name when None.
        none: what stands for "no answer expected" in that column, besides an empty cell.
        skip_bad: leave bad rows out rather than raise.
        unlabelled: take no column for keys; nothing is expected then.

    Returns:
        The queries, and the bad rows that were left out.

    Raises:
        BadRowsError: a row has no text, or expects a key that the bank has not.
        DataError: the table cannot be used.
    """
    if isinstance(queries, Table):
        table = queries
    elif isinstance(queries, str | Path):
        table = read_table(queries, encoding=encoding)
    else:
        table = table_from_rows(queries)
    labelled, problems = _labelled(table, keys, _columns(table, column, key, unlabelled), none)
    if problems and not skip_bad:
        found = [(table.source, problem) for problem in problems]
        raise bad_rows(found, "Fix what is bad, or leave it out with --skip-bad.")
    if not labelled:
        raise DataError(f"{table.source}: all of its {len(problems)} rows are bad.")
    return labelled, problems


def _labelled(
    table: Table,
    bank: Container[str],
    names: tuple[str, str | None],
    none: str,
) -> tuple[list[LabelledQuery], list[Problem]]:
    """The queries of a table, and the rows that are none."""
    texts, keys = names
    queries, problems = [], list(table.problems)
    some = keys is not None and _is_log(table)
    for row in table.rows:
        if some and keys not in row.values:
            continue  # a line of a log that nobody has judged
        query = text(row.values.get(texts))
        expected = "" if keys is None else text(row.values.get(keys))
        known = next((name for name in (expected, derived_key(expected)) if name in bank), None)
        if not query:
            problems.append(Problem(row.line, "empty text"))
        elif expected in ("", none):
            queries.append(LabelledQuery(query, None, row.line))
        elif known is None:
            problems.append(Problem(row.line, f"key {brief(expected)} is not in the index"))
        else:
            queries.append(LabelledQuery(query, known, row.line))
    return queries, sorted(problems, key=lambda problem: problem.line)


def expects(table: Table, column: str | None, key: str | None) -> bool:
    """Whether a table says which standard questions its queries expect.

    Of queries that something has logged as JSON Lines, whose texts are called `query`, only a
    column that is called `expected`, or that `key` names, says so.
    """
    free = [name for name in table.columns if name != column]
    if key is not None or any(plain_name(name) in _EXPECTED for name in free):
        return True
    if table.format == "jsonl" and "query" in table.columns:
        return False
    return pick(free, "key", table.source) is not None


def _is_log(table: Table) -> bool:
    """Whether a table is what `query --log` writes, whose keys are those that were found then."""
    return table.format == "jsonl" and set(table.columns) >= _OF_A_LOG


def _columns(
    table: Table, column: str | None, key: str | None, unlabelled: bool
) -> tuple[str, str | None]:
    """The columns of the texts and of the expected keys, None of unlabelled ones."""
    columns, source = table.columns, table.source
    texts = find(columns, column, source) if column is not None else None
    free = [name for name in columns if name != texts]
    keys: str | None = None
    if key is not None:
        keys = find(columns, key, source)
    elif not unlabelled:
        expected = [name for name in free if plain_name(name) in _EXPECTED]
        if not expected and _is_log(table):
            raise DataError(
                f"{source}: is a query log, whose keys are what was found, right or wrong. Write "
                'what is right into some of its lines as "expected" ("" where no answer is), or '
                "pass it with --log."
            )
        keys = expected[0] if len(expected) == 1 else pick(free, "key", source)
    if texts is None:
        texts = pick([name for name in free if name != keys], "text", source)
    if texts is None or (keys is None and not unlabelled):
        missing, option = ("text", "--column") if texts is None else ("key", "--key")
        raise DataError(
            f"{source}: no {missing} column among {listed(columns)}. Pass {option} NAME."
        )
    if texts == keys:
        raise DataError(f"{source}: column {brief(texts)} is named for texts and keys.")
    return texts, keys
