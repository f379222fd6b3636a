"""Several batches at once, a thread for each."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")

_AHEAD = 16
"""Tasks of each thread that may wait: there is work while the next texts are cut into tokens."""


def cores() -> int:
    """How many this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_streams(
    function: Callable[[_Task], _Result], tasks: Iterable[_Task], n: int
) -> Iterator[_Result]:
    """What `function` makes of each task, in their order, n of them at work at any time.

    Tasks are taken as they are needed, so that only some results wait in memory.
    """
    if n == 1:
        yield from map(function, tasks)
        return
    with ThreadPoolExecutor(n) as pool:
        begun: deque[Future[_Result]] = deque()
        try:
            for task in tasks:
                begun.append(pool.submit(function, task))
                if len(begun) > _AHEAD * n:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
        finally:  # an error, Ctrl-C, or a caller who wants no more
            for waiting in begun:
                waiting.cancel()
