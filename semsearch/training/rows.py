"""One table as rows to learn from, before anything is made of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from semsearch.errors import Problem
from semsearch.evaluation.data import file_sha256
from semsearch.tables import Row, Table, read_table
from semsearch.tables.cells import flaw, text
from semsearch.tables.encodings import decode
from semsearch.tables.readers import STDIN, read_bytes
from semsearch.training.cells import BadCellError, read_label, read_score, read_text
from semsearch.training.columns import choose
from semsearch.training.components import folded
from semsearch.training.examples import Shape

_BESIDE = ("score", "label", "group")


@dataclass(slots=True)
class Line:
    """A row that can be used: the texts of its roles, its score or label, its group."""

    number: int
    texts: tuple[str, ...]
    mark: Any = None
    group: str = ""


@dataclass(slots=True)
class Part:
    """What one table gives, what is bad in it, and how much of it is left out and why."""

    path: str
    sha256: str
    rows: int
    roles: Mapping[str, str]
    lines: list[Line]
    problems: list[Problem]
    left_out: Counter[str] = field(default_factory=Counter)
    facts: dict[str, Any] = field(default_factory=dict)

    def keep(self, wanted: Callable[[Line], bool], others: str) -> None:
        """Leave out the other lines, counted as what `others` calls them."""
        kept = [line for line in self.lines if wanted(line)]
        self.left_out[others] += len(self.lines) - len(kept)
        self.lines = kept

    def refuse(self, why: Callable[[Line], str | None]) -> None:
        """Make lines bad rows, where there is a reason."""
        reasons = [why(line) for line in self.lines]
        self.problems += [
            Problem(line.number, reason)
            for line, reason in zip(self.lines, reasons, strict=True)
            if reason
        ]
        self.lines = [line for line, reason in zip(self.lines, reasons, strict=True) if not reason]

    def counts(self) -> Counter[str]:
        """What is left out, by kind."""
        return self.left_out + Counter({"bad rows": len(self.problems)})

    def record(self) -> dict[str, Any]:
        """Where the examples come from, JSON-ready."""
        left_out = self.counts()
        return {
            "path": self.path,
            "sha256": self.sha256,
            "rows": self.rows,
            "columns": dict(self.roles),
            **self.facts,
            **({"left_out": dict(left_out)} if left_out else {}),
        }


def read_part(
    file: str | Path, shape: Shape, columns: Mapping[str, str], encoding: str | None
) -> Part:
    """Read a table; rows that cannot be used by themselves are in `problems`.

    Raises:
        DataError: it cannot be read, or it is not clear which column is which.
    """
    if shape == "sentences" and Path(file).suffix.lower() == ".txt":
        table = _lines(file, encoding)
    else:
        table = read_table(file, encoding=encoding)
    roles = choose(table.columns, shape, columns, table.source)
    lines, problems = [], list(table.problems)
    for row in table.rows:
        try:
            lines.append(_line(row, roles, shape))
        except BadCellError as error:
            problems.append(Problem(row.line, str(error)))
    rows = len(table.rows) + len(table.problems)
    return Part(table.source, source_sha256(file), rows, roles, lines, problems)


def _line(row: Row, roles: Mapping[str, str], shape: Shape) -> Line:
    cells = row.values
    texts = {
        role: read_text(cells.get(name), role, name)
        for role, name in roles.items()
        if role not in _BESIDE
    }
    if "negative" in texts and folded(texts["negative"]) in (
        folded(texts["anchor"]),
        folded(texts["positive"]),
    ):
        raise BadCellError("the negative is the same text as the anchor or the positive")
    line = Line(row.line, tuple(texts.values()))
    if "score" in roles:
        cell = cells.get(roles["score"])
        if shape == "scored":
            line.mark = read_score(cell, roles["score"])
        else:  # of pairs: whether it is 0 or 1 is a question to the whole table
            line.mark = read_text(cell, "score", roles["score"])
    elif "label" in roles:
        line.mark = read_label(cells.get(roles["label"]), roles["label"])
    if "group" in roles:
        line.group = read_text(cells.get(roles["group"]), "group", roles["group"])
    return line


def _lines(file: str | Path, encoding: str | None) -> Table:
    """The lines of a file of plain text as a table of one column; empty ones mean nothing."""
    content = decode(read_bytes(file), str(file), encoding).text.removeprefix("\ufeff")
    written = content.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    rows, problems = [], []
    for number, item in enumerate(written, 1):
        if why := flaw(item):
            problems.append(Problem(number, why))
        elif text(item):
            rows.append(Row(number, {"text": item}))
    return Table(str(file), "txt", ("text",), rows, tuple(problems))


def source_sha256(source: str | Path) -> str:
    """Of the file that a table stands in, empty for standard input.

    Raises:
        DataError: it cannot be read.
    """
    if str(source) == STDIN:
        return ""
    path = Path(source)
    return file_sha256(path if path.exists() else Path(str(source).rpartition("::")[0]))
