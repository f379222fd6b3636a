"""Calibrate an index on what an attempt makes of what it has not learnt."""

from __future__ import annotations

from typing import Any

import numpy as np

from semsearch.calibration import CalibrationReport, examples
from semsearch.calibration.assembling import assemble
from semsearch.calibration.heldout import SelfMade
from semsearch.calibration.mixing import Mixing
from semsearch.calibration.run import fit_on
from semsearch.errors import DataError
from semsearch.improvement.material import LEAST, Trial
from semsearch.improvement.sides import Side, first_hits
from semsearch.improvement.start import Start
from semsearch.store import Meta


def calibrate(
    start: Start, trial: Trial, after: Side, made: SelfMade | None, seed: int
) -> tuple[CalibrationReport | None, list[str]]:
    """A calibration at the operating point of before, and what the owner must know of it.

    Args:
        made: queries of the bank itself; None where too little was held out.
    """
    if made is None:
        return None, ["Too little was held out to calibrate the index on itself."]
    bank = {
        "questions": start.meta.questions,
        "phrasings": start.meta.phrasings,
        "last_phrasing": start.last_phrasing,
    }
    labels = _labels(trial, after)
    try:
        report = fit_on(
            assemble(str(start.directory), labels, made, None, start.meta.phrasings),
            index=str(start.directory),
            bank=bank,
            score=after.score,
            source="the bank itself" if labels is None else "labelled queries held out",
            mixed=_mixed(start.meta),
            seed=seed,
            **_point(start.meta),
        )
    except DataError as error:
        return None, [f"Not calibrated: {error}"]
    return report, [*report.notes]


def _labels(trial: Trial, after: Side) -> examples.Examples | None:
    """Held-out labelled queries to calibrate on; None where they are too few to say anything."""
    asked = trial.labelled
    if len(asked) < LEAST or all(query.key is None for query in asked):
        return None
    hits, found = first_hits(after, [q.text for q in asked])
    ids = after.bank.ids
    expected = np.array([-1 if query.key is None else ids[query.key] for query in asked])
    return examples.labelled(found, hits == expected, expected >= 0, asked)


def _mixed(meta: Meta) -> Mixing:
    """What words count, as it was found out before."""
    return Mixing(**meta.lexical) if meta.lexical else Mixing(0.0, "not tried")


def _point(meta: Meta) -> dict[str, Any]:
    """The operating point that the owner chose before, as an argument of `fit_on`."""
    name, _, value = str((meta.calibration or {}).get("point", "")).partition(" ")
    return {name: float(value)} if name in ("precision", "coverage") and value else {}
