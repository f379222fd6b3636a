from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semsearch.encoder import Encoder
from semsearch.errors import DataError, EncoderError
from semsearch.training.dev import dev_of
from semsearch.training.objectives import RECORDS, LossOptions, ObjectiveName
from semsearch.training.run import train
from semsearch.training.settings import Settings
from tests.training.made import made_examples

torch = pytest.importorskip("torch")
pytest.importorskip("sentence_transformers")

TEXTS = ["my card is lost", "refund of the order", "track a parcel"]


class Killed(Exception):  # noqa: N818
    """Stands for whatever ends a process."""


def settings(objective: ObjectiveName, encoder: Path, **others: Any) -> Settings:
    chosen: dict[str, Any] = {"epochs": 3, "batch_size": 8, "learning_rate": 1e-3, "checks": 5}
    return Settings(objective, str(encoder), **{**chosen, **others})


def killing(step: int) -> Callable[[int, int, float], None]:
    def progress(done: int, total: int, loss: float) -> None:
        if done == step:
            raise Killed

    return progress


def weights(encoder: Path) -> dict[str, Any]:
    from safetensors.numpy import load_file

    return dict(load_file(encoder / "model.safetensors"))


def largest_difference(one: Path, two: Path) -> float:
    a, b = weights(one), weights(two)
    assert a.keys() == b.keys()
    return max(float(np.abs(a[name] - b[name]).max()) for name in a)


@pytest.mark.parametrize(
    ("objective", "others"),
    [
        ("classification", {}),  # whose loss has weights of its own
        ("simcse", {}),  # which lives on random dropout
        ("regression", {"mini_batch": 3}),  # accumulates gradients
        ("contrastive", {"mini_batch": 4}),  # embeds its batch in parts
    ],
)
@pytest.mark.parametrize("step", [7, 26])
def test_a_run_that_was_killed_ends_with_the_weights_of_one_that_was_not(
    objective: ObjectiveName,
    others: dict[str, Any],
    step: int,
    tiny_encoder_dir: Path,
    tmp_path: Path,
) -> None:
    chosen = settings(objective, tiny_encoder_dir, **others)
    examples = made_examples(RECORDS[objective].shapes[0], 80)
    train(chosen, examples, tmp_path / "unbroken", device="cpu")
    with pytest.raises(Killed):
        train(chosen, examples, tmp_path / "killed", device="cpu", progress=killing(step))
    assert not (tmp_path / "killed").exists()
    report = train(chosen, examples, tmp_path / "killed", device="cpu", resume=True)
    assert report.steps == 30
    assert largest_difference(tmp_path / "unbroken", tmp_path / "killed") <= 1e-5
    assert not (tmp_path / "killed.training").exists()


def test_a_run_survives_kill_dash_nine(tiny_encoder_dir: Path, tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from semsearch.training.run import train
from tests.training.made import made_examples
from tests.training.test_run import settings
base, out, resume = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "resume"
chosen = settings("cosent", base, epochs=12, checks=20)
train(chosen, made_examples("scored", 80), out, device="cpu", resume=resume,
      progress=lambda done, total, loss: print(done, flush=True))
"""
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}

    def start(out: Path, mode: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", code, str(tiny_encoder_dir), str(out), mode],
            stdout=subprocess.PIPE, text=True, env=environment, cwd=root,
        )  # fmt: skip

    whole = start(tmp_path / "unbroken", "new")
    assert whole.communicate(timeout=300)[0].splitlines()[-1] == "120"
    step = int(np.random.default_rng().integers(5, 115))
    with start(tmp_path / "killed", "new") as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= step:
                break
        # Somewhere in the step, the check or the checkpoint that comes next.
        time.sleep(float(np.random.default_rng().random()) * 0.03)
        process.send_signal(signal.SIGKILL)
    assert not (tmp_path / "killed").exists()
    again = start(tmp_path / "killed", "resume")
    again.communicate(timeout=300)
    assert again.returncode == 0, f"killed near step {step}"
    assert largest_difference(tmp_path / "unbroken", tmp_path / "killed") <= 1e-5, step


def test_ctrl_c_keeps_a_checkpoint_to_go_on_from(tiny_encoder_dir: Path, tmp_path: Path) -> None:
    chosen = settings("cosent", tiny_encoder_dir)
    examples = made_examples("scored", 80)
    train(chosen, examples, tmp_path / "unbroken", device="cpu")

    handler = signal.getsignal(signal.SIGINT)

    def press(done: int, total: int, loss: float) -> None:
        if done == 8:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt, match=r"Stopped at step 9 of 30\. Go on with --resume"):
        train(chosen, examples, tmp_path / "stopped", device="cpu", progress=press)
    assert (tmp_path / "stopped.training" / "checkpoint-9").is_dir()
    assert signal.getsignal(signal.SIGINT) is handler
    train(chosen, examples, tmp_path / "stopped", device="cpu", resume=True)
    assert largest_difference(tmp_path / "unbroken", tmp_path / "stopped") <= 1e-5


def test_a_checkpoint_that_a_kill_left_half_written_is_passed_over(
    tiny_encoder_dir: Path, tmp_path: Path
) -> None:
    chosen = settings("cosent", tiny_encoder_dir)
    examples = made_examples("scored", 80)
    train(chosen, examples, tmp_path / "unbroken", device="cpu")
    with pytest.raises(Killed):
        train(chosen, examples, tmp_path / "killed", device="cpu", progress=killing(14))
    half = tmp_path / "killed.training" / "checkpoint-13"
    half.mkdir()
    (half / "model.safetensors").write_bytes(b"half of it")
    train(chosen, examples, tmp_path / "killed", device="cpu", resume=True)
    assert largest_difference(tmp_path / "unbroken", tmp_path / "killed") <= 1e-5


def test_one_seed_gives_one_encoder_and_two_seeds_give_two(
    tiny_encoder_dir: Path, tmp_path: Path
) -> None:
    examples = made_examples("sentences", 80)
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        chosen = settings("simcse", tiny_encoder_dir, seed=seed)
        train(chosen, examples, tmp_path / name, device="cpu")
    assert largest_difference(tmp_path / "a", tmp_path / "b") == 0
    assert largest_difference(tmp_path / "a", tmp_path / "c") > 1e-4


def test_the_report_says_what_was_done_and_what_came_of_it(
    tiny_encoder_dir: Path, tmp_path: Path
) -> None:
    examples = made_examples("scored", 100)
    dev = dev_of(examples.take(range(80, 100)))
    chosen = settings("regression", tiny_encoder_dir, dropout=0.3, precision="float32")
    report = train(
        chosen, examples.take(range(80)), tmp_path / "out", dev=dev, tests={"t.csv": dev},
        device="cpu",
    )  # fmt: skip
    saved = json.loads((tmp_path / "out" / "training.json").read_text(encoding="utf-8"))
    assert saved == json.loads(json.dumps(report.to_dict()))
    assert saved["settings"]["seed"] == 0 and saved["settings"]["dropout"] == 0.3
    assert saved["examples"]["sha256"] == examples.take(range(80)).sha256
    assert [step for step, _ in saved["scores"]] == [6, 12, 18, 24, 30]
    assert len(saved["losses"]) == 30
    best = max(saved["scores"], key=lambda score: score[1])
    assert saved["best_step"] == best[0]
    assert saved["gain"]["after"] == pytest.approx(best[1], abs=1e-3)
    assert saved["gain"]["low"] <= saved["gain"]["after"] - saved["gain"]["before"]
    assert saved["tests"][0]["measure"].startswith("t.csv: Spearman")
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert saved["examples"]["sha256"] in card and "| 20 |" in card
    config = json.loads((tmp_path / "out" / "config.json").read_text(encoding="utf-8"))
    assert config.get("hidden_dropout_prob", 0.1) == 0.1, "the dropout of training was saved"


def test_the_base_score_is_that_of_the_encoder_before(
    tiny_encoder_dir: Path, tmp_path: Path
) -> None:
    examples = made_examples("scored", 100)
    dev = dev_of(examples.take(range(60, 100)))
    base = Encoder.load(tiny_encoder_dir)
    expected = dev.score(dev.predict(lambda texts: base.encode(list(texts))))
    report = train(
        settings("cosent", tiny_encoder_dir, steps=2), examples, tmp_path / "out", dev=dev,
        device="cpu",
    )  # fmt: skip
    assert report.gain is not None
    assert report.gain.before == pytest.approx(expected, abs=0.01)
    after = Encoder.load(tmp_path / "out")
    found = dev.score(dev.predict(lambda texts: after.encode(list(texts))))
    assert report.gain.after == pytest.approx(found, abs=0.01)


def test_what_ruins_an_encoder_is_said_to_be_worse(tiny_encoder_dir: Path, tmp_path: Path) -> None:
    pairs = made_examples("pairs", 160)
    dev = dev_of(pairs.take(range(100, 160)))
    shuffled = made_examples("scored", 100)
    chosen = settings("regression", tiny_encoder_dir, learning_rate=0.5, checks=1, steps=20)
    report = train(chosen, shuffled, tmp_path / "out", dev=dev, device="cpu")
    assert report.gain is not None
    assert report.gain.before > 60
    assert report.gain.worse, str(report.gain)


def test_a_run_ends_early_when_the_dev_score_does_not_rise(
    tiny_encoder_dir: Path, tmp_path: Path
) -> None:
    pairs = made_examples("pairs", 160)
    dev = dev_of(pairs.take(range(100, 160)))
    chosen = settings(
        "regression", tiny_encoder_dir, learning_rate=0.5, steps=40, checks=10, patience=2
    )
    report = train(chosen, made_examples("scored", 100), tmp_path / "out", dev=dev, device="cpu")
    assert report.steps < 40
    assert len(report.scores) == report.steps // 4


@pytest.mark.parametrize("objective", ["regression", "contrastive"])
def test_when_memory_runs_out_less_goes_through_at_a_time(
    objective: ObjectiveName,
    tiny_encoder_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    from sentence_transformers import SentenceTransformer

    forward = SentenceTransformer.forward

    def small(self: Any, features: dict[str, Any], **options: Any) -> Any:
        # Both columns of a batch go through in one call.
        if self.training and len(features["input_ids"]) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return forward(self, features, **options)

    monkeypatch.setattr(SentenceTransformer, "forward", small)
    chosen = settings(objective, tiny_encoder_dir)
    examples = made_examples(RECORDS[objective].shapes[0], 80)
    report = train(chosen, examples, tmp_path / "out", device="cpu")
    assert report.lowered >= 1
    assert report.steps == 30, "a step still learns from the whole batch"
    assert "a step still learns from 8" in caplog.text
    assert (tmp_path / "out" / "model.safetensors").is_file()


def test_without_memory_for_one_example_the_run_says_so(
    tiny_encoder_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sentence_transformers import SentenceTransformer

    def never(self: Any, *_: Any, **__: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(SentenceTransformer, "forward", never)
    with pytest.raises(DataError, match="one example at a time"):
        train(
            settings("cosent", tiny_encoder_dir), made_examples("scored", 20), tmp_path / "out",
            device="cpu",
        )  # fmt: skip


def test_another_error_of_torch_is_not_taken_for_a_lack_of_memory(
    tiny_encoder_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sentence_transformers import SentenceTransformer

    def wrong(self: Any, *_: Any, **__: Any) -> Any:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(SentenceTransformer, "forward", wrong)
    with pytest.raises(RuntimeError, match="shapes"):
        train(
            settings("cosent", tiny_encoder_dir), made_examples("scored", 20), tmp_path / "out",
            device="cpu",
        )  # fmt: skip


def test_nothing_is_overwritten(tiny_encoder_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious").write_text("mine")
    with pytest.raises(EncoderError, match="already there"):
        train(settings("cosent", tiny_encoder_dir), made_examples("scored", 20), tmp_path / "out")
    assert (tmp_path / "out" / "precious").read_text() == "mine"


def test_a_run_is_resumed_only_when_asked_and_only_as_it_was(
    tiny_encoder_dir: Path, tmp_path: Path
) -> None:
    chosen, examples = settings("cosent", tiny_encoder_dir), made_examples("scored", 80)
    out = tmp_path / "out"
    with pytest.raises(DataError, match="no run to resume"):
        train(chosen, examples, out, device="cpu", resume=True)
    with pytest.raises(Killed):
        train(chosen, examples, out, device="cpu", progress=killing(8))
    with pytest.raises(EncoderError, match=r"not finished\. Go on with it"):
        train(chosen, examples, out, device="cpu")
    other = settings("cosent", tiny_encoder_dir, learning_rate=1e-4, seed=3)
    with pytest.raises(DataError, match="other learning_rate, seed"):
        train(other, examples, out, device="cpu", resume=True)
    with pytest.raises(DataError, match="other examples"):
        train(chosen, made_examples("scored", 80, seed=1), out, device="cpu", resume=True)


def test_simcse_without_dropout_is_refused(tiny_encoder_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match=r"--dropout 0\.1"):
        train(
            settings("simcse", tiny_encoder_dir, dropout=0.0), made_examples("sentences", 20),
            tmp_path / "out", device="cpu",
        )  # fmt: skip


@pytest.mark.parametrize(
    ("objective", "shape", "message"),
    [
        ("regression", "pairs", "learns from scored, not from pairs"),
        ("contrastive", "sentences", "learns from pairs or triplets, not from sentences"),
    ],
)
def test_examples_of_another_shape_are_refused(
    objective: ObjectiveName, shape: Any, message: str, tiny_encoder_dir: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=message):
        train(settings(objective, tiny_encoder_dir), made_examples(shape, 20), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_fewer_examples_than_a_batch_are_refused(tiny_encoder_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="5 scored do not fill a batch of 8"):
        train(settings("cosent", tiny_encoder_dir), made_examples("scored", 5), tmp_path / "out")


def test_matryoshka_is_trained_and_saved(tiny_encoder_dir: Path, tmp_path: Path) -> None:
    chosen = settings("contrastive", tiny_encoder_dir, steps=3, loss=LossOptions(dims=(16, 8)))
    train(chosen, made_examples("pairs", 40), tmp_path / "out", device="cpu")
    assert Encoder.load(tmp_path / "out").encode(TEXTS).shape == (3, 32)


@pytest.mark.gpu
def test_a_gpu_trains_in_half_precision(tiny_encoder_dir: Path, tmp_path: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip("torch sees no GPU")
    chosen = settings("contrastive", tiny_encoder_dir)
    report = train(chosen, made_examples("pairs", 80), tmp_path / "out", device="cuda")
    assert report.device == "cuda" and report.precision in ("bfloat16", "float16")
    assert np.isfinite(Encoder.load(tmp_path / "out").encode(TEXTS)).all()
