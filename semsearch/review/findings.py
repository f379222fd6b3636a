"""What a review says: findings, the surest first."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias, get_args

Kind: TypeAlias = Literal["contradiction", "duplicate", "misfiled", "few_phrasings"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or may be.

    Attributes:
        kind: "contradiction", one question with two answers; "duplicate", one question twice;
            "misfiled", a phrasing that belongs elsewhere; "few_phrasings".
        fault: whether it is more likely wrong than not; the others are remarks.
        sure: the probability of that; None for few phrasings, which are counted.
        key, question: of the standard question.
        phrasing: the wording that it is about; None where it is the whole standard question.
        other_key, other_question: the other standard question, None for few phrasings.
        score: cosine to the other: of the phrasing, or on average of all; see `usual`.
        usual: what phrasings have of their own standard question there.
        answers: both answers, where they matter.
        evidence: what speaks for it, a sentence.
        advice: what to do, a sentence.
    """

    kind: Kind
    fault: bool
    sure: float | None
    key: str
    question: str
    phrasing: str | None = None
    other_key: str | None = None
    other_question: str | None = None
    score: float | None = None
    usual: float | None = None
    answers: tuple[str, str] | None = None
    evidence: str = ""
    advice: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The stable JSON form."""
        fields = asdict(self)
        for name in ("sure", "score", "usual"):
            if fields[name] is not None:
                fields[name] = round(fields[name], 4)
        return fields

    @property
    def rank(self) -> tuple[bool, int, float, int, str, str]:
        """Faults first, then counts last, the surest first."""
        few = self.kind == "few_phrasings"
        return (
            not self.fault, few, -(self.sure or 0.0), KINDS.index(self.kind), self.key,
            self.phrasing or "",
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Review:
    """What a review found.

    Attributes:
        findings: faults first, then remarks, the surest first.
        notes: what could not be looked at.
    """

    index: str
    questions: int
    phrasings: int
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()

    @property
    def faults(self) -> tuple[Finding, ...]:
        """What is more likely wrong than not."""
        return tuple(finding for finding in self.findings if finding.fault)

    @property
    def remarks(self) -> tuple[Finding, ...]:
        """The others."""
        return tuple(finding for finding in self.findings if not finding.fault)

    def to_dict(self) -> dict[str, Any]:
        """The stable JSON form."""
        counts = Counter(finding.kind for finding in self.faults)
        return {
            "index": self.index,
            "questions": self.questions,
            "phrasings": self.phrasings,
            "faults": len(self.faults),
            "remarks": len(self.remarks),
            "kinds": {kind: counts[kind] for kind in KINDS},
            "notes": list(self.notes),
            "findings": [finding.to_dict() for finding in self.findings],
        }
