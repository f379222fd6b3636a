"""Whether counting a query's words beside its vector helps, and whether calibration finds that out.

Each bank is built with `Index.build` and calibrated twice: on itself, and on every other test
query (of clinc150 on its queries for development). The other test queries are then asked by vectors
alone, by words alone and by both, as calibration decided (`auto`) and in any case (`on`).
Differences are paired, with 95% bootstrap intervals.

Banks: the published intent banks with 2, 5 and all phrasings; Chinese paraphrase pairs, joined to
standard questions of up to five phrasings with the rest as queries (pairs that nobody judged count
as wrong, so the figures are low); and help desks with names and codes: the two sample banks with
questions on invented products and errors, asked as people write them (iphone13 mini, e-4021).

    python benchmarks/hybrid.py [--encoder minilm]... [--bank NAME]...
    python benchmarks/hybrid.py --speed     # latency, bytes and cold start, added to the result
"""

from __future__ import annotations

import argparse
import json
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import provenance
import pyarrow.parquet as parquet
from answer_quality import Memory

from semsearch import Encoder, Index
from semsearch.calibration import calibrate
from semsearch.calibration.points import Judged, measure, reliability
from semsearch.calibration.weighing import tried
from semsearch.evaluation.bootstrap import difference_interval
from semsearch.evaluation.queries import LabelledQuery
from semsearch.store import BankReader
from semsearch.tables import read_bank, read_table
from semsearch.types import Result, StandardQuestion
from semsearch.view import View

SEED = 0
INTENTS = ("banking77", "clinc150", "hwu64")
PAIRS = {
    "lcqmc": ("sts_zh/lcqmc/dev.parquet", "sts_zh/lcqmc/test.parquet"),
    "bq": ("sts_zh/bq/dev.parquet", "sts_zh/bq/test.parquet"),
    "afqmc": ("paraphrase/afqmc/train.parquet",),
}
DEMO = Path(__file__).resolve().parents[1] / "index" / "demo"

# fmt: off
MODELS = (
    "AX-200", "AX-210", "AX-310", "BW-1200", "BW-1250", "BW-1500", "QN85C", "QN90D", "RT-5", "RT-7",
    "RT-9 Pro", "X100", "X100S", "X200", "S21", "S21 Ultra", "S22", "iPhone 12", "iPhone 13 mini",
    "iPhone 13", "iPhone 13 Pro", "iPhone 14 Plus", "HD-450BT", "HD-350BT", "WF-80", "WF-90",
)
CODES = (
    "E4021", "E4022", "E4012", "E1204", "E1402", "E5001", "E5010", "E101", "E110", "E111", "E204",
    "E240", "E404", "E503", "E530", "E77", "E707", "E770", "E12", "E21", "F-01", "F-07", "F-11",
    "F-13", "F-17", "F-71", "ERR_10", "ERR_100", "ERR_1001",
)
Template = tuple[str, list[str], list[str]]  # standard question, phrasings, queries
ASKED: dict[str, tuple[list[Template], list[Template]]] = {
    "en": (
        [("How do I reset the {} to factory settings?",
          ["factory reset {}", "restore {} to defaults"],
          ["how can i wipe my {} completely", "{} reset how", "want my {} back to how it came"]),
         ("Is the {} waterproof?",
          ["can the {} get wet", "{} water resistance rating"],
          ["can i take the {} swimming", "does rain damage the {}"]),
         ("How long is the warranty of the {}?",
          ["{} warranty period", "how many years of guarantee on {}"],
          ["is my {} still covered, bought it last year", "guarantee for {}?"])],
        [("What does error {} mean?",
          ["{} on the display", "error {}"],
          ["my machine shows {} and stops", "getting {} all the time, what now",
           "{} what is that"])],
    ),
    "zh": (
        [("{}怎么恢复出厂设置？", ["{}重置", "{}如何还原默认设置"],
          ["我的{}想全部清空怎么弄", "{}怎么重新设置成刚买来的样子"]),
         ("{}防水吗？", ["{}能不能碰水", "{}防水等级"], ["下雨天能用{}吗", "可以戴着{}游泳不"]),
         ("{}保修多久？", ["{}保修期", "{}质保几年"],
          ["我去年买的{}还在保修吗", "{}坏了免费修吗"])],
        [("出现错误代码{}是什么意思？", ["显示{}", "报错{}"],
          ["机器一直跳{}怎么办", "屏幕上出来个{}是啥问题", "{}咋解决"])],
    ),
}
# fmt: on


@dataclass(frozen=True)
class Bank:
    """A bank with the queries it is calibrated on and those it is tested with."""

    questions: list[StandardQuestion]
    labels: list[LabelledQuery]
    test: list[LabelledQuery]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", action="append", help="default: embedded and minilm")
    parser.add_argument("--bank", action="append", help="default: all")
    parser.add_argument("--speed", action="store_true", help="only what it costs")
    arguments = parser.parse_args()
    root = provenance.data_dir()
    if arguments.speed:
        cost = {"speed": speed(root), "cold": cold()}
        print(json.dumps(cost, indent=1))
        banks_kept = {"banks": provenance.read("hybrid").get("banks", [])}
        provenance.write("hybrid", {**banks_kept, **cost}, _files(root), SEED)
        return
    records = []
    for name in arguments.encoder or ["embedded", "minilm"]:
        encoder = Memory(Encoder.load(name))
        for bank_name, make in banks(root).items():
            if arguments.bank and bank_name not in arguments.bank:
                continue
            bank = make()
            records += [{"encoder": name, "bank": bank_name} | r for r in measured(encoder, bank)]
            print(table(records[-2:]).split("\n", 2)[2], flush=True)
    print(table(records))
    kept = provenance.read("hybrid")
    cost = {part: kept[part] for part in ("speed", "cold") if part in kept}
    names = ("encoder", "bank", "calibrated_on")
    rows = provenance.merged(kept.get("banks", []), records, names)
    provenance.write("hybrid", {"banks": rows, **cost}, _files(root), SEED)


def banks(root: Path) -> dict[str, Callable[[], Bank]]:
    """Every bank by name."""
    made: dict[str, Callable[[], Bank]] = {}
    for name in INTENTS:
        for n in (2, 5, None):
            shown = f"{name}, {n} phrasings" if n else name
            made[shown] = lambda name=name, n=n: intents(root / "faq" / name, n)
    for name, files in PAIRS.items():
        made[name] = lambda files=files: paraphrases([root / file for file in files])
    made["shop"] = lambda: sample("shop")
    made["bank_zh"] = lambda: sample("bank_zh")
    made["shop + codes"] = lambda: with_codes(sample("shop"), "en")
    made["bank_zh + codes"] = lambda: with_codes(sample("bank_zh"), "zh")
    return made


def intents(folder: Path, phrasings: int | None) -> Bank:
    """A published bank, with all its train texts as phrasings or a few of them."""

    def rows(part: str) -> list[dict[str, Any]]:
        path = folder / f"{part}.parquet"
        return parquet.read_table(path).to_pylist() if path.exists() else []

    texts: dict[int, list[str]] = {}
    for row in rows("train"):
        texts.setdefault(row["question_id"], []).append(row["text"])
    chance = random.Random(SEED)
    for found in texts.values():
        chance.shuffle(found)
    questions = [
        StandardQuestion(
            str(row["id"]), row["question"], phrasings=tuple(texts.get(row["id"], ())[:phrasings])
        )
        for row in rows("bank")
    ]

    def queries(*parts: str) -> list[LabelledQuery]:
        return [
            LabelledQuery(row["text"], None if row["question_id"] < 0 else str(row["question_id"]))
            for part in parts
            for row in rows(part)
        ]

    labels, test = queries("dev", "oos_dev"), queries("test", "oos_test")
    return Bank(questions, labels, test) if labels else _halved(questions, test)


def paraphrases(files: list[Path], n: int = 2000) -> Bank:
    """Sentences that were judged to mean the same are phrasings of one standard question."""
    parent: dict[str, str] = {}

    def root_of(text: str) -> str:
        parent.setdefault(text, text)
        while parent[text] != text:
            parent[text] = parent[parent[text]]
            text = parent[text]
        return text

    for path in files:
        for row in parquet.read_table(path).to_pylist():
            first, second = root_of(row["sentence1"]), root_of(row["sentence2"])
            if row["score"] == 1:
                parent[first] = second
    groups: dict[str, list[str]] = {}
    for text in sorted(parent):
        groups.setdefault(root_of(text), []).append(text)
    chance = random.Random(SEED)
    every = [group for group in groups.values() if 2 <= len(group) <= 30]
    chance.shuffle(every)
    questions, test = [], []
    for number, group in enumerate(sorted(every, key=lambda group: len(group) < 3)[:n]):
        chance.shuffle(group)
        held = max(1, len(group) // 2)
        known = group[held:][:5]
        questions.append(StandardQuestion(str(number), known[0], phrasings=tuple(known[1:])))
        test += [LabelledQuery(text, str(number)) for text in group[:held][:2]]
    return _halved(questions, test)


def sample(name: str) -> Bank:
    """A bank that comes with the repository."""
    rows = read_table(DEMO / f"{name}_queries.csv").rows
    test = [LabelledQuery(row.values["text"], row.values["key"] or None) for row in rows]
    return _halved(list(read_bank(DEMO / f"{name}.csv").questions), test)


def with_codes(bank: Bank, language: str) -> Bank:
    """The same with standard questions on products and errors, and queries for them."""
    chance = random.Random(SEED)
    questions, test = list(bank.questions), []
    for names, templates in zip((MODELS, CODES), ASKED[language], strict=True):
        for name in names:
            for number, (question, phrasings, queries) in enumerate(templates):
                key = f"{name}-{number}"
                texts = tuple(text.format(name) for text in phrasings)
                questions.append(StandardQuestion(key, question.format(name), phrasings=texts))
                ways = (name, name.lower(), name.lower().replace("-", ""), name.replace(" ", ""))
                test += [LabelledQuery(q.format(chance.choice(ways)), key) for q in queries]
    both = _halved(questions, test)
    return Bank(questions, bank.labels + both.labels, bank.test + both.test)


def _halved(questions: list[StandardQuestion], test: list[LabelledQuery]) -> Bank:
    return Bank(questions, test[::2], test[1::2])


def measured(encoder: Memory, bank: Bank) -> Iterator[dict[str, Any]]:
    """A record for each way of calibrating."""
    expected = np.array([query.key or "" for query in bank.test])
    answerable = expected != ""
    texts = [query.text for query in bank.test]
    rows = [{"text": query.text, "key": query.key or ""} for query in bank.labels]
    with (
        tempfile.TemporaryDirectory() as folder,
        Index.build(bank.questions, Path(folder) / "index", encoder=encoder) as index,
    ):
        index._encoder = encoder  # the queries are remembered, too
        words = _by_words(index, texts) == expected
        asked = [query for query in bank.test if query.key]
        weighed = tried(index, asked, encoder.encode([q.text for q in asked], kind="query"))
        for way, labels in (("the bank itself", None), ("labels", rows)):
            calibrate(index, labels, lexical="off", seed=SEED)
            off = index.search(texts, 1, refused=True)
            report = calibrate(index, labels, seed=SEED)
            auto = index.search(texts, 1, refused=True)
            on = index.search(texts, 1, refused=True, lexical="on")
            right = {
                name: np.array([found.hits[0].key for found in results]) == expected
                for name, results in (("vectors", off), ("auto", auto), ("on", on))
            } | {"words": words}
            shown = {name: r[answerable] for name, r in right.items()}
            yield {
                "calibrated_on": way,
                "questions": len(bank.questions),
                "queries": int(answerable.sum()),
                **{name: round(float(r.mean()), 4) for name, r in shown.items()},
                "by_weight": [round(float(share), 4) for share in weighed.mean(axis=0)],
                "decision": report.lexical.to_dict(),
                "difference": _interval(shown["auto"], shown["vectors"]),
                "difference_on": _interval(shown["on"], shown["vectors"]),
                "confidence_vectors": _confidence(off, right["vectors"], answerable),
                "confidence_auto": _confidence(auto, right["auto"], answerable),
            }


def _interval(a: Any, b: Any) -> list[float]:
    low, high = difference_interval(a, b, SEED)
    return [round(float(x), 4) for x in (a.mean() - b.mean(), low, high)]


def _confidence(results: list[Result], right: Any, answerable: Any) -> dict[str, Any]:
    """Whether the confidence holds, and what is answered at the best balance."""
    confidence = np.array([result.confidence for result in results], np.float64)
    judged = Judged(confidence, right, answerable, np.ones(len(right)), ~answerable)
    refused = np.array([result.refused for result in results])
    threshold = float(confidence[~refused].min(initial=1.0))
    found = measure(judged, threshold)
    return {
        "calibration_error": round(reliability(judged)[1], 4),
        "right": found["right"].to_dict()["value"],
        "refused": found["refused"].to_dict()["value"],
    }


def _by_words(index: Index, texts: list[str]) -> Any:
    """The keys that words alone find, "" where they find none."""
    reader = BankReader(index.path)
    try:
        with reader.reading() as meta:
            lexicon = View.load(index.path, reader, meta, None).lexicon(reader)
            best = [lexicon.shares(text).best(1, np.zeros(0, np.int64))[0] for text in texts]
            rows = reader.questions(int(found[0]) for found in best if len(found))
            return np.array([rows[int(found[0])].key if len(found) else "?" for found in best])
    finally:
        reader.close()


def speed(root: Path) -> list[dict[str, Any]]:
    """One query at a time on an open index, encoding apart: milliseconds; and bytes on disk.

    Real sentences, each with four ways to say the same, asked other sentences; and banking77, whose
    standard questions have 130 phrasings each, asked its test queries.
    """
    texts = _real_texts(root)
    chance = random.Random(SEED)
    chance.shuffle(texts)
    encoder = Memory(Encoder.load("embedded"))
    queries, texts = texts[:1000], texts[1000:]
    encoder.encode(queries, kind="query")
    reworded = [
        StandardQuestion(str(number), text, phrasings=tuple(_reworded(text)))
        for number, text in enumerate(texts[:20_000])
    ]
    banking = intents(root / "faq" / "banking77", None)
    asked = [query.text for query in banking.test[: len(queries)]]
    encoder.encode(asked, kind="query")
    banks = [(reworded[:2_000], queries), (banking.questions, asked), (reworded, queries)]
    return [_timed_with_words(bank, queries, encoder) for bank, queries in banks]


def _timed_with_words(
    bank: list[StandardQuestion], queries: list[str], encoder: Memory
) -> dict[str, Any]:
    with (
        tempfile.TemporaryDirectory() as folder,
        Index.build(bank, Path(folder) / "index", encoder=encoder) as index,
    ):
        index._encoder = encoder
        n = index.info()["phrasings"]
        record: dict[str, Any] = {"questions": len(bank), "phrasings": n}
        index.search(queries[0])  # so that no library is loaded while it is timed
        for way in ("off", "on"):
            with Index.open(index.path, encoder=encoder) as fresh:
                times = [_timed(lambda f=fresh, w=way: f.search(queries[0], 5, lexical=w))]
                times += [
                    _timed(lambda f=fresh, w=way, q=query: f.search(q, 5, lexical=w))
                    for query in queries[1:]
                ]
            record[way] = {
                "first_ms": round(times[0], 2),
                "p50_ms": round(statistics.median(times[1:]), 3),
                "p99_ms": round(float(np.quantile(times[1:], 0.99)), 3),
            }
        path = index.path / "questions.db"
        with sqlite3.connect(path) as connection:
            (size,) = connection.execute(
                "SELECT sum(pgsize) FROM dbstat WHERE name LIKE 'words%'"
            ).fetchone()
        connection.close()
        record["bytes_per_phrasing"] = round(size / n, 1)
        record["file_bytes_per_phrasing"] = round(path.stat().st_size / n, 1)
    return record


def _reworded(text: str) -> list[str]:
    if text.isascii():
        return [f"please {text}", f"{text} thanks", f"hi, {text}", f"can you tell me {text}"]
    return [f"请问{text}", f"{text}怎么办", f"我想问一下{text}", f"{text}谢谢"]


def cold(runs: int = 15) -> dict[str, Any]:
    """A query from a cold shell on the sample bank, seconds."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index"
        Index.build(DEMO / "shop.csv", path).close()
        times: dict[str, list[float]] = {"off": [], "on": []}
        for _ in range(runs):
            for way, found in times.items():
                command = [sys.executable, "-m", "semsearch", "query", str(path), "parcel"]
                command += ["--lexical", way]
                found.append(_timed(lambda c=command: subprocess.run(c, capture_output=True)))
        return {way: round(statistics.median(found) / 1000, 4) for way, found in times.items()}


def _timed(run: Callable[[], Any]) -> float:
    started = perf_counter()
    run()
    return 1000 * (perf_counter() - started)


def _real_texts(root: Path) -> list[str]:
    texts: dict[str, None] = {}
    for name in ("sts_zh/atec/train", "sts_zh/lcqmc/test", "sts_zh/bq/dev"):
        for row in parquet.read_table(root / f"{name}.parquet").to_pylist():
            texts.update(dict.fromkeys((row["sentence1"], row["sentence2"])))
    for name in INTENTS:
        for row in parquet.read_table(root / "faq" / name / "train.parquet").to_pylist():
            texts[row["text"]] = None
    return list(texts)


def _files(root: Path) -> list[Path]:
    files = [path for name in INTENTS for path in sorted((root / "faq" / name).glob("*.parquet"))]
    return files + [root / file for names in PAIRS.values() for file in names]


def table(records: list[dict[str, Any]]) -> str:
    """What was found, and what calibration made of it."""
    rows = [
        [
            record["encoder"],
            record["bank"],
            record["calibrated_on"],
            f"{record['queries']:,}",
            *(f"{record[name]:.3f}" for name in ("vectors", "words", "on")),
            f"{record['decision']['weight']:g}" if record["decision"]["weight"] else "off",
            "{:+.3f} [{:+.3f}, {:+.3f}]".format(*record["difference"]),
            f"{record['confidence_vectors']['calibration_error']:.3f} / "
            f"{record['confidence_auto']['calibration_error']:.3f}",
        ]
        for record in records
    ]
    columns = [
        "encoder", "bank", "calibrated on", "queries", "vectors", "words", "both", "decision",
        "gain of the decision [95%]", "calibration error before / after",
    ]  # fmt: skip
    return provenance.table(columns, rows)


if __name__ == "__main__":
    main()
