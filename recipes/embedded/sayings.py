"""Questions to a desk as people word them, in English and Chinese, written for this recipe.

People tell what happened and what they want; the desk's own term they do not know. `sayings/` has
standard questions with such wordings, in topics of a few that are near each other and not the same.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "sayings"
HELD_OUT = 8
"""Every so many topics, one is not learnt from: `make.sh` does not see it, who develops does."""
IN_CHINESE, IN_ENGLISH = 0.7, 0.15
"""Shares of the triplets; the rest have an anchor in the other language."""


@dataclass(frozen=True, slots=True)
class Saying:
    """A question and its wordings; the first of each language is the standard question."""

    english: tuple[str, ...]
    chinese: tuple[str, ...]

    @property
    def wordings(self) -> tuple[str, ...]:
        return self.english + self.chinese

    def ways(self, chinese: bool) -> tuple[str, ...]:
        """Those of one language."""
        return self.chinese if chinese else self.english


Topic = tuple[Saying, ...]


class Sayings:
    """Topics of questions that are near each other."""

    def __init__(self, topics: Sequence[Topic]) -> None:
        self.topics = topics
        self._some = [topic for topic in topics if len(topic) > 1]
        self._sizes = [len(topic) for topic in self._some]

    def part(self, *, held_out: bool) -> Sayings:
        """The topics that are held out, without questions that others share a wording with; or all
        others."""
        learnt = [topic for number, topic in enumerate(self.topics, 1) if number % HELD_OUT]
        if not held_out:
            return Sayings(learnt)
        known = {wording for topic in learnt for saying in topic for wording in saying.wordings}
        rest = (
            tuple(saying for saying in topic if known.isdisjoint(saying.wordings))
            for topic in self.topics[HELD_OUT - 1 :: HELD_OUT]
        )
        return Sayings([topic for topic in rest if topic])

    def some(self, share: float) -> Sayings:
        """The first topics, at least two."""
        return Sayings(self.topics[: max(2, round(len(self.topics) * share))])

    def translations(self, times: int = 1) -> list[tuple[str, str]]:
        """The English standard question with every other wording, and with itself."""
        rows = [
            (saying.english[0], wording)
            for topic in self.topics
            for saying in topic
            for wording in saying.wordings
        ]
        return rows * times

    def in_chinese(self) -> list[tuple[str, str]]:
        """Every other Chinese wording with the Chinese standard question."""
        return [
            (wording, saying.chinese[0])
            for topic in self.topics
            for saying in topic
            for wording in saying.chinese[1:]
        ]

    def triplets(self, n: int, rng: random.Random) -> list[tuple[str, str, str]]:
        """A wording, another of the same question, and one of another question of its topic."""
        rows = []
        while len(rows) < n:
            saying, other = self._two(rng)
            anchored, compared = self._languages(rng)
            row = (
                rng.choice(saying.ways(anchored)),
                rng.choice(saying.ways(compared)),
                rng.choice(other.ways(compared)),
            )
            if len(set(row)) == len(row):
                rows.append(row)
        return rows

    def _two(self, rng: random.Random) -> list[Saying]:
        """Two questions of one topic; every question as often."""
        return rng.sample(rng.choices(self._some, self._sizes)[0], 2)

    def _languages(self, rng: random.Random) -> tuple[bool, bool]:
        """Whether the anchor is Chinese, and whether the two that it is compared with are."""
        drawn = rng.random()
        if drawn < IN_CHINESE + IN_ENGLISH:
            return (drawn < IN_CHINESE,) * 2
        chinese = rng.random() < 0.5
        return chinese, not chinese


def read(folder: Path = FOLDER) -> Sayings:
    """Read all files of sayings.

    `# topic` begins a topic; a line is `english | another = 中文 / 另一种说法`.

    Raises:
        ValueError: a line is not written so; names the file and line.
    """
    topics: list[list[Saying]] = []
    for path in sorted(folder.glob("*.txt")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if line.startswith("# "):
                topics.append([])
            elif line:
                english, equals, chinese = line.partition(" = ")
                if not equals or not topics:
                    raise ValueError(f"{path.name}, line {number}: not `english = chinese`")
                topics[-1].append(Saying(_ways(english, " | "), _ways(chinese, " / ")))
    return Sayings([tuple(topic) for topic in topics if topic])


def _ways(text: str, separator: str) -> tuple[str, ...]:
    return tuple(way.strip() for way in text.split(separator))
