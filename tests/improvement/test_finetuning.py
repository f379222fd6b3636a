"""Improve an index through its encoder, with torch; served without it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from semsearch import Encoder, Index
from semsearch.encoder.quantize import quantize
from semsearch.improvement import finetuning, improve, judging, rollback
from semsearch.improvement.material import Lesson
from semsearch.training.examples import Examples
from semsearch.training.settings import Settings
from tests.improvement.conftest import make_bank
from tests.improvement.test_run import answers

pytest.importorskip("torch")
pytest.importorskip("sentence_transformers")


@pytest.fixture(scope="module")
def small_encoder_dir(tmp_path_factory: pytest.TempPathFactory, tiny_encoder_dir: Path) -> Path:
    """The tiny encoder with 8-bit weights, as the embedded one has them."""
    path = tmp_path_factory.mktemp("int8") / "encoder"
    texts = [text for question in make_bank() for text in question.texts]
    quantize(tiny_encoder_dir, path, texts=texts[:40], min_cosine=0.9)
    return path


@pytest.mark.parametrize("weights", ["float32", "int8"])
def test_a_trained_encoder_is_served_without_torch_and_rolled_back(
    tmp_path: Path, tiny_encoder_dir: Path, small_encoder_dir: Path, weights: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    encoder = {"float32": tiny_encoder_dir, "int8": small_encoder_dir}[weights]
    with Index.build(make_bank(), tmp_path / "faq", encoder=encoder) as index:
        before = answers(index)
        report = improve(index, steps=2)
        assert report.promoted and report.mode == "fine-tuning"
        assert report.settings is not None and report.settings["steps"] == 2
        after = answers(index)
        assert after != before and index.verify().ok
        assert index.info()["precision"] == weights
        moved = shutil.copytree(index.path, tmp_path / "moved")
        asked = (
            "import sys; sys.modules['torch'] = None\n"
            "from tests.improvement.test_run import answers\n"
            "from semsearch import Index\n"
            f"print(answers(Index.open({str(moved)!r})))"
        )
        monkeypatch.setenv("SEMSEARCH_CACHE", str(tmp_path / "empty"))
        done = subprocess.run(
            [sys.executable, "-c", asked], capture_output=True, text=True, check=False,
            cwd=Path(__file__).parents[2],
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == json.loads(after)
        rollback(index)
        assert answers(index) == before


@pytest.mark.slow
def test_two_runs_with_one_seed_give_one_encoder(tmp_path: Path, built: Path) -> None:
    found = []
    for name in ("one", "two"):
        with Index.open(shutil.copytree(built, tmp_path / name)) as index:
            assert improve(index, steps=2).promoted
            found.append(answers(index))
    assert found[0] == found[1]


def test_what_is_not_better_leaves_no_trace(
    tmp_path: Path, built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "verdict", lambda found: (False, "it is not wanted"))
    path = shutil.copytree(built, tmp_path / "faq")
    files = {file.name for file in path.iterdir()}
    with Index.open(path) as index:
        before = answers(index)
        report = improve(index, steps=1)
        assert not report.promoted and report.reason == "it is not wanted"
        assert answers(index) == before
        assert index.info()["improved"] is None
    assert {file.name for file in path.iterdir() if not file.name.endswith(("-shm", "-wal"))} == {
        name for name in files if not name.endswith(("-shm", "-wal"))
    }


def test_larger_banks_are_worth_more_steps_up_to_a_bound() -> None:
    assert finetuning.steps_for(10) == 20
    assert finetuning.steps_for(9600) == 300
    assert finetuning.steps_for(10**6) == finetuning.MOST_STEPS


def test_hard_negatives_are_mined_where_a_batch_holds_few_of_the_standard_questions(
    tmp_path: Path, tiny_encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, int]] = []

    def train(settings: Settings, examples: Examples, *_: object, **__: object) -> None:
        seen.append((examples.shape, settings.max_length or 0))
        raise StopIteration

    monkeypatch.setattr(finetuning, "train", train)
    monkeypatch.setattr(finetuning, "BATCH_SIZE", 8)
    for n in (8, 40):
        texts = tuple(f"{word} {number}?" for number in range(n) for word in ("order", "parcel"))
        lesson = Lesson(texts, np.arange(2 * n) // 2)
        with pytest.raises(StopIteration):
            finetuning.finetune(tiny_encoder, lesson, tmp_path / str(n), steps=5, seed=0)
    assert [shape for shape, _ in seen] == ["pairs", "triplets"]


def test_a_few_long_phrasings_do_not_set_the_length_of_a_batch(tiny_encoder: Encoder) -> None:
    usual, long = ["where is my order"] * 99, ["where is my order " * 20]
    short = finetuning._length_of(usual + long, tiny_encoder)
    assert short == finetuning._length_of(usual, tiny_encoder) < 32
    assert finetuning._length_of(long * 9, tiny_encoder) == min(64, tiny_encoder.max_length)
