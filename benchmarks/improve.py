"""Whether `improve` finds more right answers among queries that it has never seen.

Banks are built with `Index.build`: the standard questions with the published train texts as
phrasings. Each is improved with nothing but itself, in the light way and by fine-tuning, then asked
its published test queries, which no part of it has seen; clinc150 has 1,000 more that have no
answer. Chinese: questions to a bank whose paraphrases are known (BQ), joined to standard questions
of four phrasings or more, a third of which is kept for the test. Before, the same index is
calibrated on itself; the improved one calibrates itself so. Both sides are asked in one run, and
the interval is of the paired difference.

    python benchmarks/improve.py [--encoder minilm]... [--bank hwu64]... [--mode light]...
                                 [--built DIR]    # keeps the indexes to be improved for other runs

Rows that were not asked for stay in the results as they are.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import provenance
from review import _paraphrases as paraphrases
from trust import Bank
from trust import _published as published

from semsearch import Index
from semsearch.calibration import calibrate
from semsearch.calibration.points import Judged, reliability
from semsearch.evaluation import bootstrap
from semsearch.evaluation.queries import LabelledQuery
from semsearch.improvement import improve

ENCODERS = ("embedded", "minilm")
PUBLISHED = ("banking77", "clinc150", "hwu64")
BANKS = (*PUBLISHED, "bq_zh")
MODES = ("light", "fine-tuning")
SEED = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", action="append", choices=ENCODERS)
    parser.add_argument("--bank", action="append", choices=BANKS)
    parser.add_argument("--mode", action="append", choices=MODES)
    parser.add_argument("--built", type=Path)
    arguments = parser.parse_args()
    root = provenance.data_dir() / "faq"
    files = sorted(path for name in PUBLISHED for path in (root / name).glob("*.parquet"))
    files += sorted((root.parent / "sts_zh" / "bq").glob("*.parquet"))
    with tempfile.TemporaryDirectory() as folder:
        built = arguments.built or Path(folder)
        for encoder in arguments.encoder or ENCODERS:
            for name in arguments.bank or BANKS:
                if (encoder, name) == ("minilm", "bq_zh"):
                    continue  # it does not know Chinese
                bank = published(root / name, name, 1.0) if name in PUBLISHED else chinese(root)
                path = built / f"{encoder}-{name}"
                if not path.exists():
                    Index.build(bank.questions, path, encoder=encoder).close()
                for mode in arguments.mode or MODES:
                    record = {"encoder": encoder, "bank": name, "mode": mode}
                    record |= measured(path, bank.test, mode)
                    keep(record, files)
                    print(table([record]).splitlines()[-1], flush=True)


def chinese(root: Path) -> Bank:
    """BQ's paraphrases as a bank, with a third of the phrasings as test queries."""
    random = np.random.default_rng(SEED)
    questions, test = [], []
    for one in paraphrases(root.parent / "sts_zh" / "bq"):
        order = random.permutation(len(one.phrasings))
        kept, asked = np.split(order, [len(order) - len(order) // 3])
        test += [LabelledQuery(one.phrasings[n], one.key) for n in sorted(asked.tolist())]
        phrasings = tuple(one.phrasings[n] for n in sorted(kept.tolist()))
        questions.append(replace(one, phrasings=phrasings))
    return Bank("bq_zh", questions, test, None)


def keep(record: dict[str, Any], files: Sequence[Path]) -> None:
    """Put a row into the results, in place of the one that was there."""
    names = ("encoder", "bank", "mode")
    rows = provenance.merged(provenance.read("improve").get("rows", []), [record], names)
    order = [(e, b, m) for e in ENCODERS for b in BANKS for m in MODES]
    rows = sorted(rows, key=lambda row: order.index(tuple(row[n] for n in names)))
    provenance.write("improve", {"rows": rows}, list(files), SEED)


def measured(built: Path, test: list[LabelledQuery], mode: str) -> dict[str, Any]:
    """Before and after on the test queries."""
    with tempfile.TemporaryDirectory() as folder:
        path = shutil.copytree(built, Path(folder) / "index")
        with Index.open(path) as index:
            calibrate(index, seed=SEED)
            before, old = asked(index, test)
            began = perf_counter()
            report = improve(index, light=mode == "light", seed=SEED)
            seconds = perf_counter() - began
            after, new = asked(index, test)
    low, high = bootstrap.difference_interval(new, old, SEED)
    return {
        "queries": len(old),
        "promoted": report.promoted,
        "reason": report.reason,
        "before": before,
        "after": after,
        "difference": [round(float(new.mean() - old.mean()), 4), round(low, 4), round(high, 4)],
        "held_out": [figure.to_dict() for figure in report.figures],
        "settings": report.settings,
        "seconds": round(seconds, 1),
        "cpus": len(os.sched_getaffinity(0)),
    }


def asked(index: Index, test: list[LabelledQuery]) -> tuple[dict[str, Any], Any]:
    """What an index makes of queries, and which of those with an answer it finds."""
    results = index.search([query.text for query in test], 1, refused=True)
    right = np.array(
        [r.hits[0].key == query.key for r, query in zip(results, test, strict=True)], bool
    )
    answerable = np.array([query.key is not None for query in test])
    refused = np.array([result.refused for result in results])
    confidence = np.array([result.confidence for result in results], np.float64)
    judged = Judged(confidence, right, answerable, np.ones(len(right)), ~answerable)
    unanswerable = ~answerable
    return {
        "accuracy_at_1": round(float(right[answerable].mean()), 4),
        "in_scope_accuracy": round(float((right & ~refused)[answerable].mean()), 4),
        "out_of_scope_recall": (
            round(float(refused[unanswerable].mean()), 4) if unanswerable.any() else None
        ),
        "calibration_error": round(reliability(judged)[1], 4),
    }, right[answerable].astype(np.float64)


def table(records: Sequence[dict[str, Any]]) -> str:
    """Before and after, side by side."""
    rows = []
    for record in records:
        old, new = record["before"], record["after"]
        rows.append(
            [
                record["encoder"],
                record["bank"],
                record["mode"],
                "yes" if record["promoted"] else "no",
                f"{old['accuracy_at_1']:.4f}",
                f"{new['accuracy_at_1']:.4f}",
                "{:+.4f} [{:+.4f}, {:+.4f}]".format(*record["difference"]),
                f"{_both(old)} → {_both(new)}",
                f"{old['calibration_error']:.3f} → {new['calibration_error']:.3f}",
                f"{record['seconds']:.0f}",
            ]
        )
    columns = [
        "encoder", "bank", "mode", "promoted", "accuracy@1 before", "after", "difference [95%]",
        "right / refused", "calibration error", "seconds",
    ]  # fmt: skip
    return provenance.table(columns, rows)


def _both(side: dict[str, Any]) -> str:
    refused = side["out_of_scope_recall"]
    return f"{side['in_scope_accuracy']:.3f} / {'–' if refused is None else f'{refused:.3f}'}"


if __name__ == "__main__":
    main()
