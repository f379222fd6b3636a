"""Run an encoder on torch through sentence-transformers: for GPUs and for modules of all kinds."""

from __future__ import annotations

import importlib.util
import logging
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from semsearch.encoder import torch_gpu
from semsearch.encoder.config import CONFIG, read_layout
from semsearch.encoder.cutting import cut_in_training
from semsearch.encoder.dequantize import write_with_floats
from semsearch.encoder.fingerprint import weight_files
from semsearch.encoder.layout import Kind, Layout
from semsearch.encoder.pooling import Pooling
from semsearch.encoder.quiet import quiet
from semsearch.encoder.runtime import Batch
from semsearch.encoder.save import refuse_existing, write_truncation
from semsearch.encoder.source import resolve
from semsearch.encoder.tokens import TextTokenizer, padded, prepared
from semsearch.encoder.torch_gpu import Begun
from semsearch.encoder.truncation import averaged
from semsearch.errors import EncoderError, MissingExtraError
from semsearch.types import Embeddings, Ids

_log = logging.getLogger("semsearch")

_SHORT = 256
"""Tokens up to which plain attention trains on a CPU; its memory grows with their square."""


def is_installed() -> bool:
    """Whether torch and sentence-transformers are there; neither is imported."""
    return all(importlib.util.find_spec(name) for name in ("torch", "sentence_transformers"))


def has_cuda() -> bool:
    """Whether torch is there and sees a GPU."""
    if not is_installed():
        return False
    import torch

    return bool(torch.cuda.is_available())


def load_model(layout: Layout, device: str, trust_remote_code: bool, **model_kwargs: Any) -> Any:
    """The directory as a float32 SentenceTransformer, nothing printed.

    Raises:
        MissingExtraError: torch or sentence-transformers is not installed.
        EncoderError: sentence-transformers cannot load it.
    """
    if not is_installed():
        raise MissingExtraError(f"torch (needed to run {layout.path})", "train")
    with quiet():
        from sentence_transformers import SentenceTransformer

        try:
            model = SentenceTransformer(
                str(layout.path),
                device=device,
                trust_remote_code=trust_remote_code,
                local_files_only=True,
                model_kwargs={"use_safetensors": True, **model_kwargs},
            )
        except Exception as error:
            raise EncoderError(
                f"{layout.path}: sentence-transformers cannot load it: {_first_line(error)}"
            ) from error
    # Weights saved in half precision are computed with in full, as ONNX Runtime does.
    return model.float().eval()


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
        self._model = _with_choices(model, layout).eval()
        torch_gpu.compute_in(self._model, self.precision)
        self.tokenizer = _tokenizer(model, layout)
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
                f"{layout.path}: sentence-transformers cannot run it: {_first_line(error)}"
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


def _with_choices(model: Any, layout: Layout, normalized: bool = False) -> Any:
    """The model with what was chosen for it; without its last Normalize unless `normalized`."""
    from sentence_transformers import SentenceTransformer

    modules = list(model)
    if type(modules[-1]).__name__ == "Normalize" and not normalized:
        modules.pop()
    if "pooling" in layout.changed:
        modules = _with_pooling(modules, layout)
    with quiet():
        chosen = SentenceTransformer(
            modules=modules,
            device=str(model.device),
            prompts=model.prompts,
            default_prompt_name=model.default_prompt_name,
            similarity_fn_name=model.similarity_fn_name,
        )
    if "max_length" in layout.changed:
        chosen.max_seq_length = layout.max_length
    if "truncation" in layout.changed:
        chosen.tokenizer.truncation_side = layout.truncation.side
    return chosen


def _with_pooling(modules: list[Any], layout: Layout) -> list[Any]:
    """The modules with the pooling of the layout, and with the layers that it is over."""
    body, *others = modules
    body.auto_model.config.output_hidden_states = bool(layout.pooling.layers)
    chosen = [body]
    for module in others:
        kind = type(module).__name__
        if kind == "Pooling":
            if layout.pooling.layers:
                chosen.append(_layer_pooling(_width(module), layout.pooling))
            chosen.append(_pooling(module, layout))
        elif kind != "WeightedLayerPooling":
            chosen.append(module)
    return chosen


def _layer_pooling(width: int, pooling: Pooling) -> Any:
    """Over the layers from the first that counts on, so that only these are ever trained."""
    import torch

    try:
        from sentence_transformers.sentence_transformer.modules import WeightedLayerPooling
    except ImportError:  # before 5.5
        from sentence_transformers.models import WeightedLayerPooling

    start, weights = pooling.counted
    return WeightedLayerPooling(
        width,
        len(pooling.layers) - 1,
        layer_start=start,
        layer_weights=torch.nn.Parameter(torch.tensor(weights)),
    )


def _width(pooling: Any) -> int:
    return int(getattr(pooling, "embedding_dimension", 0) or pooling.word_embedding_dimension)


def _pooling(module: Any, layout: Layout) -> Any:
    return type(module)(
        _width(module),
        pooling_mode=layout.pooling.modes[0],
        include_prompt=layout.pooling.include_prompt,
    )


def trainable_model(
    source: Layout | str | Path,
    *,
    pooling: str | None = None,
    max_length: int | None = None,
    truncate: str | None = None,
    device: str = "cpu",
    trust_remote_code: bool = False,
) -> Any:
    """An encoder as a float32 SentenceTransformer in training mode, all of its body trainable.

    A plain Transformers directory gets the pooling that sentence-transformers gives it. A last
    Normalize is there where the directory has one. Layer weights are trained where they are
    learnt ones ("weighted-last-4"), and stay as they are where the pooling is a fixed average.

    An encoder that `quantize` made gets float weights again.

    Args:
        source: a directory or any other name of an encoder, or a layout that was read.
        pooling: one of `types.POOLINGS` in place of the encoder's own.
        max_length: tokens, special ones included, in place of the encoder's own.
        truncate: what is read of long texts, in place of the encoder's own; see `Truncation`.
            Texts are cut like this whenever the model preprocesses them, in training, too.
        device: where it is trained.
        trust_remote_code: run Python code that comes with the encoder.

    Raises:
        MissingExtraError: torch or sentence-transformers is not installed.
        EncoderError: it cannot be loaded like this, or has no weights that could be trained.
    """
    if not isinstance(source, Layout):
        path = resolve(source, trust_remote_code=trust_remote_code)
        source = read_layout(path, trust_remote_code=trust_remote_code)
    layout = source.choosing(pooling=pooling, max_length=max_length, truncate=truncate)
    if weight_files(layout)[0].suffix == ".onnx":
        with tempfile.TemporaryDirectory(prefix="semsearch-") as folder:
            path = Path(folder) / "encoder"
            write_float_weights(layout, path)
            return trainable_model(path, device=device)
    # On a CPU torch's fused kernel trains slower: 3 layers of MiniLM in bf16 without dropout, texts
    # of 32 tokens: 5,642 tokens/s, where plain attention takes 8,263.
    plain = device == "cpu" and layout.max_length <= _SHORT
    kernel = {"attn_implementation": "eager"} if plain else {}
    loaded = load_model(layout, device, trust_remote_code, **kernel)
    model = _with_choices(loaded, layout, normalized=True)
    for module in model:
        fixed = type(module).__name__ == "WeightedLayerPooling" and not layout.pooling.learnt
        module.requires_grad_(not fixed)
    if not layout.truncation.on_one_side:
        cut_in_training(model, _tokenizer(model, layout))
    model.semsearch_truncation = layout.truncation.name
    return model.train()


def write_float_weights(layout: Layout, path: Path) -> None:
    """Write an encoder that has int8 weights only as a new directory with float ones.

    Raises:
        EncoderError: its ONNX body is not one that `quantize` wrote.
        MissingExtraError: what reads ONNX files is not installed.
    """
    import torch

    with quiet():
        from transformers import AutoConfig, AutoModel

        try:
            config = AutoConfig.from_pretrained(layout.body, local_files_only=True)
            with torch.device("meta"):  # shapes without memory
                model = AutoModel.from_config(config)
        except Exception as error:
            raise EncoderError(
                f"{layout.path}: transformers cannot make it: {_first_line(error)}"
            ) from error
    shapes = {name: tuple(value.shape) for name, value in model.named_parameters()}
    write_with_floats(layout, path, shapes)


def save_trained(model: Any, path: Path) -> None:
    """Write a model of `trainable_model` so that `Encoder.load` and sentence-transformers read it.

    Both give the same vectors, but where texts are cut in more than one place: there, plain
    sentence-transformers reads the head only. Any other SentenceTransformer is saved as it is. No
    model card is written.

    Raises:
        EncoderError: something is at `path` already: an ONNX body there would be an older one.
    """
    refuse_existing(path)
    with quiet():
        model.save_pretrained(str(path), create_model_card=False)
    write_truncation(path / CONFIG, getattr(model, "semsearch_truncation", "head"))


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]


def _tokenizer(model: Any, layout: Layout) -> TextTokenizer:
    """A copy of the tokenizer that sentence-transformers made, whatever it made it from."""
    from tokenizers import Tokenizer

    backend = getattr(model.tokenizer, "backend_tokenizer", None)
    if backend is None and isinstance(model.tokenizer, Tokenizer):
        backend = model.tokenizer
    if backend is None:
        raise EncoderError(f"{layout.path}: its tokenizer is of no kind that `tokenizers` runs.")
    return TextTokenizer(Tokenizer.from_str(backend.to_str()), layout)
