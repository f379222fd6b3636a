"""Queries to improve an encoder with: labelled ones, and what a log holds."""

from __future__ import annotations

import json
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semsearch.errors import DataError
from semsearch.evaluation.queries import LabelledQuery, once, read_labelled

SURE = 0.95
"""The confidence from which an answer in a log is taken for right."""

_VERDICT = "expected"


@dataclass(frozen=True, slots=True)
class Queries:
    """What was read.

    Attributes:
        labelled: with the key that each expects, None where no answer is right.
        logged: with the key that each was answered with.
        skipped: bad rows that were left out.
    """

    labelled: list[LabelledQuery]
    logged: list[LabelledQuery]
    skipped: int = 0


def read(labelled: Any, log: str | Path | None, keys: Container[str], **table: Any) -> Queries:
    """Labelled queries, and logged ones with the answer that they got with confidence.

    What a log says of itself is nobody's verdict: only answers from a confidence of 0.95 on count,
    and only to learn from. Where its owner has put a column `expected` to it, rows that have a
    value there are labelled queries.

    Args:
        labelled: a table, or None.
        log: what `query --log` writes, or None.
        keys: those of the bank.
        **table: what `read_labelled` takes besides.

    Raises:
        DataError: a table cannot be used.
    """
    known: list[LabelledQuery] = []
    bad = 0
    if labelled is not None:
        known, problems = read_labelled(labelled, keys, **table)
        bad = len(problems)
    if log is None:
        return Queries(once(known), [], bad)
    from semsearch.querylog import read_log

    verdicts = list(_verdicts(Path(log), keys))
    judged = {query.text for query in (*known, *verdicts)}
    sure: dict[str, str] = {}
    doubtful: set[str] = set()
    for record in read_log(log):
        key = record.key
        if not record.answered or key is None or key not in keys or record.query in judged:
            continue
        if record.confidence is None or record.confidence < SURE:
            continue
        if sure.setdefault(record.query, key) != key:  # the bank has changed in between
            doubtful.add(record.query)
    logged = [LabelledQuery(text, key) for text, key in sure.items() if text not in doubtful]
    return Queries(once([*known, *verdicts]), logged, bad)


def _verdicts(log: Path, keys: Container[str]) -> Iterator[LabelledQuery]:
    """The rows of a log in JSON Lines that say what they expect; "" or null where no answer."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise DataError(f"{log}: {error.strerror}.") from None
    for number, line in enumerate(lines, 1):
        if f'"{_VERDICT}"' not in line:
            continue
        try:
            fields = json.loads(line)
        except ValueError:
            continue  # a torn line, which the reader of logs counts
        if not isinstance(fields, dict) or _VERDICT not in fields:
            continue
        key, text = fields[_VERDICT], fields.get("query")
        if not isinstance(text, str) or not text.strip():
            continue
        if key in (None, ""):
            yield LabelledQuery(text, None, number)
        elif key in keys:
            yield LabelledQuery(text, str(key), number)
        else:
            raise DataError(f"{log}:{number}: key {key!r} is not in the index.")
