"""A bank whose standard questions a linear map can tell apart better than the tiny encoder."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from semsearch import Index, StandardQuestion

# A topic is one word; all else that its phrasings say is noise that other topics say, too.
_TOPICS = (
    "parcel card refund password invoice phone transfer email price order trip weather account "
    "charge delivery money limit login product status stolen support update exchange"
)
_NOISE = (
    "please help me now find the number of today again my what can you tell when how is much and "
    "more this time where hello thanks still first late for again which there online"
)


def make_bank(seed: int = 0, phrasings: int = 14, noise: int = 5) -> list[StandardQuestion]:
    """Standard questions whose phrasings are the topic's word among many others."""
    chance = random.Random(seed)

    def phrasing(topic: str) -> str:
        words = [*chance.choices(_NOISE.split(), k=noise), topic]
        chance.shuffle(words)
        return " ".join(words)

    return [
        StandardQuestion(
            topic, f"{topic}?", f"About {topic}.", tuple(phrasing(topic) for _ in range(phrasings))
        )
        for topic in _TOPICS.split()
    ]


def shuffled(bank: list[StandardQuestion], seed: int = 0) -> list[StandardQuestion]:
    """The same phrasings, each under a standard question that it has nothing to do with."""
    texts = [text for question in bank for text in question.phrasings]
    random.Random(seed).shuffle(texts)
    size = len(texts) // len(bank)
    return [
        StandardQuestion(q.key, q.question, q.answer, tuple(texts[n * size : (n + 1) * size]))
        for n, q in enumerate(bank)
    ]


@pytest.fixture(scope="package")
def built(tmp_path_factory: pytest.TempPathFactory, tiny_encoder_dir: Path) -> Path:
    """An index that nobody changes."""
    path = tmp_path_factory.mktemp("built") / "faq"
    Index.build(make_bank(), path, encoder=tiny_encoder_dir).close()
    return path


@pytest.fixture(scope="package")
def improved(tmp_path_factory: pytest.TempPathFactory, built: Path) -> Path:
    """The same, improved in the light way; nobody changes it either."""
    import shutil

    from semsearch.improvement import improve

    path = shutil.copytree(built, tmp_path_factory.mktemp("improved") / "faq")
    with Index.open(path) as index:
        assert improve(index, light=True).promoted
    return path
