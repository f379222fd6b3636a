"""Mined negatives are close to the anchor, of another group, and not as close as the positive."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.sparse import csr_array

from semsearch.errors import DataError
from semsearch.training import mining
from semsearch.training.examples import Examples
from semsearch.training.mining import hard_negatives, mine
from semsearch.types import Vectors

Encode = Callable[[Sequence[str]], Vectors]

ANGLES = {"card": 0, "card lost": 30, "wallet": 45, "Card Gone": 20, "cash": 60, "sun": 180}


def encoder(angles: dict[str, int]) -> Encode:
    """Texts as directions in the plane, in degrees."""

    def encode(texts: Sequence[str]) -> Vectors:
        radians = np.radians([angles[text] for text in texts])
        return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)

    return encode


def pairs_of(*pairs: tuple[str, str], groups: list[int] | None = None) -> Examples:
    anchors, positives = zip(*pairs, strict=True)
    return Examples(
        "pairs",
        {"anchor": anchors, "positive": positives},
        groups=None if groups is None else np.array(groups),
        sources=({"path": "p"},),
    )


PAIRS = pairs_of(
    ("card", "card lost"), ("card", "Card Gone"), ("wallet", "cash"), ("sun", "sun"),
    groups=[4, 4, 5, 6],
)  # fmt: skip


def test_the_closest_text_of_another_group_is_the_negative() -> None:
    triplets, without = mine(PAIRS, encoder(ANGLES))
    assert list(zip(*triplets.columns.values(), strict=True)) == [
        ("card", "card lost", "cash"),
        ("card", "Card Gone", "cash"),
        ("wallet", "cash", "Card Gone"),
        ("sun", "sun", "cash"),
    ]
    assert triplets.groups is not None and triplets.groups.tolist() == [4, 4, 5, 6]
    assert (triplets.shape, triplets.sources, without) == ("triplets", PAIRS.sources, 0)


def test_several_negatives_make_several_triplets_the_closest_first() -> None:
    triplets, _ = mine(PAIRS, encoder(ANGLES), n_negatives=2)
    assert list(triplets.columns["anchor"]) == ["card"] * 4 + ["wallet"] * 2 + ["sun"] * 2
    assert list(triplets.columns["negative"][4:6]) == ["Card Gone", "sun"]


def test_a_text_as_close_as_the_positive_is_passed_over() -> None:
    angles = {**ANGLES, "cash": 10}  # closer to the anchor than the positives are
    triplets, without = mine(PAIRS, encoder(angles))
    assert list(triplets.columns["negative"][:2]) == ["sun", "sun"]
    # cos 30° = 0.866 may be told from cos 32° = 0.848 by a margin of 1%, not of 5%.
    angles = {**ANGLES, "cash": 32}
    assert mine(PAIRS, encoder(angles), margin=0.01).triplets.columns["negative"][0] == "cash"
    assert mine(PAIRS, encoder(angles), margin=0.05).triplets.columns["negative"][0] == "sun"
    assert without == 0


def test_a_text_of_the_own_group_is_no_negative_however_it_is_written() -> None:
    pairs = pairs_of(("a", "b"), ("A", "c"), ("x", "C "), ("x", "y"), groups=[0, 0, 1, 1])
    angles = {"a": 0, "b": 10, "c": 20, "x": 60, "y": 70}
    triplets, without = mine(pairs, encoder(angles))
    negatives = list(triplets.columns["negative"])
    # The text c belongs to both groups and is a negative of neither.
    assert (negatives, without) == (["y", "y", "b", "b"], 0)


def test_pairs_without_a_negative_are_counted() -> None:
    pairs = pairs_of(("a", "b"), ("x", "y"), groups=[0, 1])
    # Nothing is farther from x than its own positive.
    triplets, without = mine(pairs, encoder({"a": 0, "b": 10, "x": 30, "y": 210}))
    assert (list(triplets.columns["anchor"]), without) == (["a"], 1)


def test_pairs_without_groups_are_grouped_by_their_texts() -> None:
    pairs = pairs_of(("a", "b"), ("b", "c"), ("x", "y"))
    triplets, _ = mine(pairs, encoder({"a": 0, "b": 10, "c": 20, "x": 80, "y": 85}))
    assert triplets.groups is not None and triplets.groups.tolist() == [0, 0, 1]
    assert list(triplets.columns["negative"]) == ["y", "y", "c"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_negatives": 0}, "negatives must be at least 1, not 0"),
        ({"margin": 1.0}, "the margin 0 to below 1, not 1"),
    ],
)
def test_arguments_out_of_range_are_errors(options: dict[str, float], message: str) -> None:
    with pytest.raises(DataError, match=message):
        mine(PAIRS, encoder(ANGLES), **options)  # type: ignore[arg-type]


def test_other_shapes_and_a_single_group_have_no_negatives() -> None:
    with pytest.raises(DataError, match="mined for pairs, not for sentences"):
        mine(Examples("sentences", {"sentence": ["a"]}), encoder(ANGLES))
    with pytest.raises(DataError, match="none of 1 pairs has a negative in another group"):
        mine(pairs_of(("card", "cash")), encoder(ANGLES))


@given(
    arrays.arrays(np.float32, (7, 3), elements=st.floats(-1, 1, width=16)),
    arrays.arrays(np.bool_, (7, 5)),
    st.integers(1, 8),
    st.integers(1, 20),
)
def test_blocks_find_what_a_full_sort_finds(
    vectors: Vectors, banned: np.ndarray, n_negatives: int, cells: int
) -> None:
    anchors, positives, candidates = vectors, vectors[::-1].copy(), vectors[:5]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mining, "_CELLS", cells)
        found = hard_negatives(
            anchors,
            positives,
            candidates,
            csr_array(banned.astype(np.int32)),
            np.arange(7),
            n_negatives=n_negatives,
            margin=0.1,
        )
    assert found.shape == (7, n_negatives)
    scores = anchors @ candidates.T
    same = (anchors * positives).sum(axis=1)
    for row, (own, kept) in enumerate(zip(scores, found, strict=True)):
        limit = same[row] - 0.1 * abs(same[row])
        allowed = np.flatnonzero((own <= limit + 1e-5) & ~banned[row])
        chosen = kept[kept >= 0]
        assert set(chosen.tolist()) <= set(allowed.tolist())
        assert len(set(chosen.tolist())) == len(chosen)
        sure = np.sort(own[(own < limit - 1e-5) & ~banned[row]])[::-1]
        assert len(chosen) >= min(n_negatives, len(sure))
        best = np.sort(own[chosen])[::-1]
        assert (best[: len(sure)] >= sure[: len(best)] - 1e-5).all()
        assert (np.diff(own[chosen]) <= 1e-6).all()
