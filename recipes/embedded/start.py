"""Write the encoder that the training starts from: layers and word pieces of the teacher.

    python recipes/embedded/start.py TABLES OUT [--words]

TABLES is what prepare.py wrote. Chinese characters, and with --words the Chinese words, start from
the English words that stand opposite them in the translations.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from prepare import TEACHER

from semsearch.encoder.source import resolve
from semsearch.training.reading import read_examples
from semsearch.training.student import make_student
from semsearch.training.wordpieces import read_vocabulary

LAYERS = (0, 2, 5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--words", action="store_true", help="the pieces of words.txt, too")
    arguments = parser.parse_args()
    make(arguments.tables, arguments.out, words=arguments.words)


def make(tables: Path, out: Path, *, words: bool) -> None:
    """Write the start as a new directory."""
    files = ("vocab.txt", "words.txt") if words else ("vocab.txt",)
    make_student(
        resolve(TEACHER),
        out,
        layers=LAYERS,
        vocabulary=[piece for name in files for piece in read_vocabulary(tables / name)],
        parallel=read_examples([str(tables / "parallel.parquet")], "pairs"),
    )


if __name__ == "__main__":
    main()
