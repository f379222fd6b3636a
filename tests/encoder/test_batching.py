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


@given(st.lists(st.sampled_from(["", "a", "bb", "ccc", "dddd"])))
def test_rows_of_distinct_texts_cover_every_row_once(texts):
    distinct = Distinct.of(texts)
    assert sorted(distinct.texts) == sorted(set(texts))
    if texts:
        rows, position = distinct.rows(np.arange(len(distinct.texts)))
        assert sorted(rows) == list(range(len(texts)))
        assert [texts[row] for row in rows] == [distinct.texts[i] for i in position]
