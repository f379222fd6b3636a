"""Full disks, read-only disks and limits on the size of files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from semsearch import Encoder, Index, StandardQuestion
from semsearch.cli import cli
from semsearch.errors import IndexNotFoundError, SemsearchError, StorageError
from tests.robustness import killing
from tests.robustness.banks import Bank, check
from tests.robustness.disks import fill, make_read_only, small_disk
from tests.robustness.processes import Server

DISK_BYTES = 4 << 20
PAGE = 4096
WRITES = ["sync", "sync_with_snapshot", "remove", "compact"]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", DISK_BYTES) as path:
        yield path


def _by_key(bank: list[StandardQuestion]) -> Bank:
    return {question.key: question for question in bank}


@pytest.mark.parametrize("op", ["build", *WRITES])
def test_a_full_disk_is_said_and_harms_nothing(
    disk: Path, tiny_encoder_dir: Path, tiny_encoder: Encoder, op: str
) -> None:
    """With ever more space, until the operation gets through."""
    before = [] if op == "build" else killing.BEFORE
    wanted = [_by_key(bank) for bank in (killing.after(op, before), before) if bank]
    refusals = 0
    for pages in [*range(0, 40, 3), *range(40, 400, 16)]:
        path = disk / "faq"
        shutil.rmtree(path, ignore_errors=True)
        if before:
            killing.build(path, str(tiny_encoder_dir))
        filler = fill(disk, pages * PAGE)
        try:
            killing.OPERATIONS[op](path, str(tiny_encoder_dir))
            refused = None
        except StorageError as error:
            refused = str(error)
            assert "free space" in refused and "\n" not in refused and str(path) in refused
            refusals += 1
        if before or refused is None:
            # Searched while the disk is still full.
            found = check(path, tiny_encoder, wanted)
            assert refused or found == 0
        else:
            with pytest.raises((IndexNotFoundError, StorageError)):
                Index.open(path)
        filler.unlink()
        if refused is None:
            break
        if op == "remove" and found == 0:
            continue
        killing.OPERATIONS[op](path, str(tiny_encoder_dir))
        check(path, tiny_encoder, wanted[:1])
    else:
        pytest.fail(f"{op} was refused {refusals} times and never got through")
    assert refusals


@pytest.mark.parametrize("left", ["nothing", "empty log"])
def test_a_full_disk_is_searched(
    disk: Path, tiny_encoder_dir: Path, tiny_encoder: Encoder, left: str
) -> None:
    path = disk / "faq"
    killing.build(path, str(tiny_encoder_dir))
    if left == "nothing":
        for file in path.glob("questions.db-*"):
            file.unlink()
    fill(disk, 0)
    check(path, tiny_encoder, [_by_key(killing.BEFORE)])


@pytest.mark.parametrize("op", ["build", "sync", "compact"])
def test_a_limit_on_file_size_is_said_and_harms_nothing(
    server: Server, tmp_path: Path, tiny_encoder_dir: Path, tiny_encoder: Encoder, op: str
) -> None:
    path = tmp_path / "faq"
    before = [] if op == "build" else killing.BEFORE
    if before:
        killing.build(path, str(tiny_encoder_dir))
    limits = [0, 100, 5000, 9000, 20_000, 30_000, 40_000, 1 << 30]
    events = server.start(
        "run_limited", directory=str(path), op=op, encoder=str(tiny_encoder_dir), limits=limits
    ).wait()
    errors = [event["error"] for event in events]
    assert errors[0].startswith("StorageError") and errors[-1] is None
    assert all("\n" not in error for error in errors if error)
    check(path, tiny_encoder, [_by_key(killing.after(op, before))])


def test_a_full_disk_is_one_line_and_exit_code_2(disk: Path, tiny_encoder_dir: Path) -> None:
    table = disk.parent / "faq.csv"
    table.write_text("question,answer\n" + "".join(f"how {n}?,so {n}\n" for n in range(99)))
    fill(disk, 3 * PAGE)
    command = ["build", str(table), str(disk / "faq"), "--encoder", str(tiny_encoder_dir)]
    result = CliRunner().invoke(cli, command)
    assert result.exit_code == 2, result.output
    assert len(result.stderr.splitlines()) == 1 and "free space" in result.stderr


@pytest.mark.parametrize("left", ["nothing", "empty log", "log", "log without shared memory"])
def test_a_read_only_disk_is_searched_and_not_written(
    server: Server, disk: Path, tiny_encoder_dir: Path, tiny_encoder: Encoder, left: str
) -> None:
    path = disk / "faq"
    killing.build(path, str(tiny_encoder_dir))
    wanted = killing.BEFORE
    if left == "empty log":
        Index.open(path).close()
        assert (path / "questions.db-wal").stat().st_size == 0
    elif left != "nothing":
        dying = server.start(
            "run_and_die", directory=str(path), op="sync", encoder=str(tiny_encoder_dir),
            point="commit only in the log",
        )  # fmt: skip
        dying.wait()
        wanted = killing.AFTER
        assert (path / "questions.db-wal").stat().st_size > 0
    if left == "log without shared memory":
        (path / "questions.db-shm").unlink()
    make_read_only(disk)
    with pytest.raises(StorageError) as caught, Index.open(path) as index:
        index.remove(["k20"])
    assert "\n" not in str(caught.value)
    if left == "log without shared memory":
        # SQLite cannot read this log here, and without it the index would be an older one.
        with pytest.raises(StorageError, match=r"questions\.db"):
            Index.open(path)
        return
    check(path, tiny_encoder, [_by_key(wanted)])
    query = CliRunner().invoke(cli, ["query", str(path), "card number 20"])
    assert query.exit_code == 0, query.output
    refused = CliRunner().invoke(cli, ["compact", str(path)])
    assert refused.exit_code == 2 and len(refused.stderr.splitlines()) == 1


def test_no_index_can_be_made_on_a_read_only_disk(disk: Path, tiny_encoder_dir: Path) -> None:
    make_read_only(disk)
    with pytest.raises(StorageError, match="Read-only"):
        killing.build(disk / "faq", str(tiny_encoder_dir))


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere"
)
def test_a_directory_that_may_not_be_written_is_searched(
    tmp_path: Path, tiny_encoder_dir: Path, tiny_encoder: Encoder
) -> None:
    path = tmp_path / "faq"
    killing.build(path, str(tiny_encoder_dir))
    for file in path.iterdir():
        file.chmod(0o444)
    path.chmod(0o555)
    try:
        check(path, tiny_encoder, [_by_key(killing.BEFORE)])
        with pytest.raises(StorageError), Index.open(path) as index:
            index.remove(["k1"])
    finally:
        path.chmod(0o755)


def test_a_path_that_is_no_directory_is_said(tmp_path: Path, tiny_encoder_dir: Path) -> None:
    (tmp_path / "faq").write_text("a file")
    with pytest.raises(SemsearchError):
        Index.open(tmp_path / "faq")
    with pytest.raises(StorageError):
        killing.build(tmp_path / "faq", str(tiny_encoder_dir))
