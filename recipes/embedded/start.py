"""Write the encoder that the training starts from: layers and word pieces of the teacher.

    python recipes/embedded/start.py TABLES OUT

TABLES is what prepare.py wrote. Chinese characters start from the English words that stand opposite
them in the translations.
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
    arguments = parser.parse_args()
    make(arguments.tables, arguments.out)


def make(tables: Path, out: Path) -> None:
    """Write the start as a new directory."""
    make_student(
        resolve(TEACHER),
        out,
        layers=LAYERS,
        vocabulary=read_vocabulary(tables / "vocab.txt"),
        parallel=read_examples([str(tables / "parallel.parquet")], "pairs"),
    )


if __name__ == "__main__":
    main()
