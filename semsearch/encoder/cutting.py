"""Cut long texts in training as they are cut when the encoder is used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from semsearch.encoder.tokens import TextTokenizer

# Row -> text, under a name that sentence-transformers does not pass on to the body.
_TEXT_OF_ROW = "overflow_to_sample_mapping"
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def cut_in_training(model: Any, tokenizer: TextTokenizer) -> None:
    """Let a SentenceTransformer read of long texts what the truncation of `tokenizer` says.

    Its preprocessing and two hooks are changed; its modules, and with them what is saved, are
    not. A batch has one row for each text until it comes to the body, so that losses may merge
    and split batches. Windows are cut there, and averaged before a last Normalize. Short texts
    give exactly the features that they gave before. Gradients reach every window.

    Args:
        model: with a transformer that is fed by a tokenizer alone.
        tokenizer: a copy of its tokenizer, with the same max_length.
    """
    body = model[0]
    name = "preprocess" if hasattr(body, "preprocess") else "tokenize"
    setattr(body, name, _Preprocess(getattr(body, name), model.tokenizer, tokenizer))
    if tokenizer.truncation.in_windows:
        last = [module for module in model if type(module).__name__ != "Normalize"][-1]
        body.register_forward_pre_hook(_CutWindows(tokenizer))
        last.register_forward_hook(_average_windows)


@dataclass(frozen=True, slots=True)
class _Preprocess:
    """Features of texts: what sentence-transformers makes of them, but for the long ones."""

    plain: Any
    padding: Any  # the tokenizer of the model, which knows how it pads
    tokenizer: TextTokenizer

    def __call__(self, texts: Sequence[str], *args: Any, **kwargs: Any) -> dict[str, Any]:
        features: dict[str, Any] = self.plain(texts, *args, **kwargs)
        limit = self.tokenizer.max_length
        if not features or features["input_ids"].shape[1] < limit:
            return features
        lengths = features["attention_mask"].sum(1).tolist()
        full = [number for number, length in enumerate(lengths) if length >= limit]
        prompt = kwargs.get("prompt") or ""
        in_windows = self.tokenizer.truncation.in_windows
        read = self.tokenizer.whole if in_windows else self.tokenizer.encode
        rows = read([prompt + texts[number] for number in full])
        self._widen(features, max(map(len, rows), default=0))
        for number, row in zip(full, rows, strict=True):
            self._put(features, number, row)
        return features

    def _widen(self, features: dict[str, Any], width: int) -> None:
        ids = features["input_ids"]
        if (missing := width - ids.shape[1]) <= 0:
            return
        pads = (self.padding.pad_token_id, 0, self.padding.pad_token_type_id)
        for name, pad in zip(_INPUTS, pads, strict=True):
            if name in features:
                old = features[name]
                new = old.new_full((len(old), width), pad)
                begin = missing if self.padding.padding_side == "left" else 0
                new[:, begin : begin + old.shape[1]] = old
                features[name] = new

    def _put(self, features: dict[str, Any], number: int, row: Any) -> None:
        width = features["input_ids"].shape[1]
        begin = width - len(row) if self.padding.padding_side == "left" else 0
        values = (row.ids, np.ones(len(row), np.int64), row.type_ids)
        for name, value in zip(_INPUTS, values, strict=True):
            if name in features:
                tensor = features[name]
                tensor[number, begin : begin + len(row)] = tensor.new_tensor(value)


@dataclass(frozen=True, slots=True)
class _CutWindows:
    """Before the body: the rows of long texts become several."""

    tokenizer: TextTokenizer

    def __call__(self, body: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
        features, limit = inputs[0], self.tokenizer.max_length
        mask = features["attention_mask"]
        if mask.shape[1] <= limit:
            return None
        begins, lengths = mask.argmax(1).tolist(), mask.sum(1).tolist()
        prompt_length = _as_int(features.get("prompt_length", 0))
        rows = [
            begin + (self.tokenizer.rows(n, prompt_length) if n > limit else np.arange(n)[None])
            for begin, n in zip(begins, lengths, strict=True)
        ]
        texts = np.repeat(np.arange(len(rows)), [len(of_text) for of_text in rows])
        places = np.full((len(texts), limit), -1)
        for place, row in zip(places, (row for of_text in rows for row in of_text), strict=True):
            place[: len(row)] = row
        pads = (self.tokenizer.pad_id, 0, 0)
        place, text = mask.new_tensor(places), mask.new_tensor(texts)
        changed = {
            name: features[name][text[:, None], place.clamp(min=0)].masked_fill(place < 0, pad)
            for name, pad in zip(_INPUTS, pads, strict=True)
            if name in features
        }
        # A new dictionary: losses with cached gradients feed the old one again.
        return ({**features, **changed, _TEXT_OF_ROW: text}, *inputs[1:])


def _as_int(prompt_length: Any) -> int:
    """One number, or a tensor that has it once for every text."""
    return int(prompt_length.flatten()[0] if hasattr(prompt_length, "flatten") else prompt_length)


def _average_windows(module: Any, inputs: tuple[Any, ...], features: dict[str, Any]) -> None:
    """Behind the last module but Normalize: the embeddings of a text's rows become one."""
    text = features.pop(_TEXT_OF_ROW, None)
    if text is None:
        return
    rows = features["sentence_embedding"]
    n = int(text.max()) + 1
    sums = rows.new_zeros((n, rows.shape[1])).index_add(0, text, rows)
    features["sentence_embedding"] = sums / text.bincount(minlength=n)[:, None].to(rows.dtype)
