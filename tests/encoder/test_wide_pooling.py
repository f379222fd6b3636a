"""Poolings over several layers: token states averaged over layers first, then over tokens."""

import json
from typing import get_args

import numpy as np
import pytest

from semsearch import types
from semsearch.encoder import Encoder, export
from semsearch.encoder.config import read_layout
from semsearch.encoder.pooling import MODES, WIDE, Pooling, shares
from semsearch.errors import EncoderError
from semsearch.whitening import fit
from tests.conftest import build_tiny_encoder
from tests.encoder.changes import copy_of, edit
from tests.encoder.test_parity import TEXTS, assert_same, reference

LAYERS = {"first-last-avg": [1, 4], "last-2-avg": [3, 4]}
LEARNT = np.array([0.3, 1.5, -0.2, 0.9], np.float32)  # of the outputs of the four layers


@pytest.fixture(scope="session")
def deep_dir(tmp_path_factory):
    """Four layers: with two, the first and the last are the last two."""
    return build_tiny_encoder(tmp_path_factory.mktemp("deep") / "encoder", seed=3, layers=4)


@pytest.fixture(scope="session")
def learnt_dir(deep_dir, tmp_path_factory):
    """`deep_dir` with learnt layer weights, as sentence-transformers itself writes it."""
    from sentence_transformers import SentenceTransformer
    from torch import nn, tensor

    try:
        from sentence_transformers.sentence_transformer.modules import WeightedLayerPooling
    except ImportError:  # before 5.5
        from sentence_transformers.models import WeightedLayerPooling

    model = SentenceTransformer(
        str(deep_dir), device="cpu", config_kwargs={"output_hidden_states": True}
    )
    layers = WeightedLayerPooling(
        32, num_hidden_layers=4, layer_start=1, layer_weights=nn.Parameter(tensor(LEARNT))
    )
    body, pooling, normalize = model
    path = tmp_path_factory.mktemp("learnt") / "encoder"
    SentenceTransformer(modules=[body, layers, pooling, normalize], device="cpu").save(str(path))
    return path


def by_hand(path, weights):
    """Mean pooling of weighted hidden states with Transformers alone, one text at a time."""
    import torch
    from transformers import AutoModel, BertTokenizer

    model = AutoModel.from_pretrained(path).eval()
    tokenizer = BertTokenizer.from_pretrained(path)
    rows = []
    for text in TEXTS:
        # Longer texts are cut, as max_seq_length of the encoder says.
        inputs = tokenizer(text, truncation=True, max_length=64, return_tensors="pt")
        with torch.no_grad():
            states = model(**inputs, output_hidden_states=True).hidden_states
        average = sum(w * state[0].numpy() for w, state in zip(weights, states, strict=True))
        rows.append(average.mean(axis=0))
    rows = np.array(rows)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture(scope="session")
def random_whitening():
    return fit(np.random.default_rng(0).normal(size=(200, 32)).astype(np.float32), 8)


@pytest.mark.parametrize("pooling", LAYERS)
def test_it_is_the_mean_of_the_hidden_states_it_names(deep_dir, pooling):
    expected = by_hand(deep_dir, [0.5 * (i in LAYERS[pooling]) for i in range(5)])
    for runtime in ("onnx", "torch"):
        encoder = Encoder.load(deep_dir, runtime=runtime, pooling=pooling)
        assert (encoder.runtime, encoder.pooling, encoder.dim) == (runtime, pooling, 32)
        assert_same(encoder.encode(TEXTS), expected, 0.999999)
    plain = Encoder.load(deep_dir, runtime="torch").encode(TEXTS)
    assert (plain * expected).sum(axis=1).max() < 0.999


@pytest.mark.parametrize("whitened", [False, True])
@pytest.mark.parametrize("pooling", LAYERS)
def test_saved_it_is_the_same_here_and_in_sentence_transformers(
    deep_dir, tmp_path, random_whitening, pooling, whitened
):
    onnx, torch = (
        Encoder.load(deep_dir, runtime=runtime, pooling=pooling) for runtime in ("onnx", "torch")
    )
    if whitened:
        onnx, torch = onnx.whitened(random_whitening), torch.whitened(random_whitening)
    assert onnx.fingerprint == torch.fingerprint
    expected = onnx.encode(TEXTS)
    assert_same(torch.encode(TEXTS), expected)
    onnx.save(tmp_path / "saved")
    assert_same(reference(tmp_path / "saved"), expected)
    for runtime in ("onnx", "torch"):
        loaded = Encoder.load(tmp_path / "saved", runtime=runtime)
        assert (loaded.pooling, loaded.dim) == (pooling, onnx.dim)
        assert loaded.fingerprint == onnx.fingerprint
        assert_same(loaded.encode(TEXTS), expected, 0.999999)
    entries = json.loads((tmp_path / "saved" / "modules.json").read_text())
    kinds = [entry["type"].rsplit(".", 1)[-1] for entry in entries]
    tail = ["Dense", "Normalize"] if whitened else ["Normalize"]
    assert kinds == ["Transformer", "WeightedLayerPooling", "Pooling", *tail]
    assert [entry["name"] for entry in entries] == [str(i) for i in range(len(entries))]


def test_learnt_weights_of_sentence_transformers_are_read(learnt_dir, deep_dir, tmp_path):
    expected = reference(learnt_dir)
    assert_same(by_hand(deep_dir, [0, *(LEARNT / LEARNT.sum())]), expected, 0.999999)
    onnx = Encoder.load(learnt_dir, runtime="onnx")
    assert onnx.pooling == "weighted-last-4"
    for runtime in (onnx, Encoder.load(learnt_dir, runtime="torch")):
        assert_same(runtime.encode(TEXTS), expected)
    onnx.save(tmp_path / "saved")
    assert Encoder.load(tmp_path / "saved").fingerprint == onnx.fingerprint
    assert_same(reference(tmp_path / "saved"), expected)


@pytest.mark.parametrize("pooling", ["mean", "last-2-avg"])
def test_another_pooling_takes_the_place_of_layer_weights(learnt_dir, deep_dir, tmp_path, pooling):
    expected = Encoder.load(deep_dir, runtime="torch", pooling=pooling).encode(TEXTS)
    chosen = Encoder.load(learnt_dir, runtime="torch", pooling=pooling)
    assert chosen.pooling == pooling
    assert_same(chosen.encode(TEXTS), expected)
    chosen.save(tmp_path / "saved")
    assert_same(reference(tmp_path / "saved"), expected)
    loaded = Encoder.load(tmp_path / "saved", runtime="torch")
    assert (loaded.pooling, loaded.fingerprint) == (pooling, chosen.fingerprint)
    assert len(list((tmp_path / "saved").glob("*Weighted*"))) == (pooling != "mean")


def test_a_plain_transformers_directory(deep_dir, tmp_path):
    path = copy_of(deep_dir, tmp_path / "e", modules__json=None)
    encoder = Encoder.load(path, pooling="last-2-avg", max_length=64)
    encoder.save(tmp_path / "saved")
    assert_same(reference(tmp_path / "saved"), encoder.encode(TEXTS))


def test_the_fingerprint_says_which_layers(deep_dir, learnt_dir):
    prints = {p: Encoder.load(deep_dir, runtime="torch", pooling=p).fingerprint for p in LAYERS}
    prints["mean"] = Encoder.load(deep_dir, runtime="torch").fingerprint
    prints["learnt"] = Encoder.load(learnt_dir, runtime="torch").fingerprint
    assert len({fingerprint.digest for fingerprint in prints.values()}) == 4
    assert prints["mean"].differs_in(prints["learnt"]) == ("modules",)


def test_an_onnx_body_beside_the_encoder_gives_the_last_layer_only(deep_dir, tmp_path):
    wide = export.find_or_export(read_layout(deep_dir, pooling="last-2-avg"))
    path = copy_of(deep_dir, tmp_path / "e")
    (path / "onnx").mkdir()
    (path / "onnx" / "model.onnx").write_bytes(b"of the last layer")
    assert export.find(read_layout(path)) == path / "onnx" / "model.onnx"
    assert export.find(read_layout(path, pooling="last-2-avg")) == wide
    Encoder.load(path, pooling="last-2-avg").save(tmp_path / "saved")
    assert not (tmp_path / "saved" / "onnx").exists()
    (path / "model.safetensors").unlink()
    with pytest.raises(EncoderError, match="gives the last one only"):
        Encoder.load(path, pooling="last-2-avg")


def test_layer_weights_that_a_body_does_not_bring_out_are_left_to_torch(learnt_dir, tmp_path):
    path = copy_of(learnt_dir, tmp_path / "e")
    edit(path / "config.json", output_hidden_states=False)
    with pytest.raises(EncoderError, match="without output_hidden_states"):
        Encoder.load(path, runtime="onnx")
    encoder = Encoder.load(path)
    assert_same(encoder.encode(TEXTS), reference(path))  # which ignores the weights
    assert encoder.fingerprint != Encoder.load(learnt_dir, runtime="torch").fingerprint


@pytest.mark.parametrize(
    ("config", "weights", "said"),
    [
        ({"layer_start": 2}, LEARNT, "do not fit a body of 4 layers"),
        ({"layer_start": "1"}, LEARNT, "do not fit"),
        ({"layer_start": 1}, np.array([1, -1, 0, 0], np.float32), "add up to 0"),
        ({"layer_start": 1}, np.array([1, np.nan, 0, 0], np.float32), "add up to nan"),
    ],
)
def test_layer_weights_that_make_no_sense_are_named(learnt_dir, tmp_path, config, weights, said):
    from safetensors.numpy import save_file

    path = copy_of(learnt_dir, tmp_path / "e")
    edit(path / "1_WeightedLayerPooling" / "config.json", **config)
    save_file({"layer_weights": weights}, path / "1_WeightedLayerPooling" / "model.safetensors")
    with pytest.raises(EncoderError, match=f"1_WeightedLayerPooling.*{said}"):
        read_layout(path)


def test_a_body_of_one_layer_has_no_two(deep_dir, tmp_path):
    path = copy_of(deep_dir, tmp_path / "e", config__json={"num_hidden_layers": 1})
    with pytest.raises(EncoderError, match=r"last-2-avg averages 2 layers.*names 1"):
        read_layout(path, pooling="last-2-avg")
    config = json.loads((path / "config.json").read_text())
    del config["num_hidden_layers"]
    (path / "config.json").write_text(json.dumps(config))
    with pytest.raises(EncoderError, match="names none"):
        read_layout(path, pooling="first-last-avg")
    edit(path / "config.json", n_layers=6)  # DistilBERT
    assert read_layout(path, pooling="last-2-avg").pooling.layers == (0, 0, 0, 0, 0, 0.5, 0.5)


def test_every_pooling_that_is_offered_has_a_name_of_its_own():
    assert get_args(types.Pooling) == types.POOLINGS
    assert set(WIDE) < set(types.POOLINGS) <= {*MODES, *WIDE}
    assert [str(Pooling.named(name, 6)) for name in types.POOLINGS] == list(types.POOLINGS)
    assert str(Pooling(("cls",), layers=(0.5, 0.5))) == "cls of weighted layers"


def test_shares_are_stable():
    random = np.random.default_rng(0)
    for weights in random.random((200, 13)):
        once = shares(weights)
        assert shares(np.array(once, np.float32)) == once
        assert sum(once) == pytest.approx(1)
