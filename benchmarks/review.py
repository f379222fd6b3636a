"""What `semsearch review` finds of faults that were planted, and what it finds besides.

Banks are the published ones, with the train texts as phrasings and an answer each that names the
standard question. Of every seed, 30 faults are planted: 10 standard questions whose phrasings are
split at random between two keys with one answer (duplicates), 10 split so with another answer
(contradictions), and 10 phrasings filed under another standard question at random (misfiled).
What else is named as a fault counts as a false alarm, though the banks have faults of their own:
those that are named of the banks as they come stand in the result, to be looked at. Only where the
very same wording is filed under both standard questions in the bank as it came is a finding counted
apart, as there before: nobody can call that right.
Chinese: the sample bank, and bank questions whose paraphrases are known (BQ), joined to standard
questions of four phrasings or more.

Baseline, in the same run: the same numbers of findings by what one would write in an hour: the
pairs of standard questions with the nearest centres, and the phrasings whose ten nearest
neighbours are least often of their own standard question.

    python benchmarks/review.py [--encoder minilm]... [--seeds 5]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import provenance
import pyarrow.parquet as parquet
from answer_quality import Memory

from semsearch import Encoder, Index, StandardQuestion
from semsearch.review import review
from semsearch.review.answers import plain
from semsearch.tables import read_bank

PUBLISHED = ("banking77", "clinc150", "hwu64")
EACH = 10
PLANTED = ("duplicate", "contradiction", "misfiled")
OTHER_ANSWER = "Please come to a branch and ask there."


@dataclass(frozen=True)
class Planted:
    """A bank with faults, and which."""

    questions: list[StandardQuestion]
    duplicate: set[frozenset[str]]
    contradiction: set[frozenset[str]]
    misfiled: set[tuple[str, str]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", action="append", help="default: embedded and minilm")
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    root = provenance.data_dir()
    rows, clean = [], []
    names = arguments.encoder or ["embedded", "minilm"]
    encoders = {name: Memory(Encoder.load(name)) for name in names}
    files = sorted(path for bank in PUBLISHED for path in (root / "faq" / bank).glob("*"))
    files += sorted((root / "sts_zh" / "bq").glob("*"))
    for bank, questions in banks(root).items():
        for name, encoder in encoders.items():
            if name == "minilm" and bank.endswith("_zh"):
                continue  # it does not know Chinese
            found = [_run(encoder, questions, seed) for seed in range(arguments.seeds)]
            rows.append({"encoder": name, "bank": bank, "seeds": found})
            clean.append({"encoder": name, "bank": bank} | _clean(encoder, questions))
            print(table(rows[-1:]).splitlines()[-1], flush=True)
            if not arguments.encoder:  # after each bank: a run takes long
                provenance.write("review", {"rows": rows, "clean": clean}, files)


def banks(root: Path) -> dict[str, list[StandardQuestion]]:
    """Published banks, and two in Chinese."""
    found = {name: _published(root / "faq" / name) for name in PUBLISHED}
    demo = Path(__file__).resolve().parents[1] / "index" / "demo"
    found["sample_zh"] = list(read_bank(demo / "bank_zh.csv").questions)
    found["bq_zh"] = _paraphrases(root / "sts_zh" / "bq")
    return found


def _published(folder: Path) -> list[StandardQuestion]:
    texts = defaultdict(list)
    for row in parquet.read_table(folder / "train.parquet").to_pylist():
        texts[row["question_id"]].append(row["text"])
    return [
        StandardQuestion(
            str(row["id"]), row["question"], f"Answer about {row['question']}.",
            tuple(texts[row["id"]]),
        )
        for row in parquet.read_table(folder / "bank.parquet").to_pylist()
    ]  # fmt: skip


def _paraphrases(folder: Path) -> list[StandardQuestion]:
    """Standard questions of sentences that are linked as the same, directly or not."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    pairs = [
        (row["sentence1"], row["sentence2"])
        for path in sorted(folder.glob("*.parquet"))
        for row in parquet.read_table(path).to_pylist()
        if row["score"] == 1
    ]
    texts = sorted({text for pair in pairs for text in pair})
    number = {text: place for place, text in enumerate(texts)}
    ends = np.array([[number[one], number[other]] for one, other in pairs])
    links = coo_matrix((np.ones(len(ends)), ends.T), (len(texts), len(texts)))
    _, component = connected_components(links, directed=False)
    members = defaultdict(list)
    for text, label in zip(texts, component.tolist(), strict=True):
        members[label].append(text)
    return [
        StandardQuestion(f"b{label}", own[0], f"关于“{own[0]}”的回答。", tuple(own[1:]))
        for label, own in members.items()
        if 4 <= len(own) <= 60
    ]


def plant(questions: list[StandardQuestion], seed: int) -> Planted:
    """Plant `EACH` faults of every kind, those that split in standard questions of 4 or more."""
    random = np.random.default_rng(seed)
    large = [place for place, one in enumerate(questions) if len(one.phrasings) >= 4]
    split = random.permutation(large)[: 2 * EACH].tolist()
    filed = {one.key: list(one.phrasings) for one in questions}
    twins, found = [], Planted([], set(), set(), set())
    for number, place in enumerate(split):
        one = questions[place]
        order = random.permutation(len(one.phrasings))
        half = len(order) // 2
        taken = [one.phrasings[n] for n in order[:half]]
        filed[one.key] = [one.phrasings[n] for n in order[half:]]
        duplicate = number < EACH
        key = f"planted{number}"
        twins.append(
            StandardQuestion(
                key, taken[0], one.answer if duplicate else OTHER_ANSWER, tuple(taken[1:])
            )
        )
        (found.duplicate if duplicate else found.contradiction).add(frozenset((one.key, key)))
    others = [place for place in range(len(questions)) if place not in split]
    movable = [(place, text) for place in others for text in questions[place].phrasings]
    for row in random.permutation(len(movable))[:EACH].tolist():
        place, text = movable[row]
        to = (place + int(random.integers(1, len(questions)))) % len(questions)
        filed[questions[place].key].remove(text)
        filed[questions[to].key].append(text)
        found.misfiled.add((questions[to].key, text))
    found.questions.extend(
        StandardQuestion(one.key, one.question, one.answer, tuple(filed[one.key]))
        for one in questions
    )
    found.questions.extend(twins)
    return found


def _run(encoder: Memory, questions: list[StandardQuestion], seed: int) -> dict[str, Any]:
    planted = plant(questions, seed)
    with (
        tempfile.TemporaryDirectory() as folder,
        Index.build(planted.questions, Path(folder) / "index", encoder=encoder) as index,
    ):
        index._encoder = encoder
        started = time.perf_counter()
        found = review(index)
        seconds = time.perf_counter() - started
        baseline = _baseline(index, planted)
    hits: Counter[str] = Counter()
    before, false = [], []
    twice = _twice(questions)
    for finding in found.faults:
        pair = frozenset((finding.key, finding.other_key or ""))
        whole = finding.phrasing is None
        if whole and pair in getattr(planted, finding.kind, ()):
            hits[finding.kind] += 1
        elif finding.kind == "misfiled" and (finding.key, finding.phrasing) in planted.misfiled:
            hits["misfiled"] += 1
        else:
            known = not whole and finding.kind != "misfiled" and plain(finding.phrasing) in twice
            (before if known else false).append(
                f"{finding.kind}: {finding.phrasing or ''} [{finding.question}] → "
                f"[{finding.other_question}]"
            )
    n = sum(hits.values())
    return {
        "seed": seed,
        "planted": {kind: len(getattr(planted, kind)) for kind in PLANTED},
        "found": {kind: hits[kind] for kind in PLANTED},
        "findings": n + len(before) + len(false),
        "there_before": before,
        "false": false,
        "baseline": baseline,
        "seconds": round(seconds, 2),
    }


def _twice(questions: list[StandardQuestion]) -> set[str]:
    """Wordings that stand under several standard questions."""
    under = defaultdict(set)
    for one in questions:
        for text in one.texts:
            under[plain(text)].add(one.key)
    return {wording for wording, keys in under.items() if len(keys) > 1}


def _baseline(index: Index, planted: Planted) -> dict[str, int]:
    """As many findings as were planted, by centres and by neighbours."""
    questions = list(index.questions())
    texts = [text for one in questions for text in one.texts]
    filed = np.repeat(np.arange(len(questions)), [len(one.texts) for one in questions])
    vectors = index.encoder.encode(texts)
    centres = np.stack([vectors[filed == n].mean(axis=0) for n in range(len(questions))])
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    similar = np.triu(centres @ centres.T, 1)
    pairs = np.argsort(-similar, axis=None)[: 2 * EACH]
    named = {
        frozenset((questions[row // len(questions)].key, questions[row % len(questions)].key))
        for row in pairs.tolist()
    }
    near = vectors @ vectors.T
    np.fill_diagonal(near, -1)
    nearest = np.argpartition(-near, 10, axis=1)[:, :10]
    own = (filed[nearest] == filed[:, None]).mean(axis=1)
    score = own + np.take_along_axis(near, nearest, 1).mean(axis=1) * -1e-3
    worst = {(questions[filed[row]].key, texts[row]) for row in np.argsort(score)[:EACH].tolist()}
    return {
        "pairs": len(named & (planted.duplicate | planted.contradiction)),
        "misfiled": len(worst & planted.misfiled),
    }


def _clean(encoder: Memory, questions: list[StandardQuestion]) -> dict[str, Any]:
    """What is named of a bank as it comes."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Index.build(questions, Path(folder) / "index", encoder=encoder) as index,
    ):
        index._encoder = encoder
        found = review(index)
    return {
        "questions": found.questions,
        "phrasings": found.phrasings,
        "remarks": len(found.remarks),
        "faults": [
            {
                "kind": finding.kind,
                "sure": round(finding.sure or 0, 3),
                "phrasing": finding.phrasing,
                "filed": finding.question,
                "other": finding.other_question,
            }
            for finding in found.faults
        ],
    }


def table(rows: list[dict[str, Any]]) -> str:
    """What was found of what was planted, summed over seeds."""
    lines = []
    for row in rows:
        seeds = row["seeds"]
        planted = {kind: sum(seed["planted"][kind] for seed in seeds) for kind in PLANTED}
        found = {kind: sum(seed["found"][kind] for seed in seeds) for kind in PLANTED}
        before = sum(len(seed["there_before"]) for seed in seeds)
        false = sum(len(seed["false"]) for seed in seeds)
        findings = sum(seed["findings"] for seed in seeds)
        baseline = sum(sum(seed["baseline"].values()) for seed in seeds)
        lines.append(
            [
                row["encoder"],
                row["bank"],
                *(f"{found[kind]} of {planted[kind]}" for kind in PLANTED),
                f"{sum(found.values())} of {sum(planted.values())}",
                str(min(sum(seed["found"].values()) for seed in seeds)),
                str(before),
                f"{false} of {findings} ({false / max(findings, 1):.0%})",
                f"{baseline} of {sum(planted.values())}",
                f"{np.median([seed['seconds'] for seed in seeds]):.1f}",
            ]
        )
    columns = [
        "encoder", "bank", *PLANTED, "all found", "least of a seed", "there before",
        "false alarms", "baseline found", "seconds",
    ]  # fmt: skip
    return provenance.table(columns, lines)


if __name__ == "__main__":
    main()
