"""What a condition may do in the database that it is evaluated in."""

from __future__ import annotations

import sqlite3

# fmt: off
_CLOCK = frozenset([
    "current_date", "current_time", "current_timestamp", "date", "datetime", "julianday",
    "strftime", "time", "timediff", "unixepoch",
])
_FUNCTIONS = _CLOCK | frozenset([
    "abs", "ceil", "ceiling", "coalesce", "floor", "glob", "ifnull", "iif", "instr", "length",
    "like", "lower", "ltrim", "max", "min", "nullif", "round", "rtrim", "sign", "substr",
    "substring", "trim", "typeof", "unicode", "upper",
])
# fmt: on
# What is left out can fill the memory (replace, hex, printf, zeroblob), or answers another time
# differently (random).


class Guard:
    """Allows one SELECT from one table, with harmless functions, and nothing else."""

    def __init__(self, table: str) -> None:
        self._table = table
        self.read: set[str] = set()
        """Columns that are looked at."""
        self.uses_clock = False
        """Whether the answer depends on when it is given."""
        self.refused: str | None = None
        """What was asked for that is not allowed."""
        self._selects = 0

    def __call__(self, action: int, first: str | None, second: str | None, *_: str | None) -> int:
        if action == sqlite3.SQLITE_SELECT and not self._selects:
            self._selects = 1
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_READ and first == self._table:
            self.read.add(second or "")
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_FUNCTION:
            name = (second or "").lower()
            if name in _FUNCTIONS:
                self.uses_clock |= name in _CLOCK
                return sqlite3.SQLITE_OK
            self.refused = f"the function {name}() has no place in one"
        else:
            self.refused = self.refused or "it may only look at the columns of its row"
        return sqlite3.SQLITE_DENY
