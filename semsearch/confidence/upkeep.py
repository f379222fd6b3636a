"""Whether a calibration still fits the index that it was made of."""

from __future__ import annotations

from typing import Any

from semsearch.confidence.model import Calibration
from semsearch.store import BankReader, Meta

OLD = 0.2
"""Share of the phrasings that may come or go before a calibration is old."""


def changed(reader: BankReader, meta: Meta, calibration: Calibration) -> float:
    """Phrasings added and removed since, as a share of those there were; while `reading()`."""
    before = calibration.bank["phrasings"]
    kept = reader.phrasings_up_to(calibration.bank["last_phrasing"])
    return (meta.phrasings - kept + before - kept) / max(before, 1)


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
