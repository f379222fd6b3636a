"""Questions to a help desk or a shop, in two languages, put together from phrases.

What a customer asks in Chinese is hardly ever in free parallel text. `phrasebook.txt` has things,
what is done with them and what is asked about it, in English and in several ways of saying it in
Chinese. What is put together of them says what it means (all ways of asking one question share
its English), and what it does not: the same thing with another question, however alike they look.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import overlap

FILE = Path(__file__).parent / "phrasebook.txt"
DOINGS = "doings"

_BEFORE = ("请问", "你好，", "您好，", "那个", "我想问下", "亲，")
_AFTER = ("？", "?", "啊", "呢", "呀", "，谢谢", "？？", "。")
ALONE = 0.55
"""Share of the triplets and pairs without a doing: these questions are fewer, and differ more."""
SAME, ALIKE = 0.95, 0.55
SAME_ASKING = 0.25
"""Share of the questions that look like another because they ask the same of something else."""
DECORATED = 0.35
"""Share of the questions that begin or end as people do when they type."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """What can be said: English, and its ways in Chinese."""

    english: str
    chinese: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Doing:
    """Something that is done with things of some classes."""

    phrase: Phrase
    ing: str
    done: str
    classes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Question:
    """A question without its wording: what is asked, of which doing, of which thing."""

    asked: Phrase
    thing: Phrase
    doing: Doing | None = None
    other: Phrase | None = None

    def english(self) -> str:
        values = {"n": self.thing.english}
        if self.doing:
            values |= {
                "v": self.doing.phrase.english, "ving": self.doing.ing, "ven": self.doing.done,
            }  # fmt: skip
        if self.other:
            values["m"] = self.other.english
        text = _filled(self.asked.english, values)
        return text[0].upper() + text[1:]

    def chinese(self, rng: random.Random) -> str:
        """One way of asking it."""
        values = {"n": rng.choice(self.thing.chinese)}
        if self.doing:
            values["v"] = rng.choice(self.doing.phrase.chinese)
        if self.other:
            values["m"] = rng.choice(self.other.chinese)
        return _decorated(_filled(rng.choice(self.asked.chinese), values), rng)


class Phrasebook:
    """All phrases, and the questions that can be asked with them."""

    def __init__(
        self,
        things: Mapping[str, Sequence[Phrase]],
        doings: Sequence[Doing],
        asked: Mapping[str, Sequence[Phrase]],
    ) -> None:
        self.things = things
        self.doings = doings
        self.asked = asked

    @cached_property
    def questions(self) -> list[Question]:
        """Every question, in the order of the file."""
        return [*self._of_doings(), *self._of_things()]

    def _of_doings(self) -> Iterator[Question]:
        for doing in self.doings:
            for name in doing.classes:
                for thing in self.things[name]:
                    for asked in self.asked[DOINGS]:
                        yield Question(asked, thing, doing)

    def _of_things(self) -> Iterator[Question]:
        for name, things in self.things.items():
            for asked in self.asked.get(name, ()):
                for number, thing in enumerate(things):
                    if "{m}" not in asked.english:
                        yield Question(asked, thing)
                        continue
                    for other in things[:number]:
                        yield Question(asked, thing, other=other)

    @cached_property
    def with_doings(self) -> list[Question]:
        return [question for question in self.questions if question.doing]

    @cached_property
    def alone(self) -> list[Question]:
        """Questions of things alone."""
        return [question for question in self.questions if not question.doing]

    def translations(self, n: int, rng: random.Random, share: float = 1.0) -> list[tuple[str, str]]:
        """Questions and a way of asking each in Chinese.

        Every question of things alone comes as often as there are ways of asking it, n others once.

        Args:
            share: of the former, 0..1.
        """
        rows = [
            (question.english(), question.chinese(rng))
            for question in self.alone[: max(1, int(len(self.alone) * share))]
            for _ in question.asked.chinese
        ]
        rows += [
            (question.english(), question.chinese(rng))
            for question in rng.sample(self.with_doings, min(n, len(self.with_doings)))
        ]
        rng.shuffle(rows)
        return rows

    def triplets(self, n: int, rng: random.Random) -> list[tuple[str, str, str]]:
        """A question, the same one asked in another way, and another question that looks alike."""
        rows: list[tuple[str, str, str]] = []
        while len(rows) < n:
            question = self._any(rng)
            other = self.like(question, rng)
            row = question.chinese(rng), question.chinese(rng), other.chinese(rng)
            if len(set(row)) == len(row):
                rows.append(row)
        return rows

    def scored(self, n: int, rng: random.Random) -> list[overlap.Row]:
        """Pairs: one question asked in two ways, or two that look alike.

        Returns:
            the two texts and `SAME`, or for two questions `ALIKE` times the cosine of their sets
            of characters: however much they share, they are further apart than those of one.
        """
        rows: list[overlap.Row] = []
        while len(rows) < n:
            question = self._any(rng)
            same = rng.random() < 0.5
            one = question.chinese(rng)
            two = (question if same else self.like(question, rng)).chinese(rng)
            if one != two:
                score = SAME if same else ALIKE * overlap.overlap(one, two)
                rows.append((one, two, round(score, 4)))
        return rows

    def _any(self, rng: random.Random) -> Question:
        return rng.choice(self.alone if rng.random() < ALONE else self.with_doings)

    def like(self, question: Question, rng: random.Random) -> Question:
        """Another question that looks like this one: of one thing, or asked in one way."""
        by_thing, by_asking = self._alike
        shared = by_thing[question.thing]
        if rng.random() < SAME_ASKING and len(by_asking[question.asked]) > 1:
            shared = by_asking[question.asked]
        if question.doing and rng.random() < 0.5:
            shared = [
                other for other in shared
                if other.doing is question.doing or other.asked is question.asked
            ]  # fmt: skip
        while True:
            other = rng.choice(shared)
            if other != question:
                return other

    @cached_property
    def _alike(self) -> tuple[dict[Phrase, list[Question]], dict[Phrase, list[Question]]]:
        by_thing: dict[Phrase, list[Question]] = {}
        by_asking: dict[Phrase, list[Question]] = {}
        for question in self.questions:
            by_thing.setdefault(question.thing, []).append(question)
            by_asking.setdefault(question.asked, []).append(question)
        return by_thing, by_asking


def read(path: Path = FILE) -> Phrasebook:
    """Read a phrasebook; the file says how it is written."""
    things: dict[str, list[Phrase]] = {}
    doings: list[Doing] = []
    asked: dict[str, list[Phrase]] = {}
    kind, classes = "", [""]
    for line in path.read_text(encoding="utf-8").splitlines():
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("["):
            kind, *classes = line.strip("[]").split()
            classes = [name for name in classes if name != "of"]
            continue
        english, _, rest = line.partition(" = ")
        if kind == "parts":
            part = Phrase(english, _ways(rest))
            for name in classes:
                things.setdefault(f"{name}-part", []).extend(_owned(part, things[name]))
        elif kind == DOINGS:
            chinese, _, names = rest.partition(" | ")
            base, ing, done = english.split(" | ")
            doings.append(Doing(Phrase(base, _ways(chinese)), ing, done, tuple(names.split())))
        elif kind == "things":
            things.setdefault(classes[0], []).append(Phrase(english, _ways(rest)))
        else:
            for name in classes or [kind]:
                asked.setdefault(name, []).append(Phrase(english, _ways(rest)))
    return Phrasebook(things, doings, asked)


def _owned(part: Phrase, owners: Sequence[Phrase]) -> Iterator[Phrase]:
    """The same part of each of several things."""
    for owner in owners:
        chinese = tuple(
            f"{name}{link}{word}"
            for name in owner.chinese for link in ("", "的") for word in part.chinese
        )  # fmt: skip
        yield Phrase(f"{part.english} of {owner.english}", chinese)


def _ways(text: str) -> tuple[str, ...]:
    return tuple(way.strip() for way in text.split(" / "))


def _filled(text: str, values: Mapping[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: values[found[1]], text)


def _decorated(text: str, rng: random.Random) -> str:
    if rng.random() >= DECORATED:
        return text
    if rng.random() < 0.5:
        return rng.choice(_BEFORE) + text
    return text + rng.choice(_AFTER)
