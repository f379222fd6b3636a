"""Pre-training from text to an encoder: what it learns, that it can be killed, what it refuses."""

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
from semsearch.training.pretraining import pretrain
from semsearch.training.pretraining_report import PretrainingReport
from semsearch.training.pretraining_settings import PretrainingSettings
from tests.training.backbones import build_backbone
from tests.training.corpus import made_chinese, made_corpus

torch = pytest.importorskip("torch")
pytest.importorskip("sentence_transformers")

TEXTS = made_corpus(400)


class Killed(Exception):  # noqa: N818
    """Stands for whatever ends a process."""


def settings(**others: Any) -> PretrainingSettings:
    tiny: dict[str, Any] = {
        "layers": 1,
        "width": 32,
        "heads": 2,
        "vocab_size": 150,
        "max_length": 32,
        "batch_tokens": 512,
        "steps": 30,
        "learning_rate": 3e-3,
        "precision": "float32",
    }
    return PretrainingSettings(**{**tiny, **others})


def run(out: Path, **others: Any) -> PretrainingReport:
    arguments = {
        name: others.pop(name)
        for name in ("resume", "progress", "dev", "save_seconds", "reading")
        if name in others
    }
    if "encoder" in others:  # whose shape is its own
        others = {"layers": None, "width": None, "heads": None, **others}
    return pretrain(others.pop("texts", TEXTS), out, settings(**others), device="cpu", **arguments)


def killing(step: int) -> Callable[[int, int, float], None]:
    def progress(done: int, total: int, loss: float) -> None:
        if done == step:
            raise Killed

    return progress


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.numpy import load_file

    return dict(load_file(folder / "model.safetensors"))


def largest_difference(one: Path, two: Path) -> float:
    a, b = weights(one), weights(two)
    assert a.keys() == b.keys()
    return max(float(np.abs(a[name] - b[name]).max()) for name in a)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, PretrainingReport]:
    out = tmp_path_factory.mktemp("pretrained") / "base"
    return out, run(out, steps=400, seed=3, vocab_size=250, texts=made_corpus(2_000))


def test_masked_words_are_guessed_better_afterwards(made: tuple[Path, PretrainingReport]) -> None:
    _, report = made
    assert report.before.loss == pytest.approx(np.log(250), abs=0.3)
    assert report.after.loss < report.before.loss - 2
    assert report.after.perplexity == pytest.approx(np.exp(report.after.loss))
    assert report.after.tokens == report.before.tokens > 10


def test_the_encoder_loads_everywhere_and_gives_one_result(
    made: tuple[Path, PretrainingReport],
) -> None:
    from sentence_transformers import SentenceTransformer

    texts = ["You can track the parcel.", "refund"]
    ours = Encoder.load(made[0], runtime="onnx")
    on_torch = Encoder.load(made[0], runtime="torch")
    theirs = SentenceTransformer(str(made[0]), device="cpu").encode(texts)
    theirs /= np.linalg.norm(theirs, axis=1, keepdims=True)
    assert (ours.pooling, ours.max_length, ours.dim) == ("mean", 32, 32)
    assert np.allclose(ours.encode(texts), theirs, atol=1e-4)
    assert np.allclose(on_torch.encode(texts), theirs, atol=1e-4)


def test_transformers_loads_it_with_the_head_and_it_knows_the_word(
    made: tuple[Path, PretrainingReport],
) -> None:
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    model, info = AutoModelForMaskedLM.from_pretrained(made[0], output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    tokenizer = AutoTokenizer.from_pretrained(made[0])
    batch = tokenizer("You can [MASK] the parcel at the counter.", return_tensors="pt")
    place = batch["input_ids"][0].tolist().index(tokenizer.mask_token_id)
    with torch.no_grad():
        guess = model.eval()(**batch).logits[0, place].argmax()
    assert tokenizer.decode(guess).strip() in {"track", "request", "reset", "download", "close",
        "reschedule", "cancel", "redeem"}  # fmt: skip


def test_the_report_says_how_it_came_about(made: tuple[Path, PretrainingReport]) -> None:
    out, report = made
    found = json.loads((out / "training.json").read_text(encoding="utf-8"))
    assert found == json.loads(json.dumps(report.to_dict()))
    assert found["objective"] == "mlm" and found["steps"] == 400
    assert found["settings"]["seed"] == 3 and found["settings"]["masking"] == "word"
    assert found["provenance"]["versions"]["transformers"]
    assert found["texts"] == 1980 and len(found["texts_sha256"]) == 64
    assert [step for step, _ in found["losses"]] == list(range(2, 401, 2))
    assert found["losses"][-1][1] < found["losses"][0][1]
    assert found["epochs"] == pytest.approx(400 * 480 / found["tokens"], rel=0.4)
    assert not (out.parent / "base.training").exists()


def test_the_model_card_says_what_it_is_and_what_it_is_not(
    made: tuple[Path, PretrainingReport],
) -> None:
    out, report = made
    card = (out / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\n") and "train it on" in card
    assert f"| {report.after.perplexity:,.1f} |" in card and report.texts_sha256 in card


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_two_runs_with_one_seed_are_identical(precision: str, tmp_path: Path) -> None:
    for name in ("one", "two"):
        run(tmp_path / name, steps=12, dropout=0.1, precision=precision)
    assert largest_difference(tmp_path / "one", tmp_path / "two") == 0


def test_another_seed_gives_other_weights(tmp_path: Path) -> None:
    run(tmp_path / "one", steps=3)
    run(tmp_path / "two", steps=3, seed=1)
    assert largest_difference(tmp_path / "one", tmp_path / "two") > 1e-3


@pytest.mark.parametrize("others", [{}, {"dropout": 0.1, "masking": "ngram"}])
@pytest.mark.parametrize("step", [2, 9, 23])
def test_a_run_that_was_killed_ends_with_the_weights_of_one_that_was_not(
    others: dict[str, Any], step: int, tmp_path: Path
) -> None:
    unbroken = run(tmp_path / "unbroken", **others)
    with pytest.raises(Killed):
        # A checkpoint at every step, so that there is one of the step before.
        run(tmp_path / "killed", progress=killing(step), save_seconds=0.0, **others)
    assert not (tmp_path / "killed").exists()
    seen: list[int] = []
    report = run(
        tmp_path / "killed", resume=True, progress=lambda done, *_: seen.append(done), **others
    )
    assert seen[0] == step
    assert largest_difference(tmp_path / "unbroken", tmp_path / "killed") <= 1e-5
    assert report.after.loss == pytest.approx(unbroken.after.loss, abs=1e-5)
    assert np.allclose(report.losses, unbroken.losses, atol=1e-5)


def test_a_run_survives_kill_dash_nine(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from tests.training.test_pretraining import run
run(Path(sys.argv[1]), steps=60, resume=sys.argv[2] == "resume", save_seconds=0.05,
    progress=lambda done, total, loss: print(done, flush=True))
"""
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}

    def start(out: Path, mode: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", code, str(out), mode],
            stdout=subprocess.PIPE, text=True, env=environment, cwd=root,
        )  # fmt: skip

    assert start(tmp_path / "unbroken", "new").communicate(timeout=300)[0].split()[-1] == "60"
    random = np.random.default_rng()
    step = int(random.integers(3, 55))
    with start(tmp_path / "killed", "new") as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= step:
                break
        time.sleep(float(random.random()) * 0.05)  # somewhere in a step or a checkpoint
        process.send_signal(signal.SIGKILL)
    again = start(tmp_path / "killed", "resume")
    assert again.communicate(timeout=300)[0].split()[-1] == "60"
    assert largest_difference(tmp_path / "unbroken", tmp_path / "killed") <= 1e-5


def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path: Path) -> None:
    from semsearch.training.attempts import Interrupted

    def press(done: int, total: int, loss: float) -> None:
        if done == 7:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted, match=r"Stopped at step [78] of 30\. Go on with --resume"):
        run(tmp_path / "stopped", progress=press)
    assert not (tmp_path / "stopped").exists()
    run(tmp_path / "unbroken")
    run(tmp_path / "stopped", resume=True)
    assert largest_difference(tmp_path / "unbroken", tmp_path / "stopped") <= 1e-5


def test_a_run_is_resumed_with_the_same_texts_and_settings_only(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        run(tmp_path / "out", progress=killing(3))
    with pytest.raises(EncoderError, match="not finished"):
        run(tmp_path / "out")
    with pytest.raises(DataError, match="other learning_rate"):
        run(tmp_path / "out", resume=True, learning_rate=1e-4)
    with pytest.raises(DataError, match="texts_sha256"):
        run(tmp_path / "out", resume=True, texts=TEXTS[:-1])


def test_pre_training_goes_on_from_an_encoder_and_its_vocabulary(
    tiny_encoder_dir: Path, tmp_path: Path
) -> None:
    report = run(tmp_path / "out", encoder=str(tiny_encoder_dir), vocab_size=None, steps=40)
    base, result = Encoder.load(tiny_encoder_dir), Encoder.load(tmp_path / "out")
    assert report.after.loss < report.before.loss - 0.5
    assert (tmp_path / "out" / "vocab.txt").exists() or (
        tmp_path / "out" / "tokenizer.json"
    ).exists()
    texts = ["track a parcel", "refund"]
    cosine = (base.encode(texts) * result.encode(texts)).sum(axis=1)
    assert (cosine < 0.9999).all()
    key = "embeddings.word_embeddings.weight"
    assert weights(tmp_path / "out")[f"bert.{key}"].shape == weights(tiny_encoder_dir)[key].shape


def test_an_encoder_may_get_a_vocabulary_of_the_texts(
    tiny_encoder_dir: Path, tmp_path: Path
) -> None:
    report = run(tmp_path / "out", encoder=str(tiny_encoder_dir), vocab_size=150, steps=30)
    assert report.vocabulary == 150
    assert report.after.loss < report.before.loss
    encoder = Encoder.load(tmp_path / "out")
    assert np.isfinite(encoder.encode(["refund"])).all()


@pytest.mark.parametrize("kind", ["roberta", "albert", "electra", "distilbert", "modernbert"])
def test_every_architecture_with_a_head_is_pre_trained_and_loads_again(
    kind: str, tiny_encoder_dir: Path, tmp_path: Path
) -> None:
    body = build_backbone(kind, tmp_path / "body", tiny_encoder_dir, layers=2)
    report = run(tmp_path / "out", encoder=str(body), vocab_size=None, steps=40, learning_rate=3e-3)
    assert report.after.loss < report.before.loss
    again = run(tmp_path / "again", encoder=str(tmp_path / "out"), vocab_size=None, steps=1, seed=0)
    assert again.before.loss == pytest.approx(report.after.loss, abs=1e-4)
    assert Encoder.load(tmp_path / "out").encode(["refund"]).shape == (1, 32)


def test_an_encoder_without_a_masked_language_model_is_refused(
    tiny_encoder_dir: Path, tmp_path: Path
) -> None:
    body = build_backbone("xlnet", tmp_path / "xlnet", tiny_encoder_dir, layers=1)
    with pytest.raises(EncoderError, match="no masked language model for xlnet"):
        run(tmp_path / "out", encoder=str(body), vocab_size=None)


def test_blocks_longer_than_an_encoder_reads_are_refused(
    tiny_encoder_dir: Path, tmp_path: Path
) -> None:
    with pytest.raises(EncoderError, match="reads 128 tokens at most, not 200"):
        run(
            tmp_path / "out",
            encoder=str(tiny_encoder_dir),
            vocab_size=None,
            max_length=200,
        )


def test_minutes_become_steps_of_this_machine(tmp_path: Path) -> None:
    began = time.monotonic()
    report = run(tmp_path / "out", steps=None, minutes=0.05)
    assert report.steps > 5
    assert time.monotonic() - began < 60
    assert json.loads((tmp_path / "out" / "training.json").read_text())["steps"] == report.steps


def test_without_a_budget_every_text_is_seen_once(tmp_path: Path) -> None:
    report = run(tmp_path / "out", steps=None)
    assert report.epochs == 1 and report.steps > 10


def test_held_out_texts_are_never_learnt_from(tmp_path: Path) -> None:
    report = run(tmp_path / "out", steps=1, texts=[*TEXTS, TEXTS[0], " "], dev=[TEXTS[5], TEXTS[5]])
    assert report.texts == len(TEXTS) - 1


def test_chinese_is_learnt_too(tmp_path: Path) -> None:
    report = run(tmp_path / "out", texts=made_chinese(300), steps=120, masking="ngram")
    assert report.after.loss < report.before.loss - 1
    assert Encoder.load(tmp_path / "out").encode(["退款"]).shape == (1, 32)


def test_a_learning_rate_that_breaks_the_weights_is_named(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match=r"the loss is .* at step .*lower learning rate"):
        run(tmp_path / "out", learning_rate=1e30, warmup=0.0)


def test_memory_that_runs_out_leads_to_smaller_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from semsearch.training.mlm import MaskedLoss

    plain = MaskedLoss.__call__

    def short_of_memory(self: Any, model: Any, batch: dict[str, Any]) -> Any:
        if model.training and len(batch["labels"]) > 9:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return plain(self, model, batch)

    monkeypatch.setattr(MaskedLoss, "__call__", short_of_memory)
    run(tmp_path / "parts", steps=8)
    assert "going on with a batch in" in caplog.text
    monkeypatch.undo()
    run(tmp_path / "whole", steps=8)
    assert largest_difference(tmp_path / "whole", tmp_path / "parts") <= 1e-5


def test_memory_that_never_does_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from semsearch.training.mlm import MaskedLoss

    plain = MaskedLoss.__call__

    def no_memory(self: Any, model: Any, batch: dict[str, Any]) -> Any:
        if model.training:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return plain(self, model, batch)

    monkeypatch.setattr(MaskedLoss, "__call__", no_memory)
    with pytest.raises(DataError, match="one block at a time"):
        run(tmp_path / "out")


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ({"steps": None, "epochs": 1.0, "minutes": 2.0}, "give one"),
        ({"steps": 0}, "steps must be above 0, not 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be above 0"),
        ({"width": 30, "heads": 4}, "width of 30 cannot be shared by 4 heads"),
        ({"encoder": "minilm"}, "those of the encoder: leave them out"),
        ({"masking": "letter"}, "unknown masking 'letter'"),
        ({"rate": 0.0}, "rate is a share of 1, not 0.0"),
        ({"rate": 1.0}, "rate is a share of 1, not 1.0"),
        ({"dropout": -0.1}, "dropout is a share of 1"),
        ({"max_length": 4}, "max_length must be 8 or more"),
        ({"max_length": 64, "batch_tokens": 50}, "50 tokens does not hold a block of 64"),
    ],
)
def test_settings_that_cannot_be_are_refused(others: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        settings(**others)


@pytest.mark.parametrize("texts", [[], ["one"], ["one", "one", " "]])
def test_too_few_texts_are_refused_before_anything_is_made(
    texts: list[str], tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="different texts are too few"):
        run(tmp_path / "out", texts=texts)
    assert not list(tmp_path.iterdir())


def test_a_directory_that_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    with pytest.raises(EncoderError, match="already there"):
        run(tmp_path / "out")


def test_a_text_of_a_hundred_thousand_characters_is_cut(tmp_path: Path) -> None:
    report = run(tmp_path / "out", texts=["refund " * 14_000, *TEXTS[:20]], steps=2)
    assert report.tokens > 14_000
