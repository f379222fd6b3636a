"""One cell at a time: its text, its JSON form, and whether it can be stored at all."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

_LISTS = (list, tuple, set, frozenset)


def plain(value: object) -> Any:
    """A value of NumPy, pandas or the standard library as what JSON has a word for.

    Missing values (NaN, NaT, NA, infinities) become None; dates become ISO 8601 text; bytes become
    their UTF-8 text, or hexadecimal digits where they are none.
    """
    if value is None or type(value) in (str, int, bool):
        return value
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return _decimal(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes | bytearray | memoryview):
        return _bytes(bytes(value))
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, _LISTS):
        return [plain(item) for item in value]
    for base in (str, bool, int):
        if isinstance(value, base):
            return base(value)
    if hasattr(value, "tolist"):  # NumPy scalars and arrays, pandas and polars Series
        listed = value.tolist()
        return plain(listed) if type(listed) is not type(value) else str(value)
    return str(value)


def scalar(value: object) -> str | int | float | bool | None:
    """A value as a JSON scalar; lists and mappings become JSON text."""
    simple = plain(value)
    if isinstance(simple, list | dict):
        return json.dumps(simple, ensure_ascii=False)
    return simple  # type: ignore[no-any-return]


def text(value: object) -> str:
    """A value as stripped text: None is empty, and 5.0, as Excel stores a 5, is "5"."""
    if isinstance(value, str):
        return value.strip()
    simple = scalar(value)
    if simple is None:
        return ""
    if isinstance(simple, float) and simple.is_integer():
        return str(int(simple))
    return str(simple).strip()


def flaw(value: object) -> str | None:
    """Why a cell cannot be kept, or None: NUL bytes and lone surrogates, at any depth."""
    if isinstance(value, str):
        if "\0" in value:
            return "contains a NUL byte"
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            return "contains text that is not valid Unicode (a lone surrogate)"
    elif isinstance(value, Mapping):
        return next((why for pair in value.items() for why in map(flaw, pair) if why), None)
    elif isinstance(value, _LISTS):
        return next((why for why in map(flaw, value) if why), None)
    return None


def brief(value: str, width: int = 40) -> str:
    """A quoted, one-line, shortened form of a value for a message."""
    return repr(value if len(value) <= width else value[: width - 1] + "…")


def _decimal(value: Decimal) -> int | float | str | None:
    if not value.is_finite():
        return None
    if value.adjusted() > 17:  # more digits than a float or a 64-bit integer holds
        return str(value)
    return int(value) if value == value.to_integral_value() else float(value)


def _bytes(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.hex()
