"""Rows hang together when they share a text or a group, directly or through others."""

from __future__ import annotations

import numpy as np

from semsearch.training.components import components, folded, in_order, text_ids


def test_case_width_and_spaces_make_no_other_text() -> None:
    assert folded("ＭＹ  card\n") == folded("my card")
    assert folded("my card") != folded("my cards")


def test_equal_texts_have_one_number_in_all_columns() -> None:
    ids = text_ids([["a", "b", "A "], ["b", "c", "d"]])
    assert ids.tolist() == [[0, 1], [1, 2], [0, 3]]


def test_rows_hang_together_through_others() -> None:
    ids = np.array([[0, 1], [5, 6], [2, 3], [1, 2], [8, 8]])
    assert components(ids).tolist() == [0, 1, 0, 0, 2]


def test_a_group_joins_rows_without_a_common_text() -> None:
    ids = np.array([[0], [1], [2], [3]])
    # The numbers of a group mean nothing to texts: 0 here is not text 0.
    assert components(ids, np.array([7, 0, 7, 1])).tolist() == [0, 1, 0, 2]


def test_no_rows_have_no_components() -> None:
    assert components(np.zeros((0, 2), np.int64)).tolist() == []


def test_values_are_numbered_as_they_come() -> None:
    assert in_order(["b", "a", "b", 3]).tolist() == [0, 1, 0, 2]
