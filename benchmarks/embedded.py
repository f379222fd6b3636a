"""What the embedded encoder is worth: against its teacher MiniLM and plain word counting.

English and Chinese STS, as it is, cut to 128 and 64 dimensions, and whitened on the task's
sentences; accuracy@1 by the nearest phrasing on published intent banks and on the Chinese sample
bank; and pairs of held-out translations that find each other among 1,000. 95% intervals: bootstrap.

    python benchmarks/embedded.py [--encoder embedded] [--float DIR]

With --float, the float32 weights that recipes/embedded makes, the int8 ones are compared to them.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import provenance
import pyarrow.parquet as parquet

from semsearch import Encoder
from semsearch.evaluation import bootstrap, sts
from semsearch.tables import read_bank
from semsearch.types import Embeddings

TASKS = ("STS-B", "SICK-R", "STS-B-zh", "LCQMC", "BQ", "ATEC")
BANKS = ("banking77", "clinc150", "hwu64")
DEMO = provenance.HERE.parent / "index" / "demo"
RECIPE = provenance.HERE.parent / "recipes" / "embedded"
MINILM = "minilm"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", default="embedded")
    parser.add_argument("--float", dest="full", metavar="DIR", help="the float32 weights")
    arguments = parser.parse_args()
    data = provenance.data_dir()
    ours, teacher = Encoder.load(arguments.encoder), Encoder.load(MINILM)
    result: dict[str, Any] = {"sts": _sts(ours, teacher)}
    result["banks"] = list(_banks(ours, teacher, data / "faq"))
    result["translations"] = _translations(ours, data)
    if arguments.full:
        full = Encoder.load(arguments.full, runtime="onnx")
        result["int8"] = _fidelity(ours, full, data)
    _print(result)
    files = [data / "faq" / name / f"{part}.parquet" for name in BANKS
             for part in ("bank", "train", "test")]  # fmt: skip
    if arguments.encoder == "embedded":
        provenance.write("embedded", result, [*files, data / "parallel/tatoeba/train.parquet"])


def _sts(ours: Encoder, teacher: Encoder) -> dict[str, Any]:
    """By task: what each row scores, with its interval."""
    found: dict[str, Any] = {}
    for encoder, dims in ((teacher, ()), (ours, (128, 64))):
        report = sts.evaluate(
            [encoder], TASKS, data_dir=provenance.data_dir(), whiten=(128,), dims=dims
        )
        for row in report.rows:
            for task, score in row.scores.items():
                cell = {"value": round(score.value, 2), "low": round(score.low, 2),
                        "high": round(score.high, 2)}  # fmt: skip
                found.setdefault(task, {})[row.label] = cell
    return found


def _banks(ours: Encoder, teacher: Encoder, root: Path) -> Iterator[dict[str, Any]]:
    for name in BANKS:
        bank, train, test = (
            parquet.read_table(root / name / f"{part}.parquet").to_pylist()
            for part in ("bank", "train", "test")
        )
        phrasings = [(row["question"], row["id"]) for row in bank]
        phrasings += [(row["text"], row["question_id"]) for row in train]
        queries = [(row["text"], row["question_id"]) for row in test]
        yield {"bank": name, **_accuracy(ours, teacher, phrasings, queries)}
    yield {"bank": "bank_zh", **_accuracy(ours, teacher, *_sample("bank_zh"))}
    yield {"bank": "shop", **_accuracy(ours, teacher, *_sample("shop"))}


def _sample(name: str) -> tuple[list[tuple[str, Any]], list[tuple[str, Any]]]:
    """The phrasings of a sample bank, and the queries that it answers."""
    questions = read_bank(DEMO / f"{name}.csv").questions
    phrasings = [(text, q.key) for q in questions for text in q.texts]
    with (DEMO / f"{name}_queries.csv").open(encoding="utf-8", newline="") as file:
        queries = [(row["text"], row["key"]) for row in csv.DictReader(file) if row["key"]]
    return phrasings, queries


def _accuracy(
    ours: Encoder,
    teacher: Encoder,
    phrasings: Sequence[tuple[str, Any]],
    queries: Sequence[tuple[str, Any]],
) -> dict[str, Any]:
    texts, keys = zip(*phrasings, strict=True)
    asked, wanted = zip(*queries, strict=True)
    right = []
    for encoder in (ours, teacher):
        nearest = (encoder.encode(asked) @ encoder.encode(texts).T).argmax(axis=1)
        right.append(np.array([keys[n] == key for n, key in zip(nearest, wanted, strict=True)]))
    one, other = (values.astype(np.float64) for values in right)
    low, high = bootstrap.difference_interval(one, other)
    return {
        "queries": len(asked),
        "embedded": round(float(one.mean()), 4),
        MINILM: round(float(other.mean()), 4),
        "difference": [round(float(x), 4) for x in (one.mean() - other.mean(), low, high)],
    }


def _translations(ours: Encoder, data: Path) -> dict[str, float]:
    sys.path.insert(0, str(RECIPE))
    import texts

    english, chinese = zip(*texts.held_out(data), strict=True)
    cosines = ours.encode(english) @ ours.encode(chinese).T
    own = np.arange(len(cosines))
    return {
        "pairs": len(own),
        "english to chinese": round(float((cosines.argmax(axis=1) == own).mean()), 4),
        "chinese to english": round(float((cosines.argmax(axis=0) == own).mean()), 4),
    }


def _fidelity(ours: Encoder, full: Encoder, data: Path) -> dict[str, Any]:
    """Cosine of each STS sentence's two vectors, and what the scores lose, by language."""
    found: dict[str, Any] = {}
    for language, task in (("en", "STS-B"), ("zh", "STS-B-zh")):
        before, after = (
            sts.evaluate([encoder], task, data_dir=data, draws=2).rows[1].scores[task].value
            for encoder in (full, ours)
        )
        folder = data / "sts_en/stsbenchmark" if language == "en" else data / "sts_zh/stsb_zh"
        table = parquet.read_table(folder / "test.parquet")
        sentences = list(
            dict.fromkeys(table["sentence1"].to_pylist() + table["sentence2"].to_pylist())
        )
        vectors: list[Embeddings] = [encoder.encode(sentences) for encoder in (full, ours)]
        cosines = (vectors[0] * vectors[1]).sum(axis=1)
        found[language] = {
            "sentences": len(sentences),
            "mean_cosine": round(float(cosines.mean()), 5),
            "min_cosine": round(float(cosines.min()), 5),
            task: {"float32": round(before, 2), "int8": round(after, 2)},
        }
    return found


def _print(result: dict[str, Any]) -> None:
    labels = list(next(iter(result["sts"].values())))
    rows = [[label, *(f"{result['sts'][task][label]['value']:.2f}" for task in TASKS)]
            for label in labels]  # fmt: skip
    print(provenance.table(["", *TASKS], rows), "\n")
    rows = [
        [bank["bank"], f"{bank['queries']:,}", f"{bank['embedded']:.4f}", f"{bank[MINILM]:.4f}",
         "{:+.4f} [{:+.4f}, {:+.4f}]".format(*bank["difference"])]
        for bank in result["banks"]
    ]  # fmt: skip
    print(provenance.table(["bank", "queries", "embedded", MINILM, "difference"], rows), "\n")
    for name in ("translations", "int8"):
        print(f"{name}: {result.get(name)}")


if __name__ == "__main__":
    main()
