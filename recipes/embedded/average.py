"""Average the weights of encoders that began as one and were trained apart.

    python recipes/embedded/average.py OUT ENCODER[=WEIGHT]...

A model soup (Wortsman et al. 2022, arXiv:2203.05482): encoders that are each better at something
make one that is about as good as the best of them at everything.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from semsearch.encoder import safetensors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("encoders", metavar="ENCODER[=WEIGHT]", nargs="+")
    arguments = parser.parse_args()
    folders, weights = [], []
    for text in arguments.encoders:
        folder, _, weight = text.partition("=")
        folders.append(Path(folder))
        weights.append(float(weight or 1))
    average(arguments.out, folders, weights)


def average(out: Path, folders: Sequence[Path], weights: Sequence[float]) -> None:
    """Write an encoder whose every weight is the average of theirs.

    Args:
        weights: of each encoder; they need not sum to 1.

    Raises:
        ValueError: the encoders are not of one shape.
    """
    shares = np.array(weights, np.float64) / sum(weights)
    shutil.copytree(folders[0], out, ignore=shutil.ignore_patterns("training.json", "README.md"))
    for path in sorted(out.rglob("*.safetensors")):
        parts = [safetensors.read(folder / path.relative_to(out)) for folder in folders]
        shapes = [{name: tensor.shape for name, tensor in part.items()} for part in parts]
        if any(shape != shapes[0] for shape in shapes):
            raise ValueError(f"{path.name}: the encoders are not of one shape.")
        safetensors.write(path, {
            name: sum(share * part[name] for share, part in zip(shares, parts, strict=True)).astype(
                parts[0][name].dtype
            )
            for name in parts[0]
        })  # fmt: skip


if __name__ == "__main__":
    main()
