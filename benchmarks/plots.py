"""Draw what the speed benchmarks have measured, from their results.

python benchmarks/plots.py
"""

from __future__ import annotations

import json
from collections.abc import Callable
from statistics import median
from typing import Any

import provenance

from semsearch.evaluation.plots import as_png, blank

MINE = "tab:blue"
THEIRS = "0.65"


def main() -> None:
    folder = provenance.RESULTS / "speed"
    folder.mkdir(exist_ok=True)
    for name, draw in PLOTS.items():
        result = json.loads((provenance.RESULTS / f"{name}.json").read_text("utf-8"))
        (folder / f"{name}.png").write_bytes(draw(result))


def encoding(result: dict[str, Any]) -> bytes:
    rates = {name: median(f["texts_per_second"]) for name, f in result["encoders"].items()}
    return _bars({name: (rate,) for name, rate in rates.items()}, "texts a second", theirs="sent")


def cold_query(result: dict[str, Any]) -> bytes:
    seconds = {name: (median(times),) for name, times in result["seconds"].items()}
    return _bars(seconds, "seconds from a cold shell to the answer", theirs="")


def end_to_end(result: dict[str, Any]) -> bytes:
    sides = {
        name: (median(side["build_s"]), median(side["query_s"]))
        for name, side in result["sides"].items()
    }
    label = "seconds: 10,003 rows indexed, then (pale) 1,000 queries answered"
    return _bars(sides, label, theirs="")


def neighbours(result: dict[str, Any]) -> bytes:
    """Queries a second in a batch against recall, everybody's whole curve."""
    figure = blank(7.5, 5.0)
    axes = figure.subplots()
    for name, side in result["sides"].items():
        curve = [(point["recall"], point["qps"]) for point in side["curve"]]
        mine = name.startswith("semsearch")
        axes.plot(*zip(*curve, strict=True), marker="o" if mine else "x", markersize=4,
                  linestyle="-" if mine else "--", label=name)  # fmt: skip
    axes.set_yscale("log")
    axes.set_xlim(0.8, 1.005)
    axes.set_xlabel("recall@10")
    axes.set_ylabel("queries a second")
    axes.grid(True, which="both", alpha=0.3)
    axes.legend(fontsize=8, ncols=2, loc="lower left")
    return as_png(figure)


def flat(result: dict[str, Any]) -> bytes:
    """Queries a second by size of a batch, beside FAISS as it comes."""
    figure = blank(6.5, 4.0)
    axes = figure.subplots()
    sizes = [int(batch) for batch in result["batches"]]
    for side, label in (("semsearch_ms", "semsearch"), ("faiss_ms", "FAISS as it comes")):
        rates = [
            1000 * size / one[side]
            for size, one in zip(sizes, result["batches"].values(), strict=True)
        ]
        axes.loglog(sizes, rates, marker="o", label=label)
    axes.set_xticks(sizes, map(str, sizes))
    axes.set_xlabel("queries at once")
    axes.set_ylabel("queries a second")
    axes.grid(True, which="both", alpha=0.3)
    axes.legend()
    return as_png(figure)


def _bars(values: dict[str, tuple[float, ...]], label: str, theirs: str) -> bytes:
    """Bars of one or two parts; in grey who is named like `theirs`, or not like us without one."""
    figure = blank(8.0, 0.8 + 0.42 * len(values))
    axes = figure.subplots()
    for place, (name, parts) in enumerate(values.items()):
        grey = name.startswith(theirs) if theirs else not name.startswith("semsearch")
        left = 0.0
        for number, part in enumerate(parts):
            axes.barh(place, part, left=left, color=THEIRS if grey else MINE,
                      alpha=0.5 if number else 1.0)  # fmt: skip
            left += part
        axes.text(left, place, f" {left:,.3g}" if left < 1000 else f" {left:,.0f}", va="center")
    axes.set_yticks(range(len(values)), list(values))
    axes.invert_yaxis()
    axes.margins(x=0.1)
    axes.set_xlabel(label)
    return as_png(figure)


PLOTS: dict[str, Callable[[dict[str, Any]], bytes]] = {
    "encoding": encoding,
    "cold_query": cold_query,
    "end_to_end": end_to_end,
    "neighbours_minilm_100000": neighbours,
    "neighbours_embedded_1000000": neighbours,
    "flat": flat,
}


if __name__ == "__main__":
    main()
