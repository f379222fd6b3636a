"""The word pieces of a tokenizer replaced by others, and embeddings for those that are new."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semsearch.errors import DataError, EncoderError
from semsearch.tables import read_texts
from semsearch.training.examples import Examples

_OWN_SHARE = 0.7
"""Of a word's start, what stands opposite it; the rest is the mean of its characters."""


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


def with_vocabulary(
    tokenizer: dict[str, Any], vocabulary: Sequence[str], teacher: Path
) -> dict[str, Any]:
    """A `tokenizer.json` with other word pieces, its special tokens renumbered.

    A new piece that the tokenizer would split before it looks pieces up, such as a Chinese word
    of several characters, becomes a token that is matched before the others, the longest first.

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
    kept = [
        {**token, "id": ids[token["content"]]}
        for token in tokenizer["added_tokens"]
        if token["content"] in ids
    ]
    added = [
        _token(piece, ids[piece])
        for piece in words_of(tokenizer, vocabulary)
        if piece not in tokenizer["model"]["vocab"]  # where it has it, it never reads it so
    ]
    changed["added_tokens"] = [*kept, *added]
    changed["truncation"] = changed["padding"] = None
    _renumber(changed.get("post_processor") or {}, ids)
    return dict(changed)


def _token(word: str, number: int) -> dict[str, Any]:
    """One of `added_tokens`. Chinese has no spaces: a word of it is found inside others."""
    return {
        "id": number,
        "content": word,
        "single_word": any(map(str.isascii, word)),
        "lstrip": False,
        "rstrip": False,
        "normalized": True,
        "special": False,
    }


def words_of(tokenizer: dict[str, Any], vocabulary: Sequence[str]) -> dict[str, list[str]]:
    """The pieces that a `tokenizer.json` splits before it looks pieces up, and what into."""
    from tokenizers import Tokenizer

    no_pieces = {"type": "WordLevel", "vocab": {}, "unk_token": ""}
    kept = {name: tokenizer.get(name) for name in ("normalizer", "pre_tokenizer")}
    splitter = Tokenizer.from_str(json.dumps({**kept, "model": no_pieces}))
    if splitter.pre_tokenizer is None:
        return {}
    words = {}
    for piece in vocabulary:
        text = piece.removeprefix(tokenizer["model"].get("continuing_subword_prefix", ""))
        if splitter.normalizer is not None:
            text = splitter.normalizer.normalize_str(text)
        parts = [part for part, _ in splitter.pre_tokenizer.pre_tokenize_str(text)]
        if len(parts) > 1 and not is_special(piece):
            words[piece] = parts
    return words


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
    words: Mapping[int, Sequence[int]] = MappingProxyType({}),
) -> NDArray[np.float32]:
    """Embeddings for word pieces that the teacher does not have.

    A new piece becomes the average of the known words on the other side of the sentence pairs
    that it occurs in, weighted by the cube of how closely the two go together: Ochiai's
    coefficient, the pairs with both by the root of those with each. One that occurs nowhere
    becomes the mean row and some noise. A word has a share of the mean of its characters, and is
    that mean where it occurs nowhere.

    Args:
        rows: (n, d) the embeddings of all pieces, those of new ones not looked at.
        known: (n,) which of them are the teacher's.
        tokenizer: of `tokenizers`, with all pieces.
        words: which rows are words, and the rows of their characters.

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
    seen = np.zeros(0, np.int64)
    if parallel is not None and parallel.shape == "pairs":
        weights = _associations(tokenizer, parallel, known)
        total = np.asarray(weights.sum(axis=1)).ravel()
        seen = np.flatnonzero((total > 0) & ~known)
        made[seen] = (weights[seen] @ rows) / total[seen, None]
    own = dict.fromkeys(seen.tolist(), _OWN_SHARE)
    for word, parts in words.items():
        if parts and not known[word]:
            share = own.get(word, 0.0)
            made[word] = share * made[word] + (1 - share) * made[list(parts)].mean(axis=0)
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
