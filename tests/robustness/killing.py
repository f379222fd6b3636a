"""Operations on an index, and the points inside them at which a process can be made to die."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from semsearch import Index, StandardQuestion

REVISION_QUERIES = ["card number 3", "the parcel and the money", "q7"]


def plain_bank(n: int) -> list[StandardQuestion]:
    """n standard questions of two phrasings, of all lengths."""
    return [
        StandardQuestion(f"k{i}", f"card {'very ' * (i % 9)}number {i}", f"{i}.", (f"parcel {i}",))
        for i in range(n)
    ]


def revision(n: int) -> list[StandardQuestion]:
    """The bank of revision n; every answer, field and second phrasing says which it is."""
    return [
        StandardQuestion(
            f"k{i}", f"q{i}", f"Answer {n}.", (f"card number {i} {n}",), {"revision": n}
        )
        for i in range(30)
    ]


BEFORE = plain_bank(40)
AFTER = [
    *(replace(question, answer="changed") for question in BEFORE[:5]),
    *(replace(question, phrasings=("another wording",)) for question in BEFORE[5:10]),
    *BEFORE[15:],
    StandardQuestion("new", "something quite new"),
]


def build(directory: Path, encoder: str) -> None:
    Index.build(BEFORE, directory, encoder=encoder).close()


def build_whitened(directory: Path, encoder: str) -> None:
    Index.build(BEFORE, directory, encoder=encoder, whiten=8).close()


def rebuild_whitened(directory: Path, encoder: str) -> None:
    Index.build(BEFORE, directory, encoder=encoder, whiten=16, rebuild=True).close()


def sync(directory: Path, encoder: str) -> None:
    Index.build(AFTER, directory).close()


def sync_with_snapshot(directory: Path, encoder: str) -> None:
    from semsearch import snapshots

    usual, snapshots._LAG = snapshots._LAG, 1
    try:
        sync(directory, encoder)
    finally:
        snapshots._LAG = usual


def remove(directory: Path, encoder: str) -> None:
    with Index.open(directory) as index:
        index.remove(["k3", "k4"])


def compact(directory: Path, encoder: str) -> None:
    with Index.open(directory) as index:
        index.compact()


def improve(directory: Path, encoder: str) -> None:
    from semsearch.improvement import improve

    with Index.open(directory) as index:
        assert improve(index, light=True).promoted


def roll_back(directory: Path, encoder: str) -> None:
    from semsearch.improvement import rollback

    with Index.open(directory) as index:
        rollback(index)


OPERATIONS: dict[str, Callable[[Path, str], None]] = {
    operation.__name__: operation
    for operation in (
        build, build_whitened, rebuild_whitened, sync, sync_with_snapshot, remove, compact,
        improve, roll_back,
    )
}  # fmt: skip


def after(op: str, before: Sequence[StandardQuestion]) -> list[StandardQuestion]:
    """What an index that held `before` holds when the operation is done."""
    if op.startswith("sync"):
        return AFTER
    if op == "remove":
        return [question for question in before if question.key not in ("k3", "k4")]
    return list(before) or BEFORE


def arm(point: str) -> None:
    """Die at `point`: a name from `TORN`, or "before" or "after" and a function of semsearch."""
    if point in TORN:
        TORN[point]()
        return
    when, name = point.split()
    owner, attribute = _find(name)
    inner = getattr(owner, attribute)

    def dying(*args: Any, **kwargs: Any) -> Any:
        if when == "after":
            inner(*args, **kwargs)
        die()

    setattr(owner, attribute, dying)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _find(name: str) -> tuple[Any, str]:
    """`store.writer.BankWriter.apply` → (BankWriter, "apply")."""
    parts = name.split(".")
    *modules, attribute = parts
    owner = None
    if modules[-1][0].isupper():
        *modules, owner = modules
    module = import_module(".".join(["semsearch", *modules]))
    return (getattr(module, owner) if owner else module), attribute


def _torn_pending() -> None:
    """Half a record of pending.vectors is on the disk."""
    from semsearch.pending import Pending

    put = Pending.put

    def torn(self: Pending, texts: Sequence[str], vectors: Any) -> None:
        put(self, texts, vectors)
        size = self.path.stat().st_size
        os.truncate(self.path, size - 10)
        die()

    Pending.put = torn  # type: ignore[method-assign]


def _torn_snapshot() -> None:
    """Half of the snapshot is in the file beside."""
    from semsearch.ann import neighbours

    atomic_write = neighbours.atomic_write

    class Torn:
        def __init__(self, file: Any) -> None:
            self._file = file

        def write(self, data: Any) -> None:
            self._file.write(bytes(data)[: len(data) // 2])
            self._file.flush()
            die()

    @contextmanager
    def torn(path: Path) -> Iterator[Any]:
        with atomic_write(path) as file:
            yield Torn(file)

    neighbours.atomic_write = torn


def _unnamed_snapshot() -> None:
    """The snapshot is whole, and still has the name of the file beside."""
    from semsearch.ann import neighbours

    atomic_write = neighbours.atomic_write

    @contextmanager
    def torn(path: Path) -> Iterator[Any]:
        with atomic_write(path) as file:
            yield file
            die()

    neighbours.atomic_write = torn


def _commit_in_log() -> None:
    """The commit is in the log, and the file itself knows nothing of it."""
    arm("before store.writer.BankWriter.close")


TORN: dict[str, Callable[[], None]] = {
    "half a record in pending.vectors": _torn_pending,
    "half a snapshot beside": _torn_snapshot,
    "a snapshot without its name": _unnamed_snapshot,
    "commit only in the log": _commit_in_log,
}
