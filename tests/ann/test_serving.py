from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semsearch.ann import Neighbours, Setting, placing, serving
from semsearch.ann.gpu import Resident
from semsearch.errors import DeviceError
from tests.ann.fake_gpu import GIB, Fake, install, install_graphs, out_of_memory

N, DIM = 2_500, 32
LABELS = np.arange(N, dtype=np.int64) + (7 << 40)
HALVES = Setting("IVF16,PQ16x4fs,Refine(SQfp16)", "nprobe=8,k_factor_rf=20")
AUTO = Setting("IVF16,PQ16x4fs,Refine(SQ12)", "nprobe=8,k_factor_rf=25")


def _unit(n: int, seed: int = 0, d: int = DIM) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


VECTORS, QUERIES = _unit(N), _unit(50, seed=1)


def _true(n: int, among: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    scores = QUERIES @ VECTORS.T
    if among is not None:
        scores[:, ~among] = -np.inf
    order = np.argsort(-scores, axis=1, kind="stable")[:, :n]
    return np.take_along_axis(scores, order, 1), LABELS[order]


def _assert_best(
    labels: np.ndarray, n: int, among: np.ndarray | None = None, within: float = 1e-4
) -> None:
    """The n best rows of each query, one as good as another where scores differ by rounding."""
    assert labels.shape == (len(QUERIES), n)
    assert all(len(set(row)) == n for row in labels.tolist())
    rows = labels - LABELS[0]
    assert among is None or among[rows].all()
    scores = np.take_along_axis(QUERIES @ VECTORS.T, rows, 1)
    np.testing.assert_allclose(scores, _true(n, among)[0], atol=within)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    return install(monkeypatch, 8 * GIB)


def test_a_flat_index_gives_from_a_gpu_what_the_cpu_gives(fake: Fake) -> None:
    on_cpu = Neighbours.build(LABELS, VECTORS)
    expected = on_cpu.search(QUERIES, 10)
    scores, labels = on_cpu.served_on("cuda").search(QUERIES, 10)
    assert fake.made == [("flat", 0)] and fake.searched
    np.testing.assert_array_equal(labels, expected[1])
    np.testing.assert_allclose(scores, expected[0], atol=1e-6)


@pytest.mark.parametrize("factory", ["SQfp16", "HNSW8", "HNSW8_SQfp16", "HNSW8_SQ8,RFlat"])
def test_whatever_keeps_the_vectors_is_searched_exactly(fake: Fake, factory: str) -> None:
    served = Neighbours.build(LABELS, VECTORS, Setting(factory)).served_on("cuda")
    _assert_best(served.search(QUERIES, 10)[1], 10)
    assert fake.made == [("flat", 0)]


@pytest.mark.parametrize("setting", [HALVES, AUTO])
def test_what_auto_makes_of_a_large_bank_is_searched_exactly(fake: Fake, setting: Setting) -> None:
    served = Neighbours.build(LABELS, VECTORS, setting).served_on("cuda")
    scores, labels = served.search(QUERIES, 10)
    assert fake.made == [("flat", 0)]
    _assert_best(labels, 10, within=4e-4)  # it keeps 16 or 12 bits
    np.testing.assert_allclose(scores, _true(10)[0], atol=1e-3)


def test_candidates_are_added_until_16_bits_cannot_have_hidden_one(fake: Fake) -> None:
    # Hundreds of vectors that 16 bits cannot tell apart, around the first query.
    close = QUERIES[:1] + np.float32(5e-3) * np.random.default_rng(2).normal(size=(600, DIM))
    close = (close / np.linalg.norm(close, axis=1, keepdims=True)).astype(np.float32)
    vectors = np.concatenate([close, VECTORS])
    labels = np.arange(len(vectors), dtype=np.int64)
    expected = Neighbours.build(labels, vectors).search(QUERIES, 10)[1]
    found = Neighbours.build(labels, vectors).served_on("cuda").search(QUERIES, 10)[1]
    np.testing.assert_array_equal(found, expected)
    assert [asked for asked, _ in fake.searched][1:] == [1] * (len(fake.searched) - 1)
    assert len(fake.searched) > 2  # only the first query was asked again


def test_16_bits_are_never_further_off_than_is_said() -> None:
    a, b = _unit(20_000, seed=3, d=256), _unit(20_000, seed=4, d=256)
    rounded = [x.astype(np.float16).astype(np.float64) for x in (a, b)]
    off = np.abs((rounded[0] * rounded[1] - a.astype(np.float64) * b).sum(axis=1))
    assert off.max() < serving.HALF_ERROR


def test_deleted_rows_are_not_found_on_a_gpu(fake: Fake) -> None:
    served = Neighbours.build(LABELS, VECTORS).served_on("cuda").without(LABELS[::3])
    among = np.arange(N) % 3 != 0
    _assert_best(served.search(QUERIES, 10)[1], 10, among)
    assert fake.searched


@pytest.mark.parametrize(
    "setting", [Setting("Flat"), HALVES, AUTO, Setting("IVF16,Flat", "nprobe=16")]
)
@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_conditions_hold_on_a_gpu(fake: Fake, setting: Setting, share: float) -> None:
    among = np.random.default_rng(5).random(N) < share
    served = Neighbours.build(LABELS, VECTORS, setting).served_on("cuda").only(among)
    within = 4e-4 if setting == AUTO else 1e-4  # it keeps 12 bits
    _assert_best(served.search(QUERIES, 10)[1], 10, among, within)
    # Where few rows pass, the CPU looks at just these.
    assert bool(fake.searched) == (share > 0.2)


def test_more_than_a_gpu_can_select_is_left_to_the_cpu(fake: Fake) -> None:
    served = Neighbours.build(LABELS, VECTORS).served_on("cuda")
    _assert_best(served.search(QUERIES, 2_100)[1], 2_100)
    assert not fake.searched


def test_everything_can_be_asked_for_of_a_small_bank(fake: Fake) -> None:
    served = Neighbours.build(LABELS[:5], VECTORS[:5]).served_on("cuda")
    scores, labels = served.search(QUERIES, 7)
    assert (np.sort(labels[:, :5]) == LABELS[:5]).all()
    assert (labels[:, 5:] == -1).all() and np.isneginf(scores[:, 5:]).all()


def test_clusters_without_the_vectors_are_searched_as_they_are(fake: Fake) -> None:
    built = Neighbours.build(LABELS, VECTORS, Setting("IVF16,SQ8", "nprobe=16"))
    expected = built.search(QUERIES, 10)
    found = built.served_on("cuda").search(QUERIES, 10)
    assert fake.made == [("IndexIVFScalarQuantizer", 0)]
    np.testing.assert_array_equal(found[1], expected[1])
    np.testing.assert_allclose(found[0], expected[0], atol=1e-6)


@pytest.mark.parametrize(
    ("factory", "made"),
    [
        ("PCA16,IVF16,SQ8,RFlat", "IndexPreTransform"),
        ("IVF16,SQ8,Refine(SQ12)", "IndexIVFScalarQuantizer"),
    ],
)
def test_a_refined_index_of_clusters_is_scored_again_by_what_refines_it(
    fake: Fake, monkeypatch: pytest.MonkeyPatch, factory: str, made: str
) -> None:
    monkeypatch.setattr(placing, "_FLAT_FIRST", 0)  # as if there were millions
    setting = Setting(factory, "nprobe=16,k_factor_rf=8")
    built = Neighbours.build(LABELS, VECTORS, setting)
    expected = built.search(QUERIES, 10)
    found = built.served_on("cuda").search(QUERIES, 10)
    assert fake.made == [(made, 0)]
    np.testing.assert_allclose(found[0], expected[0], atol=1e-6)
    np.testing.assert_array_equal(found[1], expected[1])


@pytest.mark.parametrize("factory", ["HNSW16_SQ8", "IVF16,RaBitQ", "IVF16,PQ16x4fs", "PCA16,Flat"])
def test_what_no_gpu_has_stays_on_the_cpu_and_says_so(
    fake: Fake, factory: str, caplog: pytest.LogCaptureFixture
) -> None:
    built = Neighbours.build(LABELS, VECTORS, Setting(factory))
    expected = built.search(QUERIES, 10)[1]
    for _ in range(2):
        np.testing.assert_array_equal(built.served_on("cuda").search(QUERIES, 10)[1], expected)
    assert not fake.made
    assert "the search stays on the CPU: FAISS has no GPU index of this kind" in caplog.text


@pytest.mark.parametrize(("free", "spread"), [(GIB, "replicas"), (90_000, "shards")])
def test_several_cards_answer_as_one(
    monkeypatch: pytest.MonkeyPatch, free: int, spread: str
) -> None:
    fake = install(monkeypatch, free, free, free)
    places: list[Any] = []
    before = Resident.__init__

    def made(self: Resident, index: Any, place: Any) -> None:
        places.append(place.spread)
        before(self, index, place)

    monkeypatch.setattr(Resident, "__init__", made)
    served = Neighbours.build(LABELS, VECTORS).served_on("cuda")
    _assert_best(served.search(QUERIES, 10)[1], 10)
    assert places == [spread]
    assert fake.made == [("flat", 0), ("flat", 1), ("flat", 2)]


@pytest.mark.parametrize(("free", "spread"), [(GIB, "replicas"), (60_000, "shards")])
def test_clusters_go_on_several_cards_as_faiss_spreads_them(
    monkeypatch: pytest.MonkeyPatch, free: int, spread: str
) -> None:
    fake = install(monkeypatch, free, free, free)
    served = Neighbours.build(LABELS, VECTORS, Setting("IVF16,SQ8", "nprobe=16"))
    expected = served.search(QUERIES, 10)[1]
    np.testing.assert_array_equal(served.served_on("cuda").search(QUERIES, 10)[1], expected)
    assert fake.made == [(spread, (0, 1, 2))]


def test_where_memory_runs_out_each_card_gets_less_and_then_the_cpu_takes_over(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fake = install(monkeypatch, 8 * GIB, 8 * GIB)
    tried = []

    def refuse(kind: str, card: int) -> None:
        tried.append(card)
        raise out_of_memory()

    fake.refuse = refuse
    served = Neighbours.build(LABELS, VECTORS).served_on("cuda")
    for _ in range(2):
        _assert_best(served.search(QUERIES, 10)[1], 10)
    assert tried == [0, 0, 0]  # replicas, one card, shards; not again for the second search
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 4
    assert (
        "the index cannot be copied (flat, 0.0 GB on GPU 0, 1 each): out of memory" in caplog.text
    )
    assert "the search stays on the CPU: none of them holds it" in caplog.text


def test_a_batch_that_is_too_large_is_searched_in_halves(fake: Fake) -> None:
    fake.most_queries = 20
    served = Neighbours.build(LABELS, VECTORS).served_on("cuda")
    _assert_best(served.search(QUERIES, 10)[1], 10)
    assert [asked for asked, _ in fake.searched[:3]] == [50, 25, 12]


def test_a_card_that_fails_is_not_asked_again(fake: Fake, caplog: pytest.LogCaptureFixture) -> None:
    served = Neighbours.build(LABELS, VECTORS).served_on("cuda")
    served.search(QUERIES, 10)
    fake.broken = True
    before = len(fake.searched)
    for _ in range(2):
        _assert_best(served.search(QUERIES, 10)[1], 10)
    assert len(fake.searched) == before + 1
    assert "the GPU failed ('err' failed: CUDA error 700): the CPU goes on" in caplog.text


def test_auto_moves_when_the_cpu_has_taken_as_long_as_moving_takes(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = Neighbours.build(LABELS, VECTORS).served_on("auto")
    served.search(QUERIES, 10)
    assert not fake.made
    monkeypatch.setattr(placing, "moving_seconds", lambda n, dim: 0.0)
    _assert_best(served.search(QUERIES, 10)[1], 10)
    assert fake.made == [("flat", 0)]


def test_auto_without_a_gpu_says_nothing_and_cuda_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("semsearch.ann.cards.count", lambda: 0)
    monkeypatch.setattr(placing, "moving_seconds", lambda n, dim: 0.0)
    built = Neighbours.build(LABELS, VECTORS)
    for _ in range(2):
        _assert_best(built.served_on("auto").search(QUERIES, 10)[1], 10)
    assert not caplog.text
    served = built.served_on("cuda")
    for _ in range(2):
        with pytest.raises(DeviceError, match="no GPU here"):
            served.search(QUERIES, 10)


def test_a_copy_on_a_gpu_serves_what_is_left_of_the_index(fake: Fake) -> None:
    whole = Neighbours.build(LABELS, VECTORS).served_on("cuda")
    for step in (2, 3, 5):
        whole.only(np.arange(N) % step != 0).search(QUERIES, 10)
    assert fake.made == [("flat", 0)]


def test_a_graph_is_searched_on_a_gpu_with_cuvs(
    fake: Fake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    install_graphs(monkeypatch, fake)
    built = Neighbours.build(LABELS, VECTORS, Setting("CAGRA32"), "cuda")
    built.save(tmp_path / "vectors-1.faiss")
    served = Neighbours.load(tmp_path / "vectors-1.faiss").served_on("cuda")
    scores, labels = served.search(QUERIES, 10)
    assert fake.made == [("graph", 0), ("IndexHNSWCagra", 0)]
    assert (labels == _true(10)[1]).mean() > 0.95
    np.testing.assert_allclose(scores[:, 0], _true(10)[0][:, 0], atol=1e-6)
