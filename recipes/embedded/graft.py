"""Give an encoder the words that another one learnt, which began as the same.

    python recipes/embedded/graft.py OUT ENCODER WORDED

Both have the same pieces, and WORDED has words behind them. A word keeps how it differs from its
characters: its embedding is that of WORDED, moved as the mean of its characters lies elsewhere.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
from fold import TABLE

from semsearch.encoder import safetensors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("out", "encoder", "worded"):
        parser.add_argument(name, type=Path)
    arguments = parser.parse_args()
    n = graft(arguments.out, arguments.encoder, arguments.worded)
    print(f"{n:,} words")


def graft(out: Path, encoder: Path, worded: Path) -> int:
    """Write a new directory; returns the number of words.

    Raises:
        ValueError: their pieces differ.
    """
    pieces = _pieces(encoder)
    both = _pieces(worded)
    if both[: len(pieces)] != pieces:
        raise ValueError(f"{encoder} and {worded} have other pieces.")
    words = both[len(pieces) :]
    numbers = {piece: number for number, piece in enumerate(pieces)}
    characters = [[numbers[part] for part in word if part in numbers] for word in words]
    tensors = safetensors.read(encoder / "model.safetensors")
    own = tensors[TABLE]
    learnt = safetensors.read(worded / "model.safetensors")[TABLE]
    made = learnt[len(pieces) :].copy()
    for row, rows in zip(made, characters, strict=True):
        if rows:
            row += (own[rows] - learnt[rows]).mean(axis=0)
    tensors[TABLE] = np.concatenate([own, made])
    shutil.copytree(encoder, out, ignore=shutil.ignore_patterns("training.json", "README.md"))
    for name in ("tokenizer.json", "config.json"):
        shutil.copyfile(worded / name, out / name)
    safetensors.write(out / "model.safetensors", tensors)
    return len(words)


def _pieces(encoder: Path) -> list[str]:
    content = json.loads((encoder / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary: dict[str, int] = content["model"]["vocab"]
    return [piece for piece, _ in sorted(vocabulary.items(), key=lambda item: item[1])]


if __name__ == "__main__":
    main()
