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


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.97, 1.0])
def test_only_what_is_among_the_chosen_is_found_and_all_of_it(share: float) -> None:
    vectors, queries = _unit(100), _unit(9, seed=1)
    among = np.random.default_rng(2).random(100) < share
    scores, labels = Neighbours.build(LABELS, vectors).search(queries, 60, among=among)
    expected = np.where(among, queries @ vectors.T, -np.inf)
    order = np.argsort(-expected, axis=1, kind="stable")[:, :60]
    expected = np.take_along_axis(expected, order, 1)
    np.testing.assert_allclose(scores, expected, atol=1e-6)
    np.testing.assert_array_equal(labels, np.where(np.isinf(expected), -1, LABELS[order]))


@pytest.mark.parametrize("factory", ["Flat", "HNSW8", "PCA4,Flat"])
def test_a_choice_holds_for_other_factories(factory: str, tmp_path: Path) -> None:
    built = Neighbours.build(LABELS, _unit(100), factory)
    size, crc = built.save(tmp_path / "vectors-1.faiss")
    among = np.arange(100) % 3 == 0
    for neighbours in (built, Neighbours.load(tmp_path / "vectors-1.faiss", size, crc)):
        _, labels = neighbours.search(_unit(9, seed=1), 10, among=among)
        assert set(labels.ravel().tolist()) <= {-1, *LABELS[among].tolist()}
        assert (labels >= 0).any(axis=1).all()


def test_the_vectors_of_a_choice_are_those_of_its_labels() -> None:
    vectors, among = _unit(100), np.arange(100) % 3 == 0
    chosen = Neighbours.build(LABELS, vectors).vectors(among)
    np.testing.assert_array_equal(chosen, vectors[among])


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
