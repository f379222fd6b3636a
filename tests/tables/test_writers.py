"""What is written appears whole, and nothing is written that cannot be read back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from semsearch.errors import DataError, StorageError
from semsearch.tables import read_table, write_table, writers

FORMATS = ["x.csv", "x.tsv", "x.jsonl", "x.parquet", "x.xlsx"]


def test_csv_is_quoted_no_more_than_needed(tmp_path: Path) -> None:
    rows = [{"id": 1, "q": "=1+1", "a": 'say "x", y'}, {"id": 2, "a": "two\nlines", "q": None}]
    write_table(tmp_path / "x.csv", rows)
    expected = 'id,q,a\n1,=1+1,"say ""x"", y"\n2,,"two\nlines"\n'
    assert (tmp_path / "x.csv").read_bytes().decode() == expected


def test_columns_choose_and_order(tmp_path: Path) -> None:
    for name in FORMATS:
        write_table(tmp_path / name, [{"a": "1", "b": "2", "c": "3"}], columns=["c", "a"])
        table = read_table(tmp_path / name)
        assert table.columns == ("c", "a")
        assert table.rows[0].values == {"c": "3", "a": "1"}


@pytest.mark.parametrize("name", FORMATS)
def test_a_formula_is_text(tmp_path: Path, name: str) -> None:
    write_table(tmp_path / name, [{"question": "=cmd|' /C calc'!A0"}])
    assert read_table(tmp_path / name).rows[0].values == {"question": "=cmd|' /C calc'!A0"}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("cell", ["a\0b", "a\ud800b", ["a\ud800"]])
def test_what_no_reader_takes_is_not_written(tmp_path: Path, name: str, cell: Any) -> None:
    with pytest.raises(DataError, match="row 2, column 'q'"):
        write_table(tmp_path / name, [{"q": "fine"}, {"q": cell}])
    assert list(tmp_path.iterdir()) == []


def test_an_encoding_that_lacks_a_character_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"big5 has no character '个' \(line 3\)"):
        write_table(tmp_path / "x.csv", [{"q": "a"}, {"q": "个"}], encoding="big5")
    with pytest.raises(DataError, match="no encoding 'klingon'"):
        write_table(tmp_path / "x.csv", [{"q": "a"}], encoding="klingon")


def test_wrong_requests_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot write '\.doc'"):
        write_table(tmp_path / "x.doc", [{"q": "a"}])
    with pytest.raises(DataError, match="two columns share a name"):
        write_table(tmp_path / "x.csv", [{"q": "a"}], columns=["q", "q"])
    for delimiter in ("::", "\n", '"'):
        with pytest.raises(DataError, match="cannot be a delimiter"):
            write_table(tmp_path / "x.csv", [{"q": "a"}], delimiter=delimiter)
    with pytest.raises(DataError, match="more than Excel holds"):
        write_table(tmp_path / "x.xlsx", [{"q": "a" * 32_768}])
    with pytest.raises(DataError, match="Parquet cannot hold column"):
        write_table(tmp_path / "x.parquet", [{"q": "a"}, {"q": 5}])


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.csv"
    write_table(path, [{"q": "old"}])

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left on device"):
        write_table(path, [{"q": "new"}])
    assert path.read_text() == "q\nold\n"
    assert [item.name for item in tmp_path.iterdir()] == ["x.csv"]


def test_writing_into_no_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="No such file"):
        write_table(tmp_path / "none" / "x.csv", [{"q": "a"}])


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link.csv").symlink_to(tmp_path / "real.csv")
    write_table(tmp_path / "link.csv", [{"q": "a"}])
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "real.csv").read_text() == "q\na\n"


def test_excel_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writers, "_EXCEL_ROWS", 3)
    with pytest.raises(DataError, match="Excel holds 2 rows"):
        write_table(tmp_path / "x.xlsx", [{"q": "a"}] * 3)
