"""What must not be kept of a query: replaced by a mark before it is logged."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeAlias

from semsearch.errors import DataError

Redact: TypeAlias = Callable[[str], "str | None"]
"""A query to what may be kept of it; None where nothing may."""

PERSONAL = "personal"
"""The name of the built-in patterns."""

# Digits are \d, so that full-width ones count; letters are ASCII, so that Chinese text that
# stands right before an address or a number stays.
_PATTERNS = (
    r"(?P<email>(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]{1,64}[@＠][A-Za-z0-9-]+"
    r"(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,})",
    r"(?P<account>(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?: ?[A-Za-z0-9]{4}){2,7}(?: ?[A-Za-z0-9]{1,3})?"
    r"(?![A-Za-z0-9]))",
    r"(?P<id>(?<!\d)\d{6}(?:19|20)\d{9}[\dXx](?![\dA-Za-z]))",  # of a resident of China
    r"(?P<card>(?<![\d.])\d(?:[ -]?\d){12,18}(?![\d]))",
    r"(?P<phone>(?<![\d.,])(?:"
    r"(?:\+|00)[1-9]\d{0,2}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d(?:[ .-]?\d){6,11}"  # international
    r"|1[3-9]\d[ -]?\d{4}[ -]?\d{4}"  # mobile, China
    r"|\(\d{3}\) ?\d{3}[ .-]?\d{4}|\d{3}[ .-]\d{3}[ .-]\d{4}"  # North America, 400 numbers
    r"|(?=\(?0(?:[ ()/-]{0,2}\d){8})(?:\(0\d{1,4}\) ?|0\d{1,4}[ /-])"  # with an area code
    r"\d{2,4}(?:[ -]?\d{2,4}){1,2}"
    r"|\d{10,11}"
    r")(?![\d]))",
)


def redactor(*sources: str | Path) -> Redact:
    """A function that replaces what patterns find by a mark, such as `[email]`.

    Args:
        sources: "personal" for e-mail addresses and numbers of phones, cards, accounts (IBAN) and
            Chinese identity cards; or a file of regular expressions (Python's `re`), one a line,
            where empty lines and those that begin with # do not count. The name of a group is
            the mark, `(?P<order>HO-\\d{6})` gives [order]; without one it is [redacted].

    Raises:
        DataError: a file cannot be read, or a line is no regular expression.
    """
    patterns: list[re.Pattern[str]] = []
    for source in sources:
        if str(source) == PERSONAL:
            patterns += map(re.compile, _PATTERNS)
        else:
            patterns += _read(source)

    def redact(text: str) -> str:
        for pattern in patterns:
            text = pattern.sub(_mark, text)
        return text

    return redact


def _mark(found: re.Match[str]) -> str:
    name = found.lastgroup
    if not found[0] or (name == "account" and not _is_iban(found[0])):
        return found[0]
    return f"[{name or 'redacted'}]"


def _is_iban(text: str) -> bool:
    """Whether the check digits are right (ISO 13616)."""
    plain = text.replace(" ", "").upper()
    return int("".join(str(int(sign, 36)) for sign in plain[4:] + plain[:4])) % 97 == 1


def _read(path: str | Path) -> Iterable[re.Pattern[str]]:
    from semsearch.tables.encodings import decode
    from semsearch.tables.readers import read_bytes

    content = decode(read_bytes(path), str(path), None).text
    found: Sequence[str] = content.replace("\r\n", "\n").split("\n")
    for number, line in enumerate(found, 1):
        pattern = line.strip().removeprefix("\ufeff")
        if pattern and not pattern.startswith("#"):
            try:
                yield re.compile(pattern)
            except re.error as error:
                raise DataError(
                    f"{path}:{number}: no regular expression: {error}. Mend or remove it."
                ) from None
