"""An index on a GPU answers as on the CPU, is read by machines without one, and never fails late.

The GPUs are fakes: see tests/ann/fake_gpu.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semsearch import Index, StandardQuestion
from semsearch.ann import placing
from semsearch.errors import DeviceError, EncoderError
from semsearch.recipe import Recipe
from semsearch.tuning import tune
from tests.ann.fake_gpu import GIB, Fake, install, out_of_memory

WORDS = ["card", "cash", "code", "order", "parcel", "password", "phone", "refund", "return"]
WORDS += ["shop", "track", "transfer"]
BANK = [
    StandardQuestion(
        f"{a}-{b}",
        f"where is my {a} {b}",
        f"Answer {a} {b}.",
        (f"{a} and {b}", f"help with {b} for {a}"),
        {"shop": "de" if (i + j) % 3 else "fr", "n": i * len(WORDS) + j},
    )
    for i, a in enumerate(WORDS)
    for j, b in enumerate(WORDS)
]
ASKED = ["lost my card and cash", "parcel order", "the code for the phone", "password"]
CPU: dict[str, Any] = {"runtime": "onnx", "device": "cpu"}
GPU: dict[str, Any] = {"runtime": "onnx", "device": "cuda"}
"""The encoder on the CPU, all else on the GPU."""


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    return install(monkeypatch, 8 * GIB)


@pytest.fixture
def path(tmp_path: Path, tiny_encoder_dir: Path) -> Path:
    Index.build(BANK, tmp_path / "faq", encoder=tiny_encoder_dir, **CPU).close()
    return tmp_path / "faq"


def _answers(path: Path, where: str | None = None, **how: Any) -> list[Any]:
    with Index.open(path, **how) as index:
        results = index.search(ASKED, 5, where=where)
    return [
        [(hit.key, hit.phrasing, round(hit.score, 5)) for hit in result.hits] for result in results
    ]


@pytest.mark.parametrize("where", [None, "shop = 'de'", "n < 9", "n < 0"])
def test_answers_are_those_of_the_cpu(path: Path, fake: Fake, where: str | None) -> None:
    expected = _answers(path, where, **CPU)
    assert not fake.made
    assert _answers(path, where, **GPU) == expected
    # Few rows that pass are copied and searched alone.
    assert bool(fake.searched) == (where is None)


def test_what_is_newer_than_the_snapshot_is_found_and_what_is_gone_is_not(
    path: Path, fake: Fake
) -> None:
    with Index.open(path, **GPU) as index:
        index.search(ASKED)
        index.add([StandardQuestion("new", "lost my card and cash", "Call us.")])
        index.remove(["card-cash"])
        hits = index.search(ASKED, 5)[0].hits
        assert hits[0].key == "new" and "card-cash" not in {hit.key for hit in hits}
        assert fake.made == [("flat", 0)]  # the snapshot is still the same one
    assert _answers(path, **GPU) == _answers(path, **CPU)


def test_an_open_index_keeps_its_copy_on_the_card(path: Path, fake: Fake) -> None:
    with Index.open(path, **GPU) as index:
        for _ in range(3):
            index.search(ASKED)
    assert fake.made == [("flat", 0)]


def test_opening_alone_moves_nothing(path: Path, fake: Fake) -> None:
    with Index.open(path, **GPU) as index:
        index.info()
    assert not fake.made


def test_without_a_snapshot_the_rows_are_searched_on_the_card(path: Path, fake: Fake) -> None:
    expected = _answers(path, **CPU)
    next(path.glob("vectors-*")).unlink()
    assert _answers(path, **GPU) == expected
    assert fake.made == [("flat", 0)]


def test_an_index_that_a_gpu_made_answers_without_one(
    tmp_path: Path, tiny_encoder_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    factory = "RR32,IVF8,PQ16x4fs,Refine(SQ12) nprobe=8,k_factor_rf=8"
    with monkeypatch.context() as patch:
        fake = install(patch, 8 * GIB)
        with Index.build(
            BANK, tmp_path / "a", encoder=tiny_encoder_dir, factory=factory, **GPU
        ) as index:
            assert fake.made == [("IndexFlat", 0), ("IndexFlat", 0)]
            index.compact()
            assert len(fake.made) == 4
    Index.build(BANK, tmp_path / "b", encoder=tiny_encoder_dir, factory="Flat", **CPU).close()
    on_cpu, exact = _answers(tmp_path / "a", **CPU), _answers(tmp_path / "b", **CPU)
    assert [hits[0][0] for hits in on_cpu] == [hits[0][0] for hits in exact]
    with Index.open(tmp_path / "a") as index:
        assert index.verify().ok


def test_a_card_without_memory_leaves_a_whole_index(
    tmp_path: Path, tiny_encoder_dir: Path, fake: Fake, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(kind: str, card: int) -> None:
        raise out_of_memory()

    fake.refuse = refuse
    factory = "IVF8,Flat nprobe=8"
    with Index.build(
        BANK, tmp_path / "a", encoder=tiny_encoder_dir, factory=factory, **GPU
    ) as index:
        assert index.search("where is my card cash")[0].hits[0].key == "card-cash"
        assert index.verify().ok
    assert caplog.text.count("out of memory") >= 2


@pytest.mark.parametrize("how", ["open", "build", "tune"])
def test_cuda_without_a_gpu_is_refused_before_any_work(
    path: Path, monkeypatch: pytest.MonkeyPatch, how: str, tmp_path: Path
) -> None:
    install(monkeypatch)
    with pytest.raises(DeviceError, match="no GPU here"):
        if how == "open":
            Index.open(path, **GPU)
        elif how == "build":
            Index.build(BANK, tmp_path / "new", **GPU)
        else:
            tune(path, **GPU)
    assert not (tmp_path / "new").exists()


def test_auto_without_a_gpu_is_the_cpu(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)
    assert _answers(path, runtime="onnx", device="auto") == _answers(path, **CPU)


def test_auto_takes_a_gpu_once_the_cpu_has_had_enough_to_do(
    path: Path, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = _answers(path, **CPU)
    assert _answers(path, runtime="onnx", device="auto") == expected
    assert not fake.made
    monkeypatch.setattr(placing, "moving_seconds", lambda n, dim: 0.0)
    with Index.open(path, runtime="onnx", device="auto") as index:
        first, second = index.search(ASKED, 5), index.search(ASKED, 5)
    assert fake.made == [("flat", 0)]
    assert [r.hits[0].key for r in first] == [r.hits[0].key for r in second]


def test_tuning_finds_true_neighbours_on_the_card_and_measures_the_cpu(
    path: Path, fake: Fake
) -> None:
    factories = ["IVF8,Flat nprobe=8"]
    report = tune(path, recall=0.5, k=3, factories=factories, dry_run=True, **GPU)
    assert report.chosen is not None and report.chosen.recall > 0.9
    kinds = [kind for kind, _ in fake.made]
    assert kinds == ["flat", "IndexFlat", "IndexFlat"]  # the truth; to learn, and to fill


def test_an_encoder_that_torch_cannot_run_encodes_on_the_cpu(tiny_encoder_dir: Path) -> None:
    assert Recipe(device="cuda").encoder_device("embedded") == "cpu"
    assert Recipe(device="cuda").encoder_device(tiny_encoder_dir) == "cuda"
    assert Recipe(device="cuda", runtime="openvino").encoder_device(tiny_encoder_dir) == "cpu"
    assert Recipe(device="auto").encoder_device("embedded") == "cpu"
    # Who asks for torch by name hears why it cannot be.
    assert Recipe(device="cuda", runtime="torch").encoder_device("embedded") == "cuda"


@pytest.mark.parametrize("device", ["cuda", "auto"])
def test_a_whitened_index_is_encoded_in_full_on_a_gpu(
    tiny_encoder_dir: Path, monkeypatch: pytest.MonkeyPatch, device: Any
) -> None:
    monkeypatch.setattr("semsearch.encoder.torch_model.has_cuda", lambda: True)
    recipe = Recipe(device=device)
    assert recipe.encoder_precision(tiny_encoder_dir, whitened=True) == "float32"
    assert recipe.encoder_precision(tiny_encoder_dir, whitened=False) == "auto"
    # Where it runs on the CPU, or another precision was asked for, that is as ever.
    assert recipe.encoder_precision("embedded", whitened=True) == "auto"
    asked = Recipe(device=device, precision="bfloat16")
    assert asked.encoder_precision(tiny_encoder_dir, whitened=True) == "bfloat16"
    assert Recipe(device="auto", precision="int8").encoder_device(tiny_encoder_dir) == "cpu"
    monkeypatch.setattr("semsearch.encoder.torch_model.has_cuda", lambda: False)
    assert Recipe(device="auto").encoder_precision(tiny_encoder_dir, whitened=True) == "auto"


def test_a_gpu_that_torch_does_not_see_is_an_error_where_torch_should_encode(
    path: Path, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("sentence_transformers")
    monkeypatch.setattr("semsearch.encoder.torch_model.has_cuda", lambda: False)
    with (
        Index.open(path, device="cuda") as index,
        pytest.raises(EncoderError, match="torch sees no GPU here"),
    ):
        index.search(ASKED)


@pytest.mark.gpu
def test_a_real_gpu_answers_as_the_cpu(path: Path) -> None:
    try:
        index = Index.open(path, **GPU)
    except DeviceError as error:
        pytest.skip(str(error))
    index.close()
    expected = _answers(path, **CPU)
    found = _answers(path, **GPU)
    for ours, theirs in zip(found, expected, strict=True):
        assert [hit[0] for hit in ours] == [hit[0] for hit in theirs]
        np.testing.assert_allclose([hit[2] for hit in ours], [hit[2] for hit in theirs], atol=1e-4)
