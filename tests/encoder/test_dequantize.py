"""An encoder with 8-bit weights is trained from the floats that they stand for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from semsearch.encoder import Encoder
from semsearch.encoder.config import read_layout
from semsearch.encoder.quantize import TEXTS, quantize
from semsearch.encoder.safetensors import read
from semsearch.encoder.trainable import save_trained, trainable_model, write_float_weights
from semsearch.errors import EncoderError, MissingExtraError
from semsearch.whitening import fit

onnx = pytest.importorskip("onnx")
pytest.importorskip("torch")


@pytest.fixture(scope="module")
def small_dir(tiny_encoder_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny encoder in 8 bits, whitened, so that something stands behind its pooling."""
    folder = tmp_path_factory.mktemp("small")
    encoder = Encoder.load(tiny_encoder_dir)
    encoder.whitened(fit(encoder.embed(TEXTS), 16)).save(folder / "whitened")
    return quantize(folder / "whitened", folder / "small", min_cosine=0.9).path


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return (one * other).sum(axis=1)


def test_the_floats_are_those_that_were_rounded(
    small_dir: Path, tiny_encoder_dir: Path, tmp_path: Path
) -> None:
    write_float_weights(read_layout(small_dir), tmp_path / "again")
    assert not list((tmp_path / "again").rglob("*.onnx"))
    made = read(tmp_path / "again" / "model.safetensors")
    rounded_from = read(tiny_encoder_dir / "model.safetensors")
    assert made.keys() == rounded_from.keys()
    for name, value in made.items():
        if not name.startswith("pooler."):
            step = np.abs(rounded_from[name]).max() / 127
            np.testing.assert_allclose(value, rounded_from[name], atol=step, err_msg=name)
    again, small = (Encoder.load(path).encode(TEXTS) for path in (tmp_path / "again", small_dir))
    assert cosines(again, small).min() > 0.98


def test_it_is_trained_on_and_saved_with_floats(small_dir: Path, tmp_path: Path) -> None:
    model = trainable_model(small_dir, pooling="max", max_length=16)
    assert model.training and any(value.requires_grad for value in model.parameters())
    assert not (small_dir / "model.safetensors").exists()
    save_trained(model, tmp_path / "trained")
    trained = Encoder.load(tmp_path / "trained")
    expected = Encoder.load(small_dir, pooling="max", max_length=16)
    assert (trained.max_length, trained.dim) == (16, 16)
    assert cosines(trained.encode(TEXTS), expected.encode(TEXTS)).mean() > 0.95


def test_other_onnx_bodies_are_refused(small_dir: Path, tmp_path: Path) -> None:
    path = small_dir / "onnx" / "model.onnx"
    model = onnx.load(path)
    (bias,) = (t for t in model.graph.initializer if t.name.endswith("layer.0.output.dense.bias"))
    for node in model.graph.node:
        node.input[:] = ["renamed" if name == bias.name else name for name in node.input]
    bias.name = "renamed"
    other = tmp_path / "other"
    write_float_weights(read_layout(small_dir), other)
    (other / "model.safetensors").unlink()
    (other / "onnx").mkdir()
    onnx.save(model, other / "onnx" / "model.onnx")
    with pytest.raises(EncoderError, match="ONNX body cannot be trained"):
        trainable_model(other)


def test_what_reads_onnx_is_named_where_it_is_missing(
    small_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"semsearch\[train\]"):
        write_float_weights(read_layout(small_dir), tmp_path / "again")
    assert not (tmp_path / "again").exists()
