"""The phrasings of a bank, and the pairs that they make within a standard question."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from semsearch.errors import DataError
from semsearch.index import Index
from semsearch.tables import read_bank
from semsearch.tables.cells import brief
from semsearch.training.cells import MAX_CHARACTERS
from semsearch.training.components import folded
from semsearch.training.examples import Examples
from semsearch.training.rows import source_sha256
from semsearch.types import Ids, StandardQuestion


@dataclass(frozen=True, slots=True, eq=False)
class BankPhrasings:
    """All ways to ask the standard questions of a bank.

    Attributes:
        texts: n phrasings, those of one standard question together, its own text first; none
            twice in a standard question, whatever their case, width and spaces.
        groups: (n,) int64, positions in `keys`.
        keys: of the standard questions.
        sources: where they came from, for the report.
    """

    texts: tuple[str, ...]
    groups: Ids
    keys: tuple[str, ...]
    sources: tuple[Mapping[str, Any], ...] = field(default=())

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, rows: Ids | Sequence[int]) -> BankPhrasings:
        """Some phrasings, in that order, with the keys of all."""
        index = np.asarray(rows, np.int64)
        texts = tuple(self.texts[row] for row in index)
        return BankPhrasings(texts, self.groups[index], self.keys, self.sources)


def read_bank_examples(
    source: str | Path,
    *,
    phrasings: str | Path | None = None,
    skip_bad: bool = False,
    **table: Any,
) -> BankPhrasings:
    """The phrasings of a table that `build` reads, or of an index; no encoder is loaded.

    Args:
        source: a table, or the directory of an index.
        phrasings: a second table of phrasings; see `semsearch.tables.read_bank`.
        skip_bad: leave bad rows and endless phrasings out, and count them in `sources`.
        **table: the rest of what `read_bank` takes.

    Raises:
        BadRowsError: rows of a table are bad.
        DataError: the table cannot be used, or a phrasing has more than 20,000 characters.
        IndexNotFoundError: the directory holds no index.
        CorruptIndexError: the index is damaged.
    """
    if Path(source).is_dir():
        if phrasings is not None or table:
            raise DataError(f"{source}: is an index, which has its phrasings and no columns.")
        with Index.open(source) as index:
            questions = tuple(index.questions())
        record = {
            "path": str(source),
            "sha256": _content_sha256(questions),
            "rows": len(questions),
        }
        return _phrasings(questions, record, skip_bad)
    bank = read_bank(source, phrasings=phrasings, skip_bad=skip_bad, **table)
    record = {
        "path": str(source),
        "sha256": source_sha256(source),
        "rows": len(bank.table.rows) + len(bank.table.problems),
    }
    if phrasings is not None:
        record["phrasings"] = {"path": str(phrasings), "sha256": source_sha256(phrasings)}
    if bank.problems:
        record["bad_rows"] = len(bank.problems)
    return _phrasings(bank.questions, record, skip_bad)


def pairs_within(phrasings: BankPhrasings, seed: int = 0, rounds: int = 1) -> Examples:
    """Pairs of phrasings of one standard question; the question is their group.

    In each round every phrasing is an anchor once, with a random other phrasing of its standard
    question; it meets another one in each round until it has met them all. Standard questions of
    one phrasing give no pair and are counted in `sources`.

    Args:
        rounds: at least 1; the pairs of a round stand together.

    Raises:
        DataError: no standard question has two phrasings.
    """
    if rounds < 1:
        raise DataError(f"pairs need at least one round, not {rounds}.")
    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(phrasings.groups == group) for group in np.unique(phrasings.groups)]
    several = [rows for rows in members if len(rows) > 1]
    if not several:
        raise DataError(
            "no standard question of the bank has two phrasings to make a pair of. Add phrasings, "
            "or learn from the plain sentences."
        )
    anchors = np.concatenate(several)
    partners = np.concatenate([_partners(rows, rounds, rng) for rows in several])
    left, right = np.tile(anchors, rounds), partners.T.ravel()
    record = {"questions_of_one_phrasing": len(members) - len(several)}
    texts = phrasings.texts
    return Examples(
        "pairs",
        {"anchor": [texts[row] for row in left], "positive": [texts[row] for row in right]},
        groups=phrasings.groups[left],
        sources=tuple({**source, **record} for source in phrasings.sources),
    )


def _partners(rows: Ids, rounds: int, rng: np.random.Generator) -> Ids:
    """For each of m rows the others, in random order, as many as there are rounds: (m, rounds)."""
    others = len(rows) - 1
    drawn = np.stack([rng.permutation(others) for _ in rows])[:, np.arange(rounds) % others]
    return rows[drawn + (drawn >= np.arange(len(rows))[:, None])]  # past the row itself


def _phrasings(
    questions: Iterable[StandardQuestion], record: dict[str, Any], skip_bad: bool
) -> BankPhrasings:
    texts: list[str] = []
    groups: list[int] = []
    keys: list[str] = []
    endless = 0
    for question in questions:
        distinct: dict[str, str] = {}
        for text in question.texts:
            if len(text) <= MAX_CHARACTERS:
                distinct.setdefault(folded(text), text)
            elif skip_bad:
                endless += 1
            else:
                raise DataError(
                    f"{record['path']}: key {brief(question.key)} has a phrasing of {len(text):,} "
                    f"characters, at most {MAX_CHARACTERS:,} are taken. Shorten it, or leave it "
                    "out with --skip-bad."
                )
        texts += distinct.values()
        groups += [len(keys)] * len(distinct)
        keys.append(question.key)
    if endless:
        record["endless_phrasings"] = endless
    return BankPhrasings(tuple(texts), np.array(groups, np.int64), tuple(keys), (record,))


def _content_sha256(questions: Iterable[StandardQuestion]) -> str:
    """Of the keys and texts; the files of an index change with every write."""
    content = [[question.key, *question.texts] for question in questions]
    return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()
