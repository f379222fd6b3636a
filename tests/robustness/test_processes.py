"""One process writes, others read or wait."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from click.testing import CliRunner

from semsearch import Encoder, Index
from semsearch.cli import cli
from semsearch.errors import IndexBusyError
from tests.robustness import killing
from tests.robustness.processes import Server


def _read_while_writing(server: Server, folder: Path, encoder: Path, seconds: float) -> str:
    directory, stop = folder / "faq", folder / "stop"
    Index.build(killing.revision(1), directory, encoder=encoder).close()
    readers = [
        server.start(
            "read_revisions", directory=str(directory), encoder=str(encoder),
            fresh=fresh, stop=str(stop),
        )
        for fresh in (True, True, False, False)
    ]  # fmt: skip
    for reader in readers:
        reader.wait_for("ready")
    writer = server.start(
        "write_revisions", directory=str(directory), encoder=str(encoder), seconds=seconds
    )
    (*_, wrote) = writer.wait()
    stop.touch()
    ends = [reader.wait()[-1] for reader in readers]
    assert [end["event"] for end in ends] == ["done"] * 4
    assert all(end["revision"] > 1 and end["searches"] > 5 for end in ends)
    with Index.open(directory) as index:
        assert index.verify().ok
        assert list(index.questions()) == killing.revision(wrote["revision"])
    return f"{wrote['revision']} revisions, searches {[end['searches'] for end in ends]}"


def test_no_reader_sees_half_a_sync(server: Server, tmp_path: Path, tiny_encoder_dir: Path) -> None:
    _read_while_writing(server, tmp_path, tiny_encoder_dir, 4.0)


@pytest.mark.slow
def test_no_reader_sees_half_a_sync_in_thirty_seconds(
    server: Server, tmp_path: Path, tiny_encoder_dir: Path
) -> None:
    print(_read_while_writing(server, tmp_path, tiny_encoder_dir, 30.0))


@pytest.fixture
def path(tmp_path: Path, tiny_encoder_dir: Path) -> Path:
    killing.build(tmp_path / "faq", str(tiny_encoder_dir))
    return tmp_path / "faq"


def test_a_second_writer_is_refused_at_once_or_waits(
    server: Server, tmp_path: Path, path: Path
) -> None:
    release = tmp_path / "release"
    os.mkfifo(release)
    holder = server.start("hold_lock", directory=str(path), release=str(release))
    holder.wait_for("locked")
    started = time.perf_counter()
    with Index.open(path) as index:
        with pytest.raises(IndexBusyError, match="another process is writing to this index"):
            index.remove(["k1"])
        assert index.search("parcel 1", 1)[0].hits[0].key == "k1"
    refused = CliRunner().invoke(cli, ["remove", str(path), "k1"])
    assert refused.exit_code == 2 and len(refused.stderr.splitlines()) == 1
    assert time.perf_counter() - started < 5
    with Index.open(path) as index:
        release.open("w").close()
        assert index.remove(["k1"], wait_seconds=30).removed == 1
    assert [event["event"] for event in holder.wait()] == ["released"]


def test_a_dead_writer_holds_no_lock(server: Server, tmp_path: Path, path: Path) -> None:
    release = tmp_path / "release"
    os.mkfifo(release)
    holder = server.start("hold_lock", directory=str(path), release=str(release))
    holder.wait_for("locked")
    holder.kill()
    with Index.open(path) as index:
        assert index.remove(["k1"]).removed == 1


@pytest.mark.parametrize("op", ["compact", "sync_with_snapshot"])
def test_a_search_may_stand_inside_a_walk_over_the_bank(
    path: Path, tiny_encoder_dir: Path, op: str
) -> None:
    """And a change, too: the walk goes on over the bank as it was."""
    seen = []
    with Index.open(path) as index:
        for n, question in enumerate(index.questions()):
            seen.append(question)
            if n < 3:
                assert index.search(question.question, 1)[0].hits[0].key == question.key
            if n == 3:
                killing.OPERATIONS[op](path, str(tiny_encoder_dir))
    assert seen == killing.BEFORE


def test_threads_may_share_an_index(path: Path, tiny_encoder: Encoder) -> None:
    with Index.open(path, encoder=tiny_encoder) as index, ThreadPoolExecutor(4) as pool:
        wanted = index.search("parcel 7", 3)
        assert all(found == wanted for found in pool.map(index.search, ["parcel 7"] * 80, [3] * 80))


def test_an_index_that_was_put_in_place_of_another_is_followed(
    tmp_path: Path, path: Path, tiny_encoder_dir: Path
) -> None:
    other = tmp_path / "other"
    Index.build(killing.BEFORE[:3], other, encoder=tiny_encoder_dir).close()
    with Index.open(path) as index:
        assert len(index.search("card", 40)[0].hits) == 40
        for file in other.iterdir():
            file.replace(path / file.name)
        assert len(index.search("card", 40)[0].hits) == 3


def test_ctrl_c_keeps_what_was_encoded_and_nothing_else(
    server: Server, tmp_path: Path, tiny_encoder_dir: Path
) -> None:
    path = tmp_path / "faq"
    arguments = {"directory": str(path), "encoder": str(tiny_encoder_dir), "n": 4000}
    first = server.start("build_slowly", **arguments)
    while (event := first.wait_for("encoded"))["done"] < 1000:
        pass
    first.interrupt()
    events = [event, *first.wait()]
    assert events[-1]["event"] == "interrupted"
    encoded = max(event.get("done", 0) for event in events)
    assert 1000 <= encoded < 8000
    assert not (path / "questions.db").exists()
    assert (path / "pending.vectors").exists()
    second = server.start("build_slowly", **arguments)
    start = second.wait_for("encoded")
    assert start["done"] >= encoded and start["total"] == 8000
    assert second.wait()[-1]["event"] == "built"
    assert not (path / "pending.vectors").exists()
    with Index.open(path) as index:
        assert index.verify().ok and len(index) == 4000


def test_ctrl_c_during_a_sync_leaves_the_index_as_it_was(
    server: Server, path: Path, tiny_encoder_dir: Path
) -> None:
    arguments = {"directory": str(path), "encoder": str(tiny_encoder_dir), "n": 4000}
    first = server.start("build_slowly", **arguments)
    while first.wait_for("encoded")["done"] < 500:
        pass
    first.interrupt()
    assert first.wait()[-1]["event"] == "interrupted"
    with Index.open(path) as index:
        assert index.verify().ok and list(index.questions()) == killing.BEFORE
    second = server.start("build_slowly", **arguments)
    assert second.wait_for("encoded")["done"] >= 500
    assert second.wait()[-1]["event"] == "built"
    with Index.open(path) as index:
        assert index.verify().ok and list(index.questions()) == killing.plain_bank(4000)
    assert not (path / "pending.vectors").exists()
