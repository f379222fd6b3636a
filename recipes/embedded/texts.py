"""The sentences that the embedded encoder learns from, read from the shared data.

Only sets that are free with attribution or share-alike are read here; see README.md.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet

Pair = tuple[str, str]

QUESTIONS = ("banking77", "clinc150", "hwu64")
N_HELD_OUT = 1_000
"""Pairs of Tatoeba, each of dev and test."""

_ENDS = re.compile(r"(?<=[.!?])\s+(?=[A-Z])|(?<=[。！？；])")


@dataclass(frozen=True)
class Texts:
    """What there is to learn from; all Chinese in simplified characters.

    Attributes:
        english: sentences of Wikipedia and of captions.
        questions: what people ask, in English, but nothing that a test asks.
        tatoeba, captions, manuals: (English, Chinese).
        chinese: sentences of Wikipedia.
        triplets: (premise, what it entails, what contradicts it), in Chinese.
        dev, test: pairs of Tatoeba that are nowhere else.
    """

    english: list[str]
    questions: list[str]
    tatoeba: list[Pair]
    captions: list[Pair]
    manuals: list[Pair]
    chinese: list[str]
    triplets: list[tuple[str, str, str]]
    dev: list[Pair]
    test: list[Pair]


def read(data: Path, *, seed: int = 0, share: float = 1.0) -> Texts:
    """Read everything, in an order that depends on the seed only.

    Args:
        share: of each source, 0..1; the recipe's slice for tests is small.
    """
    rng = random.Random(seed)
    tatoeba = _tatoeba(data)
    held_out = _held_out(tatoeba, rng)
    hidden = {text for pair in held_out for text in pair}
    tatoeba = [pair for pair in tatoeba if hidden.isdisjoint(pair)]
    wiki = list(dict.fromkeys(_sentences(_column(data, "text/enwiki/train", "text"), 20, 220)))
    rng.shuffle(wiki)
    short, long = (
        [text for text in wiki if (len(text) <= 90) == wanted][:n]
        for wanted, n in ((True, 70_000), (False, 50_000))
    )
    nli = _rows(data, "nli/snli_cad/train", "premise", "hypothesis")
    english = list(dict.fromkeys([*short, *long, *(text for row in nli for text in row)]))
    chinese = [
        simplified(text)
        for text in _sentences(_column(data, "text/zhwiki/train", "text")[: int(262_000 * share)],
                               6, 90)
    ]  # fmt: skip
    chinese = list(dict.fromkeys(chinese))
    rng.shuffle(chinese)
    asked = {
        text.casefold()
        for name in (*(f"{bank}/test" for bank in QUESTIONS), "clinc150/oos_test", "clinc150/dev")
        for text in _column(data, f"faq/{name}", "text")
    }
    questions = [
        text
        for name in (*(f"{bank}/train" for bank in QUESTIONS), "clinc150/oos_train")
        for text in _column(data, f"faq/{name}", "text")
        if text.casefold() not in asked
    ]
    return Texts(
        english=_part(english, share),
        questions=_part(list(dict.fromkeys(questions)), share),
        tatoeba=_part(tatoeba, share),
        captions=_part(
            _simplified_pairs(_rows(data, "parallel/captions_3am/train", "en", "zh")), share
        ),
        manuals=_part(
            _simplified_pairs(_rows(data, "parallel/python_docs/train", "en", "zh")), share
        ),
        chinese=chinese,
        triplets=_part(_triplets(data), share),
        dev=held_out[:N_HELD_OUT],
        test=held_out[N_HELD_OUT:],
    )


def held_out(data: Path, *, seed: int = 0) -> list[Pair]:
    """The pairs of Tatoeba that `read` with the same seed holds out as `test`."""
    return _held_out(_tatoeba(data), random.Random(seed))[N_HELD_OUT:]


@cache
def _converter() -> Any:
    from opencc import OpenCC

    return OpenCC("t2s")


def simplified(text: str) -> str:
    converted: str = _converter().convert(text)
    return converted


def variants() -> dict[str, str]:
    """Traditional character -> simplified character."""
    import opencc

    path = Path(opencc.__file__).parent / "dictionary" / "TSCharacters.txt"
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        traditional, _, choices = line.partition("\t")
        first = choices.split()[0]
        if len(traditional) == len(first) == 1 and traditional != first:
            found[traditional] = first
    return found


def _column(data: Path, name: str, column: str) -> list[str]:
    texts: list[str] = parquet.read_table(data / f"{name}.parquet", columns=[column])[
        column
    ].to_pylist()
    return texts


def _rows(data: Path, name: str, *columns: str) -> list[tuple[str, ...]]:
    return list(zip(*(_column(data, name, column) for column in columns), strict=True))


def _tatoeba(data: Path) -> list[Pair]:
    return _simplified_pairs(_rows(data, "parallel/tatoeba/train", "en", "zh"))


def _simplified_pairs(rows: Iterable[Sequence[str]]) -> list[Pair]:
    return list(dict.fromkeys((en, simplified(zh)) for en, zh in rows))


def _held_out(pairs: Sequence[Pair], rng: random.Random) -> list[Pair]:
    """Pairs of which each side occurs once only: what translates them is not ambiguous."""
    count = Counter(text for pair in pairs for text in pair)
    alone = [pair for pair in pairs if count[pair[0]] == count[pair[1]] == 1]
    return rng.sample(alone, 2 * N_HELD_OUT)


def _sentences(paragraphs: Iterable[str], shortest: int, longest: int) -> Iterator[str]:
    for paragraph in paragraphs:
        for sentence in _ENDS.split(paragraph):
            text = " ".join(sentence.split())
            if shortest <= len(text) <= longest:
                yield text


def _triplets(data: Path) -> list[tuple[str, str, str]]:
    """One of each premise that entails one sentence and contradicts another."""
    premises: dict[str, dict[str, str]] = {}
    for part in ("dev", "test"):
        for premise, hypothesis, label in _rows(
            data, f"nli/csnli/{part}", "premise", "hypothesis", "label"
        ):
            premises.setdefault(simplified(premise), {}).setdefault(label, simplified(hypothesis))
    return [
        (premise, found["entailment"], found["contradiction"])
        for premise, found in premises.items()
        if {"entailment", "contradiction"} <= found.keys()
        and found["contradiction"] not in (premise, found["entailment"])
    ]


def _part(rows: list[Any], share: float) -> list[Any]:
    return rows[: max(1, int(len(rows) * share))] if share < 1 else rows
