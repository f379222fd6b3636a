"""FAISS snapshots: made from the rows, named in the meta table, cleared away when out of use."""

from __future__ import annotations

import logging
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from semsearch.ann import AUTO, EXACT, Neighbours, Setting, automatic
from semsearch.errors import FactoryError
from semsearch.store import BankReader, BankWriter, Meta, Snapshot
from semsearch.types import Device

# Up to here, rows that the snapshot lacks are read at every start in a moment.
_LAG = 256
_LAG_SHARE = 0.05

# What an index is made of, and after a dot what was not finished when the process was killed.
# An owner's files may lie beside.
_VECTORS = re.compile(r"vectors-\d+\.faiss|\.vectors-\d+\.faiss\.[0-9a-f]{8}\.tmp")
_ENCODER = re.compile(r"encoder-[0-9a-f]{12}(-\d+)?|\.encoder-[0-9a-f]{12}(-\d+)?-\w{8}")

log = logging.getLogger(__name__)


def setting(meta: Meta) -> Setting:
    """What the next snapshot of an index is made as."""
    if meta.factory == AUTO:
        return automatic(meta.phrasings, meta.dim)
    return Setting(meta.factory, meta.parameters)


def is_due(meta: Meta) -> bool:
    """Whether so much changed since the snapshot that a new one pays."""
    if meta.snapshot is None:
        return meta.phrasings > 0
    if Setting(meta.snapshot.factory, meta.snapshot.parameters) != setting(meta):
        return True
    newer = meta.phrasings - (meta.snapshot.count - meta.tombstones)
    return newer + meta.tombstones > max(_LAG, _LAG_SHARE * meta.snapshot.count)


def make(
    directory: Path,
    reader: BankReader,
    writer: BankWriter,
    before: Meta | None = None,
    device: Device = "cpu",
    **changes: Any,
) -> Meta:
    """Write a snapshot of every phrasing and name it in the meta table.

    The caller holds the lock. Killed at any moment, the index is still right: until the meta
    table names the new file, the old one counts.

    Args:
        changes: fields of the meta table that change with it.
        before: an older state of the index, whose files a reader may be opening right now.
        device: what learns clusters; what is written is the same in kind.

    Raises:
        StorageError: the disk is full; the index goes on with the snapshot it had.
        CorruptIndexError: a row is damaged.
    """
    with reader.reading() as meta:
        labels, vectors = reader.newer(meta, use_snapshot=False)
    meta = replace(meta, **changes)
    if not len(labels):
        written = writer.set_snapshot(replace(meta, snapshot=None))
    else:
        name = f"vectors-{meta.generation + 1}.faiss"
        wanted = setting(meta)
        try:
            neighbours = Neighbours.build(labels, vectors, wanted, device)
        except FactoryError as error:  # the bank has shrunk: answers matter more than speed
            log.warning("%s: %s Every vector is searched instead.", directory, error)
            wanted, neighbours = EXACT, Neighbours.build(labels, vectors)
        size_bytes, crc32 = neighbours.save(directory / name)
        snapshot = Snapshot(
            name=name,
            size_bytes=size_bytes,
            crc32=crc32,
            max_id=int((labels & 0xFFFFFFFF).max()),
            count=len(labels),
            factory=wanted.factory,
            parameters=wanted.parameters,
        )
        written = writer.set_snapshot(replace(meta, snapshot=snapshot))
    _tidy(directory, keep=(before or meta, meta, written))
    return written


def _tidy(directory: Path, keep: tuple[Meta, ...]) -> None:
    """Remove files that no meta in `keep` names. The last but one stays for slow readers."""
    named = {meta.snapshot.name for meta in keep if meta.snapshot}
    named |= {folder for meta in keep for folder in meta.folders}
    for path in directory.iterdir():
        if path.name in named:
            continue
        if _VECTORS.fullmatch(path.name) and path.is_file():
            path.unlink(missing_ok=True)
        elif _ENCODER.fullmatch(path.name):
            shutil.rmtree(path, ignore_errors=True)
