"""The most similar pair among 10,000 sentences: one vector each, or 49,995,000 pairs read together.

Reimers and Gurevych 2019 (arXiv:1908.10084) put it at 5 seconds against 65 hours on a V100. Here,
on a CPU: 10,000 real sentences of the STS test sets, no two of them equal but for case, spaces and
punctuation, are encoded and all pairs compared, exactly. A cross-encoder of the same size reads
both sentences of a pair as one input of the same body; it is timed on a random sample of the same
pairs, longest first, on torch and on the runtime that encodes here, and extrapolated to all pairs.

    python benchmarks/ten_thousand.py [--rounds 3] [--pairs 4096]
"""

from __future__ import annotations

import argparse
import statistics
import string
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import provenance
import pyarrow.parquet as parquet

from semsearch import Encoder
from semsearch.encoder.batching import plan

SENTENCES, SEED, BLOCK, BATCH = 10_000, 0, 1000, 64
ALL_PAIRS = SENTENCES * (SENTENCES - 1) // 2
FILES = ("sts12/test", "sts13/test", "sts14/test", "sts16/test", "stsbenchmark/dev", "sick/test")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=4096, help="pairs that a cross-encoder reads")
    arguments = parser.parse_args()
    files = [provenance.data_dir() / "sts_en" / f"{name}.parquet" for name in FILES]
    random = np.random.default_rng(SEED)
    texts = _sentences(files, random)
    pairs = _pairs(texts, arguments.pairs, random)
    encoder = Encoder.load("minilm")
    readers = {"torch": _on_torch(encoder), "onnx": _on_onnx(encoder)}
    for step in (encoder.encode, lambda batch: [read(pairs[:BATCH]) for read in readers.values()]):
        step(texts[:BATCH])  # a warm-up
    seconds: dict[str, list[float]] = {"encode": [], "all pairs": [], **{n: [] for n in readers}}
    for _ in range(arguments.rounds):
        vectors = _timed(seconds["encode"], encoder.encode, texts)
        first, second, cosine = _timed(seconds["all pairs"], most_similar, vectors)
        for name, read in readers.items():
            _timed(seconds[name], read, pairs)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    ours = medians["encode"] + medians["all pairs"]
    hours = {name: medians[name] / len(pairs) * ALL_PAIRS / 3600 for name in readers}
    rows = [
        [f"encode {SENTENCES:,} sentences", f"{medians['encode']:.1f} s", ""],
        [f"compare all {ALL_PAIRS:,} pairs", f"{medians['all pairs']:.2f} s", ""],
        ["**the most similar pair, found**", f"**{ours:.1f} s**", "1"],
    ]
    for name in readers:
        rows.append(
            [
                f"cross-encoder of the same size on {name}, extrapolated from {len(pairs):,} pairs "
                f"in {medians[name]:.1f} s",
                f"{hours[name]:.1f} h",
                f"{hours[name] * 3600 / ours:,.0f}",
            ]
        )
    print(provenance.table([f"median of {arguments.rounds} rounds", "time", "ratio"], rows))
    print(f"\n{cosine:.4f}  {texts[first]!r}\n        {texts[second]!r}")
    result = {
        "sentences": SENTENCES,
        "all_pairs": ALL_PAIRS,
        "sampled_pairs": len(pairs),
        "seconds": {name: [round(x, 3) for x in times] for name, times in seconds.items()},
        "found_in_seconds": round(ours, 3),
        "cross_encoder_hours": {name: round(x, 2) for name, x in hours.items()},
        "ratio": {name: round(x * 3600 / ours) for name, x in hours.items()},
        "most_similar": {"cosine": round(cosine, 6), "texts": [texts[first], texts[second]]},
    }
    provenance.write("ten_thousand", result, files, SEED)


def most_similar(vectors: np.ndarray) -> tuple[int, int, float]:
    """The two rows (n, d) of unit length with the highest cosine; every pair is compared."""
    best = (0, 0, -np.inf)
    for start in range(0, len(vectors), BLOCK):
        cosines = vectors[start : start + BLOCK] @ vectors[start:].T
        cosines[np.tri(*cosines.shape, dtype=bool)] = -np.inf  # itself, and what came before
        row, column = np.unravel_index(cosines.argmax(), cosines.shape)
        if cosines[row, column] > best[2]:
            best = (start + int(row), start + int(column), float(cosines[row, column]))
    return best


def _sentences(files: list[Path], random: np.random.Generator) -> list[str]:
    """A random choice of the sentences, no two equal but for case, spaces and punctuation."""
    plain: dict[str, str] = {}
    bare = str.maketrans("", "", string.punctuation)
    for file in files:
        table = parquet.read_table(file, columns=["sentence1", "sentence2"]).to_pydict()
        for text in (*table["sentence1"], *table["sentence2"]):
            plain.setdefault(" ".join(text.casefold().translate(bare).split()), text)
    found = list(plain.values())
    return [found[i] for i in random.choice(len(found), SENTENCES, replace=False)]


def _pairs(texts: list[str], n: int, random: np.random.Generator) -> list[tuple[str, str]]:
    """A random sample of all pairs, the longest first: no batch is filled up with padding."""
    rows = [random.choice(len(texts), 2, replace=False) for _ in range(n)]
    return sorted(((texts[a], texts[b]) for a, b in rows), key=lambda pair: -len("".join(pair)))


def _on_torch(encoder: Encoder) -> Callable[[list[tuple[str, str]]], np.ndarray]:
    """Scores (n,) by transformers: the same body with one score on its first token."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    body = AutoModel.from_pretrained(encoder.path).float().eval()
    tokenizer = AutoTokenizer.from_pretrained(encoder.path)
    head = torch.nn.Linear(body.config.hidden_size, 1)

    @torch.inference_mode()
    def read(pairs: list[tuple[str, str]]) -> np.ndarray:
        scores = []
        for start in range(0, len(pairs), BATCH):
            left, right = zip(*pairs[start : start + BATCH], strict=True)
            inputs = tokenizer(
                list(left), list(right), padding=True, truncation=True, max_length=256,
                return_tensors="pt",
            )  # fmt: skip
            scores.append(head(body(**inputs).last_hidden_state[:, 0])[:, 0].numpy())
        return np.concatenate(scores)

    return read


def _on_onnx(encoder: Encoder) -> Callable[[list[tuple[str, str]]], np.ndarray]:
    """The same on the runtime that encodes here, in batches as it makes them."""
    runtime: Any = encoder._runtime
    head = np.random.default_rng(SEED).normal(size=encoder.dim).astype(np.float32)

    def read(pairs: list[tuple[str, str]]) -> np.ndarray:
        items = runtime.tokenizer.encode(pairs)
        scores = np.empty(len(pairs), np.float32)
        for batch in plan(np.array([len(item) for item in items]), runtime.budget):
            feeds, _ = runtime.feeds([items[i] for i in batch])
            scores[batch] = runtime.states(feeds)[:, 0] @ head
        return scores

    return read


def _timed(seconds: list[float], step: Callable[[Any], Any], given: Any) -> Any:
    started = time.perf_counter()
    result = step(given)
    seconds.append(time.perf_counter() - started)
    return result


if __name__ == "__main__":
    main()
