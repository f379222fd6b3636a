"""What a pre-training begins with: a tokenizer and weights, new ones or an encoder's."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, set_seed

from semsearch.encoder.body import longest_input
from semsearch.encoder.config import read_layout
from semsearch.encoder.fingerprint import weight_files
from semsearch.encoder.quiet import quiet
from semsearch.encoder.source import resolve
from semsearch.encoder.trainable import write_float_weights
from semsearch.errors import EncoderError
from semsearch.files import folder_until_exit
from semsearch.training.dropout import set_dropout
from semsearch.training.mlm import load_masked_lm, new_masked_lm, replace_vocabulary
from semsearch.training.pretraining_settings import VOCABULARY, PretrainingSettings
from semsearch.training.vocabulary import SPECIAL, bert_tokenizer, train_vocabulary
from semsearch.training.wordpieces import with_vocabulary

_SHORT = 512  # tokens up to which plain attention trains faster on a CPU than the fused kernel


def start(
    texts: Sequence[str], settings: PretrainingSettings, device: str
) -> tuple[Any, Callable[[], Any]]:
    """The tokenizer of a pre-training, and what makes its model, the same every time.

    Args:
        texts: what a new vocabulary is learnt from.

    Raises:
        DataError: the vocabulary is too small for the texts.
        EncoderError: the encoder to start from has no masked language model, or cannot be loaded.
    """
    attention = "eager" if device == "cpu" and settings.max_length <= _SHORT else None

    def seeded(make: Callable[[], Any]) -> Callable[[], Any]:
        def load() -> Any:
            set_seed(settings.seed)
            model = make()
            set_dropout(model, settings.dropout)
            return model.to(device)

        return load

    if settings.encoder is None:
        vocabulary = train_vocabulary(texts, settings.vocab_size or VOCABULARY)
        shape = (*settings.shape, settings.max_length)
        return (
            bert_tokenizer(vocabulary, settings.max_length),
            seeded(lambda: new_masked_lm(len(vocabulary), *shape, attention)),
        )
    name, body = settings.encoder, _body(settings.encoder, settings.max_length)
    old = _tokenizer(body, name)
    new = old if settings.vocab_size is None else _retrained(old, texts, settings.vocab_size, body)

    def adapted() -> Any:
        model = load_masked_lm(body, name, attention)
        if new is not old:
            replace_vocabulary(model, old, new)
        return model

    return new, seeded(adapted)


def _body(name: str, max_length: int) -> Path:
    layout = read_layout(resolve(name))
    longest = longest_input(layout.model_config)
    if max_length > longest:
        raise EncoderError(f"{name}: reads {longest} tokens at most, not {max_length}.")
    if weight_files(layout)[0].suffix == ".onnx":
        # It is read whenever the model is made, which is until the run ends.
        folder = folder_until_exit("semsearch-")
        write_float_weights(layout, folder / "encoder")
        return read_layout(folder / "encoder").body
    return layout.body


def _tokenizer(body: Path, name: str) -> Any:
    with quiet():
        tokenizer = AutoTokenizer.from_pretrained(body, local_files_only=True)
    if getattr(tokenizer, "backend_tokenizer", None) is None:
        raise EncoderError(f"{name}: its tokenizer is of no kind that `tokenizers` runs.")
    if tokenizer.mask_token is None:
        raise EncoderError(f"{name}: its tokenizer has no token that stands for a masked one.")
    return tokenizer


def _retrained(old: Any, texts: Sequence[str], size: int, body: Path) -> Any:
    """The tokenizer of an encoder with word pieces that are learnt from the texts."""
    from tokenizers import Tokenizer

    vocabulary = train_vocabulary(texts, size, like=old.backend_tokenizer)
    missing = [token for token in SPECIAL if token not in old.get_vocab()]
    if missing:
        raise EncoderError(f"{body}: has no {missing[0]}, so it keeps its vocabulary.")
    changed = with_vocabulary(json.loads(old.backend_tokenizer.to_str()), vocabulary, body)
    names = ("unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
    return type(old)(
        tokenizer_object=Tokenizer.from_str(json.dumps(changed)),
        **{name: getattr(old, name) for name in names},
        model_max_length=old.model_max_length,
    )
