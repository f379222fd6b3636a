"""Whether an encoder is the one that an index was built with."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from semsearch.encoder import Encoder, Fingerprint
from semsearch.errors import EncoderMismatchError
from semsearch.store import EncoderRecord, PhrasingRow
from semsearch.store.rows import load_vectors
from semsearch.types import Scores

# The same float weights in another precision or runtime stay above this; other weights do not.
CANARY_COSINE = 0.999
# Of the mean, where one side was computed in int8 from the very same weights.
CANARY_COSINE_INT8 = 0.985
CANARY_TEXTS = 8


def check(
    directory: Path,
    kept: EncoderRecord,
    encoder: Encoder,
    canaries: Callable[[int], Sequence[PhrasingRow]],
) -> None:
    """Make sure that `encoder` gives the vectors that the index holds.

    Args:
        canaries: gives some stored phrasings. They are encoded again where the weights are the
            same but the runtime or the precision is not.

    Raises:
        EncoderMismatchError: it is another encoder; the message names both.
    """
    refuse_other(directory, kept, encoder.source, encoder.fingerprint)
    same_run = (encoder.runtime, encoder.precision) == (kept.runtime, kept.precision)
    if same_run and encoder.fingerprint.to_dict() == kept.fingerprint:
        return
    cosines = _canary_cosines(encoder, canaries(CANARY_TEXTS))
    same_weights = encoder.fingerprint.to_dict() == kept.fingerprint
    if same_weights and "int8" in (encoder.precision, kept.precision):
        cosine, least = float(cosines.mean()), CANARY_COSINE_INT8
    else:
        cosine, least = float(cosines.min()), CANARY_COSINE
    if cosine < least:
        why = f"stored texts encoded again have a cosine of {cosine:.4f} only"
        if same_weights and encoder.precision != kept.precision:
            why += f" in {encoder.precision}; the index was encoded in {kept.precision}"
        raise _mismatch(directory, kept, encoder.source, encoder.fingerprint, why)


def made_again(directory: Path, improved: bool) -> str:
    """What an owner does whose index has lost an encoder that it keeps, an improved one or not."""
    if improved:  # it was made of the one before, which is there
        return f"undo the improvement: semsearch rollback {directory}"
    return f"encode the bank again: semsearch build TABLE {directory} --rebuild"


def refuse_other(directory: Path, kept: EncoderRecord, source: str, given: Fingerprint) -> None:
    """Refuse an encoder by its fingerprint alone, before it is loaded.

    Raises:
        EncoderMismatchError: it is another encoder; the message names both.
    """
    built_with = Fingerprint.from_dict(kept.fingerprint)
    if given != built_with and not given.same_but_precision(built_with):
        why = f"they differ in {', '.join(given.differs_in(built_with))}"
        raise _mismatch(directory, kept, source, given, why)


def folder_digest(folder: Path) -> str:
    """SHA-256 over the names and contents of all files of an encoder's directory."""
    digest = hashlib.sha256()
    for path in files_of(folder):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(folder).as_posix()}:{content}\n".encode())
    return digest.hexdigest()


def files_of(folder: Path) -> list[Path]:
    """All files of an encoder's directory, in a fixed order."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _mismatch(
    directory: Path, kept: EncoderRecord, source: str, given: Fingerprint, why: str
) -> EncoderMismatchError:
    built_with = Fingerprint.from_dict(kept.fingerprint)
    if source == kept.name:  # as after an update of the package that it came with
        return EncoderMismatchError(
            f"{directory} was built with another {source} ({built_with.digest[:8]}) than this "
            f"one ({given.digest[:8]}): {why}. Encode the bank again: semsearch build TABLE "
            f"{directory} --encoder {source} --rebuild"
        )
    return EncoderMismatchError(
        f"{directory} was built with encoder {kept.name} ({built_with.digest[:8]}), not with "
        f"{source} ({given.digest[:8]}): {why}. Open it with {kept.name}, or encode the "
        f"bank again: semsearch build TABLE {directory} --encoder {source} --rebuild"
    )


def _canary_cosines(encoder: Encoder, rows: Sequence[PhrasingRow]) -> Scores:
    """(rows,) cosines between stored vectors and the same texts encoded now; one at least."""
    if not rows:
        return np.ones(1, np.float32)
    vectors = encoder.encode([row.text for row in rows])
    if vectors.shape[1] * 4 != len(rows[0].vector):
        return np.full(1, -1, np.float32)
    stored = load_vectors([row.vector for row in rows], vectors.shape[1])
    return np.asarray(np.sum(vectors * stored, axis=1), np.float32)
