import json

import numpy as np
import pytest

from semsearch.encoder import Encoder
from semsearch.errors import EncoderError, StorageError
from semsearch.whitening import fit
from tests.encoder.changes import add_module, copy_of

TEXTS = ["how to pay", "怎么退款", "", "🙂", "a long text about an order " * 30]


@pytest.fixture(scope="module")
def whitening(tiny_encoder):
    random = np.random.default_rng(0)
    words = ["pay", "card", "order", "refund", "bank", "how", "my", "when", "款", "退"]
    texts = [" ".join(random.choice(words, random.integers(2, 9))) for _ in range(400)]
    return fit(tiny_encoder.embed(texts), 16)


def plain_vectors(path):
    """What plain sentence-transformers makes of a saved directory; deprecations are its own."""
    sentence_transformers = pytest.importorskip("sentence_transformers")
    model = sentence_transformers.SentenceTransformer(str(path), device="cpu")
    return model.encode(TEXTS, show_progress_bar=False)


def assert_saved(encoder, path):
    """What was saved loads as the same encoder, here and in sentence-transformers."""
    loaded = Encoder.load(path)
    assert loaded.fingerprint == encoder.fingerprint
    assert (loaded.dim, loaded.pooling) == (encoder.dim, encoder.pooling)
    np.testing.assert_allclose(loaded.encode(TEXTS), encoder.encode(TEXTS), atol=1e-6)
    np.testing.assert_allclose(plain_vectors(path), encoder.encode(TEXTS), atol=1e-5)


@pytest.mark.parametrize("choices", [{}, {"pooling": "cls"}, {"max_length": 16}])
def test_a_saved_encoder_gives_the_same_vectors(tiny_encoder_dir, tmp_path, choices):
    encoder = Encoder.load(tiny_encoder_dir, **choices)
    encoder.save(tmp_path / "saved")
    assert_saved(encoder, tmp_path / "saved")


def test_a_whitened_encoder_needs_no_code_of_ours(tiny_encoder, whitening, tmp_path):
    encoder = tiny_encoder.whitened(whitening)
    encoder.save(tmp_path / "saved")
    assert_saved(encoder, tmp_path / "saved")
    modules = json.loads((tmp_path / "saved" / "modules.json").read_text())
    kinds = [entry["type"].rsplit(".", 1)[-1] for entry in modules]
    assert kinds == ["Transformer", "Pooling", "Dense", "Normalize"]
    assert [entry["idx"] for entry in modules] == [0, 1, 2, 3]


def test_whitening_equals_its_formula(tiny_encoder, whitening):
    expected = whitening(tiny_encoder.embed(TEXTS))
    found = tiny_encoder.whitened(whitening)
    np.testing.assert_allclose(found.embed(TEXTS), expected, atol=1e-4)
    norms = np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(found.encode(TEXTS), expected / norms, atol=1e-5)
    assert found.dim == 16
    assert tiny_encoder.dim == 32  # the encoder itself is as it was


def test_whitening_twice_and_saving_in_between(tiny_encoder, whitening, tmp_path):
    once = tiny_encoder.whitened(whitening)
    random = np.random.default_rng(1)
    second = fit(random.normal(size=(100, 16)).astype(np.float32), 4)
    twice = once.whitened(second)
    once.save(tmp_path / "once")
    reloaded = Encoder.load(tmp_path / "once").whitened(second)
    assert reloaded.fingerprint == twice.fingerprint
    twice.save(tmp_path / "twice")
    assert_saved(twice, tmp_path / "twice")


def test_a_whitening_of_another_width_is_refused(tiny_encoder, whitening):
    with pytest.raises(EncoderError, match="16 dimensions, the whitening 32"):
        tiny_encoder.whitened(whitening).whitened(whitening)


def test_a_plain_transformers_directory_becomes_a_complete_one(tiny_encoder_dir, tmp_path):
    path = copy_of(
        tiny_encoder_dir,
        tmp_path / "e",
        modules__json=None,
        config_sentence_transformers__json={
            "prompts": {"x": "not read"}, "default_prompt_name": "x"
        },
    )  # fmt: skip
    (path / "1_Pooling" / "config.json").unlink()
    encoder = Encoder.load(path, pooling="max")
    encoder.save(tmp_path / "saved")
    assert_saved(encoder, tmp_path / "saved")


def test_a_body_in_a_folder_of_its_own(tiny_encoder_dir, tmp_path):
    path = copy_of(tiny_encoder_dir, tmp_path / "e")
    (path / "0_Transformer").mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
                 "vocab.txt", "sentence_bert_config.json"):  # fmt: skip
        (path / name).rename(path / "0_Transformer" / name)
    entries = json.loads((path / "modules.json").read_text())
    entries[0]["path"] = "0_Transformer"
    (path / "modules.json").write_text(json.dumps(entries))
    encoder = Encoder.load(path, max_length=32)
    encoder.save(tmp_path / "saved")
    assert_saved(encoder, tmp_path / "saved")


def test_prompts_and_other_modules_are_kept(tiny_encoder_dir, tmp_path, whitening):
    path = copy_of(
        tiny_encoder_dir,
        tmp_path / "e",
        config_sentence_transformers__json={"prompts": {"query": "find "}},
    )
    random = np.random.default_rng(0)
    add_module(
        path,
        "3_Dense",
        "sentence_transformers.models.Dense",
        {"in_features": 32, "out_features": 32, "activation_function": "torch.nn.Tanh"},
        linear__weight=random.normal(size=(32, 32)).astype(np.float32),
        linear__bias=random.normal(size=32).astype(np.float32),
    )
    encoder = Encoder.load(path).whitened(whitening)
    encoder.save(tmp_path / "saved")
    assert_saved(encoder, tmp_path / "saved")
    np.testing.assert_allclose(
        Encoder.load(tmp_path / "saved").encode(["my order"], kind="query"),
        encoder.encode(["my order"], kind="query"),
        atol=1e-6,
    )


def test_half_precision_stays_half(tiny_fp16_dir, tmp_path):
    Encoder.load(tiny_fp16_dir).save(tmp_path / "saved")
    saved, source = (p / "model.safetensors" for p in (tmp_path / "saved", tiny_fp16_dir))
    assert saved.read_bytes() == source.read_bytes()


def test_pickles_and_other_formats_are_not_copied(tiny_encoder_dir, tmp_path):
    path = copy_of(tiny_encoder_dir, tmp_path / "e")
    for name in ("pytorch_model.bin", "tf_model.h5", "training_args.bin", "optimizer.pt"):
        (path / name).write_bytes(b"x")
    Encoder.load(path).save(tmp_path / "saved")
    names = {file.name for file in (tmp_path / "saved").iterdir()}
    assert not {name for name in names if name.endswith((".bin", ".h5", ".pt"))}
    assert "onnx" not in names


def test_an_onnx_body_beside_the_encoder_goes_along(tiny_encoder_dir, tmp_path):
    from semsearch.encoder import export
    from semsearch.encoder.config import read_layout

    path = copy_of(tiny_encoder_dir, tmp_path / "e")
    made = export.find_or_export(read_layout(tiny_encoder_dir))
    (path / "onnx").mkdir()
    for file in made.parent.iterdir():
        (path / "onnx" / file.name).write_bytes(file.read_bytes())
    encoder = Encoder.load(path)
    encoder.save(tmp_path / "saved")
    assert (tmp_path / "saved" / "onnx" / "model.onnx").is_file()
    np.testing.assert_array_equal(
        Encoder.load(tmp_path / "saved").encode(TEXTS), encoder.encode(TEXTS)
    )


def test_nothing_is_overwritten(tiny_encoder, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    (tmp_path / "file").touch()
    for name in ("full", "file"):
        with pytest.raises(EncoderError, match="already there"):
            tiny_encoder.save(tmp_path / name)
    (tmp_path / "empty").mkdir()
    tiny_encoder.save(tmp_path / "empty")
    assert (tmp_path / "empty" / "modules.json").is_file()


def test_what_fails_halfway_leaves_nothing(tiny_encoder, tmp_path, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(StorageError, match="No space left"):
        tiny_encoder.save(tmp_path / "saved")
    assert list(tmp_path.iterdir()) == []
