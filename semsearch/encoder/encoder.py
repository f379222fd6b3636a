"""The encoder: texts in, vectors of unit length out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from semsearch.encoder import mteb
from semsearch.encoder.batching import Distinct, plan
from semsearch.encoder.config import read_layout
from semsearch.encoder.fastest import fastest
from semsearch.encoder.fingerprint import Fingerprint, fingerprint
from semsearch.encoder.layout import Kind, Layout
from semsearch.encoder.modules import Dense, Normalize
from semsearch.encoder.runtime import Batch, Runtime
from semsearch.encoder.save import save
from semsearch.encoder.source import resolve
from semsearch.encoder.start import start
from semsearch.encoder.tokens import TextStats, find_bad_text
from semsearch.errors import EncoderError
from semsearch.types import (
    Device,
    Embeddings,
    Ids,
    Pooling,
    Precision,
    RuntimeName,
    Scores,
    Vectors,
)
from semsearch.whitening import Whitening

if TYPE_CHECKING:
    from mteb.models import ModelMeta

Kernel: TypeAlias = NDArray[np.float32]
"""(d, dim)"""

# Texts that are tokenized at a time: bounds memory, and how long Ctrl-C waits.
_CHUNK = 4096


class Encoder:
    """A sentence encoder: a directory in the sentence-transformers layout, ready to run.

    Attributes:
        source: the name it was loaded by, as it was given.
        path: the directory that name stands for.
        dim: dimensions of the vectors.
        max_length: tokens that it reads at a time, special ones included.
        pooling: how token states become an embedding: "mean", "cls", "max", "cls+mean",
            "first-last-avg", "mean of weighted layers".
        truncate: what is read of a text with more tokens than that, "head" or another one of
            `types.TRUNCATIONS`, or "256+254".
        runtime: what it runs on, "onnx", "openvino" or "torch".
        precision: what its linear layers compute in, "float32", "bfloat16", "float16" or "int8".
        fingerprint: what it is; equal fingerprints give equal vectors.
    """

    def __init__(
        self, source: str, layout: Layout, runtime: Runtime, added: tuple[Dense, ...] = ()
    ) -> None:
        """Take the parts together; use `Encoder.load`."""
        self.source = source
        self.path = layout.path
        self.dim = added[-1].dim if added else runtime.dim
        self.max_length = runtime.tokenizer.max_length
        self.pooling = str(layout.pooling)
        self.truncate = layout.truncation.name
        self.runtime = runtime.name
        self.precision = runtime.precision
        self._layout = layout
        self._runtime = runtime
        self._added = added
        self._fingerprint: Fingerprint | None = None
        self._asked = ("auto", "auto")  # runtime and precision, by whoever loaded it

    @classmethod
    def load(
        cls,
        source: str | Path,
        *,
        runtime: RuntimeName = "auto",
        device: Device = "cpu",
        precision: Precision = "auto",
        pooling: Pooling | None = None,
        max_length: int | None = None,
        truncate: str | None = None,
        trust_remote_code: bool = False,
    ) -> Encoder:
        """Load an encoder from a directory, an installed package or the hub's local cache.

        Args:
            source: "embedded", "minilm", a directory or a hub id; the hub is asked last.
            runtime: "auto" takes ONNX Runtime on a CPU where the encoder allows it, else torch;
                see `suited_to` for many texts.
            device: "auto" takes a GPU where torch sees one.
            precision: "auto" takes that of the weights, and 16 bits on a GPU: bfloat16, or float16
                where it has no other; on a CPU "bfloat16", and "int8" where the weights are others,
                take OpenVINO.
            pooling: instead of the encoder's own. "first-last-avg" and "last-2-avg" average the
                outputs of the first and the last layer, or of the last two, and then the tokens.
                "weighted-last-4" weights the last four: equally, until the encoder is trained.
            max_length: tokens, instead of the encoder's own; special tokens included.
            truncate: what is read of longer texts, instead of the encoder's own: the "head", the
                "tail", "head+tail" (the first quarter and the last three), "256+254" (this many
                tokens, or as many in proportion) or "windows" (all, in overlapping pieces whose
                embeddings are averaged).
            trust_remote_code: run Python code that comes with the encoder.

        Raises:
            EncoderError: no such encoder, or it cannot be loaded like this.
            MissingExtraError: a package is missing that this encoder needs.
        """
        path = resolve(source, trust_remote_code=trust_remote_code)
        layout = read_layout(
            path,
            pooling=pooling,
            max_length=max_length,
            truncate=truncate,
            trust_remote_code=trust_remote_code,
        )
        chosen = start(layout, runtime, device, precision, trust_remote_code)
        loaded = cls(str(source), layout, chosen)
        loaded._asked = (runtime, precision)
        return loaded

    @classmethod
    def fingerprint_of(
        cls,
        source: str | Path,
        *,
        pooling: Pooling | None = None,
        max_length: int | None = None,
        truncate: str | None = None,
        trust_remote_code: bool = False,
    ) -> Fingerprint:
        """What `load` would load, without loading it. Arguments and errors as of `load`."""
        path = resolve(source, trust_remote_code=trust_remote_code)
        layout = read_layout(
            path,
            pooling=pooling,
            max_length=max_length,
            truncate=truncate,
            trust_remote_code=trust_remote_code,
        )
        return fingerprint(layout, layout.tail)

    @property
    def fingerprint(self) -> Fingerprint:
        if self._fingerprint is None:
            self._fingerprint = fingerprint(self._layout, (*self._layout.tail, *self._added))
        return self._fingerprint

    @property
    def choices(self) -> dict[str, Any]:
        """The arguments of `load` that made it another one than the directory says."""
        names = {"pooling": "pooling", "max_length": "max_length", "truncation": "truncate"}
        return {names[field]: getattr(self, names[field]) for field in self._layout.changed}

    def __repr__(self) -> str:
        return (
            f"<Encoder {self.source} dim={self.dim} pooling={self.pooling} "
            f"max_length={self.max_length} truncate={self.truncate} runtime={self.runtime} "
            f"precision={self.precision}>"
        )

    def encode(
        self,
        texts: Sequence[str],
        *,
        kind: Kind = "document",
        progress: Callable[[int], None] | None = None,
        **task: Any,
    ) -> Vectors:
        """Encode texts.

        Args:
            texts: any number of them, the empty text included.
            kind: puts the encoder's prompt for queries or for documents before each, if it
                has one.
            progress: called with the number of texts that were just finished.
            **task: only from mteb, which gives batches of texts and says what they are for.

        Returns:
            (n, dim) float32, rows of unit length.

        Raises:
            EncoderError: a text is none or holds half a character, or the encoder gave NaN.
        """
        if task:
            texts, kind = mteb.unpack(texts, task)
        vectors = np.empty((len(texts), self.dim), np.float32)
        for rows, batch in self.encode_batches(texts, kind=kind):
            vectors[rows] = batch
            if progress is not None:
                progress(len(rows))
        return vectors

    def encode_batches(
        self, texts: Sequence[str], *, kind: Kind = "document"
    ) -> Iterator[tuple[Ids, Vectors]]:
        """Encode texts and give (row numbers, vectors) as batches finish, the longest first.

        Every row comes exactly once; identical texts are encoded once.
        """
        for rows, embeddings in self.embed_batches(texts, kind=kind):
            empty = ~embeddings.any(axis=1)
            if empty.any():
                raise EncoderError(
                    f"{self.source}: the embedding of texts[{rows[empty.argmax()]}] is all zeros "
                    "and has no direction."
                )
            yield rows, Normalize()(embeddings)

    def embed(
        self,
        texts: Sequence[str],
        *,
        kind: Kind = "document",
        progress: Callable[[int], None] | None = None,
    ) -> Embeddings:
        """Like `encode`, before the embeddings are brought to unit length: to fit a whitening."""
        embeddings = np.empty((len(texts), self.dim), np.float32)
        for rows, batch in self.embed_batches(texts, kind=kind):
            embeddings[rows] = batch
            if progress is not None:
                progress(len(rows))
        return embeddings

    def measure(self, texts: Sequence[str], *, kind: Kind = "document") -> TextStats:
        """Count the tokens of each text, and those the vocabulary lacks; nothing is encoded."""
        self._check(texts)
        prompt = self._layout.prompts[kind]
        return self._runtime.tokenizer.measure([prompt + text for text in texts])

    def whitened(self, whitening: Whitening) -> Encoder:
        """This encoder with a whitening before the last step, which makes vectors unit length.

        Raises:
            EncoderError: the whitening was fitted on embeddings of another width.
        """
        if len(whitening.mean) != self.dim:
            raise EncoderError(
                f"{self.source} has {self.dim} dimensions, the whitening {len(whitening.mean)}."
            )
        return self._with(Dense(whitening.weight, whitening.bias))

    def mapped(self, kernel: Kernel) -> Encoder:
        """This encoder with a linear map (dim, new dim) before the last step."""
        return self._with(Dense(np.ascontiguousarray(kernel.T)))

    def _with(self, added: Dense) -> Encoder:
        other = Encoder(self.source, self._layout, self._runtime, (*self._added, added))
        other._asked = self._asked
        return other

    def suited_to(self, texts: Sequence[str], *, kind: Kind = "document") -> Encoder:
        """This encoder on what encodes these texts fastest.

        Where the precision was left to "auto", the runtime, too, or to "openvino", and openvino is
        installed, thousands of texts get the fastest precision that this CPU computes natively
        and that gives the same vectors: mean cosine at least 0.995 on some of the texts. In all
        other cases it is this encoder itself.
        """
        runtime, precision = self._asked
        if precision != "auto" or runtime not in ("auto", "openvino"):
            return self
        self._check(texts)

        def encode(on: Runtime, some: Sequence[str]) -> Vectors:
            return self._on(on).encode(some, kind=kind)

        asked = runtime == "openvino"
        return self._on(fastest(self._layout, self._runtime, texts, encode, asked=asked))

    def _on(self, runtime: Runtime) -> Encoder:
        if runtime is self._runtime:
            return self
        other = Encoder(self.source, self._layout, runtime, self._added)
        other._fingerprint = self._fingerprint
        return other

    def similarity(self, embeddings1: Embeddings, embeddings2: Embeddings) -> Scores:
        """Cosine of every row (n, d) with every other (m, d): (n, m)."""
        return mteb.similarity(embeddings1, embeddings2)

    def similarity_pairwise(self, embeddings1: Embeddings, embeddings2: Embeddings) -> Scores:
        """Cosine of each row (n, d) with its partner (n, d): (n,)."""
        return mteb.similarity_pairwise(embeddings1, embeddings2)

    @property
    def mteb_model_meta(self) -> ModelMeta:
        """What mteb files results under; with `encode` and the similarities, its protocol."""
        return mteb.model_meta(self)

    def save(self, path: str | Path, *, beside: Callable[[Path], None] | None = None) -> None:
        """Write a complete sentence-transformers directory; it appears whole or not at all.

        Args:
            beside: is called with the directory before it appears, to write more into it.

        Raises:
            EncoderError: something is there already.
            StorageError: the disk refused.
        """
        save(self._layout, self._added, Path(path), beside)

    def embed_batches(
        self, texts: Sequence[str], *, kind: Kind = "document"
    ) -> Iterator[tuple[Ids, Embeddings]]:
        """Like `encode_batches`, before the embeddings are brought to unit length."""
        self._check(texts)
        distinct = Distinct(texts)
        batches = self._batches(distinct, kind)
        for chosen, embeddings in self._runtime.run_all(batches, kind):
            for module in self._added:
                embeddings = module(embeddings)
            rows, position = distinct.rows(chosen)
            finite = np.isfinite(embeddings).all(axis=1)
            if not finite.all():
                bad = rows[np.searchsorted(position, finite.argmin())]
                raise EncoderError(
                    f"{self.source}: the embedding of texts[{bad}] is not finite (NaN or "
                    "infinity). The weights are damaged."
                )
            yield rows, embeddings if len(rows) == len(chosen) else embeddings[position]

    def _batches(self, texts: Distinct, kind: Kind) -> Iterator[Batch]:
        """Texts cut into tokens, some thousand at a time, by length."""
        for first in range(0, len(texts), _CHUNK):
            items, lengths = self._runtime.prepare(texts.texts(first, first + _CHUNK), kind)
            for batch in plan(lengths, self._runtime.budget):
                yield batch + first, [items[i] for i in batch]

    def _check(self, texts: Sequence[str]) -> None:
        if isinstance(texts, str):
            raise EncoderError("one text was given where a list of texts is expected.")
        if (bad := find_bad_text(texts)) is not None:
            raise EncoderError(f"texts[{bad[0]}] {bad[1]}.")
