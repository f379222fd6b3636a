"""The owner's columns of one state, in a database of their own where conditions are evaluated.

A condition is the owner's SQL, so it is kept away from the index: the columns are copied to an
SQLite database in memory that holds nothing else, which an authorizer then lets do nothing but read
that one table, with harmless functions, for some seconds at most.

Every row that is copied has matched its checksum: a damaged row is an error before any condition
looks at it, and never passes or fails one.
"""

from __future__ import annotations

import json
import logging
import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from time import monotonic
from typing import Any

import numpy as np

from semsearch.errors import DataError
from semsearch.store.condition import Condition
from semsearch.store.guard import Guard
from semsearch.store.rows import QuestionRow
from semsearch.types import Ids

log = logging.getLogger(__name__)

OWN = ("key", "question", "answer")
"""Columns that every bank has; one of the owner's by the same name comes first."""

# As a person or a spreadsheet writes a number. 007, +49 and 1e5 are rather names, and what has more
# digits than a float keeps is never taken for one: two of them must not become equal.
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")
_DIGITS = 15
_WITH_A_NUMBER = r"\s*(?:[<>]=?|BETWEEN\s)\s*[-+]?\.?\d"

_TABLE = "bank"
_SECONDS = 10.0
_STEPS = 100  # of SQLite's machine, between two looks at the clock


class Columns:
    """The columns of every standard question, ready for conditions."""

    def __init__(self, rows: Iterable[QuestionRow]) -> None:
        """rows: each matched its checksum."""
        values: list[dict[str, Any]] = []
        ids: list[int] = []
        names: dict[str, None] = {}
        for row in rows:
            fields = {name: _scalar(value) for name, value in json.loads(row.fields).items()}
            names.update(dict.fromkeys(fields))
            values.append({"key": row.key, "question": row.question, "answer": row.answer} | fields)
            ids.append(row.id)
        # SQL does not tell Price from price, has no empty name, and ends at a NUL.
        folded: dict[str, str] = {}
        self._twins: dict[str, str] = {}
        for name in [name for name in names if name and "\0" not in name]:
            first = folded.setdefault(_fold(name), name)
            if first != name:
                self._twins.setdefault(first, name)
        for name in OWN:
            folded.setdefault(name, name)
        self.names = tuple(folded.values())
        """Every column that a condition may name, the owner's first."""
        self._id = "\n"  # what nobody names
        while self._id in folded:
            self._id += "\n"
        self._fill(ids, values)

    def _fill(self, ids: Sequence[int], values: Sequence[dict[str, Any]]) -> None:
        numeric = [_is_numeric(row.get(name) for row in values) for name in self.names]
        self._numeric = {name for name, number in zip(self.names, numeric, strict=True) if number}
        # No statement is kept, so that the authorizer sees each of them.
        self._connection = sqlite3.connect(
            ":memory:", isolation_level=None, check_same_thread=False, cached_statements=0
        )
        columns = [
            f"{_quoted(name)} {'NUMERIC' if number else ''}"
            for name, number in zip(self.names, numeric, strict=True)
        ]
        columns.append(f"{_quoted(self._id)} INTEGER PRIMARY KEY")
        try:
            # Without a rowid, a condition on one is an error.
            self._connection.execute(f"CREATE TABLE {_TABLE} ({', '.join(columns)}) WITHOUT ROWID")
        except sqlite3.OperationalError as error:
            raise DataError(
                f"the bank has {len(self.names)} columns, more than a condition can look at "
                f"({error}). Build it with fewer columns."
            ) from error
        with self._connection:
            self._connection.execute("BEGIN")
            self._connection.executemany(
                f"INSERT INTO {_TABLE} VALUES ({', '.join('?' * len(columns))})",
                self._tuples(ids, values, numeric),
            )

    def __del__(self) -> None:
        if hasattr(self, "_connection"):
            self._connection.close()

    def _tuples(
        self, ids: Sequence[int], values: Sequence[dict[str, Any]], numeric: Sequence[bool]
    ) -> Iterator[tuple[Any, ...]]:
        kinds = list(zip(self.names, numeric, strict=True))
        for id_, row in zip(ids, values, strict=True):
            # An empty cell among numbers is a number that is missing.
            yield (
                *(
                    None if number and isinstance(v := row.get(name), str) and not v.strip()
                    else row.get(name)
                    for name, number in kinds
                ),
                id_,
            )  # fmt: skip

    def passing(self, condition: Condition) -> tuple[Ids, bool]:
        """The standard questions that pass a condition.

        Returns:
            Their ids (n,) ascending, and whether the same ids will pass later: not so where the
            condition asks for the time.

        Raises:
            DataError: the condition is no condition, names a column that there is not, or takes
                too long.
        """
        expression = condition.expression(self.names)
        guard, ends = Guard(_TABLE), monotonic() + _SECONDS
        self._connection.set_authorizer(guard)
        self._connection.set_progress_handler(lambda: monotonic() > ends, _STEPS)
        query = f"SELECT {_quoted(self._id)} FROM {_TABLE} WHERE ({expression}\n) ORDER BY 1"
        try:
            found = self._connection.execute(query, condition.values).fetchall()
        except sqlite3.Error as error:
            raise self._explained(condition, error, guard.refused) from error
        except (sqlite3.Warning, TypeError, ValueError, OverflowError) as error:
            # NUL bytes, halves of characters, numbers that are too large.
            raise condition.error(f"it cannot be used ({error})", self.names) from error
        self._refuse_twins(condition, guard.read)
        if not found:
            self._say_that_none_pass(condition, guard.read)
        else:
            self._say_what_is_text(expression, guard.read)
        return np.array([id_ for (id_,) in found], dtype=np.int64), not guard.uses_clock

    def _say_that_none_pass(self, condition: Condition, read: set[str]) -> None:
        # A number is never equal to a text, which is easily overlooked.
        kinds = ", ".join(
            f"{name} holds {'numbers' if name in self._numeric else 'text'}"
            for name in self.names
            if name in read
        )
        hint = f" ({kinds})" if kinds else ""
        log.info("no standard question passes the condition %s%s", condition, hint)

    def _say_what_is_text(self, expression: str, read: set[str]) -> None:
        """To SQL, every text is larger than every number."""
        for name in sorted((read & set(self.names)) - self._numeric):
            column = rf"(?<!\w){re.escape(name)}[`\]]?"
            if re.search(column + _WITH_A_NUMBER, expression, re.IGNORECASE):
                log.warning(
                    "column %s holds text, and every text is larger than every number: write the "
                    "number as text, '9', or have only numbers in the column.",
                    name,
                )

    def _explained(
        self, condition: Condition, error: sqlite3.Error, refused: str | None
    ) -> DataError:
        why = " ".join(str(error).split()).rstrip(".")
        unknown = re.fullmatch(r"no such column: (.*)", why)
        if refused:
            return condition.error(refused, self.names)
        if unknown:
            return condition.unknown(unknown[1], self.names)
        if why == "interrupted":
            why = f"it takes more than {_SECONDS:.0f} seconds"
        # A parenthesis stands behind every condition.
        where = why.replace('near ")"', 'near ")" or the end')
        return condition.error(where, self.names, quoting="syntax error" in why)

    def _refuse_twins(self, condition: Condition, read: set[str]) -> None:
        for name in sorted(read & self._twins.keys()):
            raise condition.error(
                f"columns {name} and {self._twins[name]} differ in case only, which SQL does not "
                "tell apart; rename one",
                self.names,
            )


def _is_numeric(values: Iterable[Any]) -> bool:
    """Whether a column holds numbers, as numbers or as text, and nothing else.

    A table of text, such as CSV, has its numbers as text: 9 must be less than 10 there, too.
    """
    some = False
    for value in values:
        if value is None:
            continue
        if isinstance(value, str):
            stripped = value.strip()
            if not stripped:
                continue
            if not _NUMBER.fullmatch(stripped) or len(stripped.lstrip("-").replace(".", "")) > (
                _DIGITS
            ):
                return False
        some = True
    return some


def _scalar(value: Any) -> Any:
    """A value as SQLite can hold it."""
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return str(value)
    return value


def _fold(name: str) -> str:
    # SQLite folds the case of ASCII only.
    return "".join(c.lower() if c.isascii() else c for c in name)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
