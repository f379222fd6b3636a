"""A process that writes may be killed at any moment."""

from __future__ import annotations

import json
import random
import shutil
import time
from collections import Counter
from pathlib import Path

import pytest

from semsearch import Encoder, Index, StandardQuestion
from semsearch.errors import IndexNotFoundError
from tests.robustness import killing
from tests.robustness.banks import Bank, as_json, check, from_json
from tests.robustness.processes import Server

KILLS_PER_INDEX = 8
LONGEST_SECONDS = 0.6


def _by_key(bank: list[StandardQuestion]) -> Bank:
    return {question.key: question for question in bank}


def _read(journal: Path) -> tuple[Bank | None, Bank | None, str]:
    """The bank as acknowledged, what the operation in flight makes of it, and which that is."""
    acknowledged: Bank | None = None
    asked: tuple[Bank, str] | None = None
    for line in journal.read_text("utf-8").splitlines(keepends=True):
        if not line.endswith("\n"):  # torn by the kill: nothing was begun yet, or is all done
            break
        event = json.loads(line)
        if "done" in event:
            assert asked is not None
            acknowledged, asked = asked[0], None
        else:
            asked = from_json(event["bank"]), event["op"]
    return (acknowledged, *asked) if asked else (acknowledged, None, "between operations")


def _kill_at_random(
    server: Server, folder: Path, encoder_dir: Path, encoder: Encoder, n_kills: int, seed: int
) -> Counter[str]:
    """Kill n writers; the tally says in which operation, and whether it had committed."""
    chance = random.Random(seed)
    tally: Counter[str] = Counter()
    for n in range(n_kills):
        directory, journal = folder / "index", folder / "journal"
        if n % KILLS_PER_INDEX == 0:
            shutil.rmtree(directory, ignore_errors=True)
            journal.write_text("", "utf-8")
        writer = server.start(
            "write_for_ever", directory=str(directory), encoder=str(encoder_dir),
            journal=str(journal), seed=chance.randrange(10**9),
        )  # fmt: skip
        writer.wait_for("ready")
        # The very moment does not matter, only that it is another one each time.
        first = n % KILLS_PER_INDEX == 0
        time.sleep(chance.uniform(0, 0.15 if first else LONGEST_SECONDS))
        writer.kill()
        acknowledged, asked, op = _read(journal)
        before = "first build" if acknowledged is None and op == "build" else op
        if acknowledged is None:
            try:
                Index.open(directory).close()
            except IndexNotFoundError as error:
                assert "no index here" in str(error) or "did not finish" in str(error)
                tally[f"{before}: not yet"] += 1
                journal.write_text("", "utf-8")
                continue
        allowed = [bank for bank in (acknowledged, asked) if bank is not None]
        found = check(directory, encoder, allowed)
        now = allowed[found]
        tally[f"{before}: {'as it was' if now is acknowledged else 'done'}"] += 1
        resolved = [{"op": "found", "bank": as_json(now)}, {"done": "found", "bank": as_json(now)}]
        journal.write_text("".join(json.dumps(line) + "\n" for line in resolved), "utf-8")
    return tally


def test_no_kill_loses_or_mixes_anything(
    server: Server, tmp_path: Path, tiny_encoder_dir: Path, tiny_encoder: Encoder
) -> None:
    tally = _kill_at_random(server, tmp_path, tiny_encoder_dir, tiny_encoder, 22, seed=7)
    assert sum(tally.values()) == 22


@pytest.mark.slow
def test_no_kill_of_three_hundred_loses_or_mixes_anything(
    server: Server, tmp_path: Path, tiny_encoder_dir: Path, tiny_encoder: Encoder
) -> None:
    tally = _kill_at_random(server, tmp_path, tiny_encoder_dir, tiny_encoder, 300, seed=11)
    for what, n in sorted(tally.items()):
        print(f"{n:4d} {what}")
    assert sum(tally.values()) == 300


APPLY = "store.writer.BankWriter.apply"
SNAPSHOT = "store.writer.BankWriter.set_snapshot"

# (operation, where it dies, whether its change is there afterwards)
POINTS = [
    ("build", "before writing._existing", False),
    ("build", "half a record in pending.vectors", False),
    ("build", "after store.writer.connect_writer", False),
    ("build", "after store.writer.BankWriter.__init__", False),
    ("build", "before store.writer.BankWriter._put", False),
    ("build", f"after {APPLY}", True),
    ("build", "half a snapshot beside", True),
    ("build", "a snapshot without its name", True),
    ("build", "after ann.neighbours.Neighbours.save", True),
    ("build", f"after {SNAPSHOT}", True),
    ("build", "commit only in the log", True),
    ("sync", "half a record in pending.vectors", False),
    ("sync", "before store.writer.BankWriter._delete", False),
    ("sync", "before store.writer.BankWriter._put", False),
    ("sync", "after store.writer.BankWriter._put", False),
    ("sync", "before writing.discard_pending", True),
    ("sync", "commit only in the log", True),
    ("sync_with_snapshot", f"after {APPLY}", True),
    ("sync_with_snapshot", "half a snapshot beside", True),
    ("sync_with_snapshot", "after ann.neighbours.Neighbours.save", True),
    ("sync_with_snapshot", f"after {SNAPSHOT}", True),
    ("sync_with_snapshot", "commit only in the log", True),
    ("remove", "after store.writer.BankWriter._put", False),
    ("remove", f"after {APPLY}", True),
    ("remove", "commit only in the log", True),
    ("compact", "half a snapshot beside", True),
    ("compact", "a snapshot without its name", True),
    ("compact", "before files.fsync", True),
    ("compact", "after ann.neighbours.Neighbours.save", True),
    ("compact", f"after {SNAPSHOT}", True),
    ("compact", "before store.writer.BankWriter.vacuum", True),
    ("compact", "after store.writer.BankWriter.vacuum", True),
]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, tiny_encoder_dir: Path) -> Path:
    path = tmp_path_factory.mktemp("built") / "faq"
    killing.build(path, str(tiny_encoder_dir))
    return path


@pytest.mark.parametrize(("op", "point", "changed"), POINTS)
def test_a_kill_at_this_point_leaves_one_state_and_the_next_run_goes_on(
    server: Server, tmp_path: Path, built: Path, tiny_encoder_dir: Path, tiny_encoder: Encoder,
    op: str, point: str, changed: bool,
) -> None:  # fmt: skip
    path = tmp_path / "faq"
    before = [] if op == "build" else killing.BEFORE
    if before:
        shutil.copytree(built, path)
    wanted = killing.after(op, before)
    dying = server.start(
        "run_and_die", directory=str(path), op=op, encoder=str(tiny_encoder_dir), point=point
    )
    assert dying.wait() == []  # it did not survive
    if before or changed:
        check(path, tiny_encoder, [_by_key(wanted if changed else before)])
    else:
        with pytest.raises(IndexNotFoundError, match=r"no index here|did not finish"):
            Index.open(path)
    if not (op == "remove" and changed):
        killing.OPERATIONS[op](path, str(tiny_encoder_dir))
    check(path, tiny_encoder, [_by_key(wanted)])
    killing.compact(path, str(tiny_encoder_dir))
    check(path, tiny_encoder, [_by_key(wanted)])
    assert _left_over(path) == []


WHITENING_POINTS = [
    ("before files.fsync", False),
    ("after bank_encoding.whitened", False),
    ("before store.writer.BankWriter._put", False),
    (f"after {APPLY}", True),
    ("after ann.neighbours.Neighbours.save", True),
    (f"after {SNAPSHOT}", True),
]


@pytest.mark.parametrize("op", ["build_whitened", "rebuild_whitened"])
@pytest.mark.parametrize(("point", "changed"), WHITENING_POINTS)
def test_a_kill_never_parts_vectors_from_the_whitening_that_made_them(
    server: Server, tmp_path: Path, tiny_encoder_dir: Path, op: str, point: str, changed: bool
) -> None:
    path = tmp_path / "faq"
    again = op == "rebuild_whitened"
    if again:
        killing.build_whitened(path, str(tiny_encoder_dir))
    dying = server.start(
        "run_and_die", directory=str(path), op=op, encoder=str(tiny_encoder_dir), point=point
    )
    assert dying.wait() == []
    if again or changed:
        _check_whitened(path, dim=16 if again and changed else 8)
    else:
        with pytest.raises(IndexNotFoundError):
            Index.open(path)
    killing.OPERATIONS[op](path, str(tiny_encoder_dir))
    killing.compact(path, str(tiny_encoder_dir))
    _check_whitened(path, dim=16 if again else 8)
    assert len(list(path.glob("encoder-*"))) == 1
    assert _left_over(path) == []


def _check_whitened(path: Path, dim: int) -> None:
    with Index.open(path) as index:
        assert index.verify().ok and index.info()["dim"] == dim
        assert list(index.questions()) == killing.BEFORE
        for result in index.search([q.question for q in killing.BEFORE], 1):
            assert result.hits[0].question == result.query
            assert result.hits[0].score == pytest.approx(1, abs=1e-4)


def _left_over(path: Path) -> list[str]:
    """Files in an index that its README does not name."""
    known = ("questions.db", "vectors-", "encoder-", "write.lock")
    return [
        file.name for file in path.iterdir()
        if not file.name.startswith(known) or file.name.endswith(".tmp")
    ]  # fmt: skip
