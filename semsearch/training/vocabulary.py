"""A WordPiece vocabulary of one's own, learnt from plain text, the same one every time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from semsearch.errors import DataError

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PREFIX = "##"

_COVERAGE = 0.9998
_MIN_FREQUENCY = 2


def train_vocabulary(texts: Sequence[str], size: int, *, like: Any = None) -> list[str]:
    """Learn the tokens that write `texts` in few pieces.

    First come the special tokens, then the characters that make up 99.98% of the texts (the
    others become [UNK]), then pieces that were seen twice or more. The same texts give the same
    tokens in the same order.

    Args:
        texts: what to learn from.
        size: tokens wanted; fewer where the texts do not hold so many.
        like: a tokenizer of `tokenizers` that says what a word is; None for BERT's uncased ones,
            which lower-case words, drop accents and take a Chinese character for a word.

    Returns:
        The tokens in the order of their ids; those that go on within a word begin with `##`.

    Raises:
        DataError: `size` does not hold the characters of the texts.

    Wu et al. 2016, arXiv:1609.08144, section 4.1 (WordPiece), with the merges of `tokenizers`.
    """
    from tokenizers import Tokenizer, models, trainers

    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = _splitting(like)
    first, within = _alphabet(texts, tokenizer)
    known = [*SPECIAL, *first, *(PREFIX + letter for letter in within)]
    if size < len(known):
        raise DataError(
            f"a vocabulary of {size:,} tokens does not hold the {len(first):,} characters of "
            f"these texts. Ask for more than {len(known):,}."
        )
    trainer = trainers.WordPieceTrainer(
        vocab_size=size,
        min_frequency=_MIN_FREQUENCY,
        show_progress=False,
        # Given as special tokens, letters keep this order and these only are in the alphabet:
        # the trainer's own choice differs from run to run, and with it every id and every tie.
        special_tokens=known,
        limit_alphabet=0,
    )
    tokenizer.train_from_iterator(texts, trainer, length=len(texts))
    ids = tokenizer.get_vocab()
    return sorted(ids, key=ids.__getitem__)


def bert_tokenizer(vocabulary: Sequence[str], max_length: int) -> Any:
    """The tokenizer of BERT's uncased models with another vocabulary, as Transformers has it."""
    from transformers import BertTokenizerFast

    ids = {token: number for number, token in enumerate(vocabulary)}
    return BertTokenizerFast(vocab=ids, do_lower_case=True, model_max_length=max_length)


def _splitting(like: Any) -> tuple[Any, Any]:
    """What makes words of a text: a normalizer and a pre-tokenizer."""
    from tokenizers import normalizers, pre_tokenizers

    if like is not None:
        return like.normalizer, like.pre_tokenizer
    return normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()


def _alphabet(texts: Iterable[str], tokenizer: Any) -> tuple[list[str], list[str]]:
    """The characters to know: at the start of a word, and within one; frequent ones first."""
    normalize = tokenizer.normalizer.normalize_str
    written: Counter[str] = Counter()
    for text in texts:
        written.update(text)
    counts: Counter[str] = Counter()
    for letter, count in written.items():
        for normal in normalize(letter):
            counts[normal] += 0 if normal.isspace() else count
    first = []
    wanted, seen = _COVERAGE * counts.total(), 0
    for letter, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        if seen >= wanted or not count:
            break
        first.append(letter)
        seen += count
    # Chinese characters and punctuation stand alone: they are never within a word.
    split = tokenizer.pre_tokenizer.pre_tokenize_str
    within = [letter for letter in first if len(split(normalize(f"a{letter}"))) == 1]
    return first, within
