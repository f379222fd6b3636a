"""Whether a calibration still fits the index that it was made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from semsearch.confidence.model import Calibration
from semsearch.errors import CorruptIndexError
from semsearch.store import BankReader, Meta
from semsearch.sync import SyncWarning

OLD = 0.2
"""Share of the phrasings that may come or go before a calibration is old."""


def changed(reader: BankReader, meta: Meta, calibration: Calibration) -> float:
    """Phrasings added and removed since, as a share of those there were; while `reading()`.

    At most 1: of a bank that was built again, each was removed and added.
    """
    before = calibration.bank["phrasings"]
    kept = reader.phrasings_up_to(calibration.bank["last_phrasing"])
    return min(1.0, (meta.phrasings - kept + before - kept) / max(before, 1))


def summary(reader: BankReader, meta: Meta) -> dict[str, Any] | None:
    """What `info` says of a calibration, None where there is none; while `reading()`.

    Raises:
        CorruptIndexError: the calibration is of another version.
    """
    if meta.calibration is None:
        return None
    calibration = Calibration.from_dict(meta.calibration)
    share = changed(reader, meta, calibration)
    facts = calibration.to_dict()
    for name in ("model", "signals", "version", "bank"):
        del facts[name]
    return facts | {"changed_since": round(share, 4), "old": share > OLD}


def warnings(directory: Path, reader: BankReader, before: Meta) -> list[SyncWarning]:
    """What a change did to the calibration that there was before: dropped it, or made it old."""
    if before.calibration is None:
        return []
    try:
        with reader.reading() as meta:
            facts = summary(reader, meta)
    except CorruptIndexError as error:  # what was changed stands, whatever the calibration is
        return [SyncWarning("calibration", str(error), 1)]
    if facts is None:
        message = "The index answers otherwise than before, so its calibration is dropped."
    elif facts["old"]:
        share = facts["changed_since"]
        message = f"{share:.0%} of the phrasings changed since the index was calibrated."
    else:
        return []
    return [
        SyncWarning(
            "calibration", f"{message} Calibrate it again: semsearch calibrate {directory}", 1
        )
    ]
