"""The classes of labelled examples: which there are, in which order, and which a label means."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from semsearch.errors import DataError
from semsearch.tables.cells import brief
from semsearch.training import nli


def given_names(labels: Sequence[str] | int) -> tuple[str, ...]:
    """The classes that a user names, or as many as a user says, called 0, 1, and so on.

    Raises:
        DataError: there are fewer than two, or one twice.
    """
    names = tuple(map(str, range(labels))) if isinstance(labels, int) else tuple(labels)
    if len(names) < 2 or len(set(names)) < len(names):
        raise DataError(f"labels must be at least two different ones, not {_shown(names)}.")
    return names


def found_names(labels: Iterable[str]) -> tuple[str, ...]:
    """The classes that occur: those of NLI in their own order, numbers by value, names sorted."""
    distinct = set(labels)
    classes = {nli.canonical(label) for label in distinct}
    if None not in classes:
        return tuple(label for label in nli.ORDER if label in classes)
    if all(label.lstrip("-").isdecimal() for label in distinct):
        return tuple(sorted(distinct, key=int))
    return tuple(sorted(distinct))


def position(label: str, names: Sequence[str]) -> int | None:
    """Which class a label means: by its name, by the name that NLI has for it, or by its number.

    Numbers count the classes from 0 where they are no names themselves.
    """
    if label in names:
        return names.index(label)
    if (canonical := nli.canonical(label)) in names:
        return names.index(canonical)
    if label.isdecimal() and int(label) < len(names):
        return int(label)
    return None


def unknown(label: str, names: Sequence[str], column: str) -> str:
    """Why a label that means no class cannot be used."""
    return f"label {brief(label)} is none of {_shown(names)} (column {brief(column)})"


def _shown(names: Sequence[str]) -> str:
    shown = ", ".join(names[:6])
    return f"{shown} and {len(names) - 6} more" if len(names) > 6 else shown or "none"
