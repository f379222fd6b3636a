"""How often the first hit is the right standard question: banking77, clinc150, hwu64.

Each bank is built with `Index.build`: the standard questions with the published train texts as
phrasings. The published test queries are then asked, scored by the best phrasing and by the mean of
the three best. Banks with fewer phrasings are drawn from the same texts, because most owners have
a few phrasings rather than a hundred. 95% intervals of the difference: paired bootstrap.
Last, the 1,624 traditional-Chinese rows of esun_bank_zh are built: nothing may be lost.

    python benchmarks/answer_quality.py [--quick] [--encoder embedded]
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import provenance
import pyarrow.parquet as parquet

from semsearch import Encoder, Index
from semsearch.types import StandardQuestion

BANKS = ("banking77", "clinc150", "hwu64")
SCORES = ("best", "top3")
DRAWS = 5
SEED = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="full banks only, no sub-sampling")
    parser.add_argument("--encoder", default="embedded")
    arguments = parser.parse_args()
    root = provenance.data_dir() / "faq"
    encoder = Memory(Encoder.load(arguments.encoder))
    rows, records, files = [], [], []
    for name in BANKS:
        folder = root / name
        files += [folder / f"{part}.parquet" for part in ("bank", "train", "test")]
        bank = parquet.read_table(folder / "bank.parquet").to_pylist()
        train = parquet.read_table(folder / "train.parquet").to_pylist()
        test = parquet.read_table(folder / "test.parquet").to_pylist()
        for per_question in (None,) if arguments.quick else (None, 1, 2, 3, 5, 10, 30):
            record = _measure(encoder, name, bank, train, test, per_question)
            records.append(record)
            rows.append(
                [
                    name,
                    "all" if per_question is None else str(per_question),
                    *(f"{record[score]:.4f}" for score in SCORES),
                    "{:+.4f} [{:+.4f}, {:+.4f}]".format(*record["difference"]),
                ]
            )
            print(rows[-1], flush=True)
    print(provenance.table(["bank", "phrasings", "best", "top3", "top3 - best [95%]"], rows))
    esun = root / "esun_bank_zh" / "bank.parquet"
    chinese = _chinese(encoder, esun)
    print(f"\nesun_bank_zh: {chinese}")
    if not arguments.quick:
        result = {"encoder": encoder.source, "accuracy_at_1": records, "esun_bank_zh": chinese}
        provenance.write("answer_quality", result, [*files, esun], SEED)


def _measure(
    encoder: Memory,
    name: str,
    bank: list[dict[str, Any]],
    train: list[dict[str, Any]],
    test: list[dict[str, Any]],
    per_question: int | None,
) -> dict[str, Any]:
    queries = [row["text"] for row in test]
    expected = np.array([str(row["question_id"]) for row in test])
    right: dict[str, list[np.ndarray]] = {score: [] for score in SCORES}
    for draw in range(1 if per_question is None else DRAWS):
        with tempfile.TemporaryDirectory() as folder:
            questions = _questions(bank, train, per_question, draw)
            with Index.build(questions, Path(folder) / "index", encoder=encoder) as index:
                index._encoder = encoder  # the queries are remembered, too
                for score in SCORES:
                    results = index.search(queries, 1, score=score)
                    found = np.array([result.hits[0].key for result in results])
                    right[score].append(found == expected)
    means = {score: np.mean(draws, axis=0) for score, draws in right.items()}
    difference = means["top3"] - means["best"]
    random = np.random.default_rng(SEED)
    samples = random.integers(0, len(difference), (2000, len(difference)))
    low, high = np.percentile(difference[samples].mean(axis=1), [2.5, 97.5])
    return {
        "bank": name,
        "phrasings_per_question": per_question,
        "queries": len(queries),
        **{score: round(float(mean.mean()), 4) for score, mean in means.items()},
        "difference": [round(float(x), 4) for x in (difference.mean(), low, high)],
    }


def _questions(
    bank: list[dict[str, Any]], train: list[dict[str, Any]], per_question: int | None, draw: int
) -> list[StandardQuestion]:
    random = np.random.default_rng([SEED, draw])
    texts: dict[int, list[str]] = {}
    for row in train:
        texts.setdefault(row["question_id"], []).append(row["text"])
    if per_question is not None:
        texts = {
            key: [str(text) for text in random.permutation(found)[:per_question]]
            for key, found in texts.items()
        }
    return [
        StandardQuestion(str(row["id"]), row["question"], phrasings=tuple(texts.get(row["id"], ())))
        for row in bank
    ]


def _chinese(encoder: Memory, bank: Path) -> dict[str, Any]:
    """Build a traditional-Chinese bank: what is said, what is kept."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Index.build(bank, Path(folder) / "index", encoder=encoder) as index,
    ):
        kept = {found.key: (found.question, found.answer) for found in index.questions()}
        rows = parquet.read_table(bank).to_pylist()
        same = sum(kept.get(str(r["id"])) == (r["question"], r["answer"]) for r in rows)
        return {
            "rows": len(rows),
            "kept_as_they_were": same,
            "verified": index.verify().ok,
            "warnings": {warning.kind: warning.count for warning in index.report.warnings},
        }


class Memory(Encoder):
    """An encoder that encodes no text twice; the draws share most of their texts."""

    def __init__(self, inner: Encoder) -> None:
        self.__dict__.update(inner.__dict__)
        self._known: dict[str, np.ndarray] = {}

    def suited_to(self, texts: Sequence[str], **options: Any) -> Encoder:
        return self  # another one would know nothing

    def embed_batches(self, texts: Sequence[str], **options: Any) -> Iterator[Any]:
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        for rows, embeddings in super().embed_batches(new, **options):
            self._known.update((new[row], e) for row, e in zip(rows, embeddings, strict=True))
        if texts:
            yield np.arange(len(texts)), np.stack([self._known[text] for text in texts])


if __name__ == "__main__":
    main()
