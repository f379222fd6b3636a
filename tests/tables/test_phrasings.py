"""One cell may hold several phrasings, and a sentence is never torn apart at its commas."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semsearch.tables import join_phrasings, split_phrasings


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (None, ()),
        ("  ", ()),
        ("one", ("one",)),
        ("Well, how? And, why", ("Well, how? And, why",)),
        ("怎么办，怎么做、怎样做", ("怎么办，怎么做、怎样做",)),
        ("a|b | c||", ("a|b | c",)),
        ("a||b|c", ("a", "b|c")),
        ("a|b", ("a", "b")),
        ("a;b；c", ("a", "b", "c")),
        ("a|b; c", ("a", "b; c")),
        ("a\nb; c|d\r\n\re", ("a", "b; c|d", "e")),
        ('["a;b", "c|d\\n"]', ("a;b", "c|d")),
        ("[1, 2]", ("[1, 2]",)),
        ("[x; y]", ("[x", "y]")),
        ("[" * 100_000 + "]", ("[" * 100_000 + "]",)),
        (["a;b", None, 5.0, " c "], ("a;b", "5", "c")),
        (7.0, ("7",)),
    ],
)
def test_a_cell_is_split_by_the_first_rule_that_fits(cell: Any, expected: tuple[str, ...]) -> None:
    assert split_phrasings(cell) == expected


@settings(deadline=None, max_examples=100)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1).map(str.strip)))
def test_joined_phrasings_split_into_the_same(phrasings: list[str]) -> None:
    kept = tuple(filter(None, phrasings))
    assert split_phrasings(join_phrasings(kept)) == kept
