"""A condition on the owner's columns: what may stand in one, and what is said of one that fails."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from semsearch.errors import DataError

Value: TypeAlias = str | int | float | bytes | None

Where: TypeAlias = str | tuple[str, Sequence[Value] | Mapping[str, Value]]
"""An SQL condition, alone or with the values of its `?` or `:name`."""

# Quotes that are not closed come last, alone.
_TOKEN = re.compile(
    r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|--|/\*|[();'"`\[]""", re.DOTALL
)
_SHOWN = 80
_COLUMNS_SHOWN = 40
_QUOTING = (
    "Text stands in single quotes ('de'), a name with spaces or that SQL has another use for in "
    'double quotes ("group").'
)


@dataclass(frozen=True, slots=True)
class Condition:
    """SQL text and the values of its parameters."""

    text: str
    values: tuple[Value, ...] | Mapping[str, Value] = ()

    @classmethod
    def of(cls, where: Where) -> Condition:
        """
        Raises:
            ValueError: it is neither a text nor a pair of text and values.
        """
        if isinstance(where, str):
            return cls(where)
        if not isinstance(where, tuple) or len(where) != 2 or not isinstance(where[0], str):
            raise ValueError(f"where must be a condition, or (condition, values), not {where!r}")
        text, values = where
        if isinstance(values, Mapping):
            return cls(text, dict(values))
        if isinstance(values, str | bytes) or not isinstance(values, Sequence):
            raise ValueError(f"the values of where must be a list or a dict, not {values!r}")
        return cls(text, tuple(values))

    @property
    def identity(self) -> str:
        """What tells it from other conditions; 1, 1.0 and '1' are three values."""
        return repr((self.text, self.values))

    def expression(self, columns: Sequence[str]) -> str:
        """The condition as an expression that can stand between parentheses, and only there.

        Args:
            columns: to name where it cannot.

        Raises:
            DataError: it is empty, leaves its parentheses, or holds `;` or a comment.
        """
        if not self.text.strip():
            raise self.error("it is empty", columns)
        depth = 0

        def safe(found: re.Match[str]) -> str:
            nonlocal depth
            token = found[0]
            if token in ("'", '"', "`", "["):
                raise self.error(f"a quote is not closed: {token}", columns)
            if token in (";", "--", "/*"):
                raise self.error(f"{token} has no place in a condition", columns)
            depth += {"(": 1, ")": -1}.get(token, 0)
            if depth < 0:
                raise self.error("a parenthesis is closed that was not opened", columns)
            if token[0] == '"':
                # SQLite takes "x" for the text 'x' where there is no column x; `x` it does not.
                name = token[1:-1].replace('""', '"')
                return "`" + name.replace("`", "``") + "`"
            return token

        expression = _TOKEN.sub(safe, self.text)
        if depth:
            raise self.error("a parenthesis is not closed", columns)
        return expression

    def unknown(self, name: str, columns: Sequence[str]) -> DataError:
        """The error for a column that there is not."""
        near = difflib.get_close_matches(name, columns, n=1)
        meant = f" (did you mean {near[0]}?)" if near else ""
        return self.error(f"there is no column {_short(name)}{meant}", columns, quoting=True)

    def error(self, why: str, columns: Sequence[str], *, quoting: bool = False) -> DataError:
        """One line: the condition, what is wrong, and the columns that there are.

        Args:
            quoting: say how texts and names are quoted.
        """
        more = len(columns) - _COLUMNS_SHOWN
        listed = ", ".join(columns[:_COLUMNS_SHOWN]) + (f" and {more} more" if more > 0 else "")
        hint = _QUOTING if quoting else ""
        line = f"condition {self}: {why}. {hint} Columns: {listed}."
        return DataError(" ".join(line.split()))

    def __str__(self) -> str:
        """The text as one short quoted line."""
        return repr(_short(self.text))


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
