"""Chinese sentences, edited, with how many characters they still share.

Two questions about one thing mostly share their characters, and an encoder that has only seen
translations does not know how much that says. It learns it from edits: the score of a pair is the
cosine of the two sets of characters.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

Row = tuple[str, str, float]


def edited(texts: Sequence[str], rng: random.Random) -> list[Row]:
    """For each text an edit of it, and the overlap of the two, 0..1."""
    rows = []
    for text in texts:
        other = edit(text, rng.choice(texts), rng)
        rows.append((text, other, round(overlap(text, other), 4)))
    return rows


def edit(text: str, other: str, rng: random.Random) -> str:
    """30% to all of a text, as one piece or scattered, with up to half of another one added."""
    n = max(1, round(len(text) * rng.uniform(0.3, 1)))
    if rng.random() < 0.5:
        start = rng.randrange(len(text) - n + 1)
        kept = text[start : start + n]
    else:
        kept = "".join(text[place] for place in sorted(rng.sample(range(len(text)), n)))
    m = int(len(other) * rng.uniform(0, 0.5))
    start = rng.randrange(len(other) - m + 1)
    added = other[start : start + m]
    return kept + added if rng.random() < 0.5 else added + kept


def overlap(one: str, two: str) -> float:
    """Cosine of two sets of characters."""
    a, b = set(one), set(two)
    return len(a & b) / max(1, len(a) * len(b)) ** 0.5
