"""A server of processes to kill, and a limit on how long any test here may hang."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest

from tests.robustness.processes import Server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, tiny_encoder_dir: Path) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("events"))
    yield server
    server.close()


@pytest.fixture(autouse=True)
def _no_hang(request: pytest.FixtureRequest) -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise TimeoutError("the test hangs")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(1800 if request.node.get_closest_marker("slow") else 90)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
