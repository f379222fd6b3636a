"""What a teacher says of many sentences, kept while a run is not finished."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from semsearch.encoder import Encoder
from semsearch.encoder.cache import cache_dir
from semsearch.errors import StorageError
from semsearch.files import atomic_write
from semsearch.types import Embeddings

_PART = 8_192


@dataclass(frozen=True, slots=True)
class KeptVectors:
    """The vectors of a list of sentences in the user's cache, in parts of 8,192.

    A run that was killed finds what its teacher had said before; what cannot be kept is computed
    again.
    """

    folder: Path

    @classmethod
    def of(cls, texts: Sequence[str], teacher: Encoder) -> KeptVectors:
        """Those of these sentences by this teacher, whether there are any or not."""
        content = json.dumps([teacher.fingerprint.digest, list(texts)], ensure_ascii=False)
        key = hashlib.sha256(content.encode()).hexdigest()[:32]
        return cls(cache_dir() / "teacher" / key)

    def encode(
        self,
        texts: Sequence[str],
        teacher: Encoder,
        progress: Callable[[int], None] | None = None,
    ) -> Embeddings:
        """(n, d) float32."""
        vectors = np.empty((len(texts), teacher.dim), np.float32)
        for start in range(0, len(texts), _PART):
            part = texts[start : start + _PART]
            known = self._read(start, (len(part), teacher.dim))
            if known is None:
                known = teacher.encode(part, progress=progress)
                self._write(start, known)
            elif progress is not None:
                progress(len(part))
            vectors[start : start + len(part)] = known
        return vectors

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def _read(self, start: int, shape: tuple[int, int]) -> Embeddings | None:
        with suppress(OSError, ValueError, EOFError):
            vectors = np.load(self.folder / f"{start}.npy", allow_pickle=False)
            if vectors.shape == shape and vectors.dtype == np.float32:
                return np.asarray(vectors)
        return None

    def _write(self, start: int, vectors: Embeddings) -> None:
        with suppress(OSError, StorageError):
            self.folder.mkdir(parents=True, exist_ok=True)
            with atomic_write(self.folder / f"{start}.npy") as file:
                np.save(file, vectors)
