"""Have the dimensions in which texts differ most count for more in the cosine.

    python recipes/embedded/weigh.py ENCODER TABLE

The opposite of whitening, and a mild one: each dimension is multiplied by a power of its standard
deviation over the anchors and positives of TABLE, in the linear map that gives the output.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
from numpy.typing import NDArray

from semsearch.encoder import Encoder, safetensors

POWER = 0.3
N_ROWS = 8_000
_MAP = Path("2_Dense", "model.safetensors")
_WEIGHT = "linear.weight"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("encoder", "table"):
        parser.add_argument(name, type=Path)
    arguments = parser.parse_args()
    table = parquet.read_table(arguments.table)
    rows = sorted(random.Random(0).sample(range(table.num_rows), min(N_ROWS, table.num_rows)))
    sample = table.take(rows)
    texts = [text for name in ("anchor", "positive") for text in sample[name].to_pylist()]
    weights = weigh(arguments.encoder, texts)
    print(f"from {weights.max():.2f} down to {weights.min():.2f} times")


def weigh(encoder: Path, texts: Sequence[str]) -> NDArray[np.float32]:
    """Rewrite the encoder's linear map in place.

    Returns:
        what each dimension was multiplied by, 1 on average: (d,) float32.
    """
    deviations = Encoder.load(encoder).encode(list(texts)).std(axis=0)
    weights: NDArray[np.float32] = deviations**POWER
    weights /= weights.mean()
    tensors = safetensors.read(encoder / _MAP)
    tensors[_WEIGHT] = tensors[_WEIGHT] * weights[:, None]
    safetensors.write(encoder / _MAP, tensors)
    return weights


if __name__ == "__main__":
    main()
