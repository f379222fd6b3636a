"""What a GPU helps to make, and what is said where there is none. The cards are fakes, but for
the last tests, which need one."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest

from semsearch.ann import Neighbours, Setting, cards, gpu, library, placing
from semsearch.ann.parameters import clusters_of
from semsearch.errors import DeviceError, FactoryError, SemsearchError
from tests.ann.fake_gpu import GIB, Fake, install, install_graphs, out_of_memory

N, DIM = 2_500, 32
LABELS = np.arange(N, dtype=np.int64) + (7 << 40)
HALVES = Setting("IVF16,PQ16x4fs,Refine(SQfp16)", "nprobe=16,k_factor_rf=20")
AUTO = Setting("IVF16,PQ16x4fs,Refine(SQ12)", "nprobe=16,k_factor_rf=25")


def _unit(n: int, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(n, DIM)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


VECTORS, QUERIES = _unit(N), _unit(50, seed=1)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    return install(monkeypatch, 4 * GIB, 8 * GIB)


def _recall(found: np.ndarray) -> float:
    exact = Neighbours.build(LABELS, VECTORS).search(QUERIES, 10)[1]
    return float((found[:, :, None] == exact[:, None, :]).any(1).mean())


@pytest.mark.parametrize(
    ("free", "options", "count", "says"),
    [
        ((), "OPTIMIZE GPU ", 0, "there is no GPU here that CUDA can use. Use --device cpu."),
        ((GIB,), "OPTIMIZE AVX2 ", 1, "pip install 'semsearch[gpu]'"),
        ((GIB,), "OPTIMIZE GPU ", 0, "Update the driver"),
    ],
)
def test_cuda_says_what_is_missing_and_auto_says_nothing(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    free: tuple[int, ...],
    options: str,
    count: int,
    says: str,
) -> None:
    install(monkeypatch, *free, options=options)
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: count)
    with pytest.raises(DeviceError) as error:
        library.require_gpu("cuda")
    assert says in str(error.value)
    library.require_gpu("auto")
    library.require_gpu("cpu")
    assert gpu.found("auto") is None and gpu.found("cpu") is None
    assert not caplog.text


def test_a_runtime_that_the_driver_is_too_old_for_is_not_handed_to_faiss(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def abort() -> int:
        raise AssertionError("FAISS would end the process here")

    monkeypatch.setattr(faiss, "get_num_gpus", abort)
    monkeypatch.setattr(cards, "runtime_accepts_driver", lambda: False)
    with pytest.raises(DeviceError, match="Update the driver"):
        gpu.require()


def test_a_card_that_another_process_has_for_itself_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    install(monkeypatch, 0, 0)
    with pytest.raises(DeviceError, match="another process"):
        gpu.find()
    assert gpu.found("auto") is None


def test_only_the_cards_that_faiss_sees_are_used(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 1)
    assert gpu.find() == placing.Gpus((4 * GIB,), graphs=False)
    install_graphs(monkeypatch, fake)
    assert gpu.find().graphs


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (
            RuntimeError("faiss-gpu installed but nvidia-cublas-cu12 is missing\nand more"),
            "faiss cannot be loaded: faiss-gpu installed but nvidia-cublas-cu12 is missing",
        ),
        (
            ImportError("libfaiss.so: undefined symbol: _ZTIN3rmm9bad_allocE"),
            "faiss cannot be loaded: libfaiss.so: undefined symbol: _ZTIN3rmm9bad_allocE",
        ),
        (
            ModuleNotFoundError("No module named 'faiss'", name="faiss"),
            "faiss is not installed. Run: pip install 'semsearch[cpu]'",
        ),
    ],
)
def test_a_faiss_that_cannot_be_loaded_is_one_line(
    monkeypatch: pytest.MonkeyPatch, error: Exception, says: str
) -> None:
    imported = builtins.__import__

    def broken(name: str, *arguments: Any, **others: Any) -> Any:
        if name == "faiss":
            raise error
        return imported(name, *arguments, **others)

    library.faiss.cache_clear()
    monkeypatch.setattr(builtins, "__import__", broken)
    try:
        with pytest.raises(SemsearchError) as caught:
            library.faiss()
        assert str(caught.value) == says
    finally:
        library.faiss.cache_clear()


@pytest.mark.parametrize("setting", [HALVES, AUTO])
def test_clusters_are_learnt_and_filled_on_the_card_with_the_most_room(
    fake: Fake, tmp_path: Path, setting: Setting
) -> None:
    built = Neighbours.build(LABELS, VECTORS, setting, "cuda")
    assert fake.made == [("IndexFlat", 1), ("IndexFlat", 1)]  # to learn, and to fill
    assert _recall(built.search(QUERIES, 10)[1]) > 0.97
    # What is left is the CPU's own index, and it is written and read as such.
    ivf = clusters_of(built._inner)
    assert type(faiss.downcast_index(ivf.quantizer)) is faiss.IndexFlat
    assert ivf.clustering_index is None and ivf.own_fields
    built.save(tmp_path / "vectors-1.faiss")
    again = Neighbours.load(tmp_path / "vectors-1.faiss")
    np.testing.assert_array_equal(again.search(QUERIES, 10)[1], built.search(QUERIES, 10)[1])


def test_codes_of_differences_are_made_by_the_cpu(fake: Fake) -> None:
    built = Neighbours.build(LABELS, VECTORS, Setting("IVF16,SQ8", "nprobe=16"), "cuda")
    assert fake.made == [("IndexFlat", 1)]  # to learn
    assert _recall(built.search(QUERIES, 10)[1]) > 0.9


@pytest.mark.parametrize("factory", ["Flat", "HNSW16_SQ8", "SQfp16"])
def test_what_has_no_clusters_is_made_by_the_cpu(fake: Fake, factory: str) -> None:
    assert len(Neighbours.build(LABELS, VECTORS, Setting(factory), "cuda")) == N
    assert not fake.made


def test_auto_leaves_little_work_to_the_cpu(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    Neighbours.build(LABELS, VECTORS, AUTO, "auto")
    assert not fake.made
    monkeypatch.setattr(placing, "pays_to_train", lambda n, dim, lists: True)
    Neighbours.build(LABELS, VECTORS, AUTO, "auto")
    assert fake.made


@pytest.mark.parametrize("refused", [1, 2])
def test_the_cpu_makes_what_a_gpu_has_no_memory_for(
    fake: Fake, caplog: pytest.LogCaptureFixture, refused: int
) -> None:
    calls = []

    def refuse(kind: str, card: int) -> None:
        calls.append(kind)
        if len(calls) == refused:
            raise out_of_memory()

    fake.refuse = refuse
    built = Neighbours.build(LABELS, VECTORS, AUTO, "cuda")
    assert len(built) == N and _recall(built.search(QUERIES, 10)[1]) > 0.97
    assert f"the GPU could not help to make {AUTO.factory} (out of memory)" in caplog.text


def test_the_cpu_makes_it_where_the_gpu_is_gone_meanwhile(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    install(monkeypatch, 0)
    assert len(Neighbours.build(LABELS, VECTORS, AUTO, "cuda")) == N
    assert "another process has it for itself" in caplog.text


def test_too_few_vectors_are_the_same_error_as_on_the_cpu(fake: Fake) -> None:
    with pytest.raises(FactoryError, match="too few for IVF16"):
        Neighbours.build(LABELS[:3], VECTORS[:3], AUTO, "cuda")


def test_a_graph_of_a_gpu_is_read_and_searched_by_a_cpu(
    fake: Fake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    install_graphs(monkeypatch, fake)
    Neighbours.build(LABELS, VECTORS, Setting("CAGRA32"), "cuda").save(tmp_path / "g.faiss")
    assert fake.made == [("graph", 1)]
    read = Neighbours.load(tmp_path / "g.faiss")
    inner = faiss.downcast_index(read._index.index)
    assert isinstance(inner, faiss.IndexHNSWCagra) and inner.base_level_only
    assert inner.hnsw.efSearch == 128
    np.testing.assert_array_equal(read.labels, LABELS)
    assert _recall(read.search(QUERIES, 10)[1]) > 0.95
    among = np.arange(N) % 2 == 0
    assert (read.only(among).search(QUERIES, 10)[1] % 2 == 0).all()


@pytest.mark.parametrize("device", ["cpu", "auto"])
def test_without_a_gpu_an_hnsw_graph_takes_the_place_of_a_gpus(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, device: Any
) -> None:
    monkeypatch.setattr(cards, "count", lambda: 0)
    built = Neighbours.build(LABELS, VECTORS, Setting("CAGRA32", "efSearch=200"), device)
    assert "an HNSW graph takes its place" in caplog.text
    inner = faiss.downcast_index(built._index.index)
    assert inner.hnsw.nb_neighbors(0) == 32 and inner.hnsw.efSearch == 200
    assert _recall(built.search(QUERIES, 10)[1]) > 0.97


@pytest.mark.parametrize(
    "factory", ["CAGRA1", "CAGRA33", "CAGRA9999", "CAGRA0", "CAGRA64x", "cagra", "CAGRA64,Flat"]
)
def test_other_words_about_graphs_are_refused(factory: str) -> None:
    with pytest.raises(FactoryError):
        Neighbours.build(LABELS, VECTORS, Setting(factory))


@pytest.mark.parametrize(
    ("error", "out", "said"),
    [
        (out_of_memory(), True, "out of memory"),
        (RuntimeError("std::bad_alloc: out_of_memory: CUDA error"), True, "out of memory"),
        (MemoryError("Unable to allocate 9 GiB"), True, "out of memory"),
        (RuntimeError("Error: 'x' failed: not implemented.\n"), False, "'x' failed: not implement"),
        (RuntimeError(""), False, "RuntimeError"),
        (RuntimeError("CUDA error 700"), False, "CUDA error 700"),
    ],
)
def test_failures_are_told_apart_and_named(error: Exception, out: bool, said: str) -> None:
    assert gpu.is_out_of_memory(error) == out
    assert gpu.reason(error).startswith(said)


def _real() -> placing.Gpus:
    try:
        return gpu.find()
    except SemsearchError as error:
        pytest.skip(str(error))


@pytest.mark.gpu
@pytest.mark.parametrize(
    "setting", [Setting("Flat"), HALVES, AUTO, Setting("IVF16,Flat", "nprobe=16")]
)
@pytest.mark.parametrize("share", [1.0, 0.5])
def test_a_real_gpu_finds_what_is_true(setting: Setting, share: float) -> None:
    _real()
    among = np.random.default_rng(5).random(N) < share
    served = Neighbours.build(LABELS, VECTORS, setting, "cuda").served_on("cuda").only(among)
    scores, labels = served.search(QUERIES, 10)
    true = np.where(among, QUERIES @ VECTORS.T, -np.inf)
    expected = np.sort(true, axis=1)[:, ::-1][:, :10]
    np.testing.assert_allclose(scores, expected, atol=1e-3)
    found = np.take_along_axis(true, labels - LABELS[0], 1)
    np.testing.assert_allclose(found, expected, atol=4e-4 if setting == AUTO else 1e-4)
    assert served._serving is not None and served._serving._resident is not None


@pytest.mark.gpu
def test_clusters_of_a_real_gpu_answer_as_those_of_the_cpu(tmp_path: Path) -> None:
    _real()
    built = Neighbours.build(LABELS, VECTORS, Setting("IVF16,SQ8", "nprobe=16"), "cuda")
    built.save(tmp_path / "vectors-1.faiss")
    expected = built.search(QUERIES, 10)
    found = Neighbours.load(tmp_path / "vectors-1.faiss").served_on("cuda").search(QUERIES, 10)
    np.testing.assert_allclose(found[0], expected[0], atol=1e-4)


@pytest.mark.gpu
def test_a_real_graph_is_read_by_the_cpu(tmp_path: Path) -> None:
    if not _real().graphs:
        pytest.skip("this faiss has no cuVS")
    Neighbours.build(LABELS, VECTORS, Setting("CAGRA32"), "cuda").save(tmp_path / "g.faiss")
    on_cpu = Neighbours.load(tmp_path / "g.faiss")
    assert _recall(on_cpu.search(QUERIES, 10)[1]) > 0.95
    assert _recall(on_cpu.served_on("cuda").search(QUERIES, 10)[1]) > 0.95


@pytest.mark.gpu
def test_a_real_card_says_what_is_free() -> None:
    assert all(free > 0 for free in _real().free)
