from __future__ import annotations

import ctypes
from types import SimpleNamespace
from typing import Any

import pytest

from semsearch.ann import cards


class Driver:
    """CUDA's driver as ctypes shows it; card 1 belongs to another process."""

    def __init__(self, free: list[int], works: bool = True) -> None:
        self.free, self.works = free, works
        self.card, self.depth = -1, 0

    def cuInit(self, flags: int) -> int:  # noqa: N802  CUDA's name
        return 0 if self.works else 100

    def cuDeviceGetCount(self, count: Any) -> int:  # noqa: N802
        count._obj.value = len(self.free)
        return 0

    def cuDeviceGet(self, device: Any, card: int) -> int:  # noqa: N802
        device._obj.value = card
        return 0

    def cuDevicePrimaryCtxRetain(self, context: Any, device: ctypes.c_int) -> int:  # noqa: N802
        self.card = device.value
        return 46 if self.free[self.card] < 0 else 0

    def cuCtxPushCurrent_v2(self, context: Any) -> int:  # noqa: N802
        self.depth += 1
        return 0

    def cuMemGetInfo_v2(self, free: Any, total: Any) -> int:  # noqa: N802
        free._obj.value, total._obj.value = self.free[self.card], 1 << 40
        return 0

    def cuCtxPopCurrent_v2(self, context: Any) -> int:  # noqa: N802
        self.depth -= 1
        return 0


def test_each_card_says_what_is_free_and_one_that_cannot_be_used_has_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    driver = Driver([5 << 30, -1, 7 << 30])
    monkeypatch.setattr(cards, "_driver", lambda: driver)
    assert cards.count() == 3
    assert cards.free_bytes(3) == (5 << 30, 0, 7 << 30)
    assert driver.depth == 0  # the context of whoever asks is as it was


def test_without_a_driver_or_with_one_that_does_not_work_there_are_no_cards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cards, "_DRIVER", "libno-such-driver.so.1")
    assert cards.count() == 0
    monkeypatch.setattr(cards, "_driver", lambda: Driver([1 << 30], works=False))
    assert cards.count() == 0


@pytest.mark.parametrize(("answer", "accepts"), [(0, True), (35, False)])
def test_the_runtime_of_this_process_is_asked_whether_the_driver_will_do(
    monkeypatch: pytest.MonkeyPatch, answer: int, accepts: bool
) -> None:
    runtime = SimpleNamespace(cudaGetDeviceCount=lambda count: answer)
    monkeypatch.setattr(cards, "_process", lambda: runtime)
    assert cards.runtime_accepts_driver() == accepts
    monkeypatch.setattr(cards, "_process", lambda: SimpleNamespace())
    assert cards.runtime_accepts_driver()  # FAISS has one of its own
