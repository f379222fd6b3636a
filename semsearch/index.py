"""Index: a bank of standard questions that can be searched, synced and checked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

from semsearch import identity
from semsearch.ann import Setting, preload, require_gpu
from semsearch.answering import answer
from semsearch.confidence import upkeep
from semsearch.encoder import Encoder
from semsearch.encoding import Progress
from semsearch.errors import CorruptIndexError, EncoderError
from semsearch.files import folder_size
from semsearch.lexical import LEXICAL, Lexical
from semsearch.ranking import SCORES, Score
from semsearch.recipe import Recipe, made_by
from semsearch.store import BankReader, Condition, EncoderRecord, Meta, Where
from semsearch.store.connection import DATABASE
from semsearch.sync import SyncReport
from semsearch.types import (
    Device,
    Pooling,
    Precision,
    Result,
    RuntimeName,
    StandardQuestion,
    Vectors,
)
from semsearch.verification import VerifyReport, verify
from semsearch.view import View

if TYPE_CHECKING:
    from semsearch.tables import Roles
    from semsearch.writing import Writing


class Index:
    """A searchable bank in a directory. Open it with `Index.open`, make it with `Index.build`.

    One process may write at a time; any number may read meanwhile, and each search sees one
    committed state. Close it, or use it in a `with` statement.
    """

    report: SyncReport
    """What the last change through this object did."""

    def __init__(
        self,
        path: str | Path,
        *,
        runtime: RuntimeName = "auto",
        device: Device = "cpu",
        precision: Precision = "auto",
    ) -> None:
        """See `open`."""
        self.path = Path(path)
        self.report = SyncReport()
        self._recipe = Recipe(runtime=runtime, device=device, precision=precision)
        self._reader = BankReader(self.path)
        self._encoder: Encoder | None = None
        self._encoder_of: EncoderRecord | None = None  # None where the caller gave the encoder
        self._view: View | None = None

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        encoder: str | Path | Encoder | None = None,
        runtime: RuntimeName = "auto",
        device: Device = "cpu",
        precision: Precision = "auto",
    ) -> Index:
        """Open an index.

        Args:
            encoder: in place of the one that the index names; it must be the same one, or the
                same weights in another precision.
            runtime: "onnx", "openvino", "torch", or "auto" for whichever suits the device.
            device: "cpu", "cuda" or "auto": where texts are encoded, vectors searched, and large
                snapshots made. "auto" takes a GPU for each where there is one and it pays.
            precision: what the encoder computes in; see `Encoder.load`.

        Raises:
            DeviceError: "cuda", and faiss cannot use a GPU here.
            IndexNotFoundError: there is no finished index at `path`.
            CorruptIndexError: it is damaged.
            EncoderMismatchError: `encoder` is not the one that the index was built with.
        """
        require_gpu(device)
        index = cls(path, runtime=runtime, device=device, precision=precision)
        try:
            with index._reader.reading() as meta:
                if encoder is not None:
                    given = replace(index._recipe, encoder=encoder).load()
                    identity.check(index.path, meta.encoder, given, index._reader.first_phrasings)
                    index._encoder = given
        except BaseException:
            index.close()
            raise
        return index

    @classmethod
    def build(
        cls,
        source: Any,
        path: str | Path,
        *,
        encoder: str | Path | Encoder | None = None,
        pooling: Pooling | None = None,
        max_length: int | None = None,
        truncate: str | None = None,
        whiten: int | None = None,
        whiten_on: Sequence[str] | None = None,
        score: Score | None = None,
        factory: str | None = None,
        rebuild: bool = False,
        allow_removal: bool = False,
        wait_seconds: float = 0.0,
        progress: Progress | None = None,
        runtime: RuntimeName = "auto",
        device: Device = "cpu",
        precision: Precision = "auto",
        trust_remote_code: bool = False,
        **table: Any,
    ) -> Index:
        """Make an index of a table, or bring an existing one in line with it.

        Args:
            source: whatever `read_bank` takes (a path, rows as dicts, a pandas or polars frame),
                a Bank, or standard questions.
            encoder: name, directory or hub id; the default is the index's own, then `embedded`.
            pooling: one of `types.POOLINGS` in place of the encoder's own.
            max_length: tokens read of a text, in place of the encoder's own.
            truncate: what is read of longer texts, in place of the encoder's own; see
                `Encoder.load`.
            whiten: dimensions to whiten to (Su et al. 2021).
            whiten_on: texts to fit the whitening on, in place of the bank's phrasings.
            score: "best" or "top3": how a standard question is scored by its phrasings.
            factory: how vectors are indexed: "auto", or a FAISS factory string and after a space
                what is set on it, "IVF1024,SQ8 nprobe=32". The default is the index's own, then
                "auto": every vector is searched until there are so many that a graph pays.
            rebuild: encode everything again, with another encoder if one is named.
            allow_removal: let a sync remove more than half of the bank.
            wait_seconds: how long to wait for another writer; negative waits for ever.
            progress: called with (texts encoded so far, texts to encode).
            device: as of `open`.
            precision: "auto" takes what encodes this bank fastest and as well; see
                `Encoder.suited_to`.
            **table: column roles and the rest of what `read_bank` takes.

        Returns:
            The open index; its `report` says what was done.

        Raises:
            DataError: the table cannot be used; nothing was written.
            DeviceError: "cuda", and faiss cannot use a GPU here; nothing was written.
            EncoderError: the encoder cannot be had, or not like this.
            EncoderMismatchError: the index was built with another encoder, and not `rebuild`.
            FactoryError: FAISS knows no such factory; nothing was written.
            ConfirmationError: more than half of the bank would go, and not `allow_removal`.
            IndexBusyError: another process is writing.
            StorageError: the disk is full or read-only; what was committed before stands.
            ValueError: the path is empty, or the score unknown.
        """
        require_gpu(device)
        bank = _bank(source, table)
        recipe = Recipe(
            encoder=encoder,
            pooling=pooling,
            max_length=max_length,
            truncate=truncate,
            whiten=whiten,
            whiten_on=whiten_on,
            runtime=runtime,
            device=device,
            precision=precision,
            trust_remote_code=trust_remote_code,
        )
        if isinstance(encoder, Encoder) and (pooling or max_length or truncate):
            raise EncoderError(
                f"{encoder.source} is loaded already: its pooling, max_length and truncate are "
                "chosen when it is loaded."
            )
        if path == "":  # Path makes the working directory of it
            raise ValueError("the name of the index is empty")
        if score not in (None, *SCORES):
            raise ValueError(f"score must be one of {', '.join(SCORES)}, not {score!r}")
        directory = Path(path)
        if not (directory / DATABASE).exists():
            # An encoder that cannot be had is found out before anything is made.
            recipe = replace(recipe, encoder=recipe.load())
        with _writing(directory, wait_seconds, device, progress) as change:
            report = change.build(
                bank,
                recipe,
                score=score,
                factory=Setting.parse(factory) if factory else None,
                rebuild=rebuild,
                allow_removal=allow_removal,
            )
        index = cls(directory, runtime=runtime, device=device, precision=precision)
        index.report = report
        return index

    def sync(
        self,
        source: Any,
        *,
        allow_removal: bool = False,
        wait_seconds: float = 0.0,
        progress: Progress | None = None,
        **table: Any,
    ) -> SyncReport:
        """Bring the index in line with a table: add, change and remove. Arguments as in `build`."""
        return self._bring_in(
            _bank(source, table), wait_seconds, progress, allow_removal=allow_removal
        )

    def add(
        self,
        source: Any,
        *,
        wait_seconds: float = 0.0,
        progress: Progress | None = None,
        **table: Any,
    ) -> SyncReport:
        """Add the rows of a table, or change those whose key is there; remove nothing."""
        return self._bring_in(_bank(source, table), wait_seconds, progress, remove_missing=False)

    def _bring_in(
        self,
        bank: Sequence[StandardQuestion],
        wait_seconds: float,
        progress: Progress | None,
        *,
        remove_missing: bool = True,
        allow_removal: bool = False,
    ) -> SyncReport:
        recipe = replace(self._recipe, encoder=self._encoder)
        with _writing(self.path, wait_seconds, self._recipe.device, progress) as change:
            self.report = change.sync(
                bank, recipe, remove_missing=remove_missing, allow_removal=allow_removal
            )
        return self.report

    def remove(self, keys: str | Iterable[str], *, wait_seconds: float = 0.0) -> SyncReport:
        """Remove standard questions by key.

        Raises:
            DataError: a key is not in the index; nothing was removed.
        """
        keys = [keys] if isinstance(keys, str) else list(keys)
        with _writing(self.path, wait_seconds, self._recipe.device) as change:
            self.report = change.remove(keys, self._recipe)
        return self.report

    def use(self, setting: Setting, tuned: dict[str, Any], *, wait_seconds: float = 0.0) -> None:
        """Index the vectors in another way; what was measured of it is kept beside."""
        with _writing(self.path, wait_seconds, self._recipe.device) as change:
            change.use(setting, tuned)

    def compact(self, *, wait_seconds: float = 0.0) -> None:
        """Write a new FAISS snapshot and give free space back; answers stay the same."""
        with _writing(self.path, wait_seconds, self._recipe.device) as change:
            change.compact()

    def search(
        self,
        texts: str | Sequence[str],
        k: int = 5,
        *,
        min_score: float | None = None,
        score: Score | None = None,
        where: Where | None = None,
        lexical: Lexical = "auto",
        refused: bool = False,
    ) -> list[Result]:
        """The k best standard questions for each text.

        Args:
            texts: one query or many.
            k: hits per query, at least 1.
            min_score: leave out hits with a lower cosine; takes the place of the operating point
                of a calibrated index.
            score: "best" or "top3", in place of the index's own.
            where: an SQL condition on the owner's columns, "shop = 'de' AND price < 20", or one
                with values, ("shop = ?", ["de"]). Only standard questions that pass are searched.
            lexical: "on" counts the words of a query beside its vector, so that names, codes and
                numbers are found; "off" does not; "auto" as calibration found it to help.
            refused: give the hits of queries below the operating point, too.

        Returns:
            One result per text, in their order.

        Raises:
            ValueError: k, score or lexical is out of range.
            DataError: the condition cannot be used.
            EncoderError: the index's encoder cannot be loaded, or is not the one it was.
            CorruptIndexError: a file is damaged in a way that the answer could depend on.
        """
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        if score is not None and score not in SCORES:
            raise ValueError(f"score must be one of {', '.join(SCORES)}, not {score!r}")
        if lexical not in LEXICAL:
            raise ValueError(f"lexical must be one of {', '.join(LEXICAL)}, not {lexical!r}")
        condition = None if where is None else Condition.of(where)
        queries = [texts] if isinstance(texts, str) else list(texts)
        if self._view is None:
            preload()  # while the encoder is loaded
        vectors = self.encoder.encode(queries, kind="query")
        with self._reader.reading() as meta:
            if self._follow(meta):
                vectors = self.encoder.encode(queries, kind="query")
            view = self._view = View.load(
                self.path, self._reader, meta, self._view, self._recipe.device
            )
            return answer(
                self._reader,
                view,
                view if condition is None else view.passing(self._reader, condition),
                meta,
                queries,
                vectors,
                k,
                score=score or cast(Score, meta.score),
                lexical=lexical,
                min_score=min_score,
                refused=refused,
            )

    def _follow(self, meta: Meta) -> bool:
        """Load the encoder again where another process has improved it; whether it has.

        Raises:
            EncoderMismatchError: the index was built again with another encoder, or the one that
                the caller gave is no longer its own.
        """
        before = self._encoder_of
        if self.encoder.fingerprint.to_dict() == meta.encoder.fingerprint:
            return False
        if before is None or before == meta.encoder or before.name != meta.encoder.name:
            identity.check(self.path, meta.encoder, self.encoder, self._reader.first_phrasings)
            return False
        self._encoder = made_by(self.path, meta, self._reader, self._recipe)
        self._encoder_of = meta.encoder
        return True

    @property
    def encoder(self) -> Encoder:
        """The encoder of the index, loaded when it is first needed."""
        if self._encoder is None:
            with self._reader.reading() as meta:
                self._encoder = made_by(self.path, meta, self._reader, self._recipe)
                self._encoder_of = meta.encoder
        return self._encoder

    def vectors(self) -> Vectors:
        """The vector of every phrasing (n, dim), in the order they came."""
        with self._reader.reading() as meta:
            return self._reader.newer(meta, use_snapshot=False)[1]

    def questions(self) -> Iterator[StandardQuestion]:
        """Every standard question of the bank, in the order it came."""
        with self._reader.reading() as meta:
            bank = list(self._reader.bank(meta))
        # Only now, so that the caller's loop may search, and keeps no transaction open.
        yield from bank

    def export(self, path: str | Path) -> tuple[int, Roles | None]:
        """Write the bank to a table that `build` reads back; see `semsearch.tables.write_bank`."""
        from semsearch.tables import write_bank

        return write_bank(path, self.questions())

    def verify(self) -> VerifyReport:
        """Check all rows, checksums and the snapshot."""
        return verify(self.path, self._reader)

    def info(self) -> dict[str, Any]:
        """What the index is and holds, as JSON-ready values."""
        with self._reader.reading() as meta:
            kept, snapshot = meta.encoder, meta.snapshot
            try:
                calibration = upkeep.summary(self._reader, meta)
            except CorruptIndexError as error:  # the rest can still be told
                calibration = {"problem": str(error)}
        return {
            "path": str(self.path),
            "format": meta.format,
            "questions": meta.questions,
            "phrasings": meta.phrasings,
            "encoder": kept.name,
            "fingerprint": kept.fingerprint,
            "runtime": kept.runtime,
            "precision": kept.precision,
            "dim": meta.dim,
            "whitened": kept.unwhitened is not None,
            "score": meta.score,
            "improved": meta.improved and {**meta.improved, "before": None},
            "calibration": calibration,
            "lexical": meta.lexical,
            "generation": meta.generation,
            "factory": snapshot.factory if snapshot else None,
            "parameters": snapshot.parameters if snapshot else None,
            "tuned": meta.tuned,
            "in_snapshot": snapshot.count - meta.tombstones if snapshot else 0,
            "size_bytes": folder_size(self.path),
        }

    def __len__(self) -> int:
        with self._reader.reading() as meta:
            return meta.questions

    def close(self) -> None:
        """Close the database."""
        self._reader.close()

    def __enter__(self) -> Index:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _writing(
    path: Path, wait_seconds: float, device: Device, progress: Progress | None = None
) -> AbstractContextManager[Writing]:
    # A query needs none of what changes an index.
    from semsearch.writing import writing

    return writing(path, wait_seconds=wait_seconds, progress=progress, device=device)


def _bank(source: Any, table: dict[str, Any]) -> Sequence[StandardQuestion]:
    from semsearch.tables import standard_questions

    return standard_questions(source, **table)
