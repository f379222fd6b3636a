"""What the scores and labels of a table mean: a number in 0..1, a class, or the same or not."""

from __future__ import annotations

from collections.abc import Sequence

from semsearch.errors import DataError
from semsearch.tables.cells import brief
from semsearch.training import nli
from semsearch.training.labels import position, unknown
from semsearch.training.rows import Line, Part

Range = tuple[float, float]

_SAME = {"1": True, "true": True, "0": False, "false": False} | {
    label: label == nli.ENTAILMENT for label in nli.ORDER
}


def scale(part: Part, score_range: Range | None) -> None:
    """Bring the scores of a table to 0..1; those out of range are bad rows.

    Without a range it is 0..1 if no score is above 1, else 0..5.

    Raises:
        DataError: there is no range given, and the scores are in neither of these.
    """
    low, high = score_range or _found_range(part)
    column = brief(part.roles["score"])
    part.refuse(
        lambda line: (
            None
            if low <= line.mark <= high
            else f"score {line.mark:g} is outside {low:g} to {high:g} (column {column})"
        )
    )
    for line in part.lines:
        line.mark = (line.mark - low) / (high - low)
    part.facts["score_range"] = [low, high]


def classify(part: Part, names: Sequence[str]) -> None:
    """Put the position of its class in the place of each label; unknown ones are bad rows."""
    column = part.roles["label"]
    part.refuse(
        lambda line: (
            unknown(line.mark, names, column) if position(line.mark, names) is None else None
        )
    )
    for line in part.lines:
        line.mark = position(line.mark, names)


def keep_same(part: Part) -> None:
    """Keep the rows of a table that say that their two texts mean the same.

    Raises:
        DataError: the scores are graded: nobody knows from which one on two texts mean the same.
    """

    def means_the_same(line: Line) -> bool:
        mark = line.mark.casefold().removesuffix(".0")
        known = _SAME.get(nli.canonical(mark) or mark)
        if known is None:
            raise DataError(
                f"{part.path}:{line.number}: score {brief(line.mark)} is neither 0 nor 1 (column "
                f"{brief(part.roles['score'])}), and pairs are the rows with 1. Name another "
                "column with --column score=COLUMN, or learn from scored pairs."
            )
        return known

    part.keep(means_the_same, "rows not marked as the same")


def _found_range(part: Part) -> Range:
    scores = [line.mark for line in part.lines]
    low, high = min(scores, default=0.0), max(scores, default=0.0)
    if low >= 0 and high <= 5:
        return (0.0, 1.0) if high <= 1 else (0.0, 5.0)
    raise DataError(
        f"{part.path}: scores go from {low:g} to {high:g}, which is no usual range. Say what the "
        "lowest and the highest can be with --score-range LOW,HIGH."
    )
