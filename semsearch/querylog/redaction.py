"""What must not be kept of a query: replaced by a mark before it is logged."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias

from semsearch.errors import DataError

Redact: TypeAlias = Callable[[str], "str | None"]
"""A query to what may be kept of it; None where nothing may."""

PERSONAL = "personal"
"""The name of the built-in patterns."""

# Letters are Latin ones, so that Chinese text right before an address or a number stays.
_PATTERNS = (
    r"(?P<email>(?<![A-Za-zÀ-ɏ0-9._%+-])[A-Za-zÀ-ɏ0-9._%+-]{1,64}@[A-Za-zÀ-ɏ0-9-]+"
    r"(?:\.[A-Za-zÀ-ɏ0-9-]+)*\.[A-Za-z]{2,})",
    r"(?P<account>(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?: ?[A-Za-z0-9]{4}){2,7}(?: ?[A-Za-z0-9]{1,3})?"
    r"(?![A-Za-z0-9]))",
    r"(?P<id>(?<!\d)\d{6}(?:19|20)\d{9}[\dXx](?![\dA-Za-z]))",  # of a resident of China
    r"(?P<card>(?<![\d.])\d(?:[ -]?\d){12,18}(?![\d]))",
    r"(?P<phone>(?<![\d.,])(?:"
    r"(?:\+|00)[1-9]\d{0,2}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d(?:[ .-]?\d){6,11}"  # international
    r"|1[3-9]\d[ -]?\d{4}[ -]?\d{4}"  # mobile, China
    r"|85[23][ -]\d{4}[ -]?\d{4}"  # Hong Kong, Macau
    r"|\(\d{3}\) ?\d{3}[ .-]?\d{4}|\d{3}[ .-]\d{3}[ .-]\d{4}"  # North America, 400 numbers
    r"|(?=\(?0(?:[ ()/-]{0,2}\d){8})(?:\(0\d{1,4}\) ?|0\d{1,4}[ /-])"  # with an area code
    r"\d{2,4}(?:[ -]?\d{2,4}){1,2}"
    r"|\d{10,11}"
    r")(?![\d]))",
)
_PLAIN = {wide: wide - 0xFEE0 for wide in range(0xFF01, 0xFF5F)} | {0x3000: ord(" ")}
"""Full-width signs, as an input method for Chinese writes them, to what they stand for."""


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
    steps: list[Callable[[str], str]] = []
    for source in sources:
        if str(source) == PERSONAL:
            steps += [partial(_without, re.compile(pattern)) for pattern in _PATTERNS]
        else:
            steps += [partial(pattern.sub, _mark) for pattern in _read(source)]

    def redact(text: str) -> str:
        for step in steps:
            text = step(text)
        return text

    return redact


def _mark(found: re.Match[str]) -> str:
    return f"[{found.lastgroup or 'redacted'}]" if found[0] else ""


def _without(pattern: re.Pattern[str], text: str) -> str:
    """A text without what a built-in pattern finds in it, however wide its signs are."""
    parts, last = [], 0
    for found in pattern.finditer(text.translate(_PLAIN)):
        length = len(found[0]) if found.lastgroup != "account" else _iban_length(found[0])
        if length:
            parts += [text[last : found.start()], _mark(found)]
            last = found.start() + length
    return "".join([*parts, text[last:]])


def _iban_length(text: str) -> int:
    """How much of a text is an account, since words may follow that look like more; 0 if none is.

    Of 15 to 34 signs, mostly digits, and the check digits are right (ISO 13616).
    """
    ends = [place for place, sign in enumerate(text) if sign == " "] + [len(text)]
    for end in reversed(ends):
        plain = text[:end].replace(" ", "").upper()
        if 15 <= len(plain) <= 34 and 2 * sum(map(str.isdigit, plain)) > len(plain):
            digits = "".join(str(int(sign, 36)) for sign in plain[4:] + plain[:4])
            if int(digits) % 97 == 1:
                return end
    return 0


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
