from __future__ import annotations

import errno
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from semsearch.ann import (
    EXACT,
    Neighbours,
    Setting,
    automatic,
    check,
    check_file,
    clusters,
    library,
    merge,
    neighbours,
    parameters,
)
from semsearch.errors import CorruptIndexError, FactoryError, MissingExtraError, StorageError


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
    neighbours = Neighbours.build(LABELS, vectors).without(LABELS[:10])
    _, labels = neighbours.search(vectors[:10], 100)
    assert not np.isin(labels, LABELS[:10]).any()
    assert (labels[:, 90:] == -1).all()  # padded, not repeated


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.97, 1.0])
def test_only_what_is_among_the_chosen_is_found_and_all_of_it(share: float) -> None:
    vectors, queries = _unit(100), _unit(9, seed=1)
    among = np.random.default_rng(2).random(100) < share
    scores, labels = Neighbours.build(LABELS, vectors).only(among).search(queries, 60)
    expected = np.where(among, queries @ vectors.T, -np.inf)
    order = np.argsort(-expected, axis=1, kind="stable")[:, :60]
    expected = np.take_along_axis(expected, order, 1)
    np.testing.assert_allclose(scores, expected, atol=1e-6)
    np.testing.assert_array_equal(labels, np.where(np.isinf(expected), -1, LABELS[order]))


@pytest.mark.parametrize("factory", ["Flat", "HNSW8", "PCA4,Flat"])
def test_a_choice_holds_for_other_factories(factory: str, tmp_path: Path) -> None:
    built = Neighbours.build(LABELS, _unit(100), Setting(factory))
    size, crc = built.save(tmp_path / "vectors-1.faiss")
    among = np.arange(100) % 3 == 0
    check_file(tmp_path / "vectors-1.faiss", size, crc)
    for found in (built, Neighbours.load(tmp_path / "vectors-1.faiss")):
        _, labels = found.only(among).search(_unit(9, seed=1), 10)
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
    check_file(path, *Neighbours.build(LABELS, vectors).save(path))
    again = Neighbours.load(path)
    np.testing.assert_array_equal(again.labels, LABELS)
    np.testing.assert_array_equal(again.vectors(), vectors)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_saving_holds_no_second_copy_and_counts_what_it_wrote(tmp_path: Path) -> None:
    pytest.importorskip("resource", reason="says how much memory was used; not on Windows")
    code = (
        "import resource, sys\nimport numpy as np\nfrom pathlib import Path\n"
        "from semsearch.ann import Neighbours\n"
        "vectors = np.ones((250_000, 128), np.float32)\n"
        "made = Neighbours.build(np.arange(len(vectors)), vectors)\n"
        "def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024\n"
        "before, path = peak(), Path(sys.argv[1])\n"
        "size, _ = made.save(path)\n"
        "assert size == path.stat().st_size == made.size_bytes\n"
        "assert peak() - before < size / 4, (before, peak())"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "vectors.faiss")], check=True)


def test_a_disk_that_is_full_is_one_line_and_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Neighbours.build(LABELS, _unit(100))
    made.save(tmp_path / "vectors.faiss")
    before = (tmp_path / "vectors.faiss").read_bytes()

    def crc32(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("semsearch.ann.pieces.zlib.crc32", crc32)
    with pytest.raises(StorageError, match="No space left on device"):
        made.save(tmp_path / "vectors.faiss")
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [before]


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
        check_file(path, size, crc)


def test_merge_gives_the_best_of_both_and_breaks_ties_by_label() -> None:
    one = (np.array([[0.9, 0.5]], np.float32), np.array([[4, 2]]))
    two = (np.array([[0.9, 0.7]], np.float32), np.array([[3, 1]]))
    scores, labels = merge([one, two], 3)
    assert labels.tolist() == [[3, 4, 1]]
    np.testing.assert_allclose(scores, [[0.9, 0.9, 0.7]])


SETTINGS = [
    "Flat",
    "SQ8",
    "HNSW16_SQ8 efSearch=64",
    "HNSW16_SQ8,RFlat efSearch=64,k_factor_rf=4",
    "PCA8,HNSW16_SQ8,RFlat efSearch=100,k_factor_rf=20",
    "IVF8,SQ8 nprobe=6",
    "IVF8,PQ8x4fs,Refine(SQfp16) nprobe=6,k_factor_rf=8",
    "IVF8,PQ8x4fs,Refine(SQ12) nprobe=6,k_factor_rf=8",
    "PCAR8,IVF8,PQ4x4fs,Refine(SQ12) nprobe=6,k_factor_rf=20",
    "RR16,IVF8,PQ8x4fs,Refine(SQ12) nprobe=6,k_factor_rf=8",
]


@pytest.fixture(scope="module", params=SETTINGS)
def indexed(request: pytest.FixtureRequest) -> Neighbours:
    return Neighbours.build(MANY, _unit(len(MANY), 16), Setting.parse(request.param))


MANY = np.arange(600, dtype=np.int64) * 3 + (7 << 40)


def test_every_setting_finds_most_of_what_is_nearest(indexed: Neighbours) -> None:
    queries = _unit(20, 16, seed=1)
    nearest = MANY[np.argsort(-(queries @ _unit(600, 16).T), axis=1)[:, :10]]
    _, labels = indexed.search(queries, 10)
    recall = (labels[:, :, None] == nearest[:, None, :]).any(axis=2).mean()
    assert recall > 0.8
    one = np.concatenate([indexed.search(queries[i : i + 1], 10)[1] for i in range(20)])
    np.testing.assert_array_equal(np.sort(one), np.sort(labels))


def test_every_setting_leaves_out_what_is_hidden_and_finds_all_else(indexed: Neighbours) -> None:
    queries = _unit(20, 16, seed=1)
    hidden = MANY[np.argsort(-(queries @ _unit(600, 16).T), axis=1)[:, :5].ravel()]
    _, labels = indexed.without(hidden).search(queries, 600)
    rest = np.setdiff1d(MANY, hidden)
    for row in labels:
        np.testing.assert_array_equal(np.sort(row[row >= 0]), rest)
    assert np.isin(MANY[:3], indexed.search(_unit(600, 16)[:3], 600)[1]).all()  # not changed


def test_what_is_hidden_makes_room_for_the_next_best() -> None:
    vectors, queries = _unit(100), _unit(9, seed=1)
    order = np.argsort(-(queries @ vectors.T), axis=1)
    hidden = LABELS[np.unique(order[:, :4])]
    less = Neighbours.build(LABELS, vectors).without(hidden)
    expected = [[label for label in LABELS[row] if label not in hidden][:10] for row in order]
    assert less.search(queries, 10)[1].tolist() == expected
    assert [less.search(query[None], 10)[1][0].tolist() for query in queries] == expected


def test_few_queries_do_without_blas_and_many_take_it() -> None:
    made, faiss = Neighbours.build(LABELS, _unit(100)), library.faiss()
    for n, without in ((1, True), (3, True), (4, False), (64, False), (1, True)):
        made.search(_unit(n, seed=1), 3)
        # FAISS compares it with queries times dimensions.
        assert (faiss.cvar.distance_compute_blas_threshold > n * 10**6) is without


def test_one_query_alone_finds_among_many_codes_what_it_finds_beside_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    setting = Setting.parse("RR16,IVF8,PQ8x4fs,Refine(SQ12) nprobe=6,k_factor_rf=8")
    made, queries = Neighbours.build(MANY, _unit(len(MANY), 16), setting), _unit(20, 16, seed=1)
    ways = set()
    for some in (made, made.without(MANY[::3])):
        expected = [some.search(queries[i : i + 1], 10) for i in range(20)]
        ways.add(parameters.clusters_of(made._inner).implem)
        with monkeypatch.context() as context:
            context.setattr(parameters, "_UNCACHED", 0)
            for i in range(20):
                for one, other in zip(
                    some.search(queries[i : i + 1], 10), expected[i], strict=True
                ):
                    np.testing.assert_array_equal(one, other)
            ways.add(parameters.clusters_of(made._inner).implem)
        _, together = some.search(queries, 10)
        np.testing.assert_array_equal(together, np.concatenate([labels for _, labels in expected]))
        assert parameters.clusters_of(made._inner).implem == 0
    assert ways == {0, 10}


@pytest.mark.parametrize(("setting", "threaded"), [("Flat", False), (SETTINGS[-1], True)])
def test_fewer_queries_are_worth_threads_among_clusters(setting: str, threaded: bool) -> None:
    if library.all_threads() < 2:
        pytest.skip("one core")
    made, faiss = Neighbours.build(MANY, _unit(600, 16), Setting.parse(setting)), library.faiss()
    for n, expected in ((7, False), (8, threaded), (32, True), (1, False)):
        made.search(_unit(n, 16, seed=1), 3)
        assert (faiss.omp_get_max_threads() > 1) is expected


def test_what_is_hidden_need_not_be_there() -> None:
    none = Neighbours.build(LABELS, _unit(100)).without(np.array([5]))
    _, labels = none.search(_unit(3, seed=1), 120)
    assert all(len(set(row[row >= 0])) == 100 for row in labels)


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_mapped_file_answers_as_one_that_was_read(
    setting: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, queries = tmp_path / "vectors-1.faiss", _unit(5, 16, seed=1)
    Neighbours.build(MANY, _unit(len(MANY), 16), Setting.parse(setting)).save(path)
    read = Neighbours.load(path)
    monkeypatch.setattr(neighbours, "_MAPPED_FROM", 0)
    mapped = Neighbours.load(path)
    path.unlink()
    for m in (queries, queries[:1]):
        for one, other in zip(read.search(m, 9), mapped.search(m, 9), strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_refined_index_keeps_vectors_and_scores_as_they_are() -> None:
    vectors, queries = _unit(600, 16), _unit(5, 16, seed=1)
    exact = Neighbours.build(MANY, vectors, Setting.parse("HNSW16_SQ8,RFlat k_factor_rf=4"))
    assert exact.keeps_vectors and not exact.exact
    np.testing.assert_array_equal(exact.vectors(), vectors)
    scores, labels = exact.search(queries, 9)
    true = (queries[:, None] * vectors[(labels - (7 << 40)) // 3]).sum(axis=2)
    np.testing.assert_allclose(scores, true, atol=1e-6)
    assert not Neighbours.build(MANY, vectors, Setting("SQ8")).keeps_vectors


@pytest.mark.parametrize("refinement", [",Refine(SQfp16)", ",Refine(SQ12)"])
def test_vectors_kept_in_fewer_bits_differ_by_no_more_than_they_say(refinement: str) -> None:
    vectors, queries = _unit(600, 16), _unit(5, 16, seed=1)
    fewer = Neighbours.build(MANY, vectors, clusters(len(vectors), 8, 16, refinement, 8))
    assert fewer.keeps_vectors and not fewer.exact
    assert 0 < np.abs(fewer.vectors() - vectors).max() <= fewer.rounding < 4e-4
    some = np.arange(600) % 7 == 0
    np.testing.assert_array_equal(fewer.vectors(some), fewer.vectors()[some])
    scores, labels = fewer.search(queries, 9)
    true = (queries[:, None] * vectors[(labels - (7 << 40)) // 3]).sum(axis=2)
    np.testing.assert_allclose(scores, true, atol=1e-3)
    assert Neighbours.build(MANY, vectors).rounding == 0


@pytest.mark.parametrize("setting", ["Flat", "PCA8,HNSW16_SQ8,RFlat", SETTINGS[-1]])
def test_every_vector_in_ranges_of_labels_is_scored(setting: str) -> None:
    vectors, (query,) = _unit(600, 16), _unit(1, 16, seed=1)
    mixed = np.random.default_rng(3).permutation(MANY)
    made = Neighbours.build(mixed, vectors, Setting.parse(setting))
    gone = np.sort(MANY)[[5, 100]]
    first, last = np.sort(MANY)[[3, 90, 200]], np.sort(MANY)[[9, 91, 300]]
    inside = [(label >= first) & (label < last) for label in mixed]
    right = np.any(inside, axis=1) & ~np.isin(mixed, gone)
    scores, labels = made.without(gone).scores(query, first, last)
    assert right.sum() == 6 + 1 + 100 - 1  # of the two that are gone one was in no range
    np.testing.assert_array_equal(np.sort(labels), np.sort(mixed[right]))
    at = {label: row for row, label in enumerate(mixed.tolist())}
    true = vectors[[at[label] for label in labels.tolist()]] @ query
    np.testing.assert_allclose(scores, true, atol=1e-3)
    for found in made.scores(query, first[:0], last[:0]):
        assert found.shape == (0,)


def test_dimensions_that_vary_unevenly_lose_few_neighbours_to_codes_of_one_length() -> None:
    spread = np.repeat(1 / np.arange(1, 17) ** 0.75, 2)  # those of one code alike
    vectors = np.random.default_rng(0).normal(size=(4200, 32)) * spread
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    vectors, queries = vectors[:4000], vectors[4000:]
    nearest = np.argsort(-(queries @ vectors.T), axis=1)[:, :10]
    setting = clusters(4000, 8, 32, ",RFlat", 8)
    recall = []
    for factory in (setting.factory, setting.factory.removeprefix("RR32,")):
        made = Neighbours.build(np.arange(4000), vectors, Setting(factory, setting.parameters))
        _, labels = made.search(queries, 10)
        recall.append((labels[:, :, None] == nearest[:, None, :]).any(axis=2).mean())
    assert recall[0] > recall[1] + 0.2


def test_a_number_that_is_the_same_in_every_vector_is_kept_in_12_bits() -> None:
    vectors = _unit(600, 16)
    vectors[:, 3] = 0.25
    fewer = Neighbours.build(MANY, vectors, clusters(len(vectors), 8, 16, ",Refine(SQ12)", 8))
    np.testing.assert_allclose(fewer.vectors()[:, 3], 0.25, atol=1e-6)
    assert np.abs(fewer.vectors() - vectors).max() <= fewer.rounding


def test_12_bits_take_three_quarters_of_16() -> None:
    labels, vectors = np.arange(6000), _unit(6000, 16)
    sizes = [
        Neighbours.build(labels, vectors, Setting(f"PQ8x4,Refine(SQ{bits})")).size_bytes
        for bits in ("fp16", "12")
    ]
    assert sizes[0] - sizes[1] == pytest.approx(6000 * 16 / 2, rel=0.1)


def test_a_setting_is_read_back_as_it_is_written() -> None:
    for text in SETTINGS:
        assert str(Setting.parse(text)) == text
    assert Setting.parse("IVF8,SQ8  nprobe=6, k_factor_rf=2").parameters == "nprobe=6,k_factor_rf=2"


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("Nonsense", "could not parse"),
        ("HNSW32 nprobe=3", "could not set parameter nprobe"),
        ("PQ7", "multiple of the number of subquantizers"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(setting: str, says: str) -> None:
    with pytest.raises(FactoryError, match=says):
        check(Setting.parse(setting), 16)


def test_too_few_vectors_are_said_to_be() -> None:
    with pytest.raises(FactoryError, match="100 vectors are too few for IVF200,Flat"):
        Neighbours.build(LABELS, _unit(100), Setting("IVF200,Flat"))


def test_every_vector_is_searched_until_a_graph_pays() -> None:
    assert automatic(50_000, 256) == EXACT
    assert automatic(20_000, 1024) != EXACT
    for dim in (256, 384, 258, 255, 7):
        check(automatic(10_000_000, dim), dim)


def test_faiss_is_imported_beside_other_work_and_its_absence_is_said_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked, missing = threading.Event(), MissingExtraError("faiss", "cpu")

    def absent() -> None:
        asked.set()
        raise missing

    monkeypatch.setattr(library, "faiss", absent)
    library.preload()  # an exception that nobody catches there fails a test
    for thread in threading.enumerate():
        if thread.name == "faiss":
            thread.join()
    assert asked.is_set()
    with pytest.raises(MissingExtraError):
        library.require_faiss()
