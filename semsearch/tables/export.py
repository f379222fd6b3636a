"""A bank as a table that reads back as the same bank."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from semsearch.tables.phrasings import join_phrasings
from semsearch.tables.writers import write_table
from semsearch.types import StandardQuestion

_LISTS = (".jsonl", ".parquet")


def write_bank(path: str | Path, questions: Iterable[StandardQuestion]) -> int:
    """Write standard questions, one row each: key, question, answer, phrasings, the fields.

    Phrasings are a list where the format has lists, else one cell with a JSON array.

    Returns:
        How many standard questions were written.

    Raises:
        DataError, MissingExtraError, StorageError: as `write_table`.
    """
    lists = Path(path).suffix.lower() in _LISTS
    rows = [
        {
            **question.fields,  # first, so that a column of the owner's never covers a role
            "key": question.key,
            "question": question.question,
            "answer": question.answer,
            "phrasings": (
                list(question.phrasings) if lists else join_phrasings(question.phrasings)
            ),
        }
        for question in questions
    ]
    roles = ["key", "question", "answer", "phrasings"]
    fields = dict.fromkeys(name for row in rows for name in row if name not in roles)
    write_table(path, rows, columns=[*roles, *fields])
    return len(rows)
