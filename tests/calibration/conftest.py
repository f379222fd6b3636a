"""A bank that is large enough to be calibrated on itself, and queries for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from semsearch import Index, StandardQuestion

# The tiny encoder goes by words, so that a topic is three words that stand in all its phrasings.
_TOPICS = {
    "parcel": "parcel delivery package", "card": "card stolen bank", "refund": "refund money back",
    "password": "password login account", "invoice": "invoice bill pay",
    "phone": "phone number code", "transfer": "transfer cash exchange",
    "email": "email contact support",
    "price": "price product cost", "order": "order shop store", "trip": "trip work hour",
    "weather": "weather today world",
}  # fmt: skip
_PHRASINGS = ("where is my {}", "help {}", "my {} is late", "what about {} please")

BANK = [
    StandardQuestion(
        topic, f"{words}?", f"About {topic}.",
        tuple(phrasing.format(words) for phrasing in _PHRASINGS),
    )
    for topic, words in _TOPICS.items()
]  # fmt: skip

LABELLED = [
    *({"text": f"when will {words} come", "key": topic} for topic, words in _TOPICS.items()),
    *({"text": f"{words} again", "key": topic} for topic, words in _TOPICS.items()),
    *({"text": f"{text} {n}", "key": ""} for n in range(11) for text in ("buy it", "hello there")),
]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, tiny_encoder_dir: Path) -> Path:
    """An index of BANK that nobody changes."""
    path = tmp_path_factory.mktemp("built") / "faq"
    Index.build(BANK, path, encoder=tiny_encoder_dir).close()
    return path
