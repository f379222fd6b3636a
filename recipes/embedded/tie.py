"""Give every traditional character the embedding of the simplified one that it stands for.

    python recipes/embedded/tie.py ENCODER

All training text is in simplified characters, so that what is learnt of one is known of both.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import texts

from semsearch.encoder import safetensors

TABLE = "embeddings.word_embeddings.weight"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("encoder", type=Path)
    print(f"{tie(parser.parse_args().encoder):,} traditional characters")


def tie(encoder: Path) -> int:
    """Rewrite the weights in place; returns how many characters were given another's."""
    tokenizer = json.loads((encoder / "tokenizer.json").read_text(encoding="utf-8"))
    numbers = tokenizer["model"]["vocab"]
    path = encoder / "model.safetensors"
    tensors = safetensors.read(path)
    table = tensors[TABLE]
    tied = [
        (numbers[traditional], numbers[simple])
        for traditional, simple in texts.variants().items()
        if traditional in numbers and simple in numbers
    ]
    for traditional, simple in tied:
        table[traditional] = table[simple]
    safetensors.write(path, tensors)
    return len(tied)


if __name__ == "__main__":
    main()
