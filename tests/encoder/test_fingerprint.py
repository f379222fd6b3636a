import pytest

from semsearch.encoder import Fingerprint
from semsearch.encoder.config import read_layout
from semsearch.encoder.fingerprint import fingerprint, onnx_key
from semsearch.errors import EncoderError
from tests.encoder.changes import copy_of, edit


def of(path, **choices):
    layout = read_layout(path, **choices)
    return fingerprint(layout, layout.tail)


def test_a_copy_has_the_same_fingerprint(tiny_encoder_dir, tmp_path):
    copied = of(copy_of(tiny_encoder_dir, tmp_path / "e"))
    assert copied == of(tiny_encoder_dir)
    assert copied.digest == of(tiny_encoder_dir).digest
    assert len(copied.digest) == 64


def test_it_survives_a_dictionary(tiny_encoder_dir):
    print_ = of(tiny_encoder_dir)
    assert Fingerprint.from_dict(print_.to_dict()) == print_
    with pytest.raises(EncoderError):
        Fingerprint.from_dict({"weights": "1"})


@pytest.mark.parametrize(
    ("field", "choices"),
    [("modules", {"pooling": "cls"}), ("max_length", {"max_length": 32})],
)
def test_choices_change_it(tiny_encoder_dir, field, choices):
    assert of(tiny_encoder_dir).differs_in(of(tiny_encoder_dir, **choices)) == (field,)


@pytest.mark.parametrize(
    ("file", "values", "field"),
    [
        ("config_sentence_transformers.json", {"prompts": {"query": "q: "}}, "prompts"),
        ("tokenizer_config.json", {"do_lower_case": False}, "tokenizer"),
        ("sentence_bert_config.json", {"do_lower_case": True}, "tokenizer"),
        ("config.json", {"num_attention_heads": 2}, "modules"),
        ("tokenizer.json", {"added_tokens": []}, "tokenizer"),
    ],
)
def test_what_changes_vectors_changes_it(tiny_encoder_dir, tmp_path, file, values, field):
    path = copy_of(tiny_encoder_dir, tmp_path / "e")
    edit(path / file, **values)
    assert of(tiny_encoder_dir).differs_in(of(path)) == (field,)


@pytest.mark.parametrize(
    ("file", "values"),
    [
        ("config.json", {"transformers_version": "9", "_name_or_path": "x", "dtype": "float32"}),
        ("tokenizer.json", {"truncation": None, "padding": None}),
        ("config_sentence_transformers.json", {"__version__": {}}),
    ],
)
def test_how_it_was_saved_does_not_change_it(tiny_encoder_dir, tmp_path, file, values):
    path = copy_of(tiny_encoder_dir, tmp_path / "e")
    edit(path / file, **values)
    assert of(path) == of(tiny_encoder_dir)


def test_other_weights_differ_in_weights_alone(tiny_encoder_dir, other_tiny_encoder_dir):
    one, other = of(tiny_encoder_dir), of(other_tiny_encoder_dir)
    assert one.differs_in(other) == ("weights",)
    assert not one.same_but_precision(other)
    assert onnx_key(read_layout(tiny_encoder_dir)) != onnx_key(read_layout(other_tiny_encoder_dir))


def test_the_same_weights_in_half_precision_may_be_the_same(tiny_encoder_dir, tiny_fp16_dir):
    full, half = of(tiny_encoder_dir), of(tiny_fp16_dir)
    assert (full.dtype, half.dtype) == ("F32", "F16")
    assert full.differs_in(half) == ("weights", "dtype")
    assert full.same_but_precision(half) and half.same_but_precision(full)
    assert not full.same_but_precision(full)


def test_an_older_release_of_the_config_is_the_same_body(tiny_encoder_dir, tmp_path):
    path = copy_of(tiny_encoder_dir, tmp_path / "e", config__json={"transformers_version": "4.8"})
    assert onnx_key(read_layout(path)) == onnx_key(read_layout(tiny_encoder_dir))


def test_pickled_weights_are_refused(tiny_encoder_dir, tmp_path):
    path = copy_of(tiny_encoder_dir, tmp_path / "e")
    (path / "model.safetensors").rename(path / "pytorch_model.bin")
    with pytest.raises(EncoderError, match="pickled"):
        of(path)
    (path / "pytorch_model.bin").unlink()
    with pytest.raises(EncoderError, match="no weights"):
        of(path)


def test_a_missing_shard_is_named(tiny_encoder_dir, tmp_path):
    path = copy_of(tiny_encoder_dir, tmp_path / "e")
    edit(path / "model.safetensors.index.json", weight_map={"a": "part-1.safetensors"})
    with pytest.raises(EncoderError, match=r"part-1\.safetensors"):
        of(path)
