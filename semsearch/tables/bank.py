"""From the rows of a table to standard questions: one per key, with all its phrasings."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from semsearch.errors import DataError, Problem
from semsearch.tables.cells import brief, flaw, scalar, text
from semsearch.tables.phrasings import split_phrasings
from semsearch.tables.readers import read_table, table_from_rows
from semsearch.tables.roles import Roles, listed, pick, recognise
from semsearch.tables.table import Table, bad_rows
from semsearch.types import StandardQuestion

_FIX = "Fix what is bad, or leave it out with --skip-bad."


@dataclass(frozen=True, slots=True)
class Bank:
    """The standard questions of a table, in the order of their first rows.

    `problems` are the bad rows that were left out; `duplicates` are the questions that several
    keys share, each with these keys; `differing` are the rows with other values in other columns
    than the first one of their key, which counts.
    """

    questions: tuple[StandardQuestion, ...]
    table: Table
    roles: Roles
    problems: tuple[Problem, ...] = ()
    duplicates: tuple[tuple[str, tuple[str, ...]], ...] = ()
    differing: tuple[Problem, ...] = ()


@dataclass(slots=True)
class _Entry:
    """A standard question while its rows are collected."""

    key: str
    question: str
    answer: str
    line: int  # where the answer stands
    fields: dict[str, Any]
    phrasings: list[str] = field(default_factory=list)

    def finish(self) -> StandardQuestion:
        others = tuple(text for text in dict.fromkeys(self.phrasings) if text != self.question)
        return StandardQuestion(self.key, self.question, self.answer, others, self.fields)


def standard_questions(source: Any, **table: Any) -> Sequence[StandardQuestion]:
    """Standard questions as they are, of a Bank, or of whatever `read_bank` takes, as `table` says.

    Raises:
        DataError: as `read_bank`, or a standard question cannot be stored.
    """
    if isinstance(source, Bank):
        return source.questions
    if isinstance(source, Iterable) and not isinstance(source, str):
        rows = list(source)
        if rows and all(isinstance(row, StandardQuestion) for row in rows):
            return [_checked(row, number) for number, row in enumerate(rows, 1)]
        source = source if hasattr(source, "columns") else rows
    return read_bank(source, **table).questions


def _checked(question: StandardQuestion, number: int) -> StandardQuestion:
    """A standard question that can be stored, its fields as those of a table.

    Raises:
        DataError: it cannot.
    """
    texts = (question.key, question.question, question.answer)
    fields = question.fields
    if not all(isinstance(value, str) for value in texts):
        why = "its key, question and answer must be text"
    elif isinstance(question.phrasings, str) or not all(
        isinstance(value, str) for value in question.phrasings or ()
    ):
        why = "its phrasings must be a tuple of texts"
    elif not isinstance(fields, Mapping):
        why = "its fields must be a mapping"
    elif not question.key.strip() or not question.question.strip():
        why = "its key or question is empty"
    else:
        why = flaw((*texts, *(question.phrasings or ()), fields)) or ""
    if why:
        raise DataError(f"standard question {number} ({brief(str(question.key))}): {why}.")
    plain = {str(name): scalar(value) for name, value in fields.items()}
    return replace(question, phrasings=tuple(question.phrasings or ()), fields=plain)


def read_bank(
    source: Any,
    *,
    encoding: str | None = None,
    question: str | None = None,
    answer: str | None = None,
    key: str | None = None,
    phrasing: Sequence[str] = (),
    phrasings: str | Path | None = None,
    skip_bad: bool = False,
) -> Bank:
    """Read standard questions from a table.

    Rows with the same key are one standard question: the question, answer and fields of its first
    row count, further questions are phrasings. Without a key column the key is derived from the
    question's text.

    Args:
        source: a path or `-`, as for `read_table`; or an iterable of mappings, or a DataFrame.
        encoding: of text files; found out when None.
        question: column of the standard question; recognised by its name when None.
        answer: column of the answer.
        key: column of the key.
        phrasing: columns of further phrasings; see `split_phrasings` for cells that hold several.
        phrasings: a second table of phrasings, with a key and a text column, one phrasing a row.
        skip_bad: leave bad rows out and list them in `Bank.problems`, rather than raise.

    Raises:
        BadRowsError: some rows are bad; `problems` lists them.
        DataError: a table cannot be read, or a column is missing or ambiguous.
        MissingExtraError: the format of a table needs an optional dependency.
    """
    if isinstance(source, str | Path):
        table = read_table(source, encoding=encoding)
    else:
        table = table_from_rows(source)
    if table.problems and not table.columns:
        raise bad_rows([(table.source, problem) for problem in table.problems], _FIX)
    roles = recognise(
        table.columns, table.source, question=question, answer=answer, key=key, phrasing=phrasing
    )
    entries: dict[str, _Entry] = {}
    bad = [(table.source, problem) for problem in table.problems]
    differing: list[Problem] = []
    bad += [(table.source, problem) for problem in _collect(table, roles, entries, differing)]
    bad.sort(key=lambda pair: pair[1].line)
    if phrasings is not None:
        further = read_table(phrasings, encoding=encoding)
        found = (*further.problems, *_add_phrasings(further, key, entries))
        bad += [
            (further.source, Problem(problem.line, f"{problem.reason} (in {further.source})"))
            for problem in sorted(found, key=lambda problem: problem.line)
        ]
    problems = tuple(problem for _, problem in bad)
    if bad and not skip_bad:
        raise bad_rows(bad, _FIX)
    if not entries:
        raise DataError(f"{table.source}: all of its {len(problems)} rows are bad.")
    questions = tuple(entry.finish() for entry in entries.values())
    return Bank(questions, table, roles, problems, _duplicates(questions), tuple(differing))


def derived_key(question: str) -> str:
    """The key of a question whose table has no keys: 16 hex digits that depend on nothing else.

    Case, width and spacing do not change it.
    """
    plain = " ".join(unicodedata.normalize("NFKC", question).casefold().split())
    return hashlib.sha256(plain.encode("utf-8")).hexdigest()[:16]


def _collect(
    table: Table, roles: Roles, entries: dict[str, _Entry], differing: list[Problem]
) -> list[Problem]:
    """Fill `entries` and `differing` from the rows; those that do not fit are returned."""
    problems = []
    waiting: list[tuple[int, str, str, list[str]]] = []
    others = [name for name in table.columns if name not in roles.columns]
    for row in table.rows:
        cells = row.values
        question = text(cells.get(roles.question))
        answer = text(cells.get(roles.answer)) if roles.answer else ""
        phrasings = _phrasings(cells, roles)
        if roles.key is not None:
            key = text(cells.get(roles.key))
        else:
            key = derived_key(question) if question else ""
        if not question and not (key and phrasings):
            problems.append(Problem(row.line, "empty question"))
        elif not key:
            problems.append(Problem(row.line, f"empty key (column {brief(roles.key or '')})"))
        elif key in entries:
            why = _merge(entries[key], row.line, question, answer, phrasings)
            if why:
                problems.append(Problem(row.line, why))
            else:
                differing += _differing(entries[key], row.line, cells, others)
        elif not question:
            waiting.append((row.line, key, answer, phrasings))  # its key may follow further down
        else:
            fields = {name: scalar(cells[name]) for name in others if name in cells}
            entries[key] = _Entry(key, question, answer, row.line, fields, phrasings)
    for line, key, answer, phrasings in waiting:
        entry = entries.get(key)
        why = _merge(entry, line, "", answer, phrasings) if entry else "empty question"
        if why:
            problems.append(Problem(line, why))
    return problems


def _phrasings(cells: Mapping[str, Any], roles: Roles) -> list[str]:
    found: list[str] = []
    for name in roles.phrasings:
        found += split_phrasings(cells.get(name))
    for name in roles.numbered:
        cell = cells.get(name)
        found += split_phrasings(cell) if isinstance(cell, list) else [text(cell)]
    return [phrasing for phrasing in found if phrasing]


def _merge(
    entry: _Entry, line: int, question: str, answer: str, phrasings: Sequence[str]
) -> str | None:
    """Add a further row of a key to its entry, or say why that cannot be."""
    if answer and entry.answer and answer != entry.answer:
        return f"key {brief(entry.key)} has two answers (the other is on line {entry.line})"
    if answer and not entry.answer:
        entry.answer, entry.line = answer, line
    entry.phrasings += [question, *phrasings] if question else phrasings
    return None


def _differing(
    entry: _Entry, line: int, cells: Mapping[str, Any], names: Iterable[str]
) -> Iterable[Problem]:
    """What a further row of a key says otherwise than its first one, in other columns."""
    for name in names:
        value, first = text(cells.get(name)), text(entry.fields.get(name))
        if value and value != first:
            said = f"{brief(first)} stands" if first else "nothing stands"
            reason = f"{brief(name)} is {brief(value)}, where {said} in the first row of "
            yield Problem(line, f"{reason}{brief(entry.key)}")


def _add_phrasings(
    table: Table, key: str | None, entries: Mapping[str, _Entry]
) -> Iterable[Problem]:
    """Add the phrasings of a second table, yielding the rows that do not fit."""
    key_column = key if key in table.columns else pick(table.columns, "key", table.source)
    free = [name for name in table.columns if name != key_column]
    text_column = pick(free, "text", table.source)
    if key_column is None or text_column is None:
        missing = "key" if key_column is None else "text"
        raise DataError(
            f"{table.source}: no {missing} column among {listed(table.columns)}. "
            "A table of phrasings has the columns 'key' and 'text'."
        )
    for row in table.rows:
        name, cell = text(row.values.get(key_column)), row.values.get(text_column)
        wordings = split_phrasings(cell) if isinstance(cell, list) else (text(cell),)
        if not any(wordings):
            yield Problem(row.line, "empty phrasing")
        elif name not in entries:
            yield Problem(row.line, f"unknown key {brief(name)}" if name else "empty key")
        else:
            entries[name].phrasings += wordings


def _duplicates(questions: Iterable[StandardQuestion]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    keys: dict[str, list[str]] = {}
    for question in questions:
        keys.setdefault(question.question, []).append(question.key)
    return tuple((shared, tuple(names)) for shared, names in keys.items() if len(names) > 1)
