"""The GPUs that CUDA shows this process, and how much memory of each is free.

FAISS says how many there are, not how full they are; torch would, and is not wanted where queries
are answered. The driver, which is there wherever a GPU can be used, is asked itself.
"""

from __future__ import annotations

import ctypes
from typing import Any

_DRIVER = "libcuda.so.1"


def count() -> int:
    """How many there are; 0 where there is no driver, or none that works."""
    driver = _driver()
    found = ctypes.c_int(0)
    if driver is None or driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(found)):
        return 0
    return found.value


def free_bytes(cards: int) -> tuple[int, ...]:
    """Free memory of each of the first GPUs, in CUDA's order. This starts CUDA on them."""
    driver = _driver()
    return tuple(_free(driver, card) for card in range(cards))


def runtime_accepts_driver() -> bool:
    """Whether the CUDA runtime in this process can use the driver. FAISS would end the process."""
    ask = getattr(_process(), "cudaGetDeviceCount", None)
    return ask is None or ask(ctypes.byref(ctypes.c_int(0))) == 0


def _process() -> Any:
    return ctypes.CDLL(None)


def _driver() -> Any:
    try:
        return ctypes.CDLL(_DRIVER)
    except OSError:
        return None


def _free(driver: Any, card: int) -> int:
    """Bytes; 0 where the card cannot be asked, as when another process has it for itself."""
    device, context = ctypes.c_int(0), ctypes.c_void_p(None)
    free, total = ctypes.c_size_t(0), ctypes.c_size_t(0)
    # The context is the one that FAISS and torch use. It is not given back: they want it next.
    refused = (
        driver.cuDeviceGet(ctypes.byref(device), card)
        or driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), device)
        or driver.cuCtxPushCurrent_v2(context)
    )
    if refused:
        return 0
    try:
        return 0 if driver.cuMemGetInfo_v2(ctypes.byref(free), ctypes.byref(total)) else free.value
    finally:
        driver.cuCtxPopCurrent_v2(ctypes.byref(context))
