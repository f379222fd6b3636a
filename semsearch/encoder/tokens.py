"""Texts to token ids with `tokenizers`, set up exactly as Transformers sets it up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semsearch.encoder.body import UNLIMITED
from semsearch.encoder.layout import Layout
from semsearch.errors import EncoderError
from semsearch.types import Ids

# Transformers rebuilds the normalizer of these from tokenizer_config.json.
_BERT_LIKE = {"bert", "distilbert", "electra", "mobilebert", "mpnet", "convbert", "squeezebert"}
_CHUNK = 4096


@dataclass(frozen=True, slots=True)
class TextStats:
    """How the tokenizer sees texts; one entry per text."""

    n_tokens: Ids  # (n,) int64, special tokens included, before anything is cut off
    n_unknown: Ids  # (n,) int64, tokens that the vocabulary does not have
    max_length: int
    n_special: int  # tokens that every text gets, [CLS] and [SEP]

    @property
    def too_long(self) -> NDArray[np.bool_]:
        """(n,) bool: it has more tokens than the encoder reads at a time."""
        return self.n_tokens > self.max_length

    @property
    def unknown_share(self) -> NDArray[np.float64]:
        """(n,) float64: unknown tokens among all but the special ones."""
        return self.n_unknown / np.maximum(self.n_tokens - self.n_special, 1)


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """Some tokens of a long text, as `tokenizers.Encoding` gives those of a short one."""

    ids: NDArray[np.int64]
    type_ids: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids)


class TextTokenizer:
    """One tokenizer, cutting texts to `max_length` as the layout says, and never padding."""

    def __init__(self, tokenizer: Any, layout: Layout) -> None:
        self.max_length = layout.max_length
        self.n_special = int(tokenizer.num_special_tokens_to_add(False))
        if self.max_length <= self.n_special:
            raise EncoderError(
                f"{layout.path}: max_length {self.max_length} leaves no room beside "
                f"{self.n_special} special tokens."
            )
        padding = tokenizer.padding
        self.pad_id = int(padding["pad_id"]) if padding else _pad_id(tokenizer, layout)
        self.unknown_id = _unknown_id(tokenizer, layout)
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self.truncation = layout.truncation
        if self.max_length < UNLIMITED and self.truncation.on_one_side:
            tokenizer.enable_truncation(self.max_length, direction=self.truncation.side)
        self._tokenizer = tokenizer

    @classmethod
    def load(cls, layout: Layout) -> TextTokenizer:
        """From tokenizer.json, or the vocab.txt of a BERT.

        Raises:
            EncoderError: neither is there, or one is damaged.
        """
        return cls(_with_bert_options(_read(layout), layout), layout)

    def encode(self, texts: Sequence[str]) -> list[Any]:
        """What is read of each text, a `tokenizers.Encoding` or a Row; not for windows."""
        found = _encode(self._tokenizer, texts)
        if self.truncation.on_one_side:
            return found
        return [rows[0] for rows in self._split(found, 0)]

    def windows(self, texts: Sequence[str], prompt: str) -> list[list[Any]]:
        """The rows of each text, which begins with `prompt`; one of them where it is short."""
        return self._split(_encode(self._tokenizer, texts), self.prompt_length(prompt))

    def whole(self, texts: Sequence[str]) -> list[Any]:
        """One `tokenizers.Encoding` per text, with all of its tokens."""
        return _encode(self._untruncated, texts)

    def _split(self, encodings: Sequence[Any], prompt_length: int) -> list[list[Any]]:
        return [
            [encoding] if len(encoding) <= self.max_length else self._rows(encoding, prompt_length)
            for encoding in encodings
        ]

    def _rows(self, encoding: Any, prompt_length: int) -> list[Row]:
        ids, types = np.array(encoding.ids), np.array(encoding.type_ids)
        return [Row(ids[row], types[row]) for row in self.rows(len(ids), prompt_length)]

    def rows(self, n_tokens: int, prompt_length: int) -> Ids:
        """(rows, max_length) int64: which tokens are read of a text with n_tokens > max_length.

        Raises:
            EncoderError: the prompt leaves no room for the text.
        """
        first, last = self._special
        first = max(first, prompt_length)
        if self.max_length <= first + last:
            raise EncoderError(
                f"max_length {self.max_length} leaves no room beside a prompt of {first} tokens."
            )
        return self.truncation.rows(n_tokens, self.max_length, first, last)

    @cached_property
    def _special(self) -> tuple[int, int]:
        """How many special tokens stand before and behind a text."""
        mask = _encode(self._untruncated, ["a"])[0].special_tokens_mask
        first = next((i for i, special in enumerate(mask) if not special), len(mask))
        return first, self.n_special - first

    @cached_property
    def _untruncated(self) -> Any:
        from tokenizers import Tokenizer

        if self._tokenizer.truncation is None:
            return self._tokenizer
        # A copy: switching truncation off and on again would not be safe between threads.
        tokenizer = Tokenizer.from_str(self._tokenizer.to_str())
        tokenizer.no_truncation()
        return tokenizer

    def measure(self, texts: Sequence[str]) -> TextStats:
        """Count tokens and unknown tokens; nothing is cut off."""
        n_tokens = np.zeros(len(texts), np.int64)
        n_unknown = np.zeros(len(texts), np.int64)
        for start in range(0, len(texts), _CHUNK):
            found = _encode(self._untruncated, texts[start : start + _CHUNK])
            for row, encoding in enumerate(found, start):
                ids = encoding.ids
                n_tokens[row] = len(ids)
                n_unknown[row] = ids.count(self.unknown_id)
        return TextStats(n_tokens, n_unknown, self.max_length, self.n_special)

    def prompt_length(self, prompt: str) -> int:
        """Tokens of a prompt, the special one at its end left out."""
        if not prompt:
            return 0
        ids = _encode(self._tokenizer, [prompt])[0]
        return len(ids.ids) - int(ids.special_tokens_mask[-1])


def prepared(tokenizer: TextTokenizer, texts: Sequence[str], prompt: str) -> tuple[list[Any], Ids]:
    """What runtimes batch: what is read of each text behind its prompt, and how many tokens.

    It is a row for each text, or a list of rows where texts are read in windows.
    """
    if prompt:
        texts = [prompt + text for text in texts]
    if not tokenizer.truncation.in_windows:
        rows = tokenizer.encode(texts)
        return rows, np.fromiter(map(len, rows), np.int64, len(rows))
    items = tokenizer.windows(texts, prompt)
    return items, np.array([sum(map(len, item)) for item in items], np.int64)


def padded(rows: Sequence[Any], pad_id: int) -> dict[str, Ids]:
    """The inputs of a transformer, (n, longest) int64 each, padded on the right."""
    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    real = np.arange(lengths.max()) < lengths[:, None]
    ids = np.full(real.shape, pad_id, np.int64)
    types = np.zeros_like(ids)
    # All rows in one go: 31 microseconds for a batch of 32 questions, where one by one takes 97.
    total = int(lengths.sum())
    ids[real] = np.fromiter(chain.from_iterable(row.ids for row in rows), np.int64, total)
    types[real] = np.fromiter(chain.from_iterable(row.type_ids for row in rows), np.int64, total)
    mask = real.astype(np.int64)
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}


def find_bad_text(texts: Sequence[str]) -> tuple[int, str] | None:
    """The first text that no tokenizer takes, and why; None where all are fine."""
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            return row, f"is no text but {type(text).__name__}"
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError as error:
                return row, f"holds half a character (a lone surrogate) at {error.start}"
    return None


def _encode(tokenizer: Any, texts: Sequence[str]) -> list[Any]:
    # The fast variant gives the same ids without offsets; it came with tokenizers 0.20.
    batch = getattr(tokenizer, "encode_batch_fast", tokenizer.encode_batch)
    return list(batch(list(texts)))


def _read(layout: Layout) -> Any:
    from tokenizers import Tokenizer
    from tokenizers.implementations import BertWordPieceTokenizer

    for name in ("tokenizer.json", "vocab.txt"):
        path = layout.body / name
        if not path.is_file():
            continue
        try:
            if name == "tokenizer.json":
                return Tokenizer.from_file(str(path))
            return BertWordPieceTokenizer(str(path))._tokenizer
        except Exception as error:  # tokenizers raises bare Exception
            raise EncoderError(f"{path}: cannot be read as a tokenizer: {error}.") from error
    raise EncoderError(
        f"{layout.body}: no tokenizer that works without torch (tokenizer.json, or the vocab.txt "
        "of a BERT). Use the torch runtime."
    )


def tokenizer_file(body: Path) -> Path | None:
    """The file that says how texts are split; None where there is none that we know."""
    names = ("tokenizer.json", "vocab.txt", "sentencepiece.bpe.model", "spiece.model")
    return next((body / name for name in names if (body / name).is_file()), None)


def bert_options(layout: Layout) -> dict[str, Any] | None:
    """The settings that Transformers gives the normalizer of a BERT; None for other bodies."""
    config = layout.tokenizer_config
    name = str(config.get("tokenizer_class") or layout.model_config.get("model_type") or "")
    if name.lower().removesuffix("fast").removesuffix("tokenizer") not in _BERT_LIKE:
        return None
    return {
        "lowercase": config.get("do_lower_case", True),
        "strip_accents": config.get("strip_accents"),
        "handle_chinese_chars": config.get("tokenize_chinese_chars", True),
    }


def _with_bert_options(tokenizer: Any, layout: Layout) -> Any:
    from tokenizers import normalizers

    options = bert_options(layout)
    if options and isinstance(tokenizer.normalizer, normalizers.BertNormalizer):
        tokenizer.normalizer = normalizers.BertNormalizer(clean_text=True, **options)
    if layout.lower_case:
        steps = [normalizers.Lowercase()]
        if tokenizer.normalizer is not None:
            steps.append(tokenizer.normalizer)
        tokenizer.normalizer = normalizers.Sequence(steps)
    return tokenizer


def _pad_id(tokenizer: Any, layout: Layout) -> int:
    named = tokenizer.token_to_id(_content(layout.tokenizer_config.get("pad_token")) or "[PAD]")
    return int(named if named is not None else layout.model_config.get("pad_token_id") or 0)


def _unknown_id(tokenizer: Any, layout: Layout) -> int:
    token = _content(layout.tokenizer_config.get("unk_token"))
    found = tokenizer.token_to_id(token or getattr(tokenizer.model, "unk_token", None) or "[UNK]")
    return -1 if found is None else int(found)


def _content(token: Any) -> str:
    """Special tokens are saved as a string or as an object with `content`."""
    return str(token.get("content", "")) if isinstance(token, dict) else str(token or "")
