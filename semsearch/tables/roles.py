"""Which column holds the question, the answer, the key and the phrasings.

Columns are recognised by their usual names in English and Chinese, whatever the case, the width,
and the spaces, underscores and bracketed remarks in them. The names of a role stand in ranks: the
column of the best rank wins, and two columns of the same rank are for the user to choose between.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from semsearch.errors import DataError
from semsearch.tables import names
from semsearch.tables.cells import brief

_REMARK = re.compile(r"[(\[【{<].*?[)\]】}>]")
_FILLER = re.compile(r"[\W_]+")
_NUMBER = re.compile(r"(?:\d+|[一二三四五六七八九十]+)$")


def _ranked(ranks: Sequence[str]) -> dict[str, int]:
    ranked: dict[str, int] = {}
    for rank, words in enumerate(ranks):
        for name in words.split():
            ranked.setdefault(name, rank)
    return ranked


_RANKS = {
    "question": _ranked(names.QUESTION),
    "answer": _ranked(names.ANSWER),
    "key": _ranked(names.KEY),
    "phrasing": _ranked(names.PHRASING),
    "text": _ranked(names.TEXT),
}


@dataclass(frozen=True, slots=True)
class Roles:
    """The column of each role, None (or empty) where the table has none.

    A column of `numbered` (相似问1, 相似问2) holds one phrasing a cell; one of `phrasings` may
    hold several.
    """

    question: str
    answer: str | None = None
    key: str | None = None
    phrasings: tuple[str, ...] = ()
    numbered: tuple[str, ...] = ()

    @property
    def columns(self) -> frozenset[str]:
        """Every column that has a role; the others are the owner's fields."""
        single = {self.question, self.answer, self.key} - {None}
        return frozenset((*(name for name in single if name), *self.phrasings, *self.numbered))


def recognise(
    columns: Sequence[str],
    source: str,
    *,
    question: str | None = None,
    answer: str | None = None,
    key: str | None = None,
    phrasing: Sequence[str] = (),
) -> Roles:
    """Give each role its column; explicit names come before usual ones.

    Raises:
        DataError: no question column, an explicit name that the table has not, one column for two
            roles, or two columns that may both hold one role.
    """
    given = {"question": question, "answer": answer, "key": key}
    named = {role: find(columns, name, source) for role, name in given.items() if name is not None}
    explicit = tuple(dict.fromkeys(find(columns, name, source) for name in phrasing))
    _refuse_two_roles([*named.values(), *explicit], source)
    free = [name for name in columns if name not in named.values() and name not in explicit]
    for role in ("question", "answer", "key"):
        if role not in named:
            found = pick(free, role, source)
            if found is not None:
                named[role] = found
    if "question" not in named:
        raise DataError(
            f"{source}: no question column among {listed(columns)}. Pass --question NAME."
        )
    free = [] if explicit else [name for name in free if name not in named.values()]
    return Roles(
        named["question"],
        named.get("answer"),
        named.get("key"),
        explicit or tuple(name for name in free if plain_name(name) in _RANKS["phrasing"]),
        tuple(name for name in free if _is_numbered_phrasing(name)),
    )


def find(columns: Sequence[str], name: str, source: str) -> str:
    """The column that a user named, by its exact name or else by the only one that resembles it.

    Raises:
        DataError: there is none; the message lists the columns.
    """
    if name in columns:
        return name
    alike = [column for column in columns if column and plain_name(column) == plain_name(name)]
    if len(alike) == 1:
        return alike[0]
    near = difflib.get_close_matches(name, columns, n=1)
    hint = f" Did you mean {brief(near[0])}?" if near else ""
    raise DataError(f"{source}: no column {brief(name)} among {listed(columns)}.{hint}")


def pick(columns: Sequence[str], role: str, source: str) -> str | None:
    """The column with the best usual name of a role, None when no column has one.

    Raises:
        DataError: two columns share the best rank.
    """
    ranks = _RANKS[role]
    ranked = [(ranks[plain_name(name)], name) for name in columns if plain_name(name) in ranks]
    if not ranked:
        return None
    best = min(rank for rank, _ in ranked)
    tied = [name for rank, name in ranked if rank == best]
    if len(tied) > 1:
        option = "--column" if role == "text" else f"--{role}"
        raise DataError(
            f"{source}: columns {listed(tied)} may each hold the {role}. "
            f"Choose one with {option} NAME."
        )
    return tied[0]


def is_usual_name(name: str) -> bool:
    """Whether any role knows a column of this name."""
    return _is_numbered_phrasing(name) or any(
        plain_name(name) in known for known in _RANKS.values()
    )


def plain_name(name: str) -> str:
    """A column name without case, width, spaces, punctuation and bracketed remarks."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return _FILLER.sub("", _REMARK.sub("", folded)) or _FILLER.sub("", folded)


def listed(columns: Sequence[str]) -> str:
    """Column names for a message, at most twelve of them."""
    shown = ", ".join(brief(name) for name in columns[:12])
    return shown + (f" and {len(columns) - 12} more" if len(columns) > 12 else "")


def _is_numbered_phrasing(name: str) -> bool:
    base, count = _NUMBER.subn("", plain_name(name))
    return count > 0 and base in _RANKS["phrasing"]


def _refuse_two_roles(columns: Sequence[str], source: str) -> None:
    twice = next((name for name in columns if columns.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"{source}: column {brief(twice)} is named for two roles. Name it once.")
