"""How the vectors of an index are made: which encoder, read how, whitened or not."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from semsearch import identity
from semsearch.encoder import Encoder, Fingerprint, torch_model
from semsearch.encoder.cache import remembered
from semsearch.encoder.source import EMBEDDED, is_short_name
from semsearch.encoder.start import has_onnx_only
from semsearch.errors import CorruptIndexError, EncoderError, EncoderMismatchError
from semsearch.files import storage_error
from semsearch.store import BankReader, EncoderRecord, Meta, PhrasingRow
from semsearch.types import Device, Pooling, Precision, RuntimeName
from semsearch.whitening import Whitening, check_dim


@dataclass(frozen=True, slots=True)
class Recipe:
    """What the owner asked for; None leaves a thing as the index has it, or to the encoder."""

    encoder: str | Path | Encoder | None = None
    pooling: Pooling | None = None
    max_length: int | None = None
    truncate: str | None = None
    whiten: int | None = None
    whiten_on: Sequence[str] | None = None
    runtime: RuntimeName = "auto"
    device: Device = "cpu"
    precision: Precision = "auto"
    trust_remote_code: bool = False

    def filled_from(self, meta: Meta) -> Recipe:
        """The same, with what was not asked for taken from an index.

        Pooling, length and truncation belong to an encoder: they are not carried over to another.
        """
        kept = meta.encoder
        same = self.encoder is None or self._name() == kept.name
        return replace(
            self,
            encoder=kept.name if self.encoder is None else self.encoder,
            pooling=self.pooling or (kept.pooling if same else None),
            max_length=self.max_length or (kept.max_length if same else None),
            truncate=self.truncate or (kept.truncate if same else None),
            whiten=self.whiten or (meta.dim if kept.unwhitened else None),
        )

    def _name(self) -> str:
        encoder = self.encoder.source if isinstance(self.encoder, Encoder) else self.encoder
        # A directory is found again when the next command runs in another directory.
        if not encoder or is_short_name(encoder) or not Path(encoder).is_dir():
            return str(encoder)
        return str(Path(encoder).resolve())

    def loaded(self, meta: Meta) -> Encoder | None:
        """The encoder of an index, where the caller has it loaded already."""
        if isinstance(self.encoder, Encoder) and (
            self.encoder.fingerprint.to_dict() == meta.encoder.fingerprint
        ):
            return self.encoder
        return None

    def load(self) -> Encoder:
        """The encoder, not yet whitened.

        Raises:
            EncoderError: it cannot be had, or has fewer dimensions than it is to be whitened to.
        """
        encoder = self.encoder
        if not isinstance(encoder, Encoder):
            encoder = Encoder.load(
                encoder or EMBEDDED,
                runtime=self.runtime,
                device=self.encoder_device(encoder or EMBEDDED),
                precision=self.encoder_precision(encoder or EMBEDDED, self.whiten is not None),
                pooling=self.pooling,
                max_length=self.max_length,
                truncate=self.truncate,
                trust_remote_code=self.trust_remote_code,
            )
        if self.whiten is not None:
            check_dim(self.whiten, encoder.dim)
            if (encoder.runtime, encoder.precision) == ("openvino", "int8"):
                raise EncoderError(
                    f"{encoder.source}: whitening makes what int8 changes larger. Whiten it in "
                    "bfloat16 or float32: --precision bfloat16."
                )
        return encoder

    def encoder_device(self, source: str | Path) -> Device:
        """Where the encoder runs. On the CPU where it can run there only: a GPU still searches."""
        if self.device not in ("cuda", "auto"):
            return self.device
        only_on_cpu = self.runtime in ("onnx", "openvino") or has_onnx_only(
            source, self.trust_remote_code
        )
        if self.device == "auto":
            only_on_cpu = only_on_cpu or self.precision == "int8" or not torch_model.has_cuda()
            return "cpu" if only_on_cpu else "cuda"
        return "cpu" if only_on_cpu and self.runtime != "torch" else "cuda"

    def encoder_precision(self, source: str | Path, whitened: bool) -> Precision:
        """What the encoder computes in: in full on a GPU where a whitening would show 16 bits."""
        full = whitened and self.precision == "auto" and self.encoder_device(source) == "cuda"
        return "float32" if full else self.precision

    def record(self, encoder: Encoder) -> EncoderRecord:
        """What an index keeps of its encoder."""
        source = replace(self, encoder=encoder)._name()
        return EncoderRecord(
            name=source,
            source=source,
            inside=False,
            fingerprint=encoder.fingerprint.to_dict(),
            runtime=encoder.runtime,
            precision=encoder.precision,
            pooling=self.pooling or encoder.choices.get("pooling"),
            max_length=self.max_length or encoder.choices.get("max_length"),
            truncate=self.truncate or encoder.choices.get("truncate"),
        )

    def check(self, directory: Path, meta: Meta, reader: BankReader) -> None:
        """Make sure that the index in `directory` is what is asked for.

        Raises:
            EncoderMismatchError: it is made in another way, and only --rebuild could change it.
        """
        kept = meta.encoder
        whitened = f"whitened to {meta.dim}" if kept.unwhitened else "not whitened"
        if self.whiten is not None and (not kept.unwhitened or meta.dim != self.whiten):
            raise EncoderMismatchError(
                f"{directory}: its vectors are {whitened}. To have them whitened to "
                f"{self.whiten}, encode the bank again with --rebuild."
            )
        asked = (self.encoder and self._name(), self.pooling, self.max_length, self.truncate)
        had = (kept.name, kept.pooling, kept.max_length, kept.truncate)
        if all(wish is None or wish == have for wish, have in zip(asked, had, strict=True)):
            return
        given = replace(self.filled_from(meta), whiten=None).load()
        if kept.unwhitened:
            # The kernel was fitted to the encoder as it was before, so that is what must match.
            kept = replace(kept, fingerprint=kept.unwhitened)
            if given.fingerprint == Fingerprint.from_dict(kept.fingerprint):
                return
        identity.check(directory, kept, given, reader.first_phrasings)


class Canaries(Protocol):
    """What gives stored phrasings to check an encoder with: a `BankReader`."""

    def first_phrasings(self, n: int) -> Sequence[PhrasingRow]: ...


def made_by(directory: Path, meta: Meta, reader: Canaries, recipe: Recipe) -> Encoder:
    """The encoder that the index in `directory` names, run as the recipe says.

    Raises:
        EncoderError: it cannot be found or loaded.
        EncoderMismatchError: what its name leads to is not what built the index.
        CorruptIndexError: it is kept inside the index, and damaged.
    """
    kept = meta.encoder
    source = directory / kept.source if kept.inside else kept.source
    choices: dict[str, Any] = {}
    if kept.inside:  # saved with them as its own
        _check_folder(directory, meta)
    else:
        choices = {
            "pooling": kept.pooling,
            "max_length": kept.max_length,
            "truncate": kept.truncate,
        }
    # Found out before it is loaded, which for another encoder can mean an export.
    given = Encoder.fingerprint_of(source, **choices)
    identity.refuse_other(directory, kept, str(source), given)
    encoder = Encoder.load(
        source,
        runtime=recipe.runtime,
        device=recipe.encoder_device(source),
        precision=recipe.encoder_precision(source, kept.unwhitened is not None),
        **choices,
    )
    identity.check(directory, kept, encoder, reader.first_phrasings)
    return encoder


def _check_folder(directory: Path, meta: Meta) -> None:
    """The fingerprint covers what makes the vectors; this covers every file, ONNX included.

    Raises:
        CorruptIndexError: a file of the kept encoder is not what was written.
    """
    folder = directory / meta.encoder.source
    try:
        files = identity.files_of(folder)
        found = remembered("folder", files, lambda: {"digest": identity.folder_digest(folder)})
    except OSError as error:
        raise storage_error(folder, error) from error
    if found.get("digest") != meta.encoder.folder_digest:
        raise CorruptIndexError(
            f"{folder}: the encoder is not what was written. Restore it from a backup, or "
            f"{identity.made_again(directory, meta.improved is not None)}"
        )


def whitened(
    directory: Path, base: Encoder, whitening: Whitening, record: EncoderRecord
) -> tuple[Encoder, EncoderRecord]:
    """Whiten `base`, and keep the whitened encoder inside the index.

    Args:
        record: of `base`.
    """
    encoder = base.whitened(whitening)
    folder = f"encoder-{encoder.fingerprint.digest[:12]}"
    # Left there by a build that did not finish; only what the meta table names is in use.
    shutil.rmtree(directory / folder, ignore_errors=True)
    encoder.save(directory / folder)
    return encoder, replace(
        record,
        source=folder,
        inside=True,
        fingerprint=encoder.fingerprint.to_dict(),
        unwhitened=base.fingerprint.to_dict(),
        folder_digest=identity.folder_digest(directory / folder),
    )
