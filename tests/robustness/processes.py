"""Processes that can be killed: one server that has everything imported forks each of them.

Run as a script this is the server: a request per line on stdin (a JSON object with `role` and its
arguments), an event per line on stdout.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import random
import resource
import selectors
import signal
import subprocess
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 60.0


class Process:
    """A forked process of the server, as the test sees it."""

    def __init__(self, server: Server, pid: int, events: IO[bytes]) -> None:
        self._server = server
        self.pid = pid
        self._events = events  # unbuffered, so that select sees all there is
        self._read = b""
        self.ended = False

    def wait_for(self, event: str) -> dict[str, Any]:
        """Read events up to the one with this name."""
        while True:
            found = self._next()
            assert found is not None, f"the process ended before it said {event!r}"
            if found["event"] == event:
                return found

    def wait(self) -> list[dict[str, Any]]:
        """Every event up to the end of the process."""
        events = []
        while (found := self._next()) is not None:
            events.append(found)
        self._server.reap(self.pid)
        self.ended = True
        return events

    def kill(self) -> list[dict[str, Any]]:
        """SIGKILL; the events that were not read yet."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        return self.wait()

    def interrupt(self) -> None:
        """SIGINT, as Ctrl-C sends it."""
        os.kill(self.pid, signal.SIGINT)

    def _next(self) -> dict[str, Any] | None:
        while b"\n" not in self._read and not self._events.closed:
            with selectors.DefaultSelector() as selector:
                selector.register(self._events, selectors.EVENT_READ)
                assert selector.select(PATIENCE_SECONDS), "the process says nothing: it hangs"
            more = self._events.read(1 << 16)
            if not more:
                self._events.close()
                return None
            self._read += more
        if not self._read:
            return None
        line, self._read = self._read.split(b"\n", 1)
        event: dict[str, Any] = json.loads(line)
        assert event["event"] != "failed", event["traceback"]
        return event


class Server:
    """Forks processes of semsearch; none pays for imports."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: list[Process] = []
        env = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.robustness.processes"],
            cwd=ROOT, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def start(self, role: str, **arguments: Any) -> Process:
        """Fork a process that calls the function named `role` with these arguments."""
        fifo = self._folder / f"events-{len(self._started)}"
        os.mkfifo(fifo)
        self._ask({"role": role, "events": str(fifo), "arguments": arguments})
        events = fifo.open("rb", buffering=0)
        fifo.unlink()
        self._started.append(Process(self, self._answer()["pid"], events))
        return self._started[-1]

    def reap(self, pid: int) -> None:
        """Wait until a process is gone, with all its files and locks."""
        self._ask({"reap": pid})
        self._answer()

    def close(self) -> None:
        """End it, and what a failed test left running."""
        for process in self._started:
            if not process.ended:
                process.kill()
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        self._process.wait(PATIENCE_SECONDS)
        self._process.stdout.close()

    def _ask(self, request: dict[str, Any]) -> None:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()

    def _answer(self) -> Any:
        assert self._process.stdout
        return json.loads(self._process.stdout.readline())


# What follows runs in the server and in the processes that it forks.

Say = Callable[..., None]


def main() -> None:
    import faiss  # noqa: F401
    import filelock  # noqa: F401
    import onnxruntime  # noqa: F401
    import sqlite_utils  # noqa: F401
    import tokenizers  # noqa: F401

    import semsearch.tables
    import semsearch.writing  # noqa: F401
    import tests.robustness.banks
    import tests.robustness.killing  # noqa: F401

    warnings.simplefilter("ignore", DeprecationWarning)  # fork beside the threads of OpenBLAS
    for line in sys.stdin:
        request = json.loads(line)
        if "reap" in request:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(request["reap"], 0)
            answer = {}
        else:
            answer = {"pid": os.fork()}
            if not answer["pid"]:
                _run(request)
        print(json.dumps(answer), flush=True)


def _run(request: dict[str, Any]) -> None:
    # pytest's server ignores nothing, but a shell that started it in the background may have.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with Path(request["events"]).open("w", encoding="utf-8") as events:

        def say(event: str, **more: Any) -> None:
            print(json.dumps({"event": event, **more}), file=events, flush=True)

        try:
            globals()[request["role"]](say, **request["arguments"])
        except BaseException:
            say("failed", traceback=traceback.format_exc())
    os._exit(0)


def write_for_ever(say: Say, directory: str, encoder: str, journal: str, seed: int) -> None:
    """Build, sync, add, remove and compact until killed; the journal says how far it got.

    A line {"op", "bank"} before each call, and {"done"} when it returned.
    """
    from semsearch import Encoder, Index, snapshots
    from tests.robustness.banks import as_json, edited, from_json, make_bank

    chance = random.Random(seed)
    tiny = Encoder.load(encoder, runtime="onnx")
    # Loading it for every operation would take most of the time that kills should land in.
    Encoder.load = functools.cache(lambda *_, **__: tiny)  # type: ignore[method-assign]
    if chance.random() < 0.5:
        snapshots._LAG = 8  # a snapshot with nearly every change
    path = Path(journal)
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    bank = from_json(lines[-1]["bank"]) if lines else None
    with path.open("a", encoding="utf-8") as file:

        def note(**line: Any) -> None:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())

        say("ready")
        while True:
            if bank is None:
                new, op = make_bank(chance, chance.choice([30, 60, 200])), "build"
            else:
                new, op = (
                    edited(chance, bank),
                    chance.choice(
                        [
                            "build",
                            "rebuild",
                            "sync",
                            "sync",
                            "add",
                            "add",
                            "remove",
                            "remove",
                            "compact",
                        ]
                    ),
                )
            if op == "add":
                new = {**(bank or {}), **new}
            elif op == "remove":
                gone = set(chance.sample(sorted(bank or {}), len(bank or {}) // 8))
                new = {key: q for key, q in (bank or {}).items() if key not in gone}
                op = op if gone else "compact"
            if op == "compact":
                new = dict(bank or {})
            note(op=op, bank=as_json(new))
            if op in ("build", "rebuild"):
                rows = list(new.values())
                Index.build(rows, directory, encoder=tiny, rebuild=op == "rebuild").close()
            else:
                with Index.open(directory) as index:
                    if op == "sync":
                        index.sync(list(new.values()))
                    elif op == "add":
                        index.add([q for key, q in new.items() if (bank or {}).get(key) != q])
                    elif op == "remove":
                        index.remove(sorted(gone))
                    else:
                        index.compact()
            note(done=op)
            bank = new


def run_and_die(say: Say, directory: str, op: str, encoder: str, point: str | None) -> None:
    """Carry out one operation with everything from `killing`, killed at `point`."""
    from tests.robustness import killing

    if point is not None:
        killing.arm(point)
    killing.OPERATIONS[op](Path(directory), encoder)
    say("survived")


def write_revisions(say: Say, directory: str, encoder: str, seconds: float) -> None:
    """Sync one revision of the bank after the other, every standard question at once."""
    from semsearch import Encoder, Index, snapshots
    from tests.robustness.killing import revision

    tiny = Encoder.load(encoder, runtime="onnx")
    Encoder.load = functools.cache(lambda *_, **__: tiny)  # type: ignore[method-assign]
    snapshots._LAG = 100  # a new snapshot with every third revision
    say("ready")
    end, n = time.monotonic() + seconds, 1
    with Index.open(directory) as index:
        while time.monotonic() < end:
            n += 1
            index.sync(revision(n))
            if n % 10 == 0:
                index.compact()
    say("done", revision=n)


def read_revisions(say: Say, directory: str, encoder: str, fresh: bool, stop: str) -> None:
    """Search until `stop` exists; each answer must be of one revision, and none older."""
    from semsearch import Encoder, Index
    from tests.robustness.killing import REVISION_QUERIES

    tiny = Encoder.load(encoder, runtime="onnx")
    n_searches, last, index = 0, 0, None
    while not Path(stop).exists():
        if index is None or fresh:
            if index:
                index.close()
            index = Index.open(directory, encoder=tiny)
        results = index.search(REVISION_QUERIES, 40)
        if n_searches % 5 == 0:
            seen = {(q.fields["revision"], q.answer) for q in index.questions()}
        else:
            seen = {(hit.fields["revision"], hit.answer) for r in results for hit in r.hits}
            assert all(f" {hit.fields['revision']}" in hit.phrasing or hit.phrasing.startswith("q")
                       for r in results for hit in r.hits)  # fmt: skip
        assert len(seen) == 1, f"half a sync was seen: {sorted(seen)}"
        assert {len(result.hits) for result in results} == {30}
        ((revision, answer),) = seen
        assert answer == f"Answer {revision}."
        assert revision >= last, f"revision {revision} after {last}"
        last = revision
        n_searches += 1
        if n_searches == 1:
            say("ready")
    say("done", searches=n_searches, revision=last)


def hold_lock(say: Say, directory: str, release: str) -> None:
    """Hold the lock of an index until `release`, a FIFO, is opened."""
    from semsearch.lock import write_lock

    with write_lock(Path(directory)):
        say("locked")
        with Path(release).open() as file:
            file.read()
    say("released")


def run_limited(say: Say, directory: str, op: str, encoder: str, limits: list[int]) -> None:
    """Carry out an operation with ever larger limits of file size; say what each came to."""
    from semsearch import SemsearchError
    from tests.robustness import killing

    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    for limit in limits:
        with _file_size_limit(limit, hard):
            try:
                killing.OPERATIONS[op](Path(directory), encoder)
                error = None
            except SemsearchError as caught:
                error = f"{type(caught).__name__}: {caught}"
        say("tried", limit=limit, error=error)


@contextlib.contextmanager
def _file_size_limit(limit: int, hard: int) -> Iterator[None]:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


def build_slowly(say: Say, directory: str, encoder: str, n: int) -> None:
    """Build a bank of n questions, saying after every batch how many are encoded."""
    from semsearch import Index
    from tests.robustness.killing import plain_bank

    try:
        Index.build(
            plain_bank(n), directory, encoder=encoder,
            progress=lambda done, total: say("encoded", done=done, total=total),
        ).close()  # fmt: skip
    except KeyboardInterrupt:
        say("interrupted")
    else:
        say("built")


if __name__ == "__main__":
    main()
