"""Which runtime and precision an encoder gets."""

from __future__ import annotations

import pytest

from semsearch.encoder import Encoder, fastest, openvino
from semsearch.errors import EncoderError, MissingExtraError

MANY = [f"how do I pay for order {number}" for number in range(fastest.MANY)]


@pytest.fixture
def without_openvino(monkeypatch):
    monkeypatch.setattr(openvino, "is_installed", lambda: False)


@pytest.mark.parametrize(
    "choices", [{"runtime": "openvino"}, {"precision": "int8"}, {"precision": "bfloat16"}]
)
def test_where_openvino_is_missing_one_line_says_what_to_install(
    tiny_encoder_dir, without_openvino, choices
):
    with pytest.raises(MissingExtraError, match=r"pip install 'semsearch\[openvino\]'") as caught:
        Encoder.load(tiny_encoder_dir, **choices)
    assert "\n" not in str(caught.value)


def test_where_openvino_is_missing_everything_else_is_as_ever(tiny_encoder_dir, without_openvino):
    for precision in ("auto", "float32"):
        encoder = Encoder.load(tiny_encoder_dir, precision=precision)
        assert (encoder.runtime, encoder.precision) == ("onnx", "float32")
        assert encoder.suited_to(MANY) is encoder


@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
@pytest.mark.parametrize("runtime", ["onnx", "torch"])
def test_a_runtime_says_what_it_does_not_compute_in(tiny_encoder_dir, runtime, precision):
    if runtime == "torch":
        pytest.importorskip("sentence_transformers")
    with pytest.raises(EncoderError, match=f"float32.*not in {precision}"):
        Encoder.load(tiny_encoder_dir, runtime=runtime, precision=precision)


def test_8_bit_weights_are_named_as_what_they_are():
    embedded = Encoder.load("embedded")
    assert (embedded.runtime, embedded.precision) == ("onnx", "int8")
    assert Encoder.load("embedded", precision="int8").runtime == "onnx"
    with pytest.raises(EncoderError, match="in int8 by the onnx runtime, not in float32"):
        Encoder.load("embedded", runtime="onnx", precision="float32")


@pytest.mark.parametrize("choices", [{"precision": "int4"}, {"runtime": "tvm"}])
def test_what_there_is_not_is_refused(tiny_encoder_dir, choices):
    with pytest.raises(EncoderError, match="unknown runtime"):
        Encoder.load(tiny_encoder_dir, **choices)


def test_int8_means_the_cpu_also_where_there_is_a_gpu(tiny_encoder_dir, monkeypatch):
    pytest.importorskip("openvino")
    monkeypatch.setattr("semsearch.encoder.torch_model.has_cuda", lambda: True)
    encoder = Encoder.load(tiny_encoder_dir, device="auto", precision="int8")
    assert (encoder.runtime, encoder.precision) == ("openvino", "int8")
