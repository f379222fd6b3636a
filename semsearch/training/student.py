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
from numpy.typing import NDArray

from semsearch.encoder.quiet import quiet
from semsearch.encoder.source import resolve
from semsearch.encoder.trainable import save_trained, trainable_model
from semsearch.errors import DataError, EncoderError
from semsearch.tables import read_texts
from semsearch.training.examples import Examples
from semsearch.training.settings import Settings
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


def read_vocabulary(file: str | Path) -> list[str]:
    """Word pieces, a line each, as in the `vocab.txt` of a BERT; special tokens are left out.

    Raises:
        DataError: the file holds none.
    """
    pieces = [piece for piece in dict.fromkeys(read_texts(file)) if not is_special(piece)]
    if not pieces:
        raise DataError(f"{file}: no word pieces but special ones.")
    return pieces


def is_special(piece: str) -> bool:
    """Whether a piece stands for no text, such as [CLS]."""
    return len(piece) > 2 and piece[0] == "[" and piece[-1] == "]"


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
    changed = with_vocabulary(json.loads(tokenizer.backend_tokenizer.to_str()), vocabulary, teacher)
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
        made[new] = new_rows(made, known >= 0, encode, parallel, seed)[new]
    embedding = torch.nn.Embedding(len(vocabulary), rows.shape[1], vocabulary.index("[PAD]"))
    embedding.weight.data = torch.from_numpy(made)
    model[0].auto_model.set_input_embeddings(embedding)
    model[0].auto_model.config.vocab_size = len(vocabulary)
    model[0].auto_model.config.pad_token_id = vocabulary.index("[PAD]")


def with_vocabulary(
    tokenizer: dict[str, Any], vocabulary: Sequence[str], teacher: Path
) -> dict[str, Any]:
    """A `tokenizer.json` with other word pieces, its special tokens renumbered.

    Raises:
        EncoderError: it is no WordPiece tokenizer, or a special token would be lost.
    """
    if tokenizer["model"].get("type") != "WordPiece":
        raise EncoderError(
            f"{teacher}: its tokenizer is {tokenizer['model'].get('type')}, not WordPiece, and "
            "keeps its vocabulary. Leave out --vocab."
        )
    ids = {piece: number for number, piece in enumerate(vocabulary)}
    changed = json.loads(json.dumps(tokenizer))
    changed["model"]["vocab"] = ids
    changed["added_tokens"] = [
        {**token, "id": ids[token["content"]]}
        for token in tokenizer["added_tokens"]
        if token["content"] in ids
    ]
    changed["truncation"] = changed["padding"] = None
    _renumber(changed.get("post_processor") or {}, ids)
    return dict(changed)


def _renumber(processor: dict[str, Any], ids: dict[str, int]) -> None:
    for name, token in (processor.get("special_tokens") or {}).items():  # TemplateProcessing
        token["ids"] = [ids[name]]
    for name in ("sep", "cls"):  # BertProcessing
        if isinstance(processor.get(name), list):
            processor[name][1] = ids[processor[name][0]]


def new_rows(
    rows: NDArray[np.float32],
    known: NDArray[np.bool_],
    tokenizer: Any,
    parallel: Examples | None,
    seed: int = 0,
) -> NDArray[np.float32]:
    """Embeddings for word pieces that the teacher does not have.

    A new piece becomes the average of the known words on the other side of the sentence pairs
    that it occurs in, weighted by the cube of how closely the two go together: Ochiai's
    coefficient, the pairs with both by the root of those with each. One that occurs nowhere
    becomes the mean row and some noise.

    Args:
        rows: (n, d) the embeddings of all pieces, those of new ones not looked at.
        known: (n,) which of them are the teacher's.
        tokenizer: of `tokenizers`, with all pieces.

    Returns:
        (n, d) float32; known rows as they were.
    """
    made = np.array(rows, np.float32)
    mean = rows[known].mean(axis=0)
    spread = rows[known].std(axis=0)
    random = np.random.default_rng(seed)
    new = np.flatnonzero(~known)
    noise = random.normal(size=(len(new), rows.shape[1])).astype(np.float32)
    made[new] = mean + 0.1 * spread * noise
    if parallel is None or parallel.shape != "pairs":
        return made
    weights = _associations(tokenizer, parallel, known)
    total = np.asarray(weights.sum(axis=1)).ravel()
    seen = np.flatnonzero((total > 0) & ~known)
    made[seen] = (weights[seen] @ rows) / total[seen, None]
    return made


def _associations(tokenizer: Any, parallel: Examples, known: NDArray[np.bool_]) -> Any:
    """(n, n) sparse: how closely each known word goes with a piece, cubed.

    Counted once a pair; pieces that met once only tell nothing.
    """
    from scipy import sparse  # type: ignore[import-untyped]

    one, two = (
        _occurrences(tokenizer, parallel.columns[side], len(known))
        for side in ("anchor", "positive")
    )
    together = (two.T @ one).tocsr()
    together.data[together.data < 2] = 0
    pieces = [tokenizer.id_to_token(number) or "" for number in range(len(known))]
    words = [any(map(str.isalpha, piece)) and not is_special(piece) for piece in pieces]
    together = together @ sparse.diags((known & words).astype(np.float32))
    together.eliminate_zeros()
    n_one = np.maximum(np.asarray(one.sum(axis=0)).ravel(), 1)
    n_two = np.maximum(np.asarray(two.sum(axis=0)).ravel(), 1)
    counts = together.tocoo()
    ochiai = counts.data / np.sqrt(n_two[counts.row] * n_one[counts.col])
    # Of lift, PMI and Ochiai to the powers 1, 2 and 3, this finds most translations untrained.
    return sparse.csr_matrix((ochiai**3, (counts.row, counts.col)), shape=counts.shape)


def _occurrences(tokenizer: Any, texts: Sequence[str], n_pieces: int) -> Any:
    """(texts, pieces) sparse 0/1: which pieces a text has."""
    from scipy import sparse

    found = tokenizer.encode_batch(list(texts), add_special_tokens=False)
    columns = [np.unique(item.ids) for item in found]
    starts = np.concatenate([[0], np.cumsum([len(column) for column in columns])])
    flat = np.concatenate(columns) if columns else np.zeros(0, np.int64)
    shape = (len(columns), n_pieces)
    return sparse.csr_matrix((np.ones(len(flat), np.float32), flat, starts), shape=shape)
