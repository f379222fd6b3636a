"""Every change of an index: plan it, encode what is new, commit it in one transaction.

Whatever happens on the way, the index is as it was until the commit, and as asked after it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import Any

from semsearch import snapshots, sync
from semsearch.ann import Setting, check, require_faiss
from semsearch.bank_encoding import encode_bank
from semsearch.confidence import upkeep
from semsearch.encoding import Encoding, Progress, text_warnings
from semsearch.errors import IndexBusyError, IndexNotFoundError, StorageError
from semsearch.lock import write_lock
from semsearch.pending import discard_pending
from semsearch.ranking import Score
from semsearch.recipe import Recipe, made_by
from semsearch.store import BankReader, BankWriter, Meta, QuestionRow
from semsearch.store.bank import no_index
from semsearch.sync import Plan, SyncReport, SyncWarning
from semsearch.types import Device, StandardQuestion, Vectors

log = logging.getLogger(__name__)

DEFAULT_SCORE: Score = "top3"
"""More right answers on 19 of 21 banks: benchmarks/answer_quality.py."""


@dataclass(frozen=True, slots=True)
class _Existing:
    """An index as it is before a change."""

    reader: BankReader
    meta: Meta
    rows: Mapping[str, QuestionRow]


@dataclass(slots=True)
class Writing:
    """The right to change the index in one directory. Made by `writing`; its methods change."""

    directory: Path
    encoding: Encoding
    existing: _Existing | None
    started: float = field(default_factory=perf_counter)
    device: Device = "cpu"  # what makes snapshots

    def build(
        self,
        bank: Sequence[StandardQuestion],
        recipe: Recipe,
        *,
        score: Score | None,
        factory: Setting | None,
        rebuild: bool,
        allow_removal: bool,
    ) -> SyncReport:
        """Make the index of a bank, or bring it in line with it."""
        existing = self.existing
        if existing is None or rebuild:
            return self._encode_again(bank, recipe, score, factory, allow_removal)
        with existing.reader.reading() as meta:
            recipe.check(self.directory, meta, existing.reader)
        return self.sync(bank, recipe, score=score, factory=factory, allow_removal=allow_removal)

    def sync(
        self,
        bank: Sequence[StandardQuestion],
        recipe: Recipe,
        *,
        remove_missing: bool = True,
        score: Score | None = None,
        factory: Setting | None = None,
        allow_removal: bool = False,
    ) -> SyncReport:
        """Bring an existing index in line with a bank, or add a bank to it."""
        reader, meta, rows = self._require()
        with reader.reading():
            plan = sync.plan(
                reader, rows, bank, dim=meta.dim, remove_missing=remove_missing, reencode=False
            )
        if not allow_removal:
            sync.check_removal(plan, len(rows))
        warnings = sync.same_question(bank)
        return self._carry_out(plan, recipe, _asked(meta, score, factory), warnings)

    def remove(self, keys: Sequence[str], recipe: Recipe) -> SyncReport:
        """Remove standard questions by key."""
        reader, meta, rows = self._require()
        with reader.reading():
            plan = sync.remove(reader, rows, keys)
        return self._carry_out(plan, recipe, meta, [])

    def compact(self) -> None:
        """Write a new snapshot and give free space back."""
        reader, _, _ = self._require()
        writer = BankWriter(self.directory)
        try:
            writer.rebuild_words(snapshots.make(self.directory, reader, writer, device=self.device))
            writer.vacuum()
        finally:
            writer.close()
        discard_pending(self.directory)

    def use(self, setting: Setting, tuned: dict[str, Any]) -> None:
        """Make snapshots as a setting says, from now on."""
        reader, meta, _ = self._require()
        check(setting, meta.dim)
        writer = BankWriter(self.directory)
        try:
            snapshots.make(
                self.directory,
                reader,
                writer,
                device=self.device,
                factory=setting.factory,
                parameters=setting.parameters,
                tuned=tuned,
            )
        finally:
            writer.close()

    def calibrate(
        self,
        calibration: dict[str, Any] | None,
        measured_on: Meta | None = None,
        lexical: dict[str, Any] | None = None,
    ) -> bool:
        """Store a calibration, or remove it with None; whether there was one before.

        Args:
            lexical: what words count in the rank that it holds for.

        Raises:
            IndexBusyError: the index was built with another encoder since `measured_on`.
        """
        _, meta, _ = self._require()
        if measured_on is not None and measured_on.encoder != meta.encoder:
            raise IndexBusyError(
                f"{self.directory}: it was encoded again while it was calibrated. Calibrate again."
            )
        writer = BankWriter(self.directory)
        try:
            writer.apply([], replace(meta, calibration=calibration, lexical=lexical))
        finally:
            writer.close()
        return meta.calibration is not None

    def _require(self) -> tuple[BankReader, Meta, Mapping[str, QuestionRow]]:
        if self.existing is None:
            raise IndexNotFoundError(no_index(self.directory))
        return self.existing.reader, self.existing.meta, self.existing.rows

    def _carry_out(
        self, plan: Plan, recipe: Recipe, meta: Meta, warnings: list[SyncWarning]
    ) -> SyncReport:
        """Encode what is missing with the index's own encoder, and commit."""
        reader, before, _ = self._require()
        missing = plan.missing()
        encoded: dict[str, Vectors] = {}
        if missing:
            with reader.reading():
                encoder = recipe.loaded(before) or made_by(self.directory, before, reader, recipe)
            encoder = encoder.suited_to(missing)
            warnings += text_warnings(encoder, missing)
            encoded = self.encoding.vectors(encoder, missing)
            del encoder  # what it holds is more than what is written now
        if meta.score != before.score:
            meta = replace(meta, calibration=None, lexical=None)
        if plan.edits or meta != before:
            warnings += self._commit(plan, encoded, meta)
        return self._report(plan, warnings)

    def _encode_again(
        self,
        bank: Sequence[StandardQuestion],
        recipe: Recipe,
        score: Score | None,
        factory: Setting | None,
        allow_removal: bool,
    ) -> SyncReport:
        """Encode the whole bank: the first build, or a rebuild."""
        existing = self.existing
        if existing:
            recipe = recipe.filled_from(existing.meta)
        encoder = recipe.load()
        dim = recipe.whiten or encoder.dim
        if factory:
            check(factory, dim)
        plan = self._plan_all(bank, dim, allow_removal)
        warnings = sync.same_question(bank)
        vectors, record, found = encode_bank(self.encoding, recipe, encoder, plan.missing())
        del encoder  # what it holds is more than what is written now
        warnings += found
        if existing and existing.meta.improved:
            warnings.append(_no_longer_improved(self.directory))
        if existing:
            same = record.fingerprint == existing.meta.encoder.fingerprint
            same = same and score in (None, existing.meta.score) and not existing.meta.improved
            meta = replace(
                existing.meta,
                dim=dim,
                encoder=record,
                snapshot=None,
                tuned=None,
                calibration=existing.meta.calibration if same else None,
                lexical=existing.meta.lexical if same else None,
                improved=None,
            )
        else:
            meta = Meta(dim=dim, encoder=record, score=DEFAULT_SCORE)
        meta = _asked(meta, score, factory)
        warnings += self._commit(plan, vectors, meta)
        return self._report(plan, warnings)

    def _plan_all(self, bank: Sequence[StandardQuestion], dim: int, allow_removal: bool) -> Plan:
        existing = self.existing
        if existing is None:
            return sync.plan(None, {}, bank, dim=dim, remove_missing=True, reencode=True)
        with existing.reader.reading():
            plan = sync.plan(
                existing.reader, existing.rows, bank, dim=dim, remove_missing=True, reencode=True
            )
        if not allow_removal:
            sync.check_removal(plan, len(existing.rows))
        return plan

    def _commit(self, plan: Plan, encoded: Mapping[str, Vectors], meta: Meta) -> list[SyncWarning]:
        """One transaction; then, where it pays, a new snapshot, which the index can do without."""
        writer = BankWriter(self.directory)
        warnings = []
        try:
            meta = writer.apply(plan.changes(encoded), meta)
            discard_pending(self.directory)
            if self.existing:
                warnings += upkeep.warnings(
                    self.directory, self.existing.reader, self.existing.meta
                )
            if snapshots.is_due(meta):
                reader = BankReader(self.directory)
                try:
                    before = self.existing.meta if self.existing else None
                    snapshots.make(self.directory, reader, writer, before, self.device)
                except StorageError as error:
                    warnings.append(
                        SyncWarning(
                            "snapshot",
                            f"{error} Every row is saved; only "
                            "searches start slower until there is space.",
                            1,
                        )
                    )
                finally:
                    reader.close()
        finally:
            writer.close()
        return warnings

    def _report(self, plan: Plan, warnings: list[SyncWarning]) -> SyncReport:
        return SyncReport(
            added=plan.added,
            changed=plan.changed,
            removed=plan.removed,
            unchanged=plan.unchanged,
            encoded=self.encoding.encoded,
            seconds=perf_counter() - self.started,
            warnings=tuple(warnings),
        )


def _asked(meta: Meta, score: Score | None, factory: Setting | None) -> Meta:
    """`meta` with what was asked for in place of what there was.

    Raises:
        FactoryError: FAISS cannot make this.
    """
    if factory:
        check(factory, meta.dim)
        meta = replace(meta, factory=factory.factory, parameters=factory.parameters, tuned=None)
    return replace(meta, score=score or meta.score)


def _no_longer_improved(directory: Path) -> SyncWarning:
    return SyncWarning(
        "improved",
        "The bank is encoded by another encoder than the one that was improved with it. Improve it "
        f"again: semsearch improve {directory}",
        1,
    )


@contextmanager
def writing(
    directory: Path,
    *,
    wait_seconds: float = 0.0,
    progress: Progress | None = None,
    device: Device = "cpu",
) -> Iterator[Writing]:
    """Hold the lock of an index while it is changed.

    Args:
        device: what makes snapshots; encoding is the recipe's.

    Raises:
        IndexBusyError: another process writes to it.
        StorageError: the directory cannot be written.
    """
    started = perf_counter()
    require_faiss()
    with write_lock(directory, wait_seconds):
        existing = _existing(directory)
        try:
            yield Writing(directory, Encoding(directory, progress), existing, started, device)
        finally:
            if existing:
                existing.reader.close()


def _existing(directory: Path) -> _Existing | None:
    try:
        reader = BankReader(directory)
    except IndexNotFoundError:
        return None
    try:
        with reader.reading() as meta:
            return _Existing(reader, meta, reader.questions_by_key(meta))
    except IndexNotFoundError:  # the first build did not get as far as its commit
        reader.close()
        return None
    except BaseException:
        reader.close()
        raise
