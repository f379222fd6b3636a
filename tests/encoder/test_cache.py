import os
import time
from pathlib import Path

import pytest

from semsearch.encoder import cache


@pytest.fixture
def old_file(tmp_path, monkeypatch):
    monkeypatch.setenv("SEMSEARCH_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "weights"
    path.write_bytes(b"123")
    os.utime(path, (time.time() - 60, time.time() - 60))
    return path


def test_a_file_that_did_not_change_is_computed_once(old_file):
    assert cache.remembered("x", [old_file], lambda: {"n": 1}) == {"n": 1}
    assert cache.remembered("x", [old_file], lambda: {"n": 2}) == {"n": 1}
    assert cache.remembered("y", [old_file], lambda: {"n": 3}) == {"n": 3}


def test_a_changed_file_is_computed_again(old_file):
    cache.remembered("x", [old_file], lambda: {"n": 1})
    os.utime(old_file, (time.time() - 30, time.time() - 30))
    assert cache.remembered("x", [old_file], lambda: {"n": 2}) == {"n": 2}


def test_a_file_of_this_moment_is_not_remembered(old_file):
    os.utime(old_file)
    cache.remembered("x", [old_file], lambda: {"n": 1})
    assert cache.remembered("x", [old_file], lambda: {"n": 2}) == {"n": 2}


def test_a_damaged_entry_is_computed_again(old_file):
    cache.remembered("x", [old_file], lambda: {"n": 1})
    for entry in (cache.cache_dir() / "hashes").iterdir():
        entry.write_text("{nonsense")
    assert cache.remembered("x", [old_file], lambda: {"n": 2}) == {"n": 2}


def test_a_cache_that_cannot_be_written_is_harmless(old_file, monkeypatch):
    monkeypatch.setenv("SEMSEARCH_CACHE", str(old_file / "inside-a-file"))
    assert cache.remembered("x", [old_file], lambda: {"n": 1}) == {"n": 1}


def test_the_cache_is_where_the_platform_wants_it(monkeypatch):
    monkeypatch.delenv("SEMSEARCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache.cache_dir() == Path("/somewhere/semsearch")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr("sys.platform", "linux")
    assert cache.cache_dir() == Path.home() / ".cache" / "semsearch"
    monkeypatch.setattr("sys.platform", "darwin")
    assert cache.cache_dir() == Path.home() / "Library" / "Caches" / "semsearch"
