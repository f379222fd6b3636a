"""OpenVINO gives the vectors of ONNX Runtime, in what precision it may be asked for."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from semsearch.encoder import Encoder, fastest, openvino
from semsearch.encoder.calibration import TEXTS
from semsearch.encoder.openvino import OpenVinoRuntime
from semsearch.encoder.quantize import quantize
from semsearch.errors import EncoderError
from semsearch.whitening import fit

MANY = [f"how do I pay for order {number}" for number in range(fastest.MANY)]
MIXED = [*TEXTS, "", "  \n ", "🙂📦", "a very long text about my order " * 60, "nul \0", *TEXTS[:3]]


def cosines(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    return (one * two).sum(axis=1)


@pytest.fixture(scope="module", autouse=True)
def _installed():
    pytest.importorskip("openvino")


@pytest.fixture
def empty_cache(tmp_path, monkeypatch, tiny_encoder):
    """Its ONNX body is made before, in the cache of all tests."""
    model = tiny_encoder._runtime._model
    monkeypatch.setenv("SEMSEARCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("semsearch.encoder.export.find", lambda layout: model)
    return tmp_path / "cache"


@pytest.mark.parametrize("pooling", ["cls", "mean", "max", "first-last-avg"])
@pytest.mark.parametrize("reading", [{}, {"max_length": 16}, {"truncate": "windows"}])
@pytest.mark.parametrize("whitened", [False, True])
def test_float32_equals_onnx_runtime(tiny_encoder_dir, pooling, reading, whitened):
    choices = {"pooling": pooling, **reading}
    onnx = Encoder.load(tiny_encoder_dir, runtime="onnx", **choices)
    other = Encoder.load(tiny_encoder_dir, runtime="openvino", precision="float32", **choices)
    assert (other.runtime, other.precision) == ("openvino", "float32")
    assert other.fingerprint == onnx.fingerprint and other.dim == onnx.dim
    if whitened:
        whitening = fit(onnx.embed(MANY[:400]), 8)
        onnx, other = onnx.whitened(whitening), other.whitened(whitening)
    assert cosines(onnx.encode(MIXED), other.encode(MIXED)).min() >= 0.9999


@pytest.mark.parametrize(("precision", "at_least"), [("bfloat16", 0.999), ("int8", 0.99)])
def test_fewer_bits_change_little(tiny_encoder_dir, tiny_encoder, precision, at_least):
    encoder = Encoder.load(tiny_encoder_dir, precision=precision)
    assert (encoder.runtime, encoder.precision) == ("openvino", precision)
    found = cosines(encoder.encode(MIXED), tiny_encoder.encode(MIXED))
    assert at_least <= found.mean() < 1 and found.min() >= 0.97
    assert len(np.unique(found)) > 10, "it is float32 after all"


def test_the_same_text_has_one_vector_in_any_company(tiny_encoder_dir):
    encoder = Encoder.load(tiny_encoder_dir, precision="int8")
    alone = np.concatenate([encoder.encode([text]) for text in TEXTS])
    assert cosines(alone, encoder.encode(MIXED)[: len(TEXTS)]).min() >= 0.9995


def test_a_quantized_encoder_runs_in_every_precision(tiny_encoder, tiny_encoder_dir, tmp_path):
    pytest.importorskip("onnx")
    quantize(tiny_encoder_dir, tmp_path / "small")
    small = Encoder.load(tmp_path / "small")
    assert (small.runtime, small.precision) == ("onnx", "int8")
    expected = small.encode(MIXED)
    for precision in openvino.PRECISIONS:
        runtime = OpenVinoRuntime(small._layout, small._runtime._model, precision)
        found = Encoder("small", small._layout, runtime).encode(MIXED)
        assert cosines(found, expected).mean() >= 0.99, precision
    loaded = Encoder.load(tmp_path / "small", runtime="openvino")
    assert (loaded.runtime, loaded.precision) == ("openvino", "int8")


def test_the_embedded_encoder_runs_in_int8():
    onnx, other = Encoder.load("embedded"), Encoder.load("embedded", runtime="openvino")
    assert (onnx.runtime, onnx.precision) == ("onnx", "int8")
    assert (other.runtime, other.precision) == ("openvino", "int8")
    assert cosines(onnx.encode(MIXED), other.encode(MIXED)).mean() >= 0.995


def test_what_was_compiled_is_kept_and_gives_the_same(tiny_encoder, empty_cache, caplog):
    layout, model = tiny_encoder._layout, tiny_encoder._runtime._model
    with caplog.at_level("INFO", logger="semsearch"):
        first = Encoder("tiny", layout, OpenVinoRuntime(layout, model, "int8")).encode(MIXED)
        assert [record.message for record in caplog.records] == [
            f"bringing {layout.path} to int8, once: this takes some seconds"
        ]
        caplog.clear()
        second = Encoder("tiny", layout, OpenVinoRuntime(layout, model, "int8")).encode(MIXED)
    np.testing.assert_array_equal(first, second)
    assert not caplog.records
    assert len(list((empty_cache / "openvino").iterdir())) == 1


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty"])
def test_a_damaged_cache_is_made_again(tiny_encoder, empty_cache, damage, caplog):
    layout, model = tiny_encoder._layout, tiny_encoder._runtime._model
    first = Encoder("tiny", layout, OpenVinoRuntime(layout, model, "int8")).encode(MIXED)
    (file,) = (empty_cache / "openvino").iterdir()
    whole = file.read_bytes()
    flipped = whole[:5000] + bytes([whole[5000] ^ 255]) + whole[5001:]
    file.write_bytes({"cut": whole[:-100], "flipped": flipped, "empty": b""}[damage])
    with caplog.at_level("INFO", logger="semsearch"):
        second = Encoder("tiny", layout, OpenVinoRuntime(layout, model, "int8")).encode(MIXED)
    assert len(caplog.records) == 1
    np.testing.assert_array_equal(first, second)
    assert file.stat().st_size == len(whole)


def test_a_cache_that_cannot_be_written_costs_only_time(tiny_encoder, empty_cache):
    empty_cache.write_text("a file where the folder would be")
    layout, model = tiny_encoder._layout, tiny_encoder._runtime._model
    assert OpenVinoRuntime(layout, model, "int8").precision == "int8"


def test_many_texts_get_the_fastest_precision_and_few_do_not(tiny_encoder_dir):
    encoder = Encoder.load(tiny_encoder_dir)
    assert encoder.suited_to(MANY[:-1]) is encoder
    assert encoder.suited_to([MANY[0]] * 10_000) is encoder, "it is encoded once"
    suited = encoder.suited_to(MANY)
    assert (suited.runtime, suited.precision) == ("openvino", openvino.native()[0])
    assert suited.fingerprint == encoder.fingerprint
    assert cosines(suited.encode(MANY), encoder.encode(MANY)).mean() >= fastest.MIN_COSINE


def test_what_was_asked_for_stays(tiny_encoder_dir):
    for choices in ({"runtime": "onnx"}, {"precision": "float32"}, {"precision": "bfloat16"}):
        encoder = Encoder.load(tiny_encoder_dir, **choices)
        assert encoder.suited_to(MANY) is encoder
    named = Encoder.load(tiny_encoder_dir, runtime="openvino")
    assert named.precision == "float32"
    assert named.suited_to(MANY[:100]).precision == openvino.native()[0]


def test_a_precision_that_changes_vectors_is_passed_over(tiny_encoder_dir, monkeypatch, caplog):
    states = OpenVinoRuntime.states

    def noisy(self, feeds, session=None):
        found = states(self, feeds, session)
        if self.precision != "int8":
            return found
        return found + np.random.default_rng(0).normal(0, 1, found.shape).astype(np.float32)

    monkeypatch.setattr(OpenVinoRuntime, "states", noisy)
    with caplog.at_level("INFO", logger="semsearch"):
        suited = Encoder.load(tiny_encoder_dir).suited_to(MANY)
    assert "openvino in int8 changes the vectors of these texts" in caplog.text
    others = [name for name in openvino.native() if name != "int8"]
    assert (suited.runtime, suited.precision) == ("openvino", others[0])


@pytest.mark.parametrize("step", ["_compile", "states"])
def test_a_body_that_openvino_does_not_know_stays_where_it_is(tiny_encoder_dir, monkeypatch, step):
    def fails(self, *_):
        raise EncoderError("no")

    monkeypatch.setattr(OpenVinoRuntime, step, fails)
    encoder = Encoder.load(tiny_encoder_dir)
    assert encoder.suited_to(MANY) is encoder


@pytest.mark.parametrize("content", [b"no model at all", b""])
def test_a_file_that_is_no_body_is_one_line(tiny_encoder, tmp_path, content):
    bad = tmp_path / "model.onnx"
    bad.write_bytes(content)
    with pytest.raises(EncoderError, match=f"{bad}: OpenVINO cannot load it: .*onnx runtime"):
        OpenVinoRuntime(tiny_encoder._layout, bad, "float32")


def test_a_query_does_not_import_it(tiny_encoder_dir):
    code = (
        "import sys\n"
        "from semsearch.encoder import Encoder\n"
        "Encoder.load(sys.argv[1]).encode(['how to pay'], kind='query')\n"
        "sys.exit('openvino' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(tiny_encoder_dir)], check=True)


def test_threads_that_begin_together_do_not_wait_for_each_other(tiny_encoder_dir):
    """Seen as a deadlock in one of four fresh processes before the first request was made alone."""
    code = (
        "import sys\n"
        "from semsearch.encoder import Encoder\n"
        "encoder = Encoder.load(sys.argv[1], runtime='openvino')\n"
        "encoder.encode([f'how do I pay for order {n}' for n in range(2000)])"
    )
    command = [sys.executable, "-X", "faulthandler", "-c", code, str(tiny_encoder_dir)]
    for _ in range(3):
        subprocess.run(command, check=True, timeout=120)
