from __future__ import annotations

import os
from pathlib import Path

import pytest

from semsearch.errors import StorageError
from semsearch.files import atomic_directory, atomic_write


def test_a_directory_appears_when_it_is_whole(tmp_path: Path) -> None:
    with atomic_directory(tmp_path / "new" / "out") as folder:
        folder.mkdir()
        (folder / "a").write_text("1")
        assert not (tmp_path / "new" / "out").exists()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["out"]
    assert (tmp_path / "new" / "out" / "a").read_text() == "1"


def test_what_fails_half_way_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(KeyError), atomic_directory(tmp_path / "out") as folder:
        folder.mkdir()
        raise KeyError("x")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_refuses_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"out: .*space"), atomic_directory(tmp_path / "out"):
        raise OSError(28, "No space left on device")


def test_an_empty_directory_is_replaced_and_a_full_one_is_not(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with atomic_directory(tmp_path / "out") as folder:
        folder.mkdir()
        (folder / "a").write_text("1")
    with pytest.raises(StorageError), atomic_directory(tmp_path / "out") as folder:
        folder.mkdir()
    assert (tmp_path / "out" / "a").read_text() == "1"


def test_a_link_is_followed_and_a_pipe_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("before")
    (tmp_path / "link").symlink_to("real")
    with atomic_write(tmp_path / "link") as file:
        file.write(b"after")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").read_text() == "after"
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(StorageError, match="Name another"), atomic_write(tmp_path / name):
            pass
    assert (tmp_path / "pipe").is_fifo()
