"""Search, and read what tells how sure the answer is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from semsearch.classifier import Opinion
from semsearch.confidence.signals import WIDTH, Nearest, Signals, signals
from semsearch.hybrid import Beside, Rows, opinions_of, rank_beside
from semsearch.ranking import QUERIES_AT_ONCE, Ranked
from semsearch.rescoring import Searchable
from semsearch.store import PhrasingRow
from semsearch.store.rows import ID_BITS, load_vectors, split_label
from semsearch.types import Ids, Scores, Vectors


def look(
    reader: Rows,
    view: Searchable,
    texts: Sequence[str],
    queries: Vectors,
    k: int,
    by_top3: bool,
    beside: Beside | None = None,
) -> Iterator[tuple[list[Ranked], Signals]]:
    """What `ranking.rank` finds, and the signals of each query; to be called while `reading()`.

    Args:
        texts: m queries.
        queries: (m, d).
        by_top3: whether standard questions score by their three best phrasings.
        beside: what counts beside vectors in the rank, None where nothing does.

    Yields:
        The ranks and the signals of some queries at a time, in their order. The index is not
        empty.

    Raises:
        CorruptIndexError: a row that was found is damaged or missing.
    """
    counts = view.counts
    for start in range(0, len(texts), QUERIES_AT_ONCE):
        some = slice(start, start + QUERIES_AT_ONCE)
        search = _Remembering(view)
        said = opinions_of(beside, texts[some], queries[some])
        ranked = rank_beside(
            reader, search, view.of, texts[some], queries[some], k, len(view),
            counts if by_top3 else None, beside, said,
        )  # fmt: skip
        hits = np.array([found.labels[0] for found in ranked], np.int64)
        scores, labels = with_hits(*search.found, hits, np.array([r.scores[0] for r in ranked]))
        questions = np.where(labels >= 0, labels >> ID_BITS, -1)
        near = Nearest(
            scores=scores,
            questions=questions,
            sizes=counts.of(np.where(questions >= 0, questions, questions[:, :1])),
            hits=hits >> ID_BITS,
            opinions=said_of_hits(said, hits >> ID_BITS),
        )
        yield ranked, read_signals(reader, near, labels, texts[some], queries[some])


def first_hits(
    reader: Rows,
    view: Searchable,
    texts: Sequence[str],
    queries: Vectors,
    by_top3: bool,
    beside: Beside | None = None,
) -> tuple[Ids, Signals]:
    """The standard question (m,) that comes first for each of m queries, and the signals (m, s).

    Arguments and errors as of `look`; there is at least one query.
    """
    hits: list[int] = []
    found: list[Signals] = []
    for ranked, seen in look(reader, view, texts, queries, 1, by_top3, beside):
        hits += [int(best.labels[0]) >> ID_BITS for best in ranked]
        found.append(seen)
    return np.array(hits, np.int64), np.concatenate(found)


def said_of_hits(said: Sequence[Opinion | None], hits: Ids) -> NDArray[np.float64]:
    """What a classifier says of the hits (m,), see `Opinion.signals`: (m, 2), 0 without one."""
    pairs = [
        (0.0, 0.0) if opinion is None else opinion.signals(hit)
        for opinion, hit in zip(said, hits.tolist(), strict=True)
    ]
    return np.array(pairs, np.float64).reshape(-1, 2)


def with_hits(scores: Scores, labels: Ids, hits: Ids, hit_scores: Scores) -> tuple[Scores, Ids]:
    """The nearest phrasings (m, w), among them one of each top hit.

    A hit that was found by its words alone may be far off: its best phrasing (m,) then takes the
    last place, which is the farthest.
    """
    far = ~((labels >> ID_BITS) == (hits >> ID_BITS)[:, None]).any(axis=1)
    if not far.any():
        return scores, labels
    scores, labels = scores.copy(), labels.copy()
    labels[far, -1] = hits[far]
    scores[far, -1] = np.minimum(hit_scores[far], scores[far, -2])
    return scores, labels


class _Remembering:
    """A search that keeps the nearest phrasings of the first time it is asked."""

    def __init__(self, view: Searchable) -> None:
        self._view = view
        self._found: tuple[Scores, Ids] | None = None

    def __call__(self, queries: Vectors, n: int) -> tuple[Scores, Ids]:
        if self._found is not None:
            return self._view.search(queries, n)
        found = self._view.search(queries, max(n, min(WIDTH, len(self._view))))
        self._found = found[0][:, :WIDTH], found[1][:, :WIDTH]
        return found

    @property
    def found(self) -> tuple[Scores, Ids]:
        """Scores and labels (m, at most WIDTH)."""
        assert self._found is not None
        return self._found


def read_signals(
    reader: Rows, near: Nearest, labels: Ids, texts: Sequence[str], queries: Vectors
) -> Signals:
    """The signals of queries (m, d) whose nearest phrasings have these labels (m, w)."""
    around, of_hit = (_labels(labels, columns) for columns in near.read())
    wanted = {label for label in (*around.ravel().tolist(), *of_hit.ravel().tolist()) if label >= 0}
    rows = reader.phrasings(split_label(label)[1] for label in wanted)
    by_label = {label: rows[split_label(label)[1]] for label in wanted}
    return signals(
        near,
        queries,
        _vectors(around, by_label, queries.shape[1]),
        _vectors(of_hit, by_label, queries.shape[1]),
        texts,
        _texts(around, by_label),
        _texts(of_hit, by_label),
    )


def _labels(labels: Ids, columns: Ids) -> Ids:
    """The labels (m, j) in columns (m, j); -1 pads."""
    return np.where(columns >= 0, np.take_along_axis(labels, np.maximum(columns, 0), 1), -1)


def _vectors(labels: Ids, rows: dict[int, PhrasingRow], dim: int) -> Vectors:
    """(m, j, dim) of labels (m, j); 0 where one is missing."""
    distinct = list(rows)
    stored = load_vectors([rows[label].vector for label in distinct], dim)
    place = {label: number for number, label in enumerate(distinct)} | {-1: len(distinct)}
    padded = np.concatenate([stored, np.zeros((1, dim), np.float32)])
    found: Vectors = padded[[[place[label] for label in row] for row in labels.tolist()]]
    return found


def _texts(labels: Ids, rows: dict[int, PhrasingRow]) -> list[list[str]]:
    return [[rows[label].text for label in row if label >= 0] for row in labels.tolist()]
