"""From a log to gaps: answer it again, keep what has no answer, group it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from semsearch.errors import DataError
from semsearch.gaps.clusters import cluster, cut_of
from semsearch.gaps.report import Gap, Gaps
from semsearch.index import Index
from semsearch.querylog import Record, read_log
from semsearch.review.answers import plain
from semsearch.review.bank import Filed, read
from semsearch.store import BankReader
from semsearch.types import Ids, Result, Vectors

LEAST = 2
"""How often something must be asked to be a gap."""

_QUERIES_AT_ONCE = 2048
_AT_HOME = 0.25  # of a bank's phrasings, those least like the nearest of their own


def gaps(
    index: Index,
    log: str | Path | Iterable[Record],
    *,
    least: int = LEAST,
    min_score: float | None = None,
    column: str | None = None,
    encoding: str | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Gaps:
    """What the queries of a log ask that an index, as it is now, has no confident answer to.

    Args:
        log: a query log, a table of texts (see `read_log`), or records.
        least: how often something must have been asked to be listed.
        min_score: cosine below which there is no answer, in place of the calibration.
        column, encoding: of a table.
        seed: of the sample of the bank that teaches when two queries are the same.
        progress: called with (queries asked so far, queries to ask).

    Raises:
        DataError: the log cannot be read or holds no query, the bank has fewer than two standard
            questions, or the index is not calibrated and there is no `min_score`.
    """
    reader = BankReader(index.path)
    try:
        with reader.reading() as meta:
            if meta.calibration is None and min_score is None:
                raise DataError(
                    f"{index.path}: it is not calibrated, so nothing says which answers it is not "
                    f"sure of. Run: semsearch calibrate {index.path}"
                )
            bank = read(reader, meta, str(index.path))
    finally:
        reader.close()
    records: Iterable[Record]
    if isinstance(log, str | Path):
        name, records = str(log), read_log(log, column=column, encoding=encoding)
    else:
        name, records = "<records>", log
    texts, volumes = _distinct(record.query for record in records)
    open_, results = _unanswered(index, texts, min_score, progress)
    asked = [texts[place] for place in open_]
    volume = volumes[open_]
    cut = cut_of(bank, seed)
    found: list[Gap] = []
    if asked:
        vectors = index.encoder.encode(asked, kind="query")
        near = _at_home(bank)
        labels = cluster(vectors, cut)
        for rows in np.split(np.argsort(labels, kind="stable"), np.cumsum(np.bincount(labels))):
            if len(rows) and volume[rows].sum() >= least:
                found.append(_gap(asked, vectors, volume, rows, results, near))
    found.sort(key=lambda gap: (-gap.volume, gap.question))
    total = int(volume.sum())
    return Gaps(
        str(index.path),
        name,
        int(volumes.sum()),
        len(texts),
        total,
        tuple(found),
        total - sum(gap.volume for gap in found),
        1 - cut,
    )


def _distinct(queries: Iterable[str]) -> tuple[list[str], Ids]:
    """Queries that differ, in the wording that is most frequent, those asked most often first."""
    counts: dict[str, Counter[str]] = {}
    for query in queries:
        counts.setdefault(plain(query), Counter())[query] += 1
    ordered = sorted(
        ((wordings.total(), wordings.most_common(1)[0][0]) for wordings in counts.values()),
        key=lambda found: -found[0],
    )
    return [text for _, text in ordered], np.array([volume for volume, _ in ordered], np.int64)


def _unanswered(
    index: Index,
    texts: Sequence[str],
    min_score: float | None,
    progress: Callable[[int, int], None] | None,
) -> tuple[Ids, list[Result]]:
    """The places of the texts without a confident answer, and what was found for each of them."""
    places: list[int] = []
    results: list[Result] = []
    for start in range(0, len(texts), _QUERIES_AT_ONCE):
        batch = texts[start : start + _QUERIES_AT_ONCE]
        for place, result in enumerate(index.search(batch, 1, refused=True), start):
            low = min_score is not None and result.hits[0].score < min_score
            if low or (min_score is None and result.refused):
                places.append(place)
                results.append(result)
        if progress is not None:
            progress(min(start + _QUERIES_AT_ONCE, len(texts)), len(texts))
    return np.array(places, np.int64), results


def _at_home(bank: Filed) -> float:
    """The cosine from which a text is as near to a phrasing as phrasings of one question are."""
    nearest = bank.at_home.nearest
    real = nearest[np.isfinite(nearest)]
    return float(np.quantile(real, _AT_HOME)) if len(real) else float("inf")


def _gap(
    asked: Sequence[str],
    vectors: Vectors,
    volumes: Ids,
    rows: Ids,
    results: Sequence[Result],
    near: float,
) -> Gap:
    weights = volumes[rows]
    # What is asked often weighs as much as that many queries do.
    central = vectors[rows] @ (weights @ vectors[rows])
    order = rows[np.lexsort((rows, -central))]
    hits: Counter[str] = Counter()
    for row in order.tolist():
        hits[results[row].hits[0].key] += int(volumes[row])
    key = hits.most_common(1)[0][0]
    of_key = [row for row in order.tolist() if results[row].hits[0].key == key]
    score = float(
        np.average(
            [results[row].hits[0].score for row in of_key], weights=volumes[np.array(of_key)]
        )
    )
    most = hits[key] > weights.sum() / 2
    missing: Literal["question", "phrasing"] = "phrasing" if most and score >= near else "question"
    return Gap(
        question=asked[order[0]],
        queries=tuple(asked[row] for row in order.tolist()),
        volume=int(weights.sum()),
        key=key,
        nearest=results[of_key[0]].hits[0].question,
        score=score,
        missing=missing,
    )
