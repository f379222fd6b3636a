"""Whether an index knows when it does not know: confidence, refusals, calibration error.

Banks are built with `Index.build`: the standard questions with the published train texts as
phrasings. Each is calibrated three times: on the bank itself, on the bank and a log of queries
without labels (every other test query, measured on the rest), and on labelled queries. It is then
asked the published test queries. clinc150 comes with queries that have no answer; of every bank
there is also a half: half of the standard questions are removed, so that about half of its queries
have none, on topics that the bank is full of. And there is a small bank of each: 30 standard
questions with 15 phrasings, and as many queries without an answer as with one. One more small bank
is asked by people who word things otherwise, see worded_otherwise.py. Labels are dev and
oos_dev of clinc150 and its half, elsewhere every other test query; the figures are then of the
rest. No out-of-scope label is seen by a calibration on the bank or on a log. The calibration error
is also that of the same queries, weighed as if other shares of them had no answer.

Baseline, in the same run: a threshold of the bare cosine, chosen on the same queries by the same
rule.

    python benchmarks/trust.py [--encoder minilm]... [--bank "half of hwu64"]... [--way labels]...

Part of it replaces the rows of that part in the result.

    python benchmarks/trust.py --plots    # of clinc150, calibrated on its labels
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import provenance
import pyarrow.parquet as parquet
import worded_otherwise
from answer_quality import Memory

from semsearch import Encoder, Index
from semsearch.calibration import calibrate, plots, prior
from semsearch.calibration.collecting import collect, encoded
from semsearch.calibration.points import Curve, Judged, measure, reliability
from semsearch.confidence import SIGNALS
from semsearch.evaluation.queries import LabelledQuery
from semsearch.types import StandardQuestion

BANKS = ("clinc150", "banking77", "hwu64")
SAMPLES = ("shop", "bank_zh")
OTHERWISE = "clinc150 asked by hwu64"
FEW, PHRASINGS = 30, 15
SEED = 0
PRECISION = 0.95
SHARES = (0.1, 1 / 3, 0.5, 2 / 3)
"""Of queries without an answer, at which the calibration error is computed, too."""


@dataclass(frozen=True)
class Bank:
    """A bank, the queries it is tested with, and those it may be calibrated on."""

    name: str
    questions: list[StandardQuestion]
    test: list[LabelledQuery]
    labels: list[LabelledQuery] | None  # None: every other test query


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", action="append", help="default: embedded and minilm")
    parser.add_argument("--bank", action="append", help="default: all")
    parser.add_argument("--way", action="append", help="of calibrating; default: all")
    parser.add_argument("--plots", action="store_true", help="only results/trust/*.png")
    arguments = parser.parse_args()
    root = provenance.data_dir() / "faq"
    if arguments.plots:
        _plots(root)
        return
    records, files = [], sorted(path for name in BANKS for path in (root / name).glob("*.parquet"))
    for name in arguments.encoder or ["embedded", "minilm"]:
        encoder = Memory(Encoder.load(name))
        for bank in banks(root):
            if not arguments.bank or bank.name in arguments.bank:
                records += measured(name, encoder, bank, arguments.way)
    print(table(records))
    names = ("encoder", "bank", "calibrated_on")
    rows = provenance.merged(provenance.read("trust").get("rows", []), records, names)
    parts = [f"{part} of {name}" for part in ("half", FEW) for name in BANKS]
    order = [*BANKS, *parts, OTHERWISE, *(f"sample {name}" for name in SAMPLES)]
    ordered = sorted(rows, key=lambda row: (row["encoder"], order.index(row["bank"])))
    provenance.write("trust", {"precision": PRECISION, "rows": ordered}, files, SEED)


def banks(root: Path) -> Iterator[Bank]:
    """Full banks, halves of them, few questions of them, one asked otherwise, the sample banks."""
    for name in BANKS:
        yield _published(root / name, name, 1.0)
    for name in BANKS:
        yield _published(root / name, f"half of {name}", 0.5)
    for name in BANKS:
        yield _small(_published(root / name, f"{FEW} of {name}", FEW))
    yield Bank(OTHERWISE, *worded_otherwise.load(root), labels=None)
    demo = Path(__file__).resolve().parents[1] / "index" / "demo"
    for name in SAMPLES:
        yield _sample(demo, name)


def measured(
    encoder_name: str, encoder: Memory, bank: Bank, wanted: list[str] | None = None
) -> list[dict[str, Any]]:
    """A record for each way of calibrating."""
    records = []
    with (
        tempfile.TemporaryDirectory() as folder,
        Index.build(bank.questions, Path(folder) / "index", encoder=encoder) as index,
    ):
        index._encoder = encoder  # the queries are remembered, too
        every_other, rest = bank.test[::2], bank.test[1::2]
        log = Path(folder) / "log.txt"
        log.write_text("".join(f"{query.text}\n" for query in every_other), encoding="utf-8")
        ways: list[tuple[str, list[LabelledQuery], list[LabelledQuery], Path | None]] = [
            ("the bank itself", [], bank.test, None)
        ]
        if len(every_other) >= prior.LEAST:
            ways.append(("the bank and a log", [], rest, log))
        if bank.labels is None:
            ways.append(("labels", every_other, rest, None))
        else:
            ways.append(("labels", bank.labels, bank.test, None))
        for way, labels, test, asked in ways:
            if wanted and way not in wanted:
                continue
            record = {"encoder": encoder_name, "bank": bank.name, "calibrated_on": way}
            records.append(record | _measured(index, labels, test, asked))
            print(table(records[-1:]).splitlines()[-1], flush=True)
    return records


def _plots(root: Path) -> None:
    bank = _published(root / "clinc150", "clinc150", 1.0)
    rows = [{"text": query.text, "key": query.key or ""} for query in bank.labels or ()]
    with (
        tempfile.TemporaryDirectory() as folder,
        Index.build(bank.questions, Path(folder) / "index") as index,
    ):
        report = calibrate(index, rows, precision=PRECISION, seed=SEED)
    for name, content in plots.draw(report).items():
        path = provenance.RESULTS / "trust" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)


def _measured(
    index: Index, labels: list[LabelledQuery], test: list[LabelledQuery], log: Path | None
) -> dict[str, Any]:
    rows = [{"text": query.text, "key": query.key or ""} for query in labels]
    report = calibrate(index, rows or None, log=log, seed=SEED)
    results = index.search([query.text for query in test], 1, refused=True)
    best = [result.hits[0] for result in results]
    right = np.array([hit.key == query.key for hit, query in zip(best, test, strict=True)])
    answerable = np.array([query.key is not None for query in test])
    cosine = np.array([hit.score for hit in best], np.float64)
    confidence = np.array([result.confidence for result in results], np.float64)

    def judged(values: Any) -> Judged:
        return Judged(values, right, answerable, np.ones(len(right)), ~answerable)

    by_confidence = measure(judged(confidence), report.calibration.threshold)
    by_cosine = measure(judged(cosine), _cosine_point(index, labels))
    precise = calibrate(index, rows or None, log=log, precision=PRECISION, seed=SEED)
    promise = measure(judged(confidence), precise.calibration.threshold)
    oracle = Curve.of(judged(confidence))
    shares = SHARES if (~answerable).any() else ()
    return {
        "answerable": int(answerable.sum()),
        "unanswerable": int((~answerable).sum()),
        "labels": len(labels),
        "accuracy_at_1": round(float(right[answerable].mean()), 4),
        "assumed_unanswerable": report.calibration.unanswerable,
        "words": report.lexical.weight,
        "threshold": round(report.calibration.threshold, 4),
        "in_scope_accuracy": by_confidence["right"].to_dict(),
        "out_of_scope_recall": by_confidence["refused"].to_dict(),
        "cosine_in_scope_accuracy": by_cosine["right"].to_dict(),
        "cosine_out_of_scope_recall": by_cosine["refused"].to_dict(),
        "calibration_error": round(reliability(judged(confidence))[1], 4),
        "calibration_error_at": {
            f"{share:.2f}": round(reliability(judged(confidence).at_share(share))[1], 4)
            for share in shares
        },
        "promised": precise.promised,
        "precision": promise["precision"].to_dict(),
        "coverage": promise["coverage"].to_dict(),
        "best_possible": round(float(np.max(oracle.right + oracle.refused) / 2), 4),
    }


def _cosine_point(index: Index, labels: list[LabelledQuery]) -> float:
    """The bare cosine at which the same rule answers, on the same queries."""
    examples = collect(index, labels, encoded(index, labels), seed=SEED)[0].examples
    examples = examples[examples.judged]
    cosine = examples.signals[:, SIGNALS.index("score")]
    curve = Curve.of(
        Judged(cosine, examples.right, examples.answerable, examples.weights, examples.topic)
    )
    return float(curve.thresholds[curve.balanced()])


def _published(folder: Path, name: str, kept: float) -> Bank:
    """kept: a share of the standard questions up to 1, or how many."""

    def rows(part: str) -> list[dict[str, Any]]:
        path = folder / f"{part}.parquet"
        return parquet.read_table(path).to_pylist() if path.exists() else []

    ids = sorted(row["id"] for row in rows("bank"))
    random = np.random.default_rng(SEED)
    n = round(kept * len(ids)) if kept <= 1 else int(kept)
    keep = set(random.permutation(ids)[:n].tolist())
    texts: dict[int, list[str]] = {}
    for row in rows("train"):
        texts.setdefault(row["question_id"], []).append(row["text"])
    questions = [
        StandardQuestion(str(row["id"]), row["question"], phrasings=tuple(texts.get(row["id"], ())))
        for row in rows("bank")
        if row["id"] in keep
    ]

    def labelled(*parts: str) -> list[LabelledQuery]:
        return [
            LabelledQuery(
                row["text"], str(row["question_id"]) if row["question_id"] in keep else None
            )
            for part in parts
            for row in rows(part)
        ]

    labels = labelled("dev", "oos_dev") or None
    return Bank(name, questions, labelled("test", "oos_test"), labels)


def _small(bank: Bank) -> Bank:
    """A bank with few phrasings, asked as many queries without an answer as with one."""
    random = np.random.default_rng(SEED)

    def drawn(values: Sequence[Any], n: int) -> list[Any]:
        return [values[place] for place in sorted(random.permutation(len(values))[:n])]

    def even(queries: Sequence[LabelledQuery]) -> list[LabelledQuery]:
        with_, without = ([q for q in queries if (q.key is None) is none] for none in (False, True))
        n = min(len(with_), len(without))
        return drawn(with_, n) + drawn(without, n)

    questions = [
        replace(question, phrasings=tuple(drawn(question.phrasings, PHRASINGS)))
        for question in bank.questions
    ]
    return Bank(bank.name, questions, even(bank.test), None)


def _sample(folder: Path, name: str) -> Bank:
    from semsearch.tables import read_bank, read_table

    questions = read_bank(folder / f"{name}.csv").questions
    rows = read_table(folder / f"{name}_queries.csv").rows
    test = [LabelledQuery(row.values["text"], row.values["key"] or None) for row in rows]
    return Bank(f"sample {name}", list(questions), test, None)


def table(records: Sequence[dict[str, Any]]) -> str:
    """What is promised, and what is kept."""
    rows = []
    for record in records:
        precision = record["precision"]
        rows.append(
            [
                record["encoder"],
                record["bank"],
                record["calibrated_on"],
                f"{record['answerable']:,} + {record['unanswerable']:,}",
                *(
                    f"{_shown(record[f'{kind}in_scope_accuracy'])} / "
                    f"{_shown(record[f'{kind}out_of_scope_recall'])}"
                    for kind in ("cosine_", "")
                ),
                f"{record['calibration_error']:.3f}",
                f"{_shown(precision)} [{_shown(precision, 'low')}, {_shown(precision, 'high')}]"
                f"{'' if record['promised'] else ' (not promised)'}",
                _shown(record["coverage"]),
            ]
        )
    columns = [
        "encoder", "bank", "calibrated on", "queries with + without answer",
        "bare cosine: right / refused", "confidence: right / refused", "calibration error",
        f"precision when {PRECISION} is asked", "coverage then",
    ]  # fmt: skip
    return provenance.table(columns, rows)


def _shown(share: dict[str, Any], name: str = "value") -> str:
    return "–" if share[name] is None else f"{share[name]:.3f}"


if __name__ == "__main__":
    main()
