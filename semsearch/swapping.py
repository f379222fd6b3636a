"""Give an index an improved encoder, or the one that it had before: one transaction.

The improved encoder is a folder inside the index. It is whole before the transaction that names it,
and the folder of the encoder before stays, so a process that is killed at any moment leaves an
index that answers as before or as after.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from semsearch import identity, snapshots
from semsearch.encoder import Encoder
from semsearch.errors import IndexBusyError, IndexNotFoundError, StorageError
from semsearch.recipe import Recipe, made_by
from semsearch.store import BankReader, BankWriter, EncoderRecord, Meta, PhrasingRow
from semsearch.store.bank import no_index
from semsearch.sync import SyncWarning
from semsearch.types import Vectors
from semsearch.writing import Writing

Fill = Callable[[Path], None]
"""Writes something into the folder of an encoder."""


@dataclass(frozen=True, slots=True)
class Improvement:
    """An encoder that was proven better, and what was proven.

    Attributes:
        encoder: as it is served.
        fill: what goes into its folder beside it.
        vectors: (dim,) by the texts of the bank that it has encoded already.
        calibration: of the index with it, made of what it held then; None where there is none.
        proof: what `info` shows.
    """

    encoder: Encoder
    fill: Fill
    vectors: Mapping[str, Vectors]
    calibration: dict[str, Any] | None
    proof: dict[str, Any]


@dataclass(frozen=True, slots=True)
class RolledBack:
    """What a rollback did: how many phrasings got the vectors they had, and how many new ones."""

    restored: int
    encoded: int
    calibrated: bool  # whether the calibration from before is there again
    warnings: tuple[SyncWarning, ...] = ()


def weight(meta: Meta) -> float:
    """What words count in the rank of an index; 0 where they do not."""
    return float(meta.lexical["weight"]) if meta.lexical else 0.0


def state_before(meta: Meta) -> tuple[EncoderRecord, dict[str, Any]]:
    """The encoder that an index had before it was improved, and what else it had with it.

    Of an index that was not improved, what it has.
    """
    if meta.improved is None:
        kept = {
            "score": meta.score,
            "calibration": meta.calibration,
            "lexical": meta.lexical,
            "tuned": meta.tuned,
        }
        return meta.encoder, {"encoder": asdict(meta.encoder), **kept}
    before = meta.improved["before"]
    return EncoderRecord(**before["encoder"]), before


def swap(change: Writing, improvement: Improvement, measured_on: Meta) -> tuple[SyncWarning, ...]:
    """Encode what is missing, and let the index answer with an improved encoder from now on.

    Raises:
        IndexBusyError: the index has another encoder than the one that was improved.
        StorageError: the disk refused; the index is as it was.
    """
    reader, meta = _existing(change)
    if (meta.encoder, meta.score) != (measured_on.encoder, measured_on.score):
        raise IndexBusyError(
            f"{change.directory}: it was built again while it was improved. Improve it again."
        )
    record, before = state_before(meta)
    encoder = improvement.encoder
    with reader.reading() as now:
        rows = reader.every_phrasing(now)
        former = reader.former_vectors(now.dim) if meta.improved else _stored(rows, now.dim)
    known = dict(improvement.vectors)
    missing = list(dict.fromkeys(row.text for row in rows if row.text not in known))
    known |= dict(zip(missing, encoder.encode(missing), strict=True))
    # Another name each time: a reader may be loading what was improved before.
    folder = f"encoder-{encoder.fingerprint.digest[:12]}-{meta.generation + 1}"
    digest = _save(change.directory / folder, encoder, improvement.fill)
    after = replace(
        meta,
        encoder=replace(
            record,
            source=folder,
            inside=True,
            fingerprint=encoder.fingerprint.to_dict(),
            runtime=encoder.runtime,
            precision=encoder.precision,
            folder_digest=digest,
        ),
        calibration=improvement.calibration,
        improved={
            **improvement.proof,
            "score": meta.score,
            "lexical": weight(meta),
            "before": before,
        },
        tuned=None,
    )
    return _exchange(change, {row.id: known[row.text] for row in rows}, former, after)


def roll_back(change: Writing, recipe: Recipe) -> RolledBack | None:
    """Give an index the encoder, the vectors and the calibration from before it was improved.

    What was added since is encoded by that encoder.

    Returns:
        None where the index was not improved.

    Raises:
        EncoderError: that encoder cannot be loaded, or is not the one it was; nothing changed.
    """
    reader, meta = _existing(change)
    if meta.improved is None:
        return None
    record, before = state_before(meta)
    same = before["score"] == meta.score
    after = replace(
        meta,
        encoder=record,
        improved=None,
        calibration=before["calibration"] if same else None,
        lexical=before["lexical"] if same else None,
        tuned=before["tuned"],
    )
    with reader.reading() as now:
        former = reader.former_vectors(now.dim)
        rows = reader.every_phrasing(now)
    encoder = encoder_before(change.directory, meta, rows, former, recipe)
    new = [row for row in rows if row.id not in former]
    texts = list(dict.fromkeys(row.text for row in new))
    found = dict(zip(texts, encoder.encode(texts), strict=True))
    vectors = former | {row.id: found[row.text] for row in new}
    warnings = _exchange(change, vectors, {}, after)
    return RolledBack(len(rows) - len(new), len(new), after.calibration is not None, warnings)


def encoder_before(
    directory: Path,
    meta: Meta,
    rows: Sequence[PhrasingRow],
    former: Mapping[int, Vectors],
    recipe: Recipe,
) -> Encoder:
    """The encoder that an index had before it was improved.

    Args:
        rows: the phrasings of the index.
        former: the vectors (dim,) that it gave them, by their ids.

    Raises:
        EncoderError: it cannot be loaded, or is not the one it was.
    """
    record, _ = state_before(meta)
    old = [
        PhrasingRow(row.id, row.question_id, row.text, former[row.id].tobytes(), 0)
        for row in rows
        if row.id in former
    ]
    return made_by(directory, replace(meta, encoder=record, improved=None), _Rows(old), recipe)


class _Rows:
    """The phrasings that an encoder is checked with: with the vectors that it gave them."""

    def __init__(self, rows: Sequence[PhrasingRow]) -> None:
        self._rows = rows

    def first_phrasings(self, n: int) -> Sequence[PhrasingRow]:
        return self._rows[:n]


def _existing(change: Writing) -> tuple[BankReader, Meta]:
    if change.existing is None:
        raise IndexNotFoundError(no_index(change.directory))
    return change.existing.reader, change.existing.meta


def _stored(rows: Sequence[PhrasingRow], dim: int) -> dict[int, Vectors]:
    from semsearch.store.rows import load_vectors

    return dict(zip((r.id for r in rows), load_vectors([r.vector for r in rows], dim), strict=True))


def _save(folder: Path, encoder: Encoder, fill: Fill) -> str:
    """Write the folder; its digest."""
    # Left there by an attempt that did not finish; only what the meta table names is in use.
    shutil.rmtree(folder, ignore_errors=True)
    encoder.save(folder, beside=fill)
    return identity.folder_digest(folder)


def _exchange(
    change: Writing, vectors: Mapping[int, Vectors], former: Mapping[int, Vectors], meta: Meta
) -> tuple[SyncWarning, ...]:
    assert change.existing is not None
    writer = BankWriter(change.directory)
    try:
        written = writer.exchange(vectors, former, meta)
        if not snapshots.is_due(written):
            return ()
        reader = BankReader(change.directory)
        try:
            snapshots.make(change.directory, reader, writer, change.existing.meta)
        except StorageError as error:
            why = f"{error} All is saved; only searches start slower until there is space."
            return (SyncWarning("snapshot", why, 1),)
        finally:
            reader.close()
    finally:
        writer.close()
    return ()
