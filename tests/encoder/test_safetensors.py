import json

import numpy as np
import pytest

from semsearch.encoder import safetensors
from semsearch.errors import EncoderError

TENSORS = {
    "linear.weight": np.arange(12, dtype=np.float32).reshape(3, 4),
    "linear.bias": np.array([1.5, -2, 0], np.float32),
}


def test_what_is_written_reads_back(tmp_path):
    safetensors.write(tmp_path / "a.safetensors", TENSORS)
    found = safetensors.read(tmp_path / "a.safetensors")
    assert found.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        np.testing.assert_array_equal(found[name], tensor)


def test_the_reference_implementation_reads_what_we_write_and_the_other_way_round(tmp_path):
    reference = pytest.importorskip("safetensors.numpy")
    safetensors.write(tmp_path / "ours.safetensors", TENSORS)
    loaded = reference.load_file(tmp_path / "ours.safetensors")
    np.testing.assert_array_equal(loaded["linear.weight"], TENSORS["linear.weight"])
    reference.save_file(TENSORS, tmp_path / "theirs.safetensors")
    found = safetensors.read(tmp_path / "theirs.safetensors")
    np.testing.assert_array_equal(found["linear.bias"], TENSORS["linear.bias"])


def test_half_precision_is_read_as_float32(tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    values = torch.tensor([1.0, -0.3333, 65504.0, 1e-5])
    save_file({"half": values.half(), "brain": values.bfloat16()}, tmp_path / "a.safetensors")
    found = safetensors.read(tmp_path / "a.safetensors")
    np.testing.assert_array_equal(found["half"], values.half().float().numpy())
    np.testing.assert_array_equal(found["brain"], values.bfloat16().float().numpy())


def test_the_digest_ignores_order_shards_and_metadata_but_no_value(tmp_path):
    reference = pytest.importorskip("safetensors.numpy")
    a, b, c = (tmp_path / f"{name}.safetensors" for name in "abc")
    safetensors.write(a, TENSORS)
    reference.save_file({"linear.weight": TENSORS["linear.weight"]}, b, {"format": "np"})
    reference.save_file({"linear.bias": TENSORS["linear.bias"]}, c)
    assert safetensors.digest([a]) == safetensors.digest([c, b])
    safetensors.write(b, {**TENSORS, "linear.bias": np.array([1.5, -2, 1e-9], np.float32)})
    assert safetensors.digest([a]) != safetensors.digest([b])


def test_the_digest_names_the_dtype_that_most_bytes_have(tmp_path):
    reference = pytest.importorskip("safetensors.numpy")
    values = {"a": np.zeros(100, np.float16), "b": np.zeros(3, np.float32)}
    reference.save_file(values, tmp_path / "a.safetensors")
    assert safetensors.digest([tmp_path / "a.safetensors"])[1] == "F16"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x10\0\0\0",
        (10**18).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"[]",
        (2).to_bytes(8, "little") + b"{]",
        *(
            len(text).to_bytes(8, "little") + text + b"1234"
            for text in (
                json.dumps({"a": {"dtype": "F32", "shape": [9], "data_offsets": [0, 36]}}).encode(),
                json.dumps({"a": {"dtype": "F32", "shape": [9]}}).encode(),
                json.dumps({"a": 3}).encode(),
            )
        ),
    ],
)
def test_a_damaged_file_is_an_error_with_its_name(tmp_path, content):
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(EncoderError, match=r"a\.safetensors"):
        safetensors.read(path)
