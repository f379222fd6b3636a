"""A process that improves an index, or rolls it back, may be killed at any moment."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from semsearch import Index
from tests.robustness import killing
from tests.robustness.processes import Server

ASKED = ["my parcel please", "again the refund now", "hello there"]
EXCHANGE = "store.writer.BankWriter.exchange"

# (operation, where it dies, whether its change is there afterwards)
POINTS = [
    ("improve", "before improvement.run.writing", False),
    ("improve", "before files.fsync", False),
    ("improve", "after swapping._save", False),
    ("improve", f"before {EXCHANGE}", False),
    ("improve", "before store.writer.BankWriter._put", False),
    ("improve", "after store.writer.BankWriter._put", False),
    ("improve", f"after {EXCHANGE}", True),
    ("improve", "half a snapshot beside", True),
    ("improve", "after store.writer.BankWriter.set_snapshot", True),
    ("improve", "commit only in the log", True),
    ("roll_back", "before store.writer.BankWriter._put", False),
    ("roll_back", "after store.writer.BankWriter._put", False),
    ("roll_back", f"after {EXCHANGE}", True),
    ("roll_back", "a snapshot without its name", True),
    ("roll_back", "commit only in the log", True),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    server.close()


def answers(path: Path) -> str:
    with Index.open(path) as index:
        report = index.verify()
        assert report.ok, report.problems
        return json.dumps([r.to_dict() for r in index.search(ASKED, 5, refused=True)])


@pytest.mark.parametrize(("op", "point", "changed"), POINTS)
def test_a_kill_leaves_the_index_as_it_was_or_wholly_changed(
    server: Server, tmp_path: Path, built: Path, improved: Path, op: str, point: str, changed: bool
) -> None:
    start, end = (built, improved) if op == "improve" else (improved, built)
    path = shutil.copytree(start, tmp_path / "faq")
    dying = server.start("run_and_die", directory=str(path), op=op, encoder="", point=point)
    assert dying.wait() == []  # it did not survive
    assert answers(path) == answers(end if changed else start)
    killing.OPERATIONS[op](path, "")
    killing.compact(path, "")
    killing.compact(path, "")
    assert answers(path) == answers(end)
    # One encoder inside where it is improved, none where it is not, and nothing half-written.
    assert len(list(path.glob("encoder-*"))) == (op == "improve")
    assert not list(path.glob(".*"))
