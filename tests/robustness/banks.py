"""Banks that change at random, and what an index must say of them."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from semsearch import Encoder, Index, StandardQuestion
from semsearch.ranking import VERBATIM, Score

Bank = dict[str, StandardQuestion]

TOLERANCE = 1e-5

_WORDS = [
    "account", "bank", "card", "cash", "change", "charge", "close", "contact", "customer",
    "delivery", "email", "fee", "help", "invoice", "late", "limit", "login", "lost", "money",
    "order", "parcel", "password", "phone", "price", "product", "refund", "reset", "return",
    "shop", "status", "stolen", "store", "support", "transfer", "update",
]  # fmt: skip
_QUERIES = ("where is my parcel", "lost card", "refund the money", "怎么退款", "zzz qqq")

_vectors: dict[str, np.ndarray] = {}


def make_bank(random: random.Random, n: int) -> Bank:
    """n standard questions of one to four phrasings."""
    return {f"k{i}": _question(random, f"k{i}") for i in range(n)}


def edited(random: random.Random, bank: Bank) -> Bank:
    """The bank after a few changes of every kind; never so many that a sync would ask."""
    new = dict(bank)
    for key in random.sample(sorted(new), len(new) // 10):
        del new[key]
    for key in random.sample(sorted(new), len(new) // 5):
        new[key] = _question(random, key)
    for _ in range(random.randrange(1, 9)):
        key = f"k{random.randrange(10**6)}"
        new[key] = _question(random, key)
    return new


def _question(random: random.Random, key: str) -> StandardQuestion:
    texts = [" ".join(random.choices(_WORDS, k=random.randrange(2, 7))) for _ in range(4)]
    return StandardQuestion(
        key,
        f"{texts[0]} {key}?",
        f"Answer {random.randrange(10**9)}.",
        tuple(texts[1 : random.randrange(1, 5)]),
        {"n": random.randrange(100), "城市": random.choice(["上海", "北京"])},
    )


def as_json(bank: Bank) -> list[dict[str, Any]]:
    """For the journal; `from_json` reads it back."""
    return [asdict(question) for question in bank.values()]


def from_json(rows: Sequence[Mapping[str, Any]]) -> Bank:
    return {
        row["key"]: StandardQuestion(**{**row, "phrasings": tuple(row["phrasings"])})
        for row in rows
    }


def contents(bank: Bank) -> dict[str, Any]:
    """A bank as a value to compare; the order of phrasings is no part of what an owner wrote."""
    return {key: (q.question, q.answer, sorted(q.texts), dict(q.fields)) for key, q in bank.items()}


def bank_of(index: Index) -> Bank:
    return {question.key: question for question in index.questions()}


def check(directory: Path, encoder: Encoder, allowed: Sequence[Bank]) -> int:
    """Assert that the index holds one of the allowed banks exactly, and answers from it.

    Returns:
        Which of them.
    """
    with Index.open(directory, encoder=encoder) as index:
        report = index.verify()
        assert report.ok, report.problems
        bank = bank_of(index)
        found = [n for n, wanted in enumerate(allowed) if contents(wanted) == contents(bank)]
        assert found, _difference(bank, allowed)
        assert len(index) == len(bank)
        check_search(index, encoder, bank)
    return found[0]


def check_search(index: Index, encoder: Encoder, bank: Bank, k: int = 5) -> None:
    """Assert that a search finds what comparing the queries with every row of `bank` finds."""
    texts = [text for question in bank.values() for text in question.texts]
    queries = [*_QUERIES, *texts[:: max(1, len(texts) // 8)]]
    _encode(encoder, [*queries, *texts])
    scores: tuple[Score, ...] = ("best", "top3")
    for score in scores:
        for result in index.search(queries, k, score=score):
            wanted = brute_force(bank, result.query, score)
            best = sorted(wanted.values(), reverse=True)[:k]
            hits = result.hits
            assert [hit.rank for hit in hits] == list(range(1, len(best) + 1))
            assert len({hit.key for hit in hits}) == len(hits)
            for hit, expected in zip(hits, best, strict=True):
                assert abs(hit.score - expected) < TOLERANCE, (result.query, score)
                assert abs(hit.score - wanted[hit.key]) < TOLERANCE, (result.query, score)
                question = bank[hit.key]
                assert (hit.question, hit.answer) == (question.question, question.answer)
                assert hit.fields == question.fields
                assert hit.phrasing in question.texts
                near = float(_vectors[result.query] @ _vectors[hit.phrasing])
                assert near > max(_cosines(question, result.query)) - TOLERANCE


def brute_force(bank: Bank, query: str, score: Score) -> dict[str, float]:
    """The score of every standard question, from vectors made afresh."""
    found = {}
    for key, question in bank.items():
        cosines = _cosines(question, query)
        top3 = score == "top3" and cosines[0] < VERBATIM
        found[key] = float(np.mean(cosines[:3])) if top3 else cosines[0]
    return found


def _cosines(question: StandardQuestion, query: str) -> list[float]:
    vectors = np.stack([_vectors[text] for text in question.texts])
    cosines: list[float] = (vectors @ _vectors[query]).tolist()
    return sorted(cosines, reverse=True)


def _encode(encoder: Encoder, texts: Sequence[str]) -> None:
    new = [text for text in dict.fromkeys(texts) if text not in _vectors]
    _vectors.update(zip(new, encoder.encode(new), strict=True))


def _difference(bank: Bank, allowed: Sequence[Bank]) -> str:
    lines = ["the index holds none of the allowed banks:"]
    for n, wanted in enumerate(allowed):
        here, there = contents(bank), contents(wanted)
        differ = [key for key in here.keys() & there.keys() if here[key] != there[key]]
        more, less = sorted(here.keys() - there.keys()), sorted(there.keys() - here.keys())
        lines.append(f"bank {n}: differ {differ[:5]}, too many {more[:5]}, missing {less[:5]}")
    return "\n".join(lines)
