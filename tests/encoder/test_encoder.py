import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest

from semsearch.encoder import Encoder, export
from semsearch.encoder.config import read_layout
from semsearch.errors import EncoderError
from tests.encoder.changes import add_module, copy_of, drop_last_module

TEXTS = [
    "how to pay",
    "怎么退款",
    "",
    "   ",
    "how to pay",
    "🙂🙂",
    "a" * 300,
    "pay " * 200,
    "nul\0",
]


def test_vectors_are_float32_of_unit_length(tiny_encoder):
    vectors = tiny_encoder.encode(TEXTS)
    assert vectors.shape == (len(TEXTS), tiny_encoder.dim) == (9, 32)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-6)


def test_a_loaded_encoder_says_what_it_is(tiny_encoder, tiny_encoder_dir):
    assert tiny_encoder.source == str(tiny_encoder_dir)
    assert tiny_encoder.path == tiny_encoder_dir
    assert (tiny_encoder.max_length, tiny_encoder.pooling) == (64, "mean")
    assert (tiny_encoder.runtime, tiny_encoder.precision) == ("onnx", "float32")
    assert "dim=32" in repr(tiny_encoder)


def test_no_texts_give_no_rows(tiny_encoder):
    assert tiny_encoder.encode([]).shape == (0, 32)
    assert tiny_encoder.embed([]).shape == (0, 32)
    assert list(tiny_encoder.encode_batches([])) == []
    assert tiny_encoder.measure([]).n_tokens.shape == (0,)


def test_a_text_has_the_same_vector_alone_and_among_others(tiny_encoder):
    together = tiny_encoder.encode(TEXTS)
    alone = np.concatenate([tiny_encoder.encode([text]) for text in TEXTS])
    np.testing.assert_allclose(together, alone, atol=2e-6)


def test_texts_with_shared_words_are_closer(tiny_encoder):
    a, b, c = tiny_encoder.encode(
        ["how do i reset my password", "reset the password", "where is my parcel"]
    )
    assert a @ b > a @ c + 0.1


def test_identical_texts_are_encoded_once(tiny_encoder, monkeypatch):
    seen = []
    run_all = tiny_encoder._runtime.run_all

    def watched(batches, kind):
        taken = list(batches)
        seen.extend(item for _, items in taken for item in items)
        return run_all(taken, kind)

    monkeypatch.setattr(tiny_encoder._runtime, "run_all", watched)
    vectors = tiny_encoder.encode(["pay", "refund"] * 50)
    assert len(seen) == 2
    assert len(np.unique(vectors, axis=0)) == 2


def test_batches_cover_every_row_and_progress_counts_them(tiny_encoder):
    texts = [f"order number {i % 70} " + "x " * (i % 30) for i in range(500)]
    counts = []
    vectors = tiny_encoder.encode(texts, progress=counts.append)
    assert sum(counts) == 500
    batches = list(tiny_encoder.encode_batches(texts))
    assert len(batches) > 1
    rows = np.concatenate([rows for rows, _ in batches])
    assert rows.dtype == np.int64
    assert sorted(rows) == list(range(500))
    for rows, batch in batches:
        np.testing.assert_allclose(batch, vectors[rows], atol=1e-6)


def test_many_batches_give_what_one_text_at_a_time_gives(tiny_encoder):
    texts = [f"order number {i} " + "x " * (i % 40) for i in range(200)]
    together = tiny_encoder.encode(texts)
    alone = np.concatenate([tiny_encoder.encode([text]) for text in texts])
    np.testing.assert_allclose(together, alone, atol=2e-6)


def test_an_encoding_that_is_abandoned_leaves_no_thread(tiny_encoder):
    before = threading.active_count()
    batches = tiny_encoder.encode_batches([f"order number {i}" for i in range(5000)])
    next(batches)
    batches.close()
    assert threading.active_count() == before


def test_embeddings_are_what_becomes_vectors(tiny_encoder):
    embeddings = tiny_encoder.embed(TEXTS)
    norms = np.linalg.norm(embeddings, axis=1, keepdims=True)
    assert not np.allclose(norms, 1)
    np.testing.assert_allclose(embeddings / norms, tiny_encoder.encode(TEXTS), atol=1e-6)


@pytest.mark.parametrize("texts", [["fine", "half \ud83d"], ["fine", None], ["fine", 3.0]])
def test_what_is_no_text_is_an_error_with_its_row(tiny_encoder, texts):
    for method in (tiny_encoder.encode, tiny_encoder.embed, tiny_encoder.measure):
        with pytest.raises(EncoderError, match=r"texts\[1\]"):
            method(texts)


def test_one_text_is_no_list_of_texts(tiny_encoder):
    with pytest.raises(EncoderError, match="list of texts"):
        tiny_encoder.encode("how to pay")


def test_a_very_long_text_is_cut(tiny_encoder):
    long = "pay the bill " * 40_000
    np.testing.assert_allclose(
        tiny_encoder.encode([long]), tiny_encoder.encode([long[:2000]]), atol=1e-6
    )
    assert tiny_encoder.measure([long]).n_tokens[0] == 120_002


def test_prompts_are_put_before_queries_and_documents(tiny_encoder_dir, tmp_path):
    path = copy_of(
        tiny_encoder_dir,
        tmp_path / "e",
        config_sentence_transformers__json={"prompts": {"query": "find ", "document": "item "}},
    )
    encoder, plain = Encoder.load(path, runtime="onnx"), Encoder.load(tiny_encoder_dir)
    query = encoder.encode(["my order"], kind="query")
    np.testing.assert_allclose(query, plain.encode(["find my order"]), atol=1e-6)
    np.testing.assert_allclose(
        encoder.encode(["my order"]), plain.encode(["item my order"]), atol=1e-6
    )
    assert encoder.measure(["my order"], kind="query").n_tokens.tolist() == [5]


def test_vectors_have_unit_length_without_a_normalize_module(tiny_encoder_dir, tmp_path):
    path = copy_of(tiny_encoder_dir, tmp_path / "e")
    drop_last_module(path)
    np.testing.assert_array_equal(
        Encoder.load(path).encode(TEXTS), Encoder.load(tiny_encoder_dir).encode(TEXTS)
    )


def test_weights_that_give_nan_are_an_error(tiny_encoder_dir, tmp_path):
    path = copy_of(tiny_encoder_dir, tmp_path / "e")
    add_module(
        path,
        "3_Dense",
        "sentence_transformers.models.Dense",
        {"activation_function": "torch.nn.Identity"},
        linear__weight=np.full((4, 32), np.nan, np.float32),
    )
    with pytest.raises(EncoderError, match=r"texts\[0\] is not finite"):
        Encoder.load(path, runtime="onnx").encode(["pay"])


def test_an_embedding_of_zeros_is_an_error_not_nan(tiny_encoder_dir, tmp_path):
    path = copy_of(tiny_encoder_dir, tmp_path / "e")
    add_module(
        path,
        "3_Dense",
        "sentence_transformers.models.Dense",
        {"activation_function": "torch.nn.Identity"},
        linear__weight=np.zeros((4, 32), np.float32),
    )
    encoder = Encoder.load(path, runtime="onnx")
    with pytest.raises(EncoderError, match=r"texts\[0\] is all zeros"):
        encoder.encode(["pay"])
    assert not encoder.embed(["pay"]).any()


@pytest.mark.parametrize(
    "wrong", [{"runtime": "jax"}, {"device": "tpu"}, {"runtime": "onnx", "device": "cuda"}]
)
def test_runtimes_that_cannot_be_are_refused(tiny_encoder_dir, wrong):
    with pytest.raises(EncoderError):
        Encoder.load(tiny_encoder_dir, **wrong)


def test_a_module_that_numpy_cannot_run_is_named(tiny_encoder_dir, tmp_path):
    path = copy_of(tiny_encoder_dir, tmp_path / "e")
    add_module(path, "3_CNN", "sentence_transformers.models.CNN", {})
    with pytest.raises(EncoderError, match=r"CNN.*torch runtime"):
        Encoder.load(path, runtime="onnx")


def test_pickled_weights_of_a_module_are_refused(tiny_encoder_dir, tmp_path):
    path = copy_of(tiny_encoder_dir, tmp_path / "e")
    add_module(path, "3_Dense", "sentence_transformers.models.Dense", {})
    (path / "3_Dense" / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(EncoderError, match="pickled"):
        Encoder.load(path)


@pytest.mark.parametrize("runtime", ["auto", "onnx", "torch"])
def test_pickled_weights_of_the_body_are_refused(tiny_encoder_dir, tmp_path, runtime):
    path = copy_of(tiny_encoder_dir, tmp_path / "e")
    (path / "model.safetensors").rename(path / "pytorch_model.bin")
    with pytest.raises(EncoderError, match="pickled"):
        Encoder.load(path, runtime=runtime)


def test_an_onnx_body_alone_is_enough(tiny_encoder_dir, tiny_encoder, tmp_path):
    path = copy_of(tiny_encoder_dir, tmp_path / "e")
    (path / "model.safetensors").unlink()
    made = export.find(read_layout(tiny_encoder_dir))
    shutil.copytree(made.parent, path / "onnx")
    encoder = Encoder.load(path)
    np.testing.assert_array_equal(encoder.encode(TEXTS), tiny_encoder.encode(TEXTS))
    assert encoder.fingerprint.dtype == "ONNX"
    encoder.save(tmp_path / "saved")
    assert Encoder.load(tmp_path / "saved").fingerprint == encoder.fingerprint
    for wanted in ({"runtime": "torch"}, {"device": "cuda"}):
        with pytest.raises(EncoderError, match="an ONNX body only"):
            Encoder.load(path, **wanted)


def test_encoding_on_onnx_imports_nothing_heavy(tiny_encoder, tiny_encoder_dir):
    heavy = [
        "torch",
        "transformers",
        "sentence_transformers",
        "sklearn",
        "scipy",
        "pandas",
        "safetensors",
    ]
    code = (
        "import sys\n"
        "from semsearch.encoder import Encoder\n"
        "assert 'onnxruntime' not in sys.modules\n"
        "encoder = Encoder.load(sys.argv[1])\n"
        "encoder.encode(['how to pay'], kind='query')\n"
        "encoder.fingerprint, encoder.measure(['pay'])\n"
        f"print([name for name in {heavy} if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tiny_encoder_dir)], capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


@pytest.mark.minilm
def test_minilm_reads_256_tokens_and_knows_paraphrases():
    encoder = Encoder.load("minilm")
    assert (encoder.source, encoder.dim, encoder.max_length) == ("minilm", 384, 256)
    a, b, c = encoder.encode(
        ["How do I reset my password?", "I forgot my login code", "Where is my parcel?"]
    )
    assert a @ b > a @ c + 0.1
