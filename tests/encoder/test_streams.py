"""Several batches at once."""

from __future__ import annotations

import threading
import time
from itertools import count, islice

import pytest

from semsearch.encoder.streams import cores, in_streams


@pytest.mark.parametrize("n", [1, 2, 5])
def test_results_come_in_the_order_of_the_tasks(n: int) -> None:
    def slower_first(task: int) -> int:
        time.sleep(0.002 * (5 - task % 5))
        return task * task

    assert list(in_streams(slower_first, range(40), n)) == [task * task for task in range(40)]
    assert list(in_streams(slower_first, [], n)) == []


def test_so_many_are_at_work_at_once() -> None:
    both = threading.Barrier(2, timeout=10)
    assert list(in_streams(lambda _: both.wait() >= 0, range(4), 2)) == [True] * 4


def test_tasks_are_taken_as_they_are_needed() -> None:
    taken: list[int] = []

    def tasks():
        for number in count():
            taken.append(number)
            yield number

    results = in_streams(lambda task: task, tasks(), 2)
    assert list(islice(results, 3)) == [0, 1, 2]
    results.close()
    assert len(taken) < 100


def test_an_error_ends_it_and_leaves_no_thread() -> None:
    def failing(task: int) -> int:
        if task == 3:
            raise ValueError("the third")
        return task

    before = threading.active_count()
    results = in_streams(failing, count(), 2)
    with pytest.raises(ValueError, match="the third"):
        list(results)
    assert threading.active_count() == before


def test_there_is_a_core() -> None:
    assert cores() >= 1
