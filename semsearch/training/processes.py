"""One run on several devices, a process each, as torchrun and accelerate start them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


def count() -> int:
    """How many processes share the run."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main() -> bool:
    """Whether this is the process that writes and reports."""
    return int(os.environ.get("RANK", "0")) == 0


@contextmanager
def main_first(device: str) -> Iterator[None]:
    """The main process goes through the block, and then the others do.

    Raises:
        Whatever the main process raises in the block ends the others, too: they wait for it, and
        whoever started them stops them.
    """
    if count() == 1:
        yield
        return
    from accelerate import PartialState

    with PartialState(cpu=device == "cpu").main_process_first():
        yield
