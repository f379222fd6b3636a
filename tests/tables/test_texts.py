"""A list of texts is a file of lines, or one column of a table."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from semsearch.errors import BadRowsError, DataError
from semsearch.tables import read_texts, write_table


def test_a_text_file_has_one_text_a_line(tmp_path: Path) -> None:
    (tmp_path / "q.txt").write_bytes("\ufeffHow, why?\r\n\r\n 怎么办 \rend".encode())
    assert read_texts(tmp_path / "q.txt") == ["How, why?", "怎么办", "end"]
    (tmp_path / "q.txt").write_bytes("怎么修改密码\n如何退款\n".encode("gbk"))
    assert read_texts(tmp_path / "q.txt") == ["怎么修改密码", "如何退款"]


def test_standard_input_has_one_text_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a, b\nc\n")))
    assert read_texts("-") == ["a, b", "c"]


@pytest.mark.parametrize("name", ["q.csv", "q.tsv", "q.jsonl", "q.parquet", "q.xlsx"])
def test_a_table_gives_its_text_column(tmp_path: Path, name: str) -> None:
    write_table(tmp_path / name, [{"id": "1", "query": " a, b "}, {"id": "2", "query": None}])
    assert read_texts(tmp_path / name) == ["a, b"]
    assert read_texts(tmp_path / name, column="ID") == ["1", "2"]


def test_the_only_column_is_the_text(tmp_path: Path) -> None:
    write_table(tmp_path / "q.csv", [{"whatever": "a"}])
    assert read_texts(tmp_path / "q.csv") == ["a"]


def test_unclear_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "q.csv"
    write_table(path, [{"foo": "a", "bar": "b"}])
    with pytest.raises(DataError, match="no text column among 'foo', 'bar'"):
        read_texts(path)
    path.write_text("text,id\na,1\nb\n")
    with pytest.raises(BadRowsError, match=r"q\.csv:3: 1 field where the header has 2"):
        read_texts(path)
    (tmp_path / "q.txt").write_bytes(b"a\nb\0\n")
    with pytest.raises(BadRowsError, match=r"q\.txt:2: contains a NUL"):
        read_texts(tmp_path / "q.txt")
    (tmp_path / "q.txt").write_bytes(b" \n\n")
    with pytest.raises(DataError, match="holds no text"):
        read_texts(tmp_path / "q.txt")
