"""What an attempt to improve an index came to, for people and for programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from semsearch.calibration import CalibrationReport
from semsearch.improvement.judging import Figure


@dataclass(frozen=True, slots=True)
class ImprovementReport:
    """What `improve` tried, what that was shown to be worth, and what became of it.

    Attributes:
        index: the directory.
        mode: "light" or "fine-tuning".
        promoted: whether the index answers with the improved encoder now.
        reason: why, or why not.
        figures: before and after on what was held out.
        learnt: how many texts the attempt learnt, by kind.
        held_out: how many were held out, by kind.
        settings: how it learnt.
        calibration: of the improved index, None where it was not promoted or cannot be had.
        notes: what the owner must know to trust the figures.
        seconds: in all.
    """

    index: str
    mode: str
    promoted: bool
    reason: str
    figures: tuple[Figure, ...] = ()
    learnt: int = 0
    held_out: dict[str, int] | None = None
    settings: dict[str, Any] | None = None
    calibration: CalibrationReport | None = None
    notes: tuple[str, ...] = ()
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """The stable JSON form."""
        made = self.calibration
        return {
            "index": self.index,
            "mode": self.mode,
            "promoted": self.promoted,
            "reason": self.reason,
            "figures": [figure.to_dict() for figure in self.figures],
            "learnt": self.learnt,
            "held_out": self.held_out,
            "settings": self.settings,
            "calibration": None if made is None else made.to_dict(),
            "notes": list(self.notes),
            "seconds": round(self.seconds, 1),
        }
