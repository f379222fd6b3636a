"""One cell of a row to learn from: its text, score or label, or why it cannot be used."""

from __future__ import annotations

import math
import re

from semsearch.tables.cells import brief, text

MAX_CHARACTERS = 20_000
"""A longer text is no sentence: a file that was put into a cell, or a quote that never closes."""

_INTEGER = re.compile(r"[+-]?\d+$")


class BadCellError(ValueError):
    """Why a cell cannot be used; the message is for the user."""


def read_text(value: object, role: str, column: str) -> str:
    """A text, stripped.

    Raises:
        BadCellError: it is empty or too long.
    """
    written = text(value)
    if not written:
        raise BadCellError(f"empty {role} (column {brief(column)})")
    if len(written) > MAX_CHARACTERS:
        raise BadCellError(
            f"{role} of {len(written):,} characters, at most {MAX_CHARACTERS:,} are taken "
            f"(column {brief(column)})"
        )
    return written


def read_score(value: object, column: str) -> float:
    """A finite number.

    Raises:
        BadCellError: it is none.
    """
    written = str(value) if isinstance(value, float) else text(value)
    if not written:
        raise BadCellError(f"empty score (column {brief(column)})")
    try:
        score = float(written)
    except ValueError:
        raise BadCellError(
            f"score {brief(written)} is no number (column {brief(column)})"
        ) from None
    if not math.isfinite(score):
        raise BadCellError(f"score {written} is not finite (column {brief(column)})")
    return score


def read_label(value: object, column: str) -> str:
    """The name of a class; whole numbers are names, too.

    Raises:
        BadCellError: it is empty, a dash as NLI sets write it, or a number with a fraction.
    """
    written = text(value)
    if written in ("", "-"):
        raise BadCellError(f"no label (column {brief(column)})")
    try:
        number = float(written)
    except ValueError:
        return written
    if _INTEGER.match(written):
        return str(int(written))
    if number.is_integer():
        return str(int(number))
    raise BadCellError(
        f"label {brief(written)} is neither a name nor a whole number (column {brief(column)})"
    )
