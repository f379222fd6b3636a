"""A model to train is the encoder with its choices; what is saved of it loads as the same one."""

import json

import numpy as np
import pytest

from semsearch.encoder import Encoder, export
from semsearch.encoder.config import read_layout
from semsearch.encoder.trainable import save_trained, trainable_model
from semsearch.errors import EncoderError
from semsearch.types import POOLINGS
from tests.conftest import build_tiny_encoder
from tests.encoder.changes import copy_of
from tests.encoder.test_parity import TEXTS as SHORTER
from tests.encoder.test_parity import assert_same
from tests.encoder.test_truncation import CUT_TWICE, EVERY, LONG_EN, LONG_ZH

torch = pytest.importorskip("torch")
sentence_transformers = pytest.importorskip("sentence_transformers")

TEXTS = [*SHORTER, LONG_EN, LONG_ZH]
SHORT = ["how to pay", "怎么退款", "", "my order"]
FIXED = ("first-last-avg", "last-2-avg")


@pytest.fixture(scope="session")
def deep_dir(tmp_path_factory):
    """Six layers, so that the last four are not all of them."""
    return build_tiny_encoder(tmp_path_factory.mktemp("six") / "encoder", seed=4, layers=6)


@pytest.fixture(scope="session")
def plain_dir(deep_dir, tmp_path_factory):
    """The same as plain Transformers has it."""
    return copy_of(deep_dir, tmp_path_factory.mktemp("plain") / "e", modules__json=None)


def train_a_step(model, texts=("how to pay", "my refund", "怎么退款")):
    """One step that moves every weight that may move; dropout is left out to have it repeatable."""
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.5)
    model.eval()
    model(model.preprocess(list(texts)))["sentence_embedding"].pow(2)[:, :7].sum().backward()
    optimizer.step()
    return model


def vectors(model, texts=TEXTS):
    return model.eval().encode(texts, normalize_embeddings=True, show_progress_bar=False)


# With its choices


@pytest.mark.parametrize("pooling", [None, *POOLINGS])
@pytest.mark.parametrize("source", ["deep_dir", "plain_dir"])
def test_what_was_trained_loads_as_the_same_everywhere(source, pooling, tmp_path, request):
    path = request.getfixturevalue(source)
    model = trainable_model(path, pooling=pooling, max_length=32)
    assert model.training
    before = vectors(model)
    choices = {"pooling": pooling, "max_length": 32, "runtime": "torch"}
    assert_same(before, Encoder.load(path, **choices).encode(TEXTS))
    expected = vectors(train_a_step(model))
    assert (before * expected).sum(axis=1).min() < 0.9999
    save_trained(model, tmp_path / "saved")
    plain = sentence_transformers.SentenceTransformer(str(tmp_path / "saved"), device="cpu")
    assert_same(plain.encode(TEXTS, normalize_embeddings=True), expected, 0.999999)
    # An export takes seconds: one of the last layer and one of several are enough here.
    exported = source == "deep_dir" and pooling in (None, "weighted-last-4")
    for runtime in ("onnx", "torch") if exported else ("torch",):
        encoder = Encoder.load(tmp_path / "saved", runtime=runtime)
        assert (encoder.pooling, encoder.max_length) == (pooling or "mean", 32)
        assert_same(encoder.encode(TEXTS), expected)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_all_is_trained_but_layer_weights_that_are_fixed(deep_dir, pooling):
    model = trainable_model(deep_dir, pooling=pooling)
    still = [name for name, p in model.named_parameters() if not p.requires_grad]
    assert still == (["1.layer_weights"] if pooling in FIXED else [])


@pytest.mark.parametrize("pooling", FIXED)
def test_fixed_layer_weights_stay_fixed_when_a_saved_one_is_trained_on(deep_dir, tmp_path, pooling):
    Encoder.load(deep_dir, pooling=pooling).save(tmp_path / "fixed")
    model = train_a_step(trainable_model(tmp_path / "fixed"))
    save_trained(model, tmp_path / "saved")
    assert Encoder.load(tmp_path / "saved", runtime="torch").pooling == pooling


def test_learnt_layer_weights_begin_equal_and_are_kept(deep_dir, tmp_path):
    model = trainable_model(deep_dir, pooling="weighted-last-4")
    assert read_layout(deep_dir, pooling="weighted-last-4").pooling.layers == (0,) * 3 + (0.25,) * 4
    train_a_step(model)
    weights = model[1].layer_weights.detach().numpy()
    assert weights.shape == (4,) and np.ptp(weights) > 1e-4
    save_trained(model, tmp_path / "saved")
    learnt = (0, 0, 0, *(weights / weights.sum()))
    for choice in ({}, {"pooling": "weighted-last-4"}):
        layout = read_layout(tmp_path / "saved", **choice)
        assert str(layout.pooling) == "weighted-last-4"
        assert layout.pooling.layers == pytest.approx(learnt)
    again = trainable_model(tmp_path / "saved", pooling="weighted-last-4")
    np.testing.assert_array_equal(again[1].layer_weights.detach().numpy(), weights)
    plain = trainable_model(tmp_path / "saved", pooling="mean")
    assert [type(module).__name__ for module in plain] == ["Transformer", "Pooling", "Normalize"]
    save_trained(plain, tmp_path / "plain")
    assert not json.loads((tmp_path / "plain" / "config.json").read_text()).get(
        "output_hidden_states"
    )


def test_four_layers_are_needed_to_weight_four(tiny_encoder_dir):
    with pytest.raises(EncoderError, match=r"weighted-last-4 averages 4 layers.*names 2"):
        trainable_model(tiny_encoder_dir, pooling="weighted-last-4")


def test_a_last_normalize_is_there_where_the_directory_has_one(deep_dir, plain_dir):
    assert [type(module).__name__ for module in trainable_model(deep_dir)][-1] == "Normalize"
    assert [type(module).__name__ for module in trainable_model(plain_dir)][-1] == "Pooling"


def test_prompts_are_kept_and_dropout_is_not_written(deep_dir, tmp_path):
    prompts = {"query": "find: ", "document": ""}
    path = copy_of(
        deep_dir, tmp_path / "e", config_sentence_transformers__json={"prompts": prompts}
    )
    model = trainable_model(path)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.3
    save_trained(model, tmp_path / "saved")
    assert read_layout(tmp_path / "saved").prompts == prompts
    config = json.loads((tmp_path / "saved" / "config.json").read_text())
    assert {config["hidden_dropout_prob"], config["attention_probs_dropout_prob"]} == {0.1}


def test_half_precision_is_trained_in_full(tiny_fp16_dir):
    assert {p.dtype for p in trainable_model(tiny_fp16_dir).parameters()} == {torch.float32}


def test_a_layout_that_was_read_is_as_good_as_its_path(deep_dir):
    model = trainable_model(read_layout(deep_dir), pooling="cls")
    assert_same(vectors(model), Encoder.load(deep_dir, pooling="cls").encode(TEXTS))


# ONNX bodies of other weights


def with_onnx(path, to):
    """A copy with an ONNX body beside it, as on the hub."""
    made = export.find_or_export(read_layout(path))
    copied = copy_of(path, to)
    (copied / "onnx").mkdir()
    for file in made.parent.iterdir():
        (copied / "onnx" / file.name).write_bytes(file.read_bytes())
    return copied


def test_no_onnx_body_of_the_old_weights_goes_along(tiny_encoder_dir, tmp_path):
    path = with_onnx(tiny_encoder_dir, tmp_path / "e")
    model = train_a_step(trainable_model(path))
    save_trained(model, tmp_path / "saved")
    assert not list((tmp_path / "saved").rglob("*.onnx"))
    assert_same(Encoder.load(tmp_path / "saved", runtime="onnx").encode(TEXTS), vectors(model))


def test_nothing_is_saved_beside_an_older_encoder(tiny_encoder_dir, tmp_path):
    path = copy_of(tiny_encoder_dir, tmp_path / "e")
    before = (path / "model.safetensors").read_bytes()
    with pytest.raises(EncoderError, match="already there"):
        save_trained(trainable_model(path), path)
    assert (path / "model.safetensors").read_bytes() == before


def test_an_onnx_body_that_we_saved_is_not_used_for_other_weights(
    tiny_encoder_dir, other_tiny_encoder_dir, tmp_path
):
    Encoder.load(with_onnx(tiny_encoder_dir, tmp_path / "e")).save(tmp_path / "saved")
    beside = tmp_path / "saved" / "onnx" / "model.onnx"
    assert export.find(read_layout(tmp_path / "saved")) == beside
    # As sentence-transformers does when a model is trained on and saved in its place.
    weights = (other_tiny_encoder_dir / "model.safetensors").read_bytes()
    (tmp_path / "saved" / "model.safetensors").write_bytes(weights)
    assert export.find(read_layout(tmp_path / "saved")) != beside
    encoder = Encoder.load(tmp_path / "saved", runtime="onnx")
    assert_same(encoder.encode(TEXTS), Encoder.load(other_tiny_encoder_dir).encode(TEXTS), 0.999999)
    encoder.save(tmp_path / "again")
    assert not (tmp_path / "again" / "onnx").exists()


def test_an_onnx_body_alone_cannot_be_trained(tiny_encoder_dir, tmp_path):
    path = with_onnx(tiny_encoder_dir, tmp_path / "e")
    (path / "model.safetensors").unlink()
    with pytest.raises(EncoderError, match="ONNX body cannot be trained"):
        trainable_model(path)


# Long texts


@pytest.mark.parametrize("prompt", ["", "find an answer: "])
@pytest.mark.parametrize("name", EVERY)
def test_long_texts_are_cut_in_training_as_when_encoding(deep_dir, tmp_path, name, prompt):
    path = copy_of(
        deep_dir, tmp_path / "e", config_sentence_transformers__json={"prompts": {"query": prompt}}
    )
    model = trainable_model(path, truncate=name, max_length=24)
    expected = Encoder.load(path, truncate=name, max_length=24).encode(TEXTS, kind="query")
    found = model.eval().encode(TEXTS, prompt=prompt, normalize_embeddings=True, batch_size=5)
    assert_same(found, expected)
    save_trained(model, tmp_path / "saved")
    for runtime in ("onnx", "torch"):
        encoder = Encoder.load(tmp_path / "saved", runtime=runtime)
        assert (encoder.truncate, encoder.max_length) == (name, 24)
        assert_same(encoder.encode(TEXTS, kind="query"), expected)


@pytest.mark.parametrize("name", EVERY)
def test_features_of_short_texts_are_exactly_those_of_before(deep_dir, name):
    expected = trainable_model(deep_dir, max_length=16).preprocess(SHORT)
    found = trainable_model(deep_dir, truncate=name, max_length=16).preprocess(SHORT)
    assert set(found) == set(expected)
    for key, value in expected.items():
        assert torch.equal(found[key], value) if torch.is_tensor(value) else found[key] == value


@pytest.mark.parametrize("name", CUT_TWICE)
def test_a_batch_has_a_row_for_every_text_and_the_forward_pass_leaves_it_alone(deep_dir, name):
    model = trainable_model(deep_dir, truncate=name, max_length=16).eval()
    features = model.preprocess(TEXTS)
    before = {key: value.clone() for key, value in features.items() if torch.is_tensor(value)}
    assert all(len(value) == len(TEXTS) for value in before.values())
    embeddings = [model(dict(features))["sentence_embedding"].detach() for _ in range(2)]
    assert embeddings[0].shape == (len(TEXTS), 32)
    assert torch.equal(*embeddings)
    for key, value in before.items():
        assert torch.equal(features[key], value)


def test_gradients_of_windows_are_those_of_the_mean(deep_dir):
    """Against the windows as texts of their own: words of one token each, 8 of them a window."""
    words = LONG_EN.split()[:21]
    pieces = [" ".join(words[begin : begin + 8]) for begin in (0, 4, 8, 13)]
    weight = torch.linspace(-1, 1, 32)
    gradients = []
    for texts, name in ((pieces, "head"), ([" ".join(words), "pay"], "windows")):
        model = trainable_model(deep_dir, truncate=name, max_length=10).eval()
        rows = torch.nn.Sequential(*list(model)[:-1])  # without Normalize
        found = rows(model.preprocess(texts))["sentence_embedding"]
        (found.mean(0) if name == "head" else found[0]).mul(weight).sum().backward()
        gradients.append(model[0].auto_model.embeddings.word_embeddings.weight.grad)
    assert gradients[0].abs().max() > 1e-3
    torch.testing.assert_close(gradients[1], gradients[0], atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("padding_side", ["left", "right"])
def test_padding_on_either_side(deep_dir, padding_side):
    model = trainable_model(deep_dir, truncate="windows", max_length=16, pooling="mean").eval()
    model.tokenizer.padding_side = padding_side
    alone = np.concatenate([vectors(model, [text]) for text in TEXTS])
    together = model.preprocess(TEXTS)
    assert bool(together["attention_mask"][1, 0]) == (padding_side == "right")
    # A BERT counts positions from the first token, padding or not: only full rows are compared.
    long = [TEXTS.index(LONG_EN), TEXTS.index(LONG_ZH)]
    assert_same(vectors(model)[long], alone[long])


@pytest.mark.parametrize("name", CUT_TWICE)
def test_losses_that_merge_columns_or_split_batches_see_the_same(deep_dir, name):
    from sentence_transformers.sentence_transformer.losses import (
        CachedMultipleNegativesRankingLoss,
        MultipleNegativesRankingLoss,
    )

    model = trainable_model(deep_dir, truncate=name, max_length=16).eval()
    anchors = ["how to pay", LONG_EN, "my refund " * 30, "card"]
    columns = [anchors, ["pay", LONG_ZH, "refund", "my card is lost " * 20]]
    u, v = (torch.from_numpy(vectors(model, texts)) for texts in columns)
    expected = torch.nn.functional.cross_entropy(20 * u @ v.T, torch.arange(4))
    losses = (
        MultipleNegativesRankingLoss(model),
        CachedMultipleNegativesRankingLoss(model, mini_batch_size=3),
    )
    gradients = []
    for loss in losses:
        model.zero_grad()
        value = loss([model.preprocess(texts) for texts in columns], None)
        value.backward()
        assert value.item() == pytest.approx(float(expected), abs=1e-4)
        gradients.append(model[0].auto_model.embeddings.word_embeddings.weight.grad.clone())
    assert gradients[0].abs().max() > 1e-5
    torch.testing.assert_close(gradients[1], gradients[0], atol=1e-5, rtol=1e-3)


def test_short_texts_are_trained_with_plain_attention(tiny_encoder_dir, tmp_path):
    model = trainable_model(tiny_encoder_dir)
    assert model[0].auto_model.config._attn_implementation == "eager"
    save_trained(model, tmp_path / "saved")
    assert "eager" not in (tmp_path / "saved" / "config.json").read_text(encoding="utf-8")
