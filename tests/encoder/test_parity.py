"""The two runtimes give the same vectors, and both those of sentence-transformers."""

import json

import numpy as np
import pytest

from semsearch.encoder import Encoder
from semsearch.whitening import fit
from tests.encoder.changes import add_module, copy_of

sentence_transformers = pytest.importorskip("sentence_transformers")

TEXTS = [
    "How do I reset my password?",
    "pay",
    "",
    "  \n\t ",
    "🙂📦",
    "怎么申请退款？我的订单还没有发货。",
    "mixed 中文 and English 🙂 Café",
    "a very long text about my order " * 60,
    "这是一个很长的问题" * 100,
    "nul \0 \ufeff",
    "x" * 1000,
]


def assert_same(found, expected, at_least=0.9999):
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)
    assert (found * expected).sum(axis=1).min() >= at_least


def reference(path, **kwargs):
    """Vectors of plain sentence-transformers."""
    model = sentence_transformers.SentenceTransformer(str(path), device="cpu")
    return model.float().encode(TEXTS, normalize_embeddings=True, show_progress_bar=False, **kwargs)


@pytest.fixture(scope="module")
def samples(tiny_encoder):
    random = np.random.default_rng(0)
    words = ["pay", "card", "order", "refund", "bank", "how", "my", "when", "的", "款", "退", "单"]
    return [" ".join(random.choice(words, random.integers(2, 9))) for _ in range(400)]


@pytest.mark.parametrize("whitened", [False, True])
@pytest.mark.parametrize("max_length", [None, 16])
@pytest.mark.parametrize("pooling", ["cls", "mean", "max"])
def test_onnx_equals_torch(tiny_encoder_dir, samples, pooling, max_length, whitened):
    choices = {"pooling": pooling, "max_length": max_length}
    onnx = Encoder.load(tiny_encoder_dir, runtime="onnx", **choices)
    torch = Encoder.load(tiny_encoder_dir, runtime="torch", **choices)
    assert (onnx.runtime, torch.runtime) == ("onnx", "torch")
    if whitened:
        whitening = fit(onnx.embed(samples), 16)
        onnx, torch = onnx.whitened(whitening), torch.whitened(whitening)
    assert onnx.dim == torch.dim == (16 if whitened else 32)
    assert onnx.fingerprint == torch.fingerprint
    assert_same(onnx.encode(TEXTS), torch.encode(TEXTS))


def test_both_equal_sentence_transformers(tiny_encoder_dir, tiny_encoder):
    expected = reference(tiny_encoder_dir)
    assert_same(tiny_encoder.encode(TEXTS), expected, 0.999999)
    assert_same(Encoder.load(tiny_encoder_dir, runtime="torch").encode(TEXTS), expected, 0.999999)


def test_a_plain_transformers_directory(tiny_encoder_dir, tmp_path):
    path = copy_of(tiny_encoder_dir, tmp_path / "e", modules__json=None)
    expected = reference(path)
    encoder = Encoder.load(path, runtime="onnx")
    assert encoder.max_length == 128  # sentence_bert_config.json is not read, either
    assert_same(encoder.encode(TEXTS), expected)
    assert_same(Encoder.load(path, runtime="torch").encode(TEXTS), expected)


def test_weights_in_half_precision_are_computed_with_in_full(tiny_fp16_dir, tiny_encoder):
    onnx = Encoder.load(tiny_fp16_dir, runtime="onnx")
    torch = Encoder.load(tiny_fp16_dir, runtime="torch")
    assert onnx.precision == torch.precision == "float32"
    assert_same(onnx.encode(TEXTS), torch.encode(TEXTS), 0.999999)
    assert_same(onnx.encode(TEXTS), tiny_encoder.encode(TEXTS), 0.999)


@pytest.mark.parametrize("include_prompt", [True, False])
def test_prompts(tiny_encoder_dir, tmp_path, include_prompt):
    path = copy_of(
        tiny_encoder_dir,
        tmp_path / "e",
        config_sentence_transformers__json={"prompts": {"query": "find an answer: "}},
    )
    config = json.loads((path / "1_Pooling" / "config.json").read_text())
    config["include_prompt"] = include_prompt
    (path / "1_Pooling" / "config.json").write_text(json.dumps(config))
    expected = reference(path, prompt_name="query")
    for runtime in ("onnx", "torch"):
        encoder = Encoder.load(path, runtime=runtime)
        assert_same(encoder.encode(TEXTS, kind="query"), expected)


@pytest.mark.parametrize(
    "function",
    [
        "torch.nn.modules.linear.Identity",
        "torch.nn.modules.activation.Tanh",
        "torch.nn.modules.activation.ReLU",
        "torch.nn.modules.activation.GELU",
        "torch.nn.modules.activation.Sigmoid",
        "torch.nn.modules.activation.SiLU",
    ],
)
def test_dense_and_layer_norm(tiny_encoder_dir, tmp_path, function):
    path = copy_of(tiny_encoder_dir, tmp_path / "e")
    random = np.random.default_rng(0)
    base = "sentence_transformers.models."
    add_module(
        path,
        "3_Dense",
        base + "Dense",
        {"in_features": 32, "out_features": 8, "bias": True, "activation_function": function},
        linear__weight=random.normal(size=(8, 32)).astype(np.float32),
        linear__bias=random.normal(size=8).astype(np.float32),
    )
    add_module(
        path,
        "4_LayerNorm",
        base + "LayerNorm",
        {"dimension": 8},
        norm__weight=random.normal(size=8).astype(np.float32),
        norm__bias=random.normal(size=8).astype(np.float32),
    )
    encoder = Encoder.load(path, runtime="onnx")
    assert encoder.dim == 8
    assert_same(encoder.encode(TEXTS), reference(path))


def test_a_module_that_needs_torch_runs_there(tiny_encoder_dir, tmp_path):
    path = copy_of(tiny_encoder_dir, tmp_path / "e")
    random = np.random.default_rng(0)
    add_module(
        path,
        "3_Dense",
        "sentence_transformers.models.Dense",
        {"in_features": 32, "out_features": 8, "activation_function": "torch.nn.ELU"},
        linear__weight=random.normal(size=(8, 32)).astype(np.float32),
        linear__bias=random.normal(size=8).astype(np.float32),
    )
    encoder = Encoder.load(path)
    assert encoder.runtime == "torch"
    assert_same(encoder.encode(TEXTS), reference(path))


def test_the_torch_runtime_measures_texts_alike(tiny_encoder_dir, tiny_encoder):
    torch = Encoder.load(tiny_encoder_dir, runtime="torch")
    for name in ("n_tokens", "n_unknown", "too_long"):
        np.testing.assert_array_equal(
            getattr(torch.measure(TEXTS), name), getattr(tiny_encoder.measure(TEXTS), name)
        )


@pytest.mark.minilm
@pytest.mark.parametrize("pooling", ["cls", "mean", "max", "first-last-avg"])
def test_minilm_on_onnx_equals_torch(pooling):
    onnx = Encoder.load("minilm", runtime="onnx", pooling=pooling)
    torch = Encoder.load("minilm", runtime="torch", pooling=pooling)
    texts = [*TEXTS, *(f"question {i} about {w}" for i in range(30) for w in ("pay", "退款"))]
    assert_same(onnx.encode(texts), torch.encode(texts))
    whitening = fit(onnx.embed(texts), 32)
    assert_same(onnx.whitened(whitening).encode(texts), torch.whitened(whitening).encode(texts))
    if pooling == "mean":
        assert_same(onnx.encode(TEXTS), reference(onnx.path), 0.99999)
