"""Have an encoder read traditional characters as simplified ones, and full-width as plain ones.

    python recipes/embedded/fold.py ENCODER

All training text is in simplified characters, so that what is learnt of one is known of both; and
letters and digits of full width, which input methods write (ＡＴＭ), are hardly ever in it. The
tokenizer replaces the character. The pieces of traditional ones leave the vocabulary.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import string
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import texts

from semsearch.encoder import safetensors
from semsearch.training.wordpieces import with_vocabulary

WIDE = {chr(ord(plain) + 0xFEE0): plain for plain in string.ascii_letters + string.digits}
"""Letters and digits of full width, and the plain ones."""

TABLE = "embeddings.word_embeddings.weight"
# Transformers sets up a tokenizer of BERT's by itself; of this class, it reads tokenizer.json.
_AS_WRITTEN = "PreTrainedTokenizerFast"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("encoder", type=Path)
    print(f"{fold(parser.parse_args().encoder, texts.variants()):,} pieces left the vocabulary")


def fold(encoder: Path, variants: Mapping[str, str]) -> int:
    """Rewrite the encoder in place.

    Args:
        variants: traditional characters and the simplified ones that they stand for; those whose
            simplified one has no piece stay as they are.

    Returns:
        how many pieces left the vocabulary.
    """
    tokenizer = _read(encoder / "tokenizer.json")
    numbers: dict[str, int] = tokenizer["model"]["vocab"]
    folded = {old: new for old, new in variants.items() if new in numbers}
    kept = [
        piece
        for piece, _ in sorted(numbers.items(), key=lambda item: item[1])
        if folded.keys().isdisjoint(piece)
    ]
    changed = with_vocabulary(tokenizer, kept, encoder)
    changed["normalizer"] = {
        "type": "Sequence",
        "normalizers": [_replacing(folded | WIDE), tokenizer["normalizer"]],
    }
    path = encoder / "model.safetensors"
    tensors = safetensors.read(path)
    tensors[TABLE] = np.ascontiguousarray(tensors[TABLE][[numbers[piece] for piece in kept]])
    safetensors.write(path, tensors)
    _write(encoder / "tokenizer.json", changed)
    _write(encoder / "config.json", {**_read(encoder / "config.json"), "vocab_size": len(kept)})
    settings = _read(encoder / "tokenizer_config.json")
    _write(encoder / "tokenizer_config.json", {**settings, "tokenizer_class": _AS_WRITTEN})
    return len(numbers) - len(kept)


def _replacing(characters: Mapping[str, str]) -> dict[str, str]:
    """A normalizer that replaces characters by others: sentencepiece compiles its table."""
    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2

    rules = "".join(f"{ord(old):X}\t{ord(new):X}\n" for old, new in characters.items())
    model = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "rules.tsv"
        table.write_text(rules, encoding="utf-8")
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(["any text does"]),
            model_writer=model,
            vocab_size=16,
            hard_vocab_limit=False,
            normalization_rule_tsv=str(table),
            minloglevel=2,
        )
    trained = sentencepiece_model_pb2.ModelProto.FromString(model.getvalue())
    compiled = trained.normalizer_spec.precompiled_charsmap
    return {
        "type": "Precompiled",
        "precompiled_charsmap": base64.b64encode(compiled).decode(),
    }


def _read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
