"""What is asked without an answer, most asked first, and as tables to go on with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from semsearch.tables import derived_key, write_bank, write_table
from semsearch.types import StandardQuestion


@dataclass(frozen=True, slots=True)
class Gap:
    """Queries that ask the same and get no confident answer.

    Attributes:
        question: the most central query.
        queries: every distinct one, the most central first.
        volume: how often they were asked, all together.
        key, nearest: the standard question that most of them come nearest to.
        score: the mean cosine to it.
        missing: "question" where the bank has nothing like it, "phrasing" where they are as near
            to that standard question as its own phrasings are to each other.
    """

    question: str
    queries: tuple[str, ...]
    volume: int
    key: str
    nearest: str
    score: float
    missing: Literal["question", "phrasing"]

    def to_dict(self) -> dict[str, Any]:
        """The stable JSON form."""
        return asdict(self) | {"queries": list(self.queries), "score": round(self.score, 4)}


@dataclass(frozen=True, slots=True)
class Gaps:
    """What a log asks and a bank does not answer.

    Attributes:
        asked, distinct: queries in the log, and how many differ in wording.
        unanswered: of all queries, those without a confident answer now.
        gaps: those asked often enough, the most asked first.
        alone: queries in what was asked less often.
        cut: the cosine from which queries ask the same.
    """

    index: str
    log: str
    asked: int
    distinct: int
    unanswered: int
    gaps: tuple[Gap, ...]
    alone: int
    cut: float

    def to_dict(self) -> dict[str, Any]:
        """The stable JSON form."""
        return {
            "index": self.index,
            "log": self.log,
            "asked": self.asked,
            "distinct": self.distinct,
            "unanswered": self.unanswered,
            "alone": self.alone,
            "same_from": round(self.cut, 4),
            "gaps": [gap.to_dict() for gap in self.gaps],
        }

    def write_questions(self, path: str | Path) -> int:
        """Write the questions that are missing as a bank whose answers are to be filled in.

        Raises:
            DataError, MissingExtraError, StorageError: as `write_bank`.
        """
        questions = [
            StandardQuestion(derived_key(gap.question), gap.question, "", gap.queries[1:])
            for gap in self._that_miss("question")
        ]
        write_bank(path, questions)
        return len(questions)

    def write_phrasings(self, path: str | Path) -> int:
        """Write the phrasings that are missing: key, text; see `read_bank(phrasings=...)`.

        Raises:
            DataError, MissingExtraError, StorageError: as `write_table`.
        """
        rows = [
            {"key": gap.key, "text": query, "question": gap.nearest}
            for gap in self._that_miss("phrasing")
            for query in gap.queries
        ]
        write_table(path, rows, columns=["key", "text", "question"])
        return len(rows)

    def _that_miss(self, what: str) -> Sequence[Gap]:
        return [gap for gap in self.gaps if gap.missing == what]
