"""Examples of every shape, made up."""

from __future__ import annotations

import numpy as np

from semsearch.training.examples import COLUMNS, Examples, Shape

_WORDS = ["card", "lost", "money", "refund", "order", "track", "parcel", "phone", "reset", "fee"]


def made_examples(shape: Shape, n: int, seed: int = 0) -> Examples:
    """n examples of random words; pairs share some, so that there is something to learn."""
    random = np.random.default_rng(seed)
    first = [list(random.choice(_WORDS, 5, replace=False)) for _ in range(n)]
    columns = {}
    for number, name in enumerate(COLUMNS[shape]):
        near = number < 2
        columns[name] = [
            " ".join(random.permutation(words[:4] if near else random.choice(_WORDS, 4)))
            for words in first
        ]
    return Examples(
        shape,
        columns,
        scores=random.random(n) if shape == "scored" else None,
        labels=np.arange(n) % 3 if shape == "labelled" else None,
        label_names=("contradiction", "entailment", "neutral") if shape == "labelled" else (),
    )
