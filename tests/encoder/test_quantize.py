import json
import subprocess
import sys

import numpy as np
import pytest

from semsearch.encoder import Encoder
from semsearch.encoder.quantize import TEXTS, quantize
from semsearch.errors import EncoderError, MissingExtraError
from semsearch.whitening import fit
from tests.encoder.changes import copy_of

onnx = pytest.importorskip("onnx")
pytest.importorskip("torch")

LONG = "a long text about an order " * 40


@pytest.fixture(scope="module")
def made(tiny_encoder_dir, tmp_path_factory):
    """What became of the tiny encoder."""
    return quantize(tiny_encoder_dir, tmp_path_factory.mktemp("quantized") / "encoder")


@pytest.fixture(scope="module")
def small_dir(made):
    return made.path


def cosines(one, other, texts=TEXTS):
    return (one.encode(texts) * other.encode(texts)).sum(axis=1)


def test_the_vectors_stay_close_and_their_distance_is_reported(made, tiny_encoder):
    found = cosines(tiny_encoder, Encoder.load(made.path))
    assert made.mean_cosine == pytest.approx(found.mean(), abs=1e-6)
    assert made.min_cosine == pytest.approx(found.min(), abs=1e-6)
    assert 0.999 < made.min_cosine < made.mean_cosine < 1
    assert made.n_texts == len(TEXTS)


def test_what_all_files_weigh_is_reported(made, tiny_encoder_dir):
    before, after = (
        sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        for folder in (tiny_encoder_dir, made.path)
    )
    assert (made.size_before_bytes, made.size_bytes) == (before, after)


def test_no_large_float_is_left_in_any_file(small_dir):
    assert [path.name for path in (small_dir / "onnx").iterdir()] == ["model.onnx"]
    assert not list(small_dir.rglob("*.safetensors"))
    types = {}
    for constant in onnx.load(small_dir / "onnx" / "model.onnx").graph.initializer:
        types.setdefault(constant.data_type, set()).add(tuple(constant.dims))
    words = json.loads((small_dir / "config.json").read_text())["vocab_size"]
    assert {(words, 32), (32, 32), (32, 64), (64, 32)} <= types[onnx.TensorProto.INT8]
    positions = (128, 32)  # too small to be worth it
    assert all(np.prod(dims) < words * 2 for dims in types[onnx.TensorProto.FLOAT] - {positions})


def test_it_is_made_the_same_every_time(small_dir, tiny_encoder_dir, tmp_path):
    quantize(tiny_encoder_dir, tmp_path / "out")
    one, two = (path / "onnx" / "model.onnx" for path in (small_dir, tmp_path / "out"))
    assert one.read_bytes() == two.read_bytes()


def test_it_runs_with_onnx_runtime_alone(small_dir):
    code = (
        "import sys\n"
        "for name in ('torch', 'onnx', 'sentence_transformers', 'transformers'):\n"
        "    sys.modules[name] = None\n"
        "from semsearch.encoder import Encoder\n"
        "encoder = Encoder.load(sys.argv[1])\n"
        "print(encoder.runtime, encoder.fingerprint.dtype, *encoder.encode(['my card'])[0])"
    )
    command = [sys.executable, "-c", code, str(small_dir)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    runtime, dtype, *vector = done.stdout.split()
    assert (runtime, dtype) == ("onnx", "ONNX")
    expected = Encoder.load(small_dir).encode(["my card"])[0]
    np.testing.assert_allclose(np.array(vector, np.float32), expected, atol=1e-6)


def test_a_text_has_the_same_vector_in_any_batch(small_dir):
    encoder = Encoder.load(small_dir)
    texts = ["how to pay", "我的订单", "?!?!?!?!", LONG]
    alone = np.concatenate([encoder.encode([text]) for text in texts])
    assert (encoder.encode(texts) * alone).sum(axis=1).min() > 0.99999


def test_the_longest_input_stays_what_it_was(small_dir, tiny_encoder_dir):
    one, other = (Encoder.load(path, max_length=128) for path in (small_dir, tiny_encoder_dir))
    assert one.max_length == 128
    assert one.measure([LONG]).n_tokens[0] > 128
    assert cosines(one, other, [LONG])[0] > 0.999


def test_what_stands_behind_the_body_is_kept(tiny_encoder, tmp_path):
    texts = [f"{a} {b} {c}" for a in ("my", "how", "款") for b in TEXTS for c in ("pay", "退")]
    whitened = tiny_encoder.whitened(fit(tiny_encoder.embed(texts), 16))
    whitened.save(tmp_path / "whitened")
    quantize(tmp_path / "whitened", tmp_path / "out")
    found = Encoder.load(tmp_path / "out")
    assert found.dim == 16
    assert cosines(found, whitened).mean() > 0.99


def test_a_body_in_a_folder_of_its_own(tiny_encoder_dir, tiny_encoder, tmp_path):
    path = copy_of(tiny_encoder_dir, tmp_path / "e")
    (path / "0_Transformer").mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
                 "vocab.txt", "sentence_bert_config.json"):  # fmt: skip
        (path / name).rename(path / "0_Transformer" / name)
    entries = json.loads((path / "modules.json").read_text())
    entries[0]["path"] = "0_Transformer"
    (path / "modules.json").write_text(json.dumps(entries))
    quantize(path, tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.safetensors"))
    assert cosines(Encoder.load(tmp_path / "out"), tiny_encoder).min() > 0.999


def test_it_is_the_same_encoder_in_another_precision(small_dir, tiny_encoder, tmp_path):
    small = Encoder.load(small_dir)
    assert small.fingerprint.same_but_precision(tiny_encoder.fingerprint)
    small.save(tmp_path / "saved")
    again = Encoder.load(tmp_path / "saved")
    assert again.fingerprint == small.fingerprint
    np.testing.assert_array_equal(again.encode(TEXTS), small.encode(TEXTS))


def test_what_changes_too_much_is_not_written(tiny_encoder_dir, tmp_path):
    with pytest.raises(EncoderError, match=r"mean cosine 0\.99\d\d on 2 texts, where 1 is asked"):
        quantize(tiny_encoder_dir, tmp_path / "out", texts=["how to pay", "退款"], min_cosine=1)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tiny_encoder_dir, tmp_path):
    (tmp_path / "mine").touch()
    with pytest.raises(EncoderError, match="already there"):
        quantize(tiny_encoder_dir, tmp_path)


def test_a_quantized_encoder_has_nothing_to_quantize(small_dir, tmp_path):
    with pytest.raises(EncoderError, match="has no float32 weights to quantize"):
        quantize(small_dir, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_pooling_over_layers_is_refused(tiny_encoder_dir, tmp_path):
    Encoder.load(tiny_encoder_dir, pooling="first-last-avg").save(tmp_path / "wide")
    with pytest.raises(EncoderError, match="pooling first-last-avg reads several layers"):
        quantize(tmp_path / "wide", tmp_path / "out")


def test_without_onnx_the_error_names_the_extra(tiny_encoder_dir, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"onnx .*pip install 'semsearch\[train\]'"):
        quantize(tiny_encoder_dir, tmp_path / "out")


def test_every_text_is_counted_twice(tiny_encoder_dir, tmp_path):
    counts: list[int] = []
    quantize(tiny_encoder_dir, tmp_path / "out", texts=["a", "b", "a"], progress=counts.append)
    assert sum(counts) == 6


@pytest.mark.minilm
def test_minilm_stays_close(tmp_path):
    result = quantize("minilm", tmp_path / "out")
    assert result.mean_cosine >= 0.998 and result.min_cosine >= 0.99
    assert result.size_bytes < 24_000_000 < 90_000_000 < result.size_before_bytes
