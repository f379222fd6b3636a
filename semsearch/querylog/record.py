"""One query and what came of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from semsearch.types import Result

START = b'{"time": "'
"""How every line of a log begins: what begins so and is no JSON was torn by a crash."""


@dataclass(frozen=True, slots=True)
class Record:
    """One line of a query log.

    Attributes:
        query: as it was asked, or as redaction left it.
        time: when, ISO 8601 in UTC.
        key: of the top hit, None where there was none.
        score: its cosine.
        confidence: None where the index was not calibrated.
        answered: whether the query got an answer.

    What a table that is no log does not say is None.
    """

    query: str
    time: str | None = None
    key: str | None = None
    score: float | None = None
    confidence: float | None = None
    answered: bool | None = None

    @classmethod
    def of(cls, result: Result, time: str) -> Record:
        """The record of a result."""
        top = result.hits[0] if result.hits else None
        return cls(
            query=result.query,
            time=time,
            key=top.key if top else None,
            score=round(top.score, 4) if top else None,
            confidence=None if result.confidence is None else round(result.confidence, 4),
            answered=result.answered,
        )

    def to_line(self) -> bytes:
        """One line of JSON in UTF-8, its end included; what is no Unicode becomes `?`."""
        fields = {
            "time": self.time,
            "query": self.query,
            "key": self.key,
            "score": self.score,
            "confidence": self.confidence,
            "answered": self.answered,
        }
        return json.dumps(fields, ensure_ascii=False).encode("utf-8", "replace") + b"\n"

    @classmethod
    def from_fields(cls, query: str, fields: Mapping[str, Any]) -> Record:
        """The record of a parsed line.

        Raises:
            ValueError: a field is not what `to_line` writes; the message names it.
        """
        time, key = fields.get("time"), fields.get("key")
        answered = fields.get("answered")
        for name, value, kind in (
            ("time", time, str),
            ("key", key, str),
            ("answered", answered, bool),
        ):
            if value is not None and not isinstance(value, kind):
                raise ValueError(f"{name} is {json.dumps(value, ensure_ascii=False)[:40]}")
        return cls(
            query, time, key, _number("score", fields), _number("confidence", fields), answered
        )


def _number(name: str, fields: Mapping[str, Any]) -> float | None:
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} is {json.dumps(value, ensure_ascii=False)[:40]}")
    return float(value)
