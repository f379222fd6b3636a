"""A bank as a table that reads back as the same bank."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from semsearch.tables.phrasings import join_phrasings
from semsearch.tables.roles import Roles, is_usual_name
from semsearch.tables.writers import write_table
from semsearch.types import StandardQuestion

_LISTS = (".jsonl", ".parquet")


def write_bank(path: str | Path, questions: Iterable[StandardQuestion]) -> tuple[int, Roles | None]:
    """Write standard questions, one row each: key, question, answer, phrasings, the fields.

    Phrasings are a list where the format has lists, else one cell with a JSON array.

    Returns:
        How many were written; and None where `read_bank` recognises the columns by itself, else
        the roles to name, because a field of the owner's has a name that is usual for a role.

    Raises:
        DataError, MissingExtraError, StorageError: as `write_table`.
    """
    bank = list(questions)
    fields = list(dict.fromkeys(name for question in bank for name in question.fields))
    key, text, answer, phrasings = (
        _free(name, fields) for name in ("key", "question", "answer", "phrasings")
    )
    lists = Path(path).suffix.lower() in _LISTS
    rows = [
        {
            key: question.key,
            text: question.question,
            answer: question.answer,
            phrasings: list(question.phrasings) if lists else join_phrasings(question.phrasings),
            **question.fields,
        }
        for question in bank
    ]
    write_table(path, rows, columns=[key, text, answer, phrasings, *fields])
    if not any(map(is_usual_name, fields)):
        return len(rows), None
    return len(rows), Roles(text, answer, key, (phrasings,), ())


def _free(name: str, taken: Sequence[str]) -> str:
    """`name`, with a number where the owner has a column of that name."""
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name} {number}"
    return free
