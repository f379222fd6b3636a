"""Which queries get another answer from another index: a change is seen before it is live."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from semsearch.errors import DataError, Problem
from semsearch.evaluation.bootstrap import difference_interval
from semsearch.evaluation.queries import LabelledQuery, expects, read_labelled
from semsearch.index import Index
from semsearch.tables import Table, read_table, read_texts, table_from_rows
from semsearch.types import Result

_QUERIES_AT_ONCE = 1024

Kind: TypeAlias = Literal["changed", "reworded", "newly answered", "newly refused"]
"""Another standard question; the same with another answer; an answer where there was none; none
where there was one."""

KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class Answer:
    """What one index says to one query; what it would have said, where it says nothing.

    Attributes:
        sure: the confidence where both indexes are calibrated, else the score.
    """

    key: str
    question: str
    answer: str
    answered: bool
    sure: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "answered": self.answered,
            "key": self.key,
            "question": self.question,
            "answer": self.answer,
            "sure": round(self.sure, 4),
        }


_NOTHING = Answer("", "", "", False, 0.0)


@dataclass(frozen=True, slots=True)
class Change:
    """A query that gets another answer.

    Attributes:
        count: how often it was asked.
        better: whether it is right now and was wrong, or the other way round; None where it is as
            right as it was, or nobody said what is expected.
    """

    query: str
    count: int
    kind: Kind
    before: Answer
    after: Answer
    expected: str | None = None
    better: bool | None = None

    @property
    def importance(self) -> float:
        """How often it is asked, times how sure the surer of the two answers is.

        An answer that nobody was sure of may change at any time; one that an index is sure of is
        either mended or broken.
        """
        sides = (self.before, self.after)
        return self.count * max(side.sure if side.answered else 0.0 for side in sides)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `expected` and `better` are null where nobody said."""
        return {
            "query": self.query,
            "count": self.count,
            "kind": self.kind,
            "better": self.better,
            "expected": self.expected,
            "importance": round(self.importance, 4),
            "before": self.before.to_dict(),
            "after": self.after.to_dict(),
        }


@dataclass(frozen=True, slots=True)
class Difference:
    """What changes between two indexes.

    Attributes:
        queries: how many were asked, each as often as it stands in the table.
        same: how many of them get the same answer, or none as before.
        changes: the others, the most important first; those for the worse before all.
        by_text: whether standard questions are the same by their text, since no key is in both.
        labelled: whether the table says what is expected.
        right: shares that are right before and after, None without labels.
        interval: 95%, of the difference of the two, paired.
        skipped: bad rows that were left out.
    """

    a: str
    b: str
    queries: int
    same: int
    changes: tuple[Change, ...]
    by_text: bool
    labelled: bool
    right: tuple[float, float] | None
    interval: tuple[float, float] | None
    skipped: tuple[Problem, ...]

    @property
    def counts(self) -> dict[Kind, int]:
        """How many queries changed in which way."""
        found: Counter[Kind] = Counter()
        for change in self.changes:
            found[change.kind] += change.count
        return {kind: found[kind] for kind in KINDS}

    def to_dict(self) -> dict[str, Any]:
        """The stable JSON form."""
        better, worse = (self.judged(better=side) for side in (True, False))
        return {
            "a": self.a,
            "b": self.b,
            "queries": self.queries,
            "skipped": len(self.skipped),
            "same": self.same,
            **{kind.replace(" ", "_"): n for kind, n in self.counts.items()},
            "better": better if self.labelled else None,
            "worse": worse if self.labelled else None,
            "right": None if self.right is None else [round(v, 4) for v in self.right],
            "difference": None if self.interval is None else [round(v, 4) for v in self.interval],
            "compared_by": "text" if self.by_text else "key",
            "changes": [change.to_dict() for change in self.changes],
        }

    def judged(self, *, better: bool) -> int:
        """How many queries changed for the better, or for the worse."""
        return sum(change.count for change in self.changes if change.better is better)


def compare(
    a: Index,
    b: Index,
    queries: Any,
    *,
    column: str | None = None,
    key: str | None = None,
    none: str = "",
    encoding: str | None = None,
    skip_bad: bool = False,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Difference:
    """Ask two indexes the same, each as it would answer a user.

    Args:
        queries: lines of a `.txt` file or standard input (`-`), or a table (a path, rows as
            mappings or a DataFrame) with a column of texts, and of expected keys if there is one.
            Of a query log in JSON Lines, whose texts are called `query`, only a column that is
            called `expected`, or that `key` names, is taken for expected keys.
        column, key, none, skip_bad, encoding: see `retrieval.evaluate`.
        progress: called with (distinct queries asked so far, distinct queries to ask).

    Raises:
        BadRowsError: a row has no text, or expects a key that neither index has.
        DataError: the table cannot be used.
    """
    banks = [{q.key: q.question for q in index.questions()} for index in (a, b)]
    texts = banks[0] | banks[1]
    asked, labelled, problems = _read(
        queries, texts, column=column, key=key, none=none, encoding=encoding,
        skip_bad=skip_bad,
    )  # fmt: skip
    by_text = not banks[0].keys() & banks[1].keys()
    counts = Counter((query.text, query.key) for query in asked)
    calibrated = all(index.info()["calibration"] is not None for index in (a, b))
    changes: list[Change] = []
    same = 0
    right: list[tuple[bool, bool, int]] = []
    for (text, expected), before, after in _answers(a, b, list(counts), calibrated, progress):
        count = counts[text, expected]
        meant = _plain(texts[expected]) if by_text and expected is not None else None
        ok = _is_right(before, expected, meant), _is_right(after, expected, meant)
        right.append((*ok, count))
        kind = _kind(before, after, by_text)
        if kind is None:
            same += count
            continue
        better = ok[1] if labelled and ok[0] != ok[1] else None
        changes.append(Change(text, count, kind, before, after, expected, better))
    changes.sort(key=lambda change: (change.better is not False, -change.importance, change.query))
    shares, interval = _judged(right, seed) if labelled else (None, None)
    return Difference(
        str(a.path), str(b.path), len(asked), same, tuple(changes), by_text, labelled, shares,
        interval, tuple(problems),
    )  # fmt: skip


def _read(
    queries: Any, keys: Container[str], **options: Any
) -> tuple[list[LabelledQuery], bool, list[Problem]]:
    """The queries, whether they say what is expected, and the rows that are none."""
    if _is_lines(queries) and options["column"] is None and options["key"] is None:
        texts = read_texts(queries, encoding=options["encoding"])
        return [LabelledQuery(text, None) for text in texts], False, []
    table = _table(queries, options["encoding"])
    key = options["key"]
    if expects(table, options["column"], key):
        labelled, problems = read_labelled(table, keys, **options)
        return labelled, True, problems
    values = {name: options[name] for name in ("column", "skip_bad")}
    found, problems = read_labelled(table, keys, unlabelled=True, **values)
    return found, False, problems


def _is_lines(queries: Any) -> bool:
    return isinstance(queries, str | Path) and (
        str(queries) == "-" or Path(queries).suffix.lower() == ".txt"
    )


def _table(queries: Any, encoding: str | None) -> Table:
    if isinstance(queries, str | Path):
        return read_table(queries, encoding=encoding)
    return table_from_rows(queries)


_Asked: TypeAlias = tuple[str, str | None]


def _answers(
    a: Index,
    b: Index,
    asked: Sequence[_Asked],
    calibrated: bool,
    progress: Callable[[int, int], None] | None,
) -> Iterator[tuple[_Asked, Answer, Answer]]:
    for start in range(0, len(asked), _QUERIES_AT_ONCE):
        some = asked[start : start + _QUERIES_AT_ONCE]
        texts = [text for text, _ in some]
        found = [index.search(texts, 1, refused=True) for index in (a, b)]
        before, after = (_said(results, calibrated) for results in found)
        yield from zip(some, before, after, strict=True)
        if progress is not None:
            progress(start + len(some), len(asked))


def _said(results: Iterable[Result], calibrated: bool) -> list[Answer]:
    return [
        Answer(
            hit.key,
            hit.question,
            hit.answer,
            result.answered,
            result.confidence if calibrated and result.confidence is not None else hit.score,
        )
        if (hit := next(iter(result.hits), None))
        else _NOTHING
        for result in results
    ]


def _kind(before: Answer, after: Answer, by_text: bool) -> Kind | None:
    if before.answered != after.answered:
        return "newly answered" if after.answered else "newly refused"
    if not before.answered:
        return None
    same = _plain(before.question) == _plain(after.question) if by_text else before.key == after.key
    if not same:
        return "changed"
    return None if before.answer == after.answer else "reworded"


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _is_right(answer: Answer, expected: str | None, meant: str | None) -> bool:
    """meant: the plain text of what is expected, where keys tell nothing."""
    if not answer.answered:
        return expected is None
    return answer.key == expected or (meant is not None and _plain(answer.question) == meant)


def _judged(
    right: Sequence[tuple[bool, bool, int]], seed: int
) -> tuple[tuple[float, float], tuple[float, float]]:
    if not right:
        raise DataError("there is nothing to compare: 0 queries.")
    before, after, counts = (np.array(column) for column in zip(*right, strict=True))
    before, after = np.repeat(before, counts), np.repeat(after, counts)
    return (float(before.mean()), float(after.mean())), difference_interval(after, before, seed)
