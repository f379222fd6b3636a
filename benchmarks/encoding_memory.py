"""Memory while very many short texts are encoded, as batches come and go.

The texts are made as they are asked for, and no vector is kept, so what grows is what encoding
keeps itself. Resident memory is read at each tenth of the way.

    python benchmarks/encoding_memory.py [--texts 300000] [--runtime onnx]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

import provenance

from semsearch import Encoder

WORDS = ("card", "order", "refund", "parcel", "password", "invoice", "退款", "订单", "发票", "密码")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=300_000)
    parser.add_argument("--runtime", action="append", choices=("onnx", "openvino"))
    arguments = parser.parse_args()
    result: dict[str, Any] = {"texts": arguments.texts}
    rows = []
    for runtime in arguments.runtime or ["onnx", "openvino"]:
        encoder = Encoder.load("embedded", runtime=runtime)
        encoder.encode(_Made(2_000))
        started, before, seen = time.perf_counter(), _resident_mib(), 0
        steps: list[float] = []
        for numbers, _ in encoder.encode_batches(_Made(arguments.texts)):
            seen += len(numbers)
            if seen * 10 // arguments.texts > len(steps):
                steps.append(round(_resident_mib() - before, 1))
        rate = round(arguments.texts / (time.perf_counter() - started))
        result[runtime] = {"mib_above_start": steps, "texts_per_second": rate}
        rows.append([runtime, f"{rate:,}", *(f"{steps[i]:.0f}" for i in (0, 4, 9))])
    columns = ["embedded encoder on", "texts a second", "MiB more at 10%", "at 50%", "at 100%"]
    print(provenance.table(columns, rows))
    provenance.write("encoding_memory", result)


class _Made(Sequence[str]):
    """Distinct short texts that nobody keeps."""

    def __init__(self, n: int) -> None:
        self._n = n

    def __len__(self) -> int:
        return self._n

    @overload
    def __getitem__(self, row: int) -> str: ...

    @overload
    def __getitem__(self, row: slice) -> Sequence[str]: ...

    def __getitem__(self, row: int | slice) -> str | Sequence[str]:
        if isinstance(row, slice):
            return [self[number] for number in range(*row.indices(self._n))]
        if not 0 <= row < self._n:
            raise IndexError(row)
        padding = " please" * (row % 5)
        return f"how do I change {WORDS[row % 10]} {row}{padding}"


def _resident_mib() -> float:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


if __name__ == "__main__":
    main()
