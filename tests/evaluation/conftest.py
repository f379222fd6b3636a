"""Small sets of sentence pairs whose gold score is the share of words they have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semsearch.tables import write_table

WORDS = [
    "card",
    "refund",
    "parcel",
    "account",
    "invoice",
    "password",
    "payment",
    "shipping",
    "order",
    "phone",
    "bank",
    "cash",
]
HANZI = list("卡退款包裹账户发票密码付货单电话银行现金快递")


def make_pairs(
    n: int, seed: int, words: list[str] = WORDS, joint: str = " "
) -> list[dict[str, Any]]:
    """Rows of sentence1, sentence2, score 0-5 and subset, the same for the same seed."""
    random = np.random.default_rng(seed)
    rows = []
    for number in range(n):
        shared = number % 6
        drawn = [str(word) for word in random.permutation(words)[:10]]
        one = drawn[:5]
        two = [*drawn[:shared], *drawn[5 : 10 - shared]]
        rows.append(
            {
                "sentence1": joint.join(one),
                "sentence2": joint.join(two[:5]),
                "score": float(shared),
                "subset": "abc"[number % 3],
            }
        )
    return rows


@pytest.fixture
def sts_dir(tmp_path: Path) -> Path:
    """A data directory with STS12, STS-B (dev, test), SICK-R, BQ, and NLI sentences."""
    folder = tmp_path / "data"
    en = {"sts12/test": 1, "stsbenchmark/test": 2, "stsbenchmark/dev": 3}
    for name, seed in en.items():
        _write(folder / f"sts_en/{name}.csv", make_pairs(48, seed))
    for seed, split in enumerate(("train", "dev", "test"), 10):
        rows = [{**row, "score": 1 + row["score"] * 0.8} for row in make_pairs(12, seed)]
        _write(folder / f"sts_en/sick/{split}.tsv", rows)
    rows = make_pairs(48, 4, HANZI, "")
    _write(folder / "sts_zh/bq/test.csv", [{**r, "score": float(r["score"] > 2)} for r in rows])
    nli = [
        {"premise": row["sentence1"], "hypothesis": row["sentence2"], "label": "neutral"}
        for row in make_pairs(60, 5)
    ]
    _write(folder / "nli/snli_cad/train.csv", nli)
    return folder


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(path, rows)
