"""Logs, torn logs, and tables that are no logs."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from semsearch.errors import DataError
from semsearch.querylog import Record, read_log

LINE = (
    '{"time": "2026-01-02T03:04:05.678+00:00", "query": "where is it", "key": "track", '
    '"score": 0.5, "confidence": null, "answered": true}\n'
)


def _log(tmp_path: Path, content: str | bytes, name: str = "log.jsonl") -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_a_record_comes_back_as_it_was_written(tmp_path: Path) -> None:
    record = Record("where is it", "2026-01-02T03:04:05.678+00:00", "track", 0.5, None, True)
    assert list(read_log(_log(tmp_path, LINE))) == [record]
    assert record.to_line().decode() == LINE


def test_a_log_is_known_by_its_first_line_whatever_its_name(tmp_path: Path) -> None:
    assert [record.key for record in read_log(_log(tmp_path, LINE, "queries"))] == ["track"]


def test_the_predecessor_is_read_first(tmp_path: Path) -> None:
    _log(tmp_path, LINE.replace("where is it", "older"), "log.jsonl.1")
    found = read_log(_log(tmp_path, LINE))
    assert [record.query for record in found] == ["older", "where is it"]


@pytest.mark.parametrize(
    "torn",
    [
        LINE.encode()[:9],
        LINE.encode()[:60],
        LINE.replace("where", "退款").encode()[:55],  # in the middle of a character
        b"\0" * 100,
    ],
)
def test_torn_lines_are_left_out_wherever_they_stand(
    tmp_path: Path, torn: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = _log(tmp_path, LINE.encode() + torn + b"\n" + LINE.encode() + torn)
    with caplog.at_level(logging.WARNING):
        assert len(list(read_log(path))) == 2
    if torn.strip(b"\0"):
        assert f"2 lines are torn, as by a crash, and left out; the first is {path}:2" in (
            caplog.text
        )


def test_lines_are_read_one_at_a_time(tmp_path: Path) -> None:
    records = read_log(_log(tmp_path, LINE * 3 + "no JSON\n"))
    assert [next(records).query for _ in range(3)] == ["where is it"] * 3
    with pytest.raises(DataError, match=r"log\.jsonl:4: 'no JSON' is no JSON"):
        next(records)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1]\n", "1: expected an object"),
        (LINE + '{"query": 5, "answered": true}\n', "2: query is no text but '5'"),
        (LINE.replace("0.5", '"high"'), '1: score is "high"'),
        (LINE.replace("true", "1"), "1: answered is 1"),
        ('{"a": "x", "b": "y"}\n', "1: no query in it. Name the column"),
        ('{"query": "\\ud800"}\n', "1: query contains text that is not valid Unicode"),
        ("\n", "holds no query"),
    ],
)
def test_what_is_no_log_says_which_line(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(DataError, match=message.replace("(", "\\(")):
        list(read_log(_log(tmp_path, content)))


def test_a_missing_log_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such file"):
        list(read_log(tmp_path / "none.jsonl"))


def test_any_table_with_a_column_of_texts_is_read(tmp_path: Path) -> None:
    table = _log(tmp_path, "text,answered\nwhere is it,x\n\n怎么退款,y\n", "asked.csv")
    assert list(read_log(table)) == [Record("where is it"), Record("怎么退款")]
    lines = _log(tmp_path, '{"text": "a", "score": "high"}\n{"text": " "}\n{"text": "b"}\n')
    assert list(read_log(lines)) == [Record("a"), Record("b")]
    named = _log(tmp_path, '{"said": "a", "text": "b"}\n', "other.jsonl")
    assert list(read_log(named, column="said")) == [Record("a")]
    with pytest.raises(DataError, match="no column 'sayd'"):
        list(read_log(named, column="sayd"))
