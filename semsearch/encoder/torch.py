"""Run an encoder on torch through sentence-transformers: for GPUs and for modules of all kinds."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from semsearch.encoder import torch_gpu
from semsearch.encoder.fingerprint import weight_files
from semsearch.encoder.layout import Kind, Layout
from semsearch.encoder.runtime import Batch
from semsearch.encoder.tokens import padded, prepared
from semsearch.encoder.torch_gpu import Begun
from semsearch.encoder.torch_model import first_line, load_model, tokenizer_of, with_choices
from semsearch.encoder.truncation import averaged
from semsearch.errors import EncoderError
from semsearch.types import Embeddings, Ids

_log = logging.getLogger("semsearch")


class TorchRuntime:
    """The modules as sentence-transformers runs them, a last Normalize left out."""

    name = "torch"

    def __init__(
        self,
        layout: Layout,
        device: str,
        trust_remote_code: bool = False,
        precision: str = "auto",
    ) -> None:
        self.precision = torch_gpu.choose_precision(precision, device)
        weight_files(layout)  # raises where there are only pickled ones
        model = load_model(layout, device, trust_remote_code)
        self._layout = layout
        self._model = with_choices(model, layout).eval()
        torch_gpu.compute_in(self._model, self.precision)
        self.tokenizer = tokenizer_of(model, layout)
        on_gpu = device.startswith("cuda")
        self.budget = torch_gpu.budget_on(self._model, self.precision) if on_gpu else 2048
        self._ahead = torch_gpu.AHEAD if on_gpu else 0
        self._takes_tokens = not self.tokenizer.truncation.on_one_side or (
            on_gpu and type(self._model[0]).__name__ == "Transformer" and not layout.lower_case
        )
        try:
            self.dim = int(self._begin(self.prepare([""], "document")[0], "document")().shape[1])
        except RuntimeError as error:
            raise EncoderError(
                f"{layout.path}: sentence-transformers cannot run it: {first_line(error)}"
            ) from error

    def prepare(self, texts: Sequence[str], kind: Kind) -> tuple[list[Any], Ids]:
        rows, lengths = prepared(self.tokenizer, texts, self._layout.prompts[kind])
        if not self._takes_tokens:
            # sentence-transformers splits the texts itself: only their lengths are needed.
            return list(texts), lengths
        return rows, lengths

    def run_all(self, batches: Iterable[Batch], kind: Kind) -> Iterator[tuple[Ids, Embeddings]]:
        begun: deque[tuple[Ids, Begun]] = deque()
        for chosen, items in batches:
            begun.append((chosen, self._begin(items, kind)))
            if len(begun) > self._ahead:
                rows, embeddings = begun.popleft()
                yield rows, self._checked(embeddings())
        for rows, embeddings in begun:
            yield rows, self._checked(embeddings())

    def _begin(self, items: Sequence[Any], kind: Kind) -> Begun:
        """Embed a batch; where memory runs out, one half after the other.

        Raises:
            EncoderError: there is not even enough for one text.
        """
        try:
            return self._run(items, kind)
        except RuntimeError as error:
            if not torch_gpu.is_out_of_memory(error):
                raise
        # Only out here are the tensors gone that the error held.
        device = self._model.device
        torch_gpu.free_cached(device)
        tokens = min(self.budget, self._tokens(items))
        if len(items) == 1 and self.tokenizer.truncation.in_windows and len(items[0]) > 1:
            windows = [self._begin([[row]], kind)() for row in items[0]]
            return lambda: np.mean(windows, axis=0, dtype=np.float32)
        if len(items) == 1:
            instead = "" if device.type == "cpu" else ", or use --device cpu"
            raise EncoderError(
                f"{self._layout.path}: memory does not hold one text. Read less of each: "
                f"--max-length{instead}."
            )
        self.budget = max(1, tokens // 2)  # of those to come
        _log.info("memory ran out: %d texts are encoded in two halves", len(items))
        half = len(items) // 2
        parts = [self._begin(part, kind) for part in (items[:half], items[half:])]
        return lambda: np.concatenate([part() for part in parts])

    def _tokens(self, items: Sequence[Any]) -> int:
        """Of a batch, padding included."""
        if self.tokenizer.truncation.in_windows:
            return sum(len(row) for rows in items for row in rows)
        if not self._takes_tokens:
            items = self.tokenizer.encode(items)
        return len(items) * max(map(len, items))

    def _run(self, items: Sequence[Any], kind: Kind) -> Begun:
        if self.tokenizer.truncation.in_windows:
            embeddings = averaged(lambda rows: self._embed(rows, kind)(), items, self.budget)
            return lambda: embeddings
        if self._takes_tokens:
            return self._embed(items, kind)
        encode = getattr(self._model, f"encode_{kind}")
        found = encode(
            list(items),
            prompt=self._layout.prompts[kind],
            batch_size=len(items),
            show_progress_bar=False,
            convert_to_numpy=True,
            normalize_embeddings=False,
        )
        return lambda: np.asarray(found, dtype=np.float32)

    def _embed(self, rows: Sequence[Any], kind: Kind) -> Begun:
        import torch

        names = (*self._model.tokenizer.model_input_names, "attention_mask")
        values = padded(rows, self.tokenizer.pad_id)
        wanted = {name: value for name, value in values.items() if name in names}
        features: dict[str, Any] = torch_gpu.to_device(wanted, self._model.device)
        prompt_length = self.tokenizer.prompt_length(self._layout.prompts[kind])
        if prompt_length:
            features["prompt_length"] = prompt_length
        with torch.inference_mode():
            return torch_gpu.from_device(self._model(features)["sentence_embedding"])

    def _checked(self, embeddings: Embeddings) -> Embeddings:
        """Half precision has a range that some bodies leave, though nothing is wrong with them."""
        if self.precision == "float16" and not np.isfinite(embeddings).all():
            raise EncoderError(
                f"{self._layout.path}: leaves the range of float16, which is all that this GPU "
                "has of 16 bits. Compute in more: --precision float32."
            )
        return embeddings
