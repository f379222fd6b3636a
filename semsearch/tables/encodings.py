"""From the bytes of a file to its text, never with a character lost or replaced.

Without `encoding=`, a byte order mark decides, then strict UTF-8, then how plausible the whole file
reads as GB18030 (which contains GBK and GB2312), Big5, UTF-16 without a mark or Windows-1252; when
none of them convinces, charset-normalizer is asked.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from semsearch.errors import DataError
from semsearch.tables.plausibility import plausibility

_MARKS = (
    (codecs.BOM_UTF8, "utf-8", "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32-le", "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32-be", "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16-le", "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16-be", "utf-16"),
)
_CERTAIN = 0.8
_CONVINCING = 0.55
_MARGIN = 0.2  # by which a codec must beat one that convinces and is tried before it
_BIG5 = ("big5", "cp950", "big5hkscs")
_SAMPLE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Decoded:
    """The text of a file and the Python codec that gave it."""

    text: str
    encoding: str


@dataclass(frozen=True, slots=True)
class _Candidate:
    encoding: str
    text: str
    score: float
    bad_byte: int | None  # offset of the first byte that does not fit


def decode(data: bytes, source: str, encoding: str | None = None) -> Decoded:
    """Decode a whole file.

    Args:
        data: all bytes of the file.
        source: its name, for messages.
        encoding: a Python codec name that overrides detection.

    Raises:
        DataError: no such encoding, or a byte that does not fit; the message names its offset.
    """
    if encoding is not None:
        return _decode_as(data, source, encoding)
    for mark, codec, name in _MARKS:
        if data.startswith(mark):
            return Decoded(_strict(data, source, codec, name, len(mark)), name)
    if b"\0" not in data:
        try:
            return Decoded(data.decode("utf-8"), "utf-8")
        except UnicodeDecodeError:
            pass
    found = _most_plausible(data)
    if found.bad_byte is not None:
        hint = (
            "which the rest fits" if found.score >= _CONVINCING else "and nothing else reads well"
        )
        raise DataError(
            f"{source}: byte offset {found.bad_byte} does not fit {found.encoding}, {hint}. "
            "Repair the file, or pass its encoding with --encoding."
        )
    return Decoded(found.text, found.encoding)


def _decode_as(data: bytes, source: str, encoding: str) -> Decoded:
    try:
        info = codecs.lookup(encoding)
        "".encode(encoding)  # refuses codecs that are not of text, such as hex
    except (LookupError, ValueError, UnicodeError):
        raise DataError(
            f"{source}: there is no encoding '{encoding}'. "
            "Usual ones are utf-8, utf-16, gb18030, big5 and cp1252."
        ) from None
    name = info.name
    for mark, codec, marked in _MARKS:
        # A mark belongs to the encoding when that encoding could have written it.
        if data.startswith(mark) and name.replace("_", "-") in (codec, marked):
            return Decoded(_strict(data, source, codec, encoding, len(mark)), name)
    return Decoded(_strict(data, source, name, encoding, 0), name)


def _strict(data: bytes, source: str, codec: str, name: str, skip: int) -> str:
    try:
        return data[skip:].decode(codec)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{source}: byte offset {error.start + skip} does not fit {name}. "
            "Repair the file, or pass another --encoding."
        ) from None
    except (UnicodeError, ValueError) as error:
        raise DataError(f"{source}: is not {name}: {error}. Pass another --encoding.") from None


def _most_plausible(data: bytes) -> _Candidate:
    """The encoding in which the file reads best; it may still hold a byte that does not fit."""
    first = best = _candidate(data, "utf-8")
    for group in _groups(data):
        margin = _MARGIN if best.score >= _CONVINCING else 0.0
        rival = max((_candidate(data, codec) for codec in group), key=_score, default=best)
        if rival.score > best.score + margin:
            best = rival
        if best.score >= _CERTAIN:
            break
    return best if best.score >= _CONVINCING else first


def _score(candidate: _Candidate) -> float:
    return candidate.score


def _groups(data: bytes) -> Iterator[Sequence[str]]:
    """Codecs to try, the likely ones first; a later group is only tried when none is certain."""
    if b"\0" in data:
        yield ("utf-16-le", "utf-16-be")
    yield ("gb18030", "big5")
    yield ("cp1252",)
    yield _guesses(data)


def _candidate(data: bytes, encoding: str) -> _Candidate:
    bad_byte = None
    if encoding == "big5":
        encoding = _big5_variant(data)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        bad_byte = error.start
        text = data.decode(encoding, "replace")  # only to see how well the rest fits
    return _Candidate(encoding, text, plausibility(text), bad_byte)


def _big5_variant(data: bytes) -> str:
    """The Big5 that fits: the common one, that of Windows (～, ‧, €) or that of Hong Kong."""
    fits = {codec: text for codec in _BIG5 if (text := _try(data, codec)) is not None}
    if fits.get("big5") == fits.get("cp950", ""):
        return "big5"
    return next((codec for codec in ("cp950", *_BIG5) if codec in fits), "big5")


def _try(data: bytes, codec: str) -> str | None:
    try:
        return data.decode(codec)
    except UnicodeDecodeError:
        return None


def _guesses(data: bytes) -> list[str]:
    """What charset-normalizer takes the lines beyond ASCII for, best first."""
    from charset_normalizer import from_bytes

    lines = (line for line in data.splitlines() if not line.isascii())
    sample = b"\n".join(lines)[:_SAMPLE_BYTES]
    return [match.encoding for match in from_bytes(sample)][:4]
