"""Review the bank of an index: read it, judge it, say what is wrong."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import combinations

import numpy as np

from semsearch.index import Index
from semsearch.review import misfiled, same
from semsearch.review.answers import Answers, plain
from semsearch.review.bank import Filed, read
from semsearch.review.findings import Finding, Review
from semsearch.store import BankReader
from semsearch.sync import shorten
from semsearch.types import Vectors

SURE = 0.5
"""Probability from which a finding is a fault: more likely wrong than not."""

PERHAPS = 0.1
"""Probability from which it is worth a remark."""

_FEW = 1 / 3  # of what half of the standard questions have


def review(
    index: Index, *, seed: int = 0, progress: Callable[[int, int], None] | None = None
) -> Review:
    """Find what is wrong with the bank of an index, without labels and from its own vectors.

    Every phrasing is compared with every other, some thousand at a time: n * n * d
    multiplications, and memory for n vectors and a block of 64 MiB.

    Args:
        seed: of everything random.
        progress: called with (phrasings compared so far, phrasings to compare).

    Raises:
        DataError: there are fewer than two standard questions.
        CorruptIndexError: a row is damaged.
        EncoderError: answers must be compared, and the encoder cannot be loaded.
    """
    reader = BankReader(index.path)
    try:
        with reader.reading() as meta:
            bank = read(reader, meta, str(index.path))
    finally:
        reader.close()
    found = find(bank, index.encoder.encode, seed, progress)
    notes = []
    if not (bank.sizes > 1).any():
        notes.append(
            "No standard question has a second phrasing, so that only the same wording is found."
        )
    return Review(
        str(index.path),
        len(bank.keys),
        len(bank),
        tuple(sorted(found, key=lambda finding: finding.rank)),
        tuple(notes),
    )


def find(
    bank: Filed,
    encode: Callable[[Sequence[str]], Vectors],
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> list[Finding]:
    """Everything that is wrong with a bank.

    Args:
        encode: texts to vectors; called where answers must be compared.
    """
    answers = Answers(bank.answers, encode, seed)
    twice = _wordings(bank)
    alike = {frozenset((pair.one, pair.other)): pair for pair in same.judge(bank, seed)}
    for one, other in _same_wording(bank, twice):
        usual = float(bank.at_home.mean[other])
        alike[frozenset((one, other))] = same.Same(one, other, 1.0, 1.0, usual)
    joined = {pair for pair, judged in alike.items() if judged.sure >= SURE}
    return [
        *_of_questions(bank, alike.values(), answers),
        *_of_wordings(bank, twice, joined, answers),
        *_of_phrasings(bank, joined, twice, seed, progress),
        *_few(bank),
    ]


def _wordings(bank: Filed) -> dict[str, list[int]]:
    """Phrasings that are the same, case, width and punctuation apart, under several questions."""
    rows = defaultdict(list)
    for row, text in enumerate(bank.texts):
        rows[plain(text)].append(row)
    return {
        wording: found
        for wording, found in rows.items()
        if len({int(bank.question[row]) for row in found}) > 1
    }


def _same_wording(bank: Filed, twice: dict[str, list[int]]) -> Iterator[tuple[int, int]]:
    """Pairs whose own texts are the same, or half of the phrasings of one of the two."""
    shared: Counter[tuple[int, int]] = Counter()
    for wording, rows in twice.items():
        under = sorted(set(bank.question[rows].tolist()))
        own = [question for question in under if plain(bank.questions[question]) == wording]
        yield from combinations(own, 2)
        shared.update(combinations(under, 2))
    for (one, other), count in shared.items():
        if 2 * count >= min(bank.sizes[one], bank.sizes[other]) and count > 1:
            yield one, other


def _of_questions(bank: Filed, pairs: Iterable[same.Same], answers: Answers) -> Iterator[Finding]:
    """Standard questions that are the same, with the answers that they have."""
    for pair in pairs:
        if not pair.sure >= PERHAPS:
            continue
        # The one that came later is the one to look at.
        first, later = sorted((pair.one, pair.other))
        evidence = (
            "The questions are worded the same."
            if plain(bank.questions[first]) == plain(bank.questions[later])
            else f"Phrasings of one are as near the other's ({pair.similar:.2f}) as those are to "
            f"each other ({pair.usual:.2f})."
        )
        yield _twice(
            bank, answers, later, first, pair.sure, evidence,
            score=pair.similar, usual=None if np.isnan(pair.usual) else pair.usual,
        )  # fmt: skip


def _twice(
    bank: Filed,
    answers: Answers,
    one: int,
    other: int,
    sure: float,
    evidence: str,
    *,
    phrasing: str | None = None,
    score: float | None = None,
    usual: float | None = None,
) -> Finding:
    both = bank.answers[one], bank.answers[other]
    why = answers.differ(*both)
    if why:
        advice = (
            "Decide which answer is right, and keep one of the two."
            if phrasing is None
            else "Keep the wording where its answer is right, and remove it from the other."
        )
        evidence += f" The answers do not agree: {why}."
    elif phrasing is None:
        advice = "Make them one: move the phrasings to the one that stays, and remove the other."
    else:
        advice = "Keep the wording in one of the two."
    return Finding(
        kind="contradiction" if why else "duplicate",
        fault=sure >= SURE,
        sure=float(sure),
        key=bank.keys[one],
        question=bank.questions[one],
        phrasing=phrasing,
        other_key=bank.keys[other],
        other_question=bank.questions[other],
        score=score,
        usual=usual,
        answers=both if any(both) else None,
        evidence=evidence,
        advice=advice,
    )


def _of_wordings(
    bank: Filed, twice: dict[str, list[int]], joined: set[frozenset[int]], answers: Answers
) -> Iterator[Finding]:
    """One wording under two standard questions that are not the same otherwise."""
    for rows in twice.values():
        under: dict[int, int] = {}
        for row in rows:
            under.setdefault(int(bank.question[row]), row)
        (first, _), *others = under.items()
        for question, row in others:
            if frozenset((first, question)) not in joined:
                yield _twice(
                    bank, answers, question, first, 1.0,
                    "The same wording is filed under both.", phrasing=bank.texts[row], score=1.0,
                )  # fmt: skip


def _of_phrasings(
    all_: Filed,
    joined: set[frozenset[int]],
    twice: dict[str, list[int]],
    seed: int,
    progress: Callable[[int, int], None] | None,
) -> Iterator[Finding]:
    # What is the same is one here, or its phrasings would all seem misfiled.
    bank, rows = all_.joined((min(pair), max(pair)) for pair in sorted(joined, key=sorted))
    if len(bank.keys) < 2:
        return
    judged = misfiled.judge(bank, seed, progress)
    for row in np.flatnonzero(judged.sure >= PERHAPS).tolist():
        if plain(bank.texts[row]) in twice:
            continue  # said already
        own, other = int(all_.question[rows[row]]), int(judged.other[row])
        is_question = bank.texts[row] == all_.questions[own]
        yield Finding(
            kind="misfiled",
            fault=bool(judged.sure[row] >= SURE),
            sure=float(judged.sure[row]),
            key=all_.keys[own],
            question=all_.questions[own],
            phrasing=bank.texts[row],
            other_key=bank.keys[other],
            other_question=bank.questions[other],
            score=float(judged.other_support[row]),
            usual=float(judged.own_support[row]),
            evidence=f"Its nearest phrasings there are nearer ({judged.other_support[row]:.2f}) "
            f"than those it is filed with ({judged.own_support[row]:.2f}).",
            advice="Reword the standard question, so that it says what its phrasings ask."
            if is_question
            else f"Move it to {shorten(bank.keys[other])}, or reword it.",
        )


def _few(bank: Filed) -> Iterator[Finding]:
    middle = float(np.median(bank.sizes))
    for question, size in enumerate(bank.sizes.tolist()):
        if size == 1 or size < middle * _FEW:
            yield Finding(
                kind="few_phrasings",
                fault=False,
                sure=None,
                key=bank.keys[question],
                question=bank.questions[question],
                evidence=f"It has {size} of the {middle:g} phrasings that are usual here."
                if middle > 1
                else "It has one phrasing, itself.",
                advice="Add what people really ask: semsearch gaps finds it in the query log.",
            )
