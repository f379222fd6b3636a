"""Whole lines from several processes, within a size, and never in the way of an answer."""

from __future__ import annotations

import json
import logging
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from semsearch.querylog import QueryLog, read_log
from semsearch.types import Hit, Result


def _result(query: str, *, refused: bool = False) -> Result:
    hit = Hit(1, "refund", "How do I get a refund?", "", 0.71828, "refund please", {})
    return Result(query, (hit,), confidence=0.87654, refused=refused)


def _lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_a_record_says_what_was_asked_and_what_was_found(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    QueryLog(path).add([_result("退款\n“now”", refused=True), Result("nothing", ())])
    first, second = _lines(path)
    assert str(first.pop("time")).endswith("+00:00")
    assert first == {
        "query": "退款\n“now”", "key": "refund", "score": 0.7183, "confidence": 0.8765,
        "answered": False,
    }  # fmt: skip
    del second["time"]
    assert second == {
        "query": "nothing", "key": None, "score": None, "confidence": None, "answered": False
    }  # fmt: skip


def test_nobody_else_may_read_a_new_log(tmp_path: Path) -> None:
    if os.name == "nt":
        pytest.skip("Windows has no such permissions")
    QueryLog(tmp_path / "log").add([_result("x")])
    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) == 0o600


def test_what_redaction_refuses_is_not_kept_and_what_it_changes_is_kept_changed(
    tmp_path: Path,
) -> None:
    path = tmp_path / "log.jsonl"
    log = QueryLog(path, redact=lambda text: None if "secret" in text else text.upper())
    log.add([_result("my secret"), _result("hello")])
    assert [line["query"] for line in _lines(path)] == ["HELLO"]


def test_a_redaction_that_fails_keeps_nothing_and_raises_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "log.jsonl"
    QueryLog(path, redact=lambda text: text[99]).add([_result("private")])
    assert not path.exists()
    assert "redaction failed" in caplog.text
    assert "private" not in caplog.text


def test_a_line_after_a_torn_one_stands_alone(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    log = QueryLog(path)
    log.add([_result("first"), _result("torn")])
    path.write_bytes(path.read_bytes()[:-20])
    log.add([_result("after")])
    assert [record.query for record in read_log(path)] == ["first", "after"]


def test_a_log_that_cannot_be_written_is_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = QueryLog(tmp_path / "missing" / "log.jsonl")
    with caplog.at_level(logging.WARNING):
        log.add([_result("one")])
        log.add([_result("two")])
    assert [record.message for record in caplog.records] == [
        f"{tmp_path / 'missing' / 'log.jsonl'}: not written: No such file or directory."
    ]


def test_a_full_disk_is_a_warning_and_the_reader_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log.jsonl"
    log = QueryLog(path)
    log.add([_result("before")])
    with monkeypatch.context() as patch:
        write = os.write
        patch.setattr(os, "write", lambda file, data: write(file, data[: len(data) // 2]))
        log.add([_result("lost")])
    assert "the disk is full" in caplog.text
    log.add([_result("after")])
    assert [record.query for record in read_log(path)] == ["before", "after"]


def test_the_log_and_its_predecessor_stay_within_the_bound(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    log = QueryLog(path, max_bytes=8192)
    for number in range(500):
        log.add([_result(f"query {number}")])
        assert sum(file.stat().st_size for file in tmp_path.glob("log.jsonl*")) <= 8192
    kept = [int(record.query.split()[1]) for record in read_log(path)]
    assert kept == list(range(kept[0], 500))
    assert len(kept) >= 25  # half of the bound at least


def test_a_batch_larger_than_the_bound_keeps_its_end(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    QueryLog(path, max_bytes=4096).add([_result(f"query {number}") for number in range(200)])
    kept = [int(record.query.split()[1]) for record in read_log(path)]
    assert kept == list(range(kept[0], 200))


def test_a_query_too_long_for_the_log_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "log.jsonl"
    QueryLog(path, max_bytes=4096).add([_result("x" * 5000), _result("short")])
    assert [record.query for record in read_log(path)] == ["short"]
    assert "longer than 2048 bytes" in caplog.text


def test_text_that_is_no_unicode_is_logged_as_far_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    QueryLog(path).add([_result("caf\udce9")])
    assert _lines(path)[0]["query"] == "caf?"


_WRITER = """
import sys
from semsearch.querylog import QueryLog
from semsearch.types import Result
path, name, bound = sys.argv[1], sys.argv[2], int(sys.argv[3])
log = QueryLog(path, max_bytes=bound)
for number in range(200):
    log.add([Result(f"{name} {number} " + "x" * (number % 60), ())])
"""


@pytest.mark.parametrize("bound", [10_000_000, 200_000])
def test_lines_of_several_processes_never_mix(tmp_path: Path, bound: int) -> None:
    path = tmp_path / "log.jsonl"
    processes = [
        subprocess.Popen([sys.executable, "-c", _WRITER, str(path), name, str(bound)])
        for name in "abcd"
    ]
    assert [process.wait() for process in processes] == [0] * 4
    found = [record.query.split()[:2] for record in read_log(path)]
    for name in "abcd":
        numbers = [int(number) for who, number in found if who == name]
        assert numbers == list(range(200 - len(numbers), 200))
    # Of all 800 lines, or of the newest ones where they were too many.
    assert len(found) == 800 or (bound == 200_000 and len(found) >= 400)
