"""The encoder that a distillation starts from: some of its teacher's layers, other word pieces.

Taking every second or third layer is how DistilBERT starts (Sanh et al. 2019, arXiv:1910.01108).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from semsearch.encoder.quiet import quiet
from semsearch.encoder.source import resolve
from semsearch.encoder.trainable import save_trained, trainable_model
from semsearch.errors import EncoderError
from semsearch.training.examples import Examples
from semsearch.training.settings import Settings
from semsearch.training.wordpieces import (
    is_special,
    new_rows,
    read_vocabulary,
    with_vocabulary,
    words_of,
)
from semsearch.types import Embeddings


def make_student(
    teacher: Path,
    out: Path,
    *,
    layers: Sequence[int] = (),
    vocabulary: Sequence[str] = (),
    parallel: Examples | None = None,
    reduction: Embeddings | None = None,
    seed: int = 0,
) -> None:
    """Write the start of a student as a new directory.

    Args:
        teacher: a directory.
        layers: those that are kept, numbered from 0, in their order; () keeps all.
        vocabulary: word pieces, beside the special tokens; () keeps the teacher's. Those that the
            teacher has keep their embedding.
        parallel: pairs of the teacher's language (anchor) and another (positive): a new piece
            starts from the pieces that stand opposite it, see `new_rows`.
        reduction: (dim, d) a linear map that comes behind the pooling.
        seed: of the noise that tells pieces apart that nothing is known of.

    Raises:
        EncoderError: no such layer, layers or word pieces of another kind than BERT's, or a
            reduction of other than its d dimensions.
    """
    with quiet():
        model = trainable_model(teacher)
    body = model[0].auto_model
    if layers:
        _keep_layers(body, layers, teacher)
    if vocabulary:
        _replace_vocabulary(model, vocabulary, parallel, teacher, seed)
    if reduction is not None:
        _reduce(model, reduction, teacher)
    with quiet():
        save_trained(model, out)


def student_of(
    settings: Settings, examples: Examples, reduction: Embeddings | None, folder: Path
) -> Path | None:
    """The start that a run asks for by layers, vocabulary and dim, made in `folder` once.

    Args:
        reduction: the map that gave the targets their dim dimensions.

    Returns:
        `folder`; None where the run begins with the encoder as it is.
    """
    if not settings.layers and settings.vocabulary is None and settings.dim is None:
        return None
    if not (folder / "modules.json").is_file():
        beside = folder.with_name(f"{folder.name}.making")
        shutil.rmtree(beside, ignore_errors=True)
        make_student(
            resolve(settings.encoder, trust_remote_code=settings.trust_remote_code),
            beside,
            layers=settings.layers,
            vocabulary=read_vocabulary(settings.vocabulary) if settings.vocabulary else (),
            parallel=examples if examples.shape == "pairs" else None,
            reduction=reduction if settings.dim is not None else None,
            seed=settings.seed,
        )
        beside.rename(folder)
    return folder


def _keep_layers(body: Any, layers: Sequence[int], teacher: Path) -> None:
    import torch

    n_layers = body.config.num_hidden_layers
    wrong = [layer for layer in layers if not 0 <= layer < n_layers]
    if wrong or len(set(layers)) < len(layers):
        raise EncoderError(
            f"{teacher}: has the layers 0 to {n_layers - 1}; {', '.join(map(str, layers))} are "
            "no choice of them."
        )
    stacks = [
        (parent, name, child)
        for parent in body.modules()
        for name, child in parent.named_children()
        if isinstance(child, torch.nn.ModuleList) and len(child) == n_layers
    ]
    if len(stacks) != 1:
        raise EncoderError(f"{teacher}: its layers cannot be taken apart. Leave out --layers.")
    parent, name, stack = stacks[0]
    setattr(parent, name, torch.nn.ModuleList([stack[layer] for layer in layers]))
    body.config.num_hidden_layers = len(layers)


def _reduce(model: Any, reduction: Embeddings, teacher: Path) -> None:
    """Put the map behind the pooling, before a Normalize."""
    import torch
    from sentence_transformers.sentence_transformer.modules import Dense

    dim, width = reduction.shape
    if model.get_embedding_dimension() != width:
        raise EncoderError(
            f"{teacher}: its {model.get_embedding_dimension()} dimensions cannot start as the map "
            f"of a teacher's {width}. Leave out --dim."
        )
    weight = torch.from_numpy(np.array(reduction, np.float32))
    dense = Dense(
        width, dim, bias=False, activation_function=torch.nn.Identity(), init_weight=weight
    )
    normalized = type(model[-1]).__name__ == "Normalize"
    model.insert(len(model) - normalized, dense)


def _replace_vocabulary(
    model: Any, pieces: Sequence[str], parallel: Examples | None, teacher: Path, seed: int
) -> None:
    import torch

    tokenizer = model.tokenizer
    old = dict(tokenizer.get_vocab())
    special = [token for token, _ in sorted(old.items(), key=lambda i: i[1]) if is_special(token)]
    special = [token for token in special if not token.startswith("[unused")]
    vocabulary = list(dict.fromkeys([*special, *pieces]))
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    changed = with_vocabulary(content, vocabulary, teacher)
    from tokenizers import Tokenizer

    model[0].processor = type(tokenizer)(
        tokenizer_object=Tokenizer.from_str(json.dumps(changed)),
        **{
            name: getattr(tokenizer, name)
            for name in ("unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
        },
        model_max_length=tokenizer.model_max_length,
    )
    embeddings = model[0].auto_model.get_input_embeddings()
    rows = embeddings.weight.detach().numpy()
    known = np.array([old.get(piece, -1) for piece in vocabulary])
    made = np.where(known[:, None] >= 0, rows[known], 0).astype(np.float32)
    new = np.flatnonzero(known < 0)
    if len(new):
        encode = model.tokenizer.backend_tokenizer
        number = {piece: place for place, piece in enumerate(vocabulary)}
        words = {
            number[word]: [number[part] for part in parts if part in number]
            for word, parts in words_of(content, vocabulary).items()
        }
        made[new] = new_rows(made, known >= 0, encode, parallel, seed, words)[new]
    embedding = torch.nn.Embedding(len(vocabulary), rows.shape[1], vocabulary.index("[PAD]"))
    embedding.weight.data = torch.from_numpy(made)
    model[0].auto_model.set_input_embeddings(embedding)
    model[0].auto_model.config.vocab_size = len(vocabulary)
    model[0].auto_model.config.pad_token_id = vocabulary.index("[PAD]")
