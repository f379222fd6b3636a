import subprocess
import sys

import numpy as np
import pytest

from semsearch.encoder import Encoder, export
from semsearch.encoder.config import read_layout
from semsearch.errors import EncoderError, MissingExtraError
from tests.encoder.changes import copy_of

pytest.importorskip("torch")


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SEMSEARCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_body_is_exported_once_and_nothing_is_printed(
    tiny_encoder_dir, empty_cache, capfd, caplog
):
    with caplog.at_level("INFO", logger="semsearch"):
        first = Encoder.load(tiny_encoder_dir, runtime="onnx").encode(["how to pay"])
    assert [record.message for record in caplog.records] == [
        f"converting {tiny_encoder_dir} to ONNX, once: this takes some seconds"
    ]
    caplog.clear()
    second = Encoder.load(tiny_encoder_dir, runtime="onnx").encode(["how to pay"])
    np.testing.assert_array_equal(first, second)
    assert not caplog.records
    assert capfd.readouterr() == ("", "")
    made = sorted(path.name for path in (empty_cache / "onnx").glob("*/*"))
    assert made == ["model.onnx", "model.onnx.data"]


def test_a_saved_copy_uses_the_same_exported_body(tiny_encoder_dir, tiny_encoder, tmp_path):
    tiny_encoder.save(tmp_path / "saved")
    assert export.find(read_layout(tmp_path / "saved")) == export.find(
        read_layout(tiny_encoder_dir)
    )


def test_two_processes_at_once_make_one_body(tiny_encoder_dir, empty_cache):
    code = (
        "import sys\n"
        "from semsearch.encoder import Encoder\n"
        "print(Encoder.load(sys.argv[1], runtime='onnx').encode(['how to pay']).sum())"
    )
    command = [sys.executable, "-c", code, str(tiny_encoder_dir)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, **pipes) for _ in range(2)]
    results = [process.communicate() for process in processes]
    assert results[0] == results[1]
    assert results[0][1] == ""
    folders = [path for path in (empty_cache / "onnx").iterdir() if path.is_dir()]
    assert len(folders) == 1


def test_a_body_that_gives_other_results_is_not_kept(tiny_encoder_dir, empty_cache, monkeypatch):
    from semsearch.encoder.onnx import OnnxRuntime

    states = OnnxRuntime.states
    monkeypatch.setattr(
        OnnxRuntime, "states", lambda self, feeds: states(self, feeds) + np.float32(0.2)
    )
    with pytest.raises(EncoderError, match="gives other results than torch"):
        Encoder.load(tiny_encoder_dir, runtime="onnx")
    assert not [path for path in (empty_cache / "onnx").iterdir() if path.is_dir()]
    assert Encoder.load(tiny_encoder_dir).runtime == "torch"


def test_without_a_writable_cache_it_is_made_for_this_process(
    tiny_encoder_dir, tiny_encoder, tmp_path, monkeypatch, caplog
):
    (tmp_path / "file").touch()
    monkeypatch.setenv("SEMSEARCH_CACHE", str(tmp_path / "file" / "inside"))
    encoder = Encoder.load(tiny_encoder_dir, runtime="onnx")
    assert "cannot keep the ONNX body" in caplog.text
    np.testing.assert_allclose(
        encoder.encode(["how to pay"]), tiny_encoder.encode(["how to pay"]), atol=1e-6
    )


def test_without_torch_the_error_names_the_extra(tiny_encoder_dir, empty_cache, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"torch .*pip install 'semsearch\[train\]'"):
        Encoder.load(tiny_encoder_dir)
    with pytest.raises(MissingExtraError, match=r"semsearch\[train\]"):
        Encoder.load(tiny_encoder_dir, runtime="torch")


def test_a_damaged_body_is_named_and_says_what_to_do(tiny_encoder_dir, tmp_path):
    path = copy_of(tiny_encoder_dir, tmp_path / "e")
    (path / "onnx").mkdir()
    (path / "onnx" / "model.onnx").write_bytes(b"nonsense")
    with pytest.raises(EncoderError, match=r"model\.onnx.*Delete the file") as caught:
        Encoder.load(path, runtime="onnx")
    assert "\n" not in str(caught.value)


def test_what_a_killed_export_left_is_cleared_away(tiny_encoder_dir, empty_cache):
    from semsearch.encoder.fingerprint import onnx_key

    left = empty_cache / "onnx" / f".{onnx_key(read_layout(tiny_encoder_dir))}-abc"
    left.mkdir(parents=True)
    (left / "model.onnx").write_bytes(b"half")
    Encoder.load(tiny_encoder_dir, runtime="onnx")
    assert not left.exists()
