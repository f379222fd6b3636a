from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from semsearch.ann import Neighbours, merge
from semsearch.errors import CorruptIndexError


def _unit(n: int, d: int = 8, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


LABELS = np.arange(100, dtype=np.int64) + (7 << 40)


def test_flat_search_is_exact_and_keeps_64_bit_labels() -> None:
    vectors, queries = _unit(100), _unit(9, seed=1)
    scores, labels = Neighbours.build(LABELS, vectors).search(queries, 10)
    order = np.argsort(-(queries @ vectors.T), axis=1)[:, :10]
    np.testing.assert_array_equal(labels, LABELS[order])
    np.testing.assert_allclose(scores, np.take_along_axis(queries @ vectors.T, order, 1), atol=1e-6)


def test_excluded_labels_are_never_found() -> None:
    vectors = _unit(100)
    neighbours = Neighbours.build(LABELS, vectors)
    _, labels = neighbours.search(vectors[:10], 100, exclude=LABELS[:10])
    assert not np.isin(labels, LABELS[:10]).any()
    assert (labels[:, 90:] == -1).all()  # padded, not repeated


def test_padding_scores_below_everything() -> None:
    scores, labels = Neighbours.build(LABELS[:3], _unit(3)).search(_unit(1), 5)
    assert labels[0, 3:].tolist() == [-1, -1]
    assert np.isneginf(scores[0, 3:]).all()


def test_what_is_saved_is_read_back(tmp_path: Path) -> None:
    vectors = _unit(100)
    path = tmp_path / "vectors-1.faiss"
    size, crc = Neighbours.build(LABELS, vectors).save(path)
    again = Neighbours.load(path, size, crc)
    np.testing.assert_array_equal(again.labels, LABELS)
    np.testing.assert_array_equal(again.vectors(), vectors)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("damage", ["flip", "cut", "gone"])
def test_a_damaged_file_is_noticed(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "vectors-1.faiss"
    size, crc = Neighbours.build(LABELS, _unit(100)).save(path)
    data = bytearray(path.read_bytes())
    data[size // 2] ^= 1
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(data if damage == "flip" else data[: size // 2])
    with pytest.raises(CorruptIndexError):
        Neighbours.load(path, size, crc)


def test_merge_gives_the_best_of_both_and_breaks_ties_by_label() -> None:
    one = (np.array([[0.9, 0.5]], np.float32), np.array([[4, 2]]))
    two = (np.array([[0.9, 0.7]], np.float32), np.array([[3, 1]]))
    scores, labels = merge([one, two], 3)
    assert labels.tolist() == [[3, 4, 1]]
    np.testing.assert_allclose(scores, [[0.9, 0.9, 0.7]])
