"""One committed state of an index, in memory, ready to be searched."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from semsearch import classifier
from semsearch.ann import Neighbours, check_file, merge
from semsearch.classifier import Classifier
from semsearch.encoder.cache import remembered
from semsearch.errors import CorruptIndexError, SemsearchError
from semsearch.lexical import Lexicon
from semsearch.ranking import Counts
from semsearch.rescoring import Rescored, Searchable
from semsearch.selection import Selection, keep_vectors, phrasings_of, select
from semsearch.store import BankReader, Columns, Condition, Meta, Snapshot
from semsearch.store.rows import load_vectors, split_label
from semsearch.types import Device, Ids, Scores, Vectors

log = logging.getLogger(__name__)

_CONDITIONS_KEPT = 32
_REMEMBERED_FROM = 1 << 24
"""Bytes; larger snapshots are read through once, and again when the file has changed."""


@dataclass(frozen=True)
class View:
    """The snapshot, less what was removed since, plus what is newer."""

    meta: Meta
    state: tuple[int, int]
    whole: Neighbours | None  # the snapshot as it was written
    snapshot: Neighbours | None  # less what was removed
    newer: Neighbours | None
    classifier: Classifier | None  # of an improved index
    _columns: list[Columns] = field(default_factory=list, repr=False)  # none before a condition
    _lexicon: list[Lexicon] = field(default_factory=list, repr=False)  # none before it is asked
    _selections: dict[str, Selection] = field(default_factory=dict, repr=False)

    @classmethod
    def load(
        cls,
        directory: Path,
        reader: BankReader,
        meta: Meta,
        last: View | None,
        device: Device = "cpu",
    ) -> View:
        """Load the state that `meta` names; to be called inside `reader.reading()`.

        Args:
            last: an earlier view, which is used again where nothing was committed since, and its
                snapshot where that is still the same.
            device: what searches the snapshot, or the rows where there is none.

        Raises:
            CorruptIndexError: rows are damaged, or the classifier. A damaged snapshot is no error:
                the rows hold everything, and are searched instead.
        """
        state = reader.state()
        if last and last.state == state:
            return last
        snapshot = None
        if last and last.whole and last.meta.snapshot == meta.snapshot:
            snapshot = last.whole
        elif meta.snapshot:
            try:
                snapshot = _load(directory, meta.snapshot).served_on(device)
            except CorruptIndexError as error:
                log.warning(
                    "%s. Searching the rows instead; mend it with: semsearch compact %s",
                    error,
                    directory,
                )
        labels, vectors = reader.newer(meta, use_snapshot=snapshot is not None)
        same = last is not None and last.meta.encoder == meta.encoder
        newer = Neighbours.build(labels, vectors) if len(labels) else None
        if newer and snapshot is None:  # all there is
            newer = newer.served_on(device)
        return cls(
            meta=meta,
            state=state,
            whole=snapshot,
            snapshot=snapshot.without(reader.tombstones(meta)) if snapshot else None,
            newer=newer,
            classifier=last.classifier if last and same else classifier_of(directory, meta),
        )

    def __len__(self) -> int:
        return self.meta.phrasings

    @cached_property
    def counts(self) -> Counts:
        """How many phrasings each standard question has."""
        labels = [part.labels[part.visible] for part in self.parts]
        return Counts(np.concatenate(labels) if labels else np.zeros(0, np.int64))

    def search(self, queries: Vectors, n: int) -> tuple[Scores, Ids]:
        """The n nearest phrasings of each query (m, d): scores and labels, both (m, n)."""
        found = [part.search(queries, n) for part in self.parts]
        return found[0] if len(found) == 1 else merge(found, n)

    def of(self, questions: Ids, query: Vectors) -> tuple[Scores, Ids] | None:
        """See `phrasings_of`."""
        return phrasings_of(self.parts, questions, query)

    def passing(self, reader: BankReader, condition: Condition) -> Selection:
        """What passes a condition; to be called inside `reader.reading()`.

        The answer is kept: one condition is evaluated once in one state.

        Raises:
            DataError: the condition cannot be used.
            CorruptIndexError: rows are damaged.
        """
        known = self._selections.pop(condition.identity, None)
        if known is not None:
            self._selections[condition.identity] = known  # the last one used goes last
            return known
        if not self._columns:
            self._columns.append(reader.columns(self.meta))
        questions, lasting = self._columns[0].passing(condition)
        found = select(questions, self.parts, self._stored(reader))
        if lasting:
            self._selections[condition.identity] = found
            if len(self._selections) > _CONDITIONS_KEPT:
                del self._selections[next(iter(self._selections))]
        return found

    def lexicon(self, reader: BankReader) -> Lexicon:
        """The words of all phrasings; to be called inside `reader.reading()`.

        Raises:
            SemsearchError: this SQLite has no FTS5.
            CorruptIndexError: rows are damaged.
        """
        if not self._lexicon:
            labels = [part.labels[part.visible] for part in self.parts]
            self._lexicon.append(made_of(reader, self.meta, np.concatenate(labels)))
        return self._lexicon[0]

    def scored(self, reader: BankReader, view: View | Selection) -> Searchable:
        """This, or a part of it, with the scores of the stored vectors whatever the index keeps.

        To be called, and searched, inside `reader.reading()`.
        """
        if keep_vectors(view.parts):
            return view
        return Rescored(view, self._stored(reader))

    @property
    def parts(self) -> tuple[Neighbours, ...]:
        """What is searched."""
        return tuple(part for part in (self.snapshot, self.newer) if part)

    def _stored(self, reader: BankReader) -> Callable[[Ids], Vectors]:
        def vectors(labels: Ids) -> Vectors:
            ids = [split_label(label)[1] for label in labels.tolist()]
            rows = reader.phrasings(ids)
            return load_vectors([rows[id_].vector for id_ in ids], self.meta.dim)

        return vectors


def classifier_of(directory: Path, meta: Meta) -> Classifier | None:
    """The classifier that `semsearch improve` fitted, None where there is none.

    Raises:
        CorruptIndexError: its file cannot be read.
    """
    if meta.improved is None or not meta.improved["settings"].get("classifier"):
        return None
    return Classifier.load(directory / meta.encoder.source / classifier.FILE)


def lexicon_of(reader: BankReader, meta: Meta) -> Lexicon:
    """The words of all phrasings, where no view is at hand. Errors as above."""
    return made_of(reader, meta, reader.newer(meta, use_snapshot=False)[0])


def made_of(reader: BankReader, meta: Meta, labels: Ids) -> Lexicon:
    """The words of phrasings with these labels; inside `reader.reading()`. Errors as above."""
    postings = reader.postings(meta)
    if postings is None:
        raise SemsearchError(
            "the SQLite of this Python has no FTS5, so words cannot be looked up. Pass "
            "--lexical off, or take a Python whose sqlite3 has it."
        )
    return Lexicon(postings, labels)


def _load(directory: Path, snapshot: Snapshot) -> Neighbours:
    """The FAISS file of a snapshot, once it is known to be what was written.

    Raises:
        CorruptIndexError: it is not, or it is gone.
    """
    path = directory / snapshot.name

    def check() -> dict[str, int]:
        check_file(path, snapshot.size_bytes, snapshot.crc32)
        return {"crc32": snapshot.crc32}

    try:
        large = snapshot.size_bytes >= _REMEMBERED_FROM
        found = remembered("snapshot", [path], check) if large else check()
    except OSError as error:
        raise CorruptIndexError(f"{path}: {error.strerror}") from error
    if found.get("crc32") != snapshot.crc32:
        raise CorruptIndexError(f"{path}: the file is not what was written")
    return Neighbours.load(path)
