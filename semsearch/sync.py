"""What has to change so that an index says what a table says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from semsearch.errors import ConfirmationError, DataError
from semsearch.store import BankReader, Change, PhrasingRow, QuestionRow
from semsearch.store.rows import content_hash, load_vectors
from semsearch.types import StandardQuestion, Vectors

REMOVAL_LIMIT = 0.5
EXAMPLES = 3
_EXAMPLE_LENGTH = 60


@dataclass(frozen=True, slots=True)
class SyncWarning:
    """Something that is probably not what the owner meant; the sync went on."""

    # "too_long", "unknown_tokens", "same_question", "whitening", "snapshot", "calibration",
    # "improved"
    kind: str
    message: str
    count: int
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What a sync did. Counts are standard questions; `encoded` counts texts."""

    added: int = 0
    changed: int = 0
    removed: int = 0
    unchanged: int = 0
    encoded: int = 0
    seconds: float = 0.0
    warnings: tuple[SyncWarning, ...] = ()


@dataclass(frozen=True, slots=True)
class _Edit:
    """One standard question that changes, and the wording of it that has no vector yet."""

    old: QuestionRow | None
    new: StandardQuestion | None
    dropped: tuple[int, ...] = ()
    texts: tuple[str, ...] = ()


@dataclass(slots=True)
class Plan:
    """The difference between a bank and a table, and the vectors that it can take over."""

    unchanged: int = 0
    edits: list[_Edit] = field(default_factory=list)
    known: dict[str, Vectors] = field(default_factory=dict)  # text → (dim,)

    @property
    def added(self) -> int:
        return sum(edit.old is None for edit in self.edits)

    @property
    def removed(self) -> int:
        return sum(edit.new is None for edit in self.edits)

    @property
    def changed(self) -> int:
        return len(self.edits) - self.added - self.removed

    def missing(self) -> list[str]:
        """Distinct texts that must be encoded, in the order of the table."""
        texts = (text for edit in self.edits for text in edit.texts)
        return [text for text in dict.fromkeys(texts) if text not in self.known]

    def changes(self, encoded: Mapping[str, Vectors]) -> list[Change]:
        """The plan as rows to write; `encoded` has a vector (dim,) for each missing text."""
        made = []
        for edit in self.edits:
            vectors = [
                self.known[text] if text in self.known else encoded[text] for text in edit.texts
            ]
            made.append(
                Change(
                    old_id=edit.old.id if edit.old else None,
                    new=edit.new,
                    dropped=edit.dropped,
                    texts=edit.texts,
                    vectors=np.stack(vectors) if vectors else None,
                )
            )
        return made


def plan(
    reader: BankReader | None,
    existing: Mapping[str, QuestionRow],
    bank: Iterable[StandardQuestion],
    *,
    dim: int,
    remove_missing: bool,
    reencode: bool,
) -> Plan:
    """Compare by key and content hash.

    Args:
        reader: the index as it is, inside a reading transaction; None on the first build.
        existing: its standard questions by key.
        dim: length of the stored vectors.
        remove_missing: remove what the bank does not name.
        reencode: take over no vector, because another encoder makes them now.
    """
    wanted = _by_key(bank)
    new = [question for key, question in wanted.items() if key not in existing]
    changed = [
        (existing[key], question)
        for key, question in wanted.items()
        if key in existing and (reencode or existing[key].hash != content_hash(question))
    ]
    removed = [row for key, row in existing.items() if remove_missing and key not in wanted]
    touched = [row.id for row, _ in changed] + [row.id for row in removed]
    old = reader.phrasings_of(touched) if reader and touched else {}

    result = Plan(unchanged=len(wanted) - len(new) - len(changed))
    for row, question in changed:
        result.edits.append(_edit(row, question, old[row.id], reencode))
    for row in removed:
        result.edits.append(_Edit(row, None, dropped=tuple(p.id for p in old[row.id])))
    result.edits += [_Edit(None, question, texts=question.texts) for question in new]
    if not reencode:
        result.known = _vectors([row for rows in old.values() for row in rows], dim)
    return result


def remove(reader: BankReader, existing: Mapping[str, QuestionRow], keys: Sequence[str]) -> Plan:
    """The plan that removes the standard questions with these keys.

    Raises:
        DataError: a key is not in the bank.
    """
    unknown = [key for key in keys if key not in existing]
    if unknown:
        raise DataError(
            f"key {unknown[0]!r} is not in the index"
            + (f" (nor are {len(unknown) - 1} others)" if unknown[1:] else "")
            + ". Nothing was removed."
        )
    rows = [existing[key] for key in dict.fromkeys(keys)]
    old = reader.phrasings_of(row.id for row in rows)
    return Plan(
        unchanged=len(existing) - len(rows),
        edits=[_Edit(row, None, dropped=tuple(p.id for p in old[row.id])) for row in rows],
    )


def check_removal(plan: Plan, n_existing: int) -> None:
    """Stop a sync that would empty the bank by mistake.

    Raises:
        ConfirmationError: more than half of the bank would go.
    """
    if n_existing and plan.removed > REMOVAL_LIMIT * n_existing:
        raise ConfirmationError(
            f"this table would remove {plan.removed} of {n_existing} standard questions. "
            "If that is meant, pass --yes."
        )


def same_question(bank: Sequence[StandardQuestion]) -> list[SyncWarning]:
    """Standard questions that have one text but several keys."""
    keys: dict[str, list[str]] = {}
    for question in bank:
        keys.setdefault(question.question, []).append(question.key)
    double = {text: found for text, found in keys.items() if len(found) > 1}
    if not double:
        return []
    examples = [f"{shorten(text)} ({', '.join(found)})" for text, found in double.items()]
    return [
        SyncWarning(
            "same_question",
            f"{len(double)} question texts stand under more than one key; a query finds only one "
            "of them first.",
            len(double),
            tuple(examples[:EXAMPLES]),
        )
    ]


def shorten(text: str) -> str:
    """A text as one short line, for messages."""
    line = " ".join(text.split())
    return line if len(line) <= _EXAMPLE_LENGTH else line[: _EXAMPLE_LENGTH - 1] + "…"


def _edit(
    row: QuestionRow, question: StandardQuestion, old: Sequence[PhrasingRow], reencode: bool
) -> _Edit:
    kept = set() if reencode else {phrasing.text for phrasing in old} & set(question.texts)
    return _Edit(
        old=row,
        new=question,
        dropped=tuple(phrasing.id for phrasing in old if phrasing.text not in kept),
        texts=tuple(text for text in question.texts if text not in kept),
    )


def _vectors(rows: Sequence[PhrasingRow], dim: int) -> dict[str, Vectors]:
    vectors = load_vectors([row.vector for row in rows], dim)
    return {row.text: vectors[n] for n, row in enumerate(rows)}


def _by_key(bank: Iterable[StandardQuestion]) -> dict[str, StandardQuestion]:
    wanted: dict[str, StandardQuestion] = {}
    for question in bank:
        if question.key in wanted:
            raise DataError(f"key {question.key!r} stands twice. Give each its own key.")
        wanted[question.key] = question
    return wanted
