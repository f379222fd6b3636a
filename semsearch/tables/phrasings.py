"""One cell that holds several phrasings: how it is split, and how it is written."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from semsearch.tables.cells import text

_SIGNS = ("||", "|")


def split_phrasings(cell: Any) -> tuple[str, ...]:
    """The phrasings of a cell, stripped, without empty ones.

    A list gives its items, and so does text that is a JSON array of strings. Other text is split
    at line ends if it has any; else at `||`; else at `|`; else at `；` and `;`. Commas, full stops
    and question marks belong to the wording and never split it.
    """
    if isinstance(cell, list):
        return _clean(text(item) for item in cell)
    whole = text(cell)
    if whole.startswith("[") and whole.endswith("]"):
        try:
            items = json.loads(whole)
        except (ValueError, RecursionError):
            items = None
        if isinstance(items, list) and all(isinstance(item, str) for item in items):
            return _clean(items)
    if "\n" in whole or "\r" in whole:
        return _clean(whole.replace("\r", "\n").split("\n"))
    for sign in _SIGNS:
        if sign in whole:
            return _clean(whole.split(sign))
    return _clean(whole.replace("；", ";").split(";"))


def join_phrasings(phrasings: Iterable[str]) -> str:
    """Phrasings as one cell that `split_phrasings` splits into the same ones: a JSON array."""
    kept = list(phrasings)
    return json.dumps(kept, ensure_ascii=False) if kept else ""


def _clean(items: Iterable[str]) -> tuple[str, ...]:
    return tuple(item.strip() for item in items if item.strip())
