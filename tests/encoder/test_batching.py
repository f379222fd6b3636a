import tracemalloc

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from semsearch.encoder.batching import Distinct, plan


@given(st.lists(st.integers(1, 600), max_size=200), st.integers(1, 4096))
def test_batches_hold_every_text_once_and_keep_to_the_budget(lengths, budget):
    lengths = np.array(lengths, np.int64)
    batches = plan(lengths, budget)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * lengths[batch].max() <= budget


def test_the_longest_come_first():
    batches = plan(np.array([3, 9, 1, 9]), budget=10)
    assert [batch.tolist() for batch in batches] == [[1], [3], [0, 2]]


TEXTS = st.lists(st.sampled_from(["", "a", "bb", "ccc", "dddd"]))


@given(TEXTS, st.booleans())
def test_rows_of_distinct_texts_cover_every_row_once(texts, colliding):
    distinct = Distinct(list(map(Colliding, texts)) if colliding else texts)
    found = distinct.texts(0, len(distinct))
    assert sorted(found) == sorted(set(texts))
    assert [len(text) for text in found] == sorted(map(len, found), reverse=True)
    if texts:
        rows, position = distinct.rows(np.arange(len(distinct)))
        assert sorted(rows) == list(range(len(texts)))
        assert [texts[row] for row in rows] == [found[i] for i in position]


class Colliding(str):
    """A text whose hash is that of every other one."""

    def __hash__(self):
        return 7


def test_texts_of_one_length_keep_their_order_in_every_process():
    distinct = Distinct(["bb", "aa", "cc", "aa", "d"])
    assert distinct.texts(0, 4) == ["bb", "aa", "cc", "d"]


def test_it_keeps_little_beside_the_texts():
    texts = [f"text {n}" for n in range(100_000)]
    tracemalloc.start()
    distinct = Distinct(texts)
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(distinct) == len(texts)
    assert kept < 30 * len(texts) and peak < 110 * len(texts)
