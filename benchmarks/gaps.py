"""What `semsearch gaps` makes of a log that asks for standard questions the bank has not.

A fifth of the standard questions is taken out of a bank, which is then calibrated on itself; its
log holds the test queries of all of them, so that four in five have an answer. Measured are the
queries of what was taken out that get no confident answer, how many of what was taken out comes
back as a gap of five queries or more most of which are of it, and how well gaps and questions
agree (adjusted mutual information, purity) over everything unanswered, right refusals and wrong.
Then the loop is closed: what was taken out is added again, the index is calibrated, and the same
log must show fewer gaps. Chinese: paraphrases of bank questions (BQ), every other one a query.

Baselines, of the same unanswered queries: k-means with the true number of questions that were
taken out, which nobody knows in life; HDBSCAN; and the same linkage cut at a cosine of 0.6.

    python benchmarks/gaps.py [--encoder minilm]... [--seeds 3]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import provenance
import pyarrow.parquet as parquet
from answer_quality import Memory
from review import _paraphrases, _published
from sklearn.cluster import HDBSCAN, KMeans
from sklearn.metrics import adjusted_mutual_info_score

from semsearch import Encoder, Index, StandardQuestion
from semsearch.calibration import calibrate
from semsearch.gaps import Gaps, gaps
from semsearch.gaps.clusters import cluster
from semsearch.querylog import Record

TAKEN_OUT = 0.2
LEAST = 5
FIXED_CUT = 0.4

Queries = list[tuple[str, str]]  # text, key


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", action="append", help="default: embedded and minilm")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    root = provenance.data_dir()
    rows = []
    names = arguments.encoder or ["embedded", "minilm"]
    encoders = {name: Memory(Encoder.load(name)) for name in names}
    files = sorted(
        path for bank in ("clinc150", "banking77") for path in (root / "faq" / bank).glob("*")
    )
    files += sorted((root / "sts_zh" / "bq").glob("*"))
    for bank, (questions, queries) in banks(root).items():
        for name, encoder in encoders.items():
            if name == "minilm" and bank.endswith("_zh"):
                continue  # it does not know Chinese
            found = [_run(encoder, questions, queries, seed) for seed in range(arguments.seeds)]
            rows.append({"encoder": name, "bank": bank, "seeds": found})
            print(table(rows[-1:]).splitlines()[-1], flush=True)
            if not arguments.encoder:  # after each bank: a run takes long
                provenance.write("gaps", {"least": LEAST, "rows": rows}, files)


def banks(root: Path) -> dict[str, tuple[list[StandardQuestion], Queries]]:
    """Standard questions and test queries."""
    found = {}
    for name in ("clinc150", "banking77"):
        rows = parquet.read_table(root / "faq" / name / "test.parquet").to_pylist()
        queries = [(row["text"], str(row["question_id"])) for row in rows]
        found[name] = (_published(root / "faq" / name), queries)
    large = [one for one in _paraphrases(root / "sts_zh" / "bq") if len(one.phrasings) >= 9]
    halves = [
        StandardQuestion(one.key, one.question, one.answer, one.phrasings[::2]) for one in large
    ]
    asked = [(text, one.key) for one in large for text in one.phrasings[1::2]]
    found["bq_zh"] = (halves, asked)
    return found


def _run(
    encoder: Memory, questions: list[StandardQuestion], queries: Queries, seed: int
) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    order = random.permutation(len(questions))
    out = {questions[n].key for n in order[: round(TAKEN_OUT * len(questions))].tolist()}
    kept = [one for one in questions if one.key not in out]
    log = [queries[n] for n in random.permutation(len(queries)).tolist()]
    with (
        tempfile.TemporaryDirectory() as folder,
        Index.build(kept, Path(folder) / "index", encoder=encoder) as index,
    ):
        index._encoder = encoder
        calibrate(index)
        records = [Record(text) for text, _ in log]
        started = time.perf_counter()
        found = gaps(index, records, least=1)
        seconds = time.perf_counter() - started
        measured = _measure(encoder, found, log, out)
        index.add([one for one in questions if one.key in out])
        calibrate(index)
        again = gaps(index, records, least=1)
    return {
        "seed": seed,
        "taken_out": len(out),
        "queries": len(log),
        **measured,
        "gaps_after": _large(again),
        "unanswered_after": again.unanswered,
        "seconds": round(seconds, 2),
    }


def _measure(encoder: Memory, found: Gaps, log: Queries, out: set[str]) -> dict[str, Any]:
    label = dict(log)
    texts = [text for gap in found.gaps for text in gap.queries]
    named = np.repeat(np.arange(len(found.gaps)), [len(gap.queries) for gap in found.gaps])
    truth = np.unique([label[text] for text in texts], return_inverse=True)[1]
    recovered, missing = set(), Counter()
    for gap in found.gaps:
        of, count = Counter(label[text] for text in gap.queries).most_common(1)[0]
        if len(gap.queries) >= LEAST and count > len(gap.queries) / 2 and of in out:
            recovered.add(of)
            missing[gap.missing] += 1
    vectors = encoder.encode(texts, kind="query")
    others = {
        "k-means": KMeans(len(out), n_init=3, random_state=0).fit_predict(vectors),
        "HDBSCAN": HDBSCAN(min_cluster_size=LEAST, copy=True).fit_predict(vectors),
        "cosine 0.6": cluster(vectors, FIXED_CUT),
    }
    return {
        "unanswered": found.unanswered,
        "refused_of_taken_out": round(
            sum(label[text] in out for text in texts) / sum(key in out for _, key in log), 4
        ),
        "gaps": _large(found),
        "recovered": len(recovered),
        "called_question": missing["question"],
        "agreement": round(float(adjusted_mutual_info_score(truth, named)), 4),
        "purity": round(_purity(truth, named), 4),
        "same_from": round(found.cut, 4),
        "baselines": {
            name: round(float(adjusted_mutual_info_score(truth, labels)), 4)
            for name, labels in others.items()
        },
    }


def _large(found: Gaps) -> int:
    return sum(len(gap.queries) >= LEAST for gap in found.gaps)


def _purity(truth: np.ndarray, named: np.ndarray) -> float:
    """Share of the queries in gaps of `LEAST` or more that are of the gap's main question."""
    right = total = 0
    for gap in range(int(named.max()) + 1):
        counts = np.bincount(truth[named == gap])
        if counts.sum() >= LEAST:
            right, total = right + int(counts.max()), total + int(counts.sum())
    return right / max(total, 1)


def table(rows: list[dict[str, Any]]) -> str:
    """Means over seeds."""
    lines = []
    for row in rows:
        seeds = row["seeds"]

        def mean(name: str, seeds: list[dict[str, Any]] = seeds) -> float:
            return float(np.mean([seed[name] for seed in seeds]))

        baselines = {
            name: float(np.mean([seed["baselines"][name] for seed in seeds]))
            for name in seeds[0]["baselines"]
        }
        lines.append(
            [
                row["encoder"],
                row["bank"],
                f"{seeds[0]['queries']:,}",
                f"{mean('refused_of_taken_out'):.0%}",
                f"{mean('recovered'):.1f} of {seeds[0]['taken_out']}",
                f"{mean('purity'):.2f}",
                f"{mean('agreement'):.2f}",
                *(f"{value:.2f}" for value in baselines.values()),
                f"{mean('gaps'):.0f} → {mean('gaps_after'):.0f}",
                f"{mean('seconds'):.1f}",
            ]
        )
    columns = [
        "encoder", "bank", "queries in the log", "refused of what was taken out",
        "came back as a gap", "purity", "agreement", *rows[0]["seeds"][0]["baselines"],
        "gaps before and after", "seconds",
    ]  # fmt: skip
    return provenance.table(columns, lines)


if __name__ == "__main__":
    main()
