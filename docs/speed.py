"""Tables of what is fast."""

from __future__ import annotations

import statistics

import results


def _speed(columns: list[str], cold: str, bare: str, sync: str, encoding: str) -> str:
    first = results.result("cold_query")
    ours, theirs, embedded, least = (
        statistics.median(times) for times in first["seconds"].values()
    )
    again = results.result("sync")
    build, synced = (statistics.median(times) for times in again["seconds"].values())
    rows = [
        [cold, f"{ours:.2f} s", f"{theirs:.2f} s", f"1/{1 / first['ratio_median']:.1f}",
         "`python benchmarks/cold_query.py`"],
        [bare, f"{embedded:.2f} s", f"{least:.2f} s", f"{first['ratio_median_bare']:.1f}",
         "`python benchmarks/cold_query.py`"],
        [sync, f"{synced:.2f} s", f"{build:.2f} s", f"1/{1 / again['ratio_median']:.1f}",
         "`python benchmarks/sync.py`"],
    ]  # fmt: skip
    result = results.result("embedded_speed")["questions"]
    ours, theirs = (statistics.median(rates) for rates in result["texts_per_second"].values())
    rows.append(
        [encoding, f"{ours:,.0f}/s", f"{theirs:,.0f}/s", f"{result['ratio_median']:.1f}",
         "`python benchmarks/embedded_speed.py`"]
    )  # fmt: skip
    return results.table(columns, rows)


def speed_en() -> str:
    return _speed(
        ["", "semsearch", "against", "ratio (median of pairs)", "reproduce"],
        "one query from a cold shell, against a sentence-transformers + FAISS script",
        "the same with the embedded encoder, against a script of bare ONNX Runtime and FAISS",
        "100 of 10,000 rows changed: sync, against the first build",
        "questions encoded by the embedded encoder, against minilm in the same runtime",
    )


def speed_zh() -> str:
    return _speed(
        ["", "semsearch", "对照", "比值（成对中位数）", "复现命令"],
        "冷启动查询一次，对照 sentence-transformers + FAISS 脚本",
        "同上，用 embedded 编码器，对照只有 ONNX Runtime 和 FAISS 的最简脚本",
        "10,000 行改了 100 行：同步，对照首次建库",
        "embedded 编码问句，对照同一运行时的 minilm",
    )


def encoding() -> str:
    rows = []
    for name, found in results.result("encoding")["encoders"].items():
        sts, ratios = found["sts_b"], found["ratios"]
        rows.append(
            [name, f"{statistics.median(found['texts_per_second']):,.0f}",
             f"{found['ratio_median']:.2f} [{min(ratios):.2f}, {max(ratios):.2f}]",
             f"{found['share_of_gemm_peak']:.0%}",
             f"{found['mean_cosine']:.5f}, {found['min_cosine']:.5f}",
             "" if sts is None else f"{sts:.2f}"]
        )  # fmt: skip
    columns = ["encoder, runtime, precision", "texts a second", "ratio to the first [min, max]",
               "of the GEMM peak", "cosine: mean, least", "STS-B"]  # fmt: skip
    return results.table(columns, rows)


def neighbours(name: str, baseline: str) -> str:
    """Everybody at one recall, on the queries that did not choose the setting."""
    result = results.result(name)
    rows = []
    for side, found in result["sides"].items():
        rounds, memory = found["rounds"], found["memory"]
        ratios = [
            mine["qps"] / theirs["qps"]
            for mine, theirs in zip(rounds, result["sides"][baseline]["rounds"], strict=True)
        ]
        rows.append(
            [side, f"{rounds[0]['recall']:.4f}",
             f"{statistics.median(one['qps'] for one in rounds):,.0f}",
             f"{statistics.median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}]",
             f"{statistics.median(one['p50_ms'] for one in rounds):.2f}",
             f"{memory['own'] / result['n']:,.0f} + {memory['mapped'] / result['n']:,.0f}",
             f"{found['build_seconds']:.0f}"]
        )  # fmt: skip
    columns = ["", "recall@10", "queries a second, in a batch", f"of {baseline} [min, max]",
               "one query, ms", "bytes a vector, own + mapped", "built in s"]  # fmt: skip
    return results.table(columns, rows)


def end_to_end(columns: list[str]) -> str:
    rows = []
    for name, side in results.result("end_to_end")["sides"].items():
        rows.append(
            [
                name,
                f"{statistics.median(side['build_s']):.1f}",
                f"{statistics.median(side['query_s']):.1f}",
                f"{side['times_semsearch']:.1f}",
                f"{max(side['peak_mib']):,.0f}",
                f"{side['accuracy_at_1']:.3f}",
            ]
        )
    return results.table(columns, rows)


def flat() -> str:
    """A search of every vector beside FAISS as it comes, and the machine's limits."""
    result = results.result("flat")
    rows = [
        [f"{int(batch):,}", f"{one['semsearch_ms']:.1f}", f"{one['faiss_ms']:.1f}",
         f"{one['ratio']:.1f}", f"{one['of_read_bandwidth']:.0%}",
         f"{one['of_multiply_peak']:.0%}"]
        for batch, one in result["batches"].items()
    ]  # fmt: skip
    columns = ["queries at once", "semsearch, ms", "FAISS as it comes, ms", "times as fast",
               "of the read bandwidth", "of the GEMM peak"]  # fmt: skip
    return results.table(columns, rows)


def scaling() -> str:
    """A row for each size, the exponent since the last size in brackets."""
    result = results.result("scaling")
    costs = {"encode_s": "encode, s", "build_s": "build, vectors known, s",
             "open_s": "open and first answer, s", "query_ms": "a query, ms",
             "disk_mb": "on disk, MB", "memory_mb": "peak memory of the build, MB"}  # fmt: skip
    rows = []
    for number, record in enumerate(result["rows"]):
        cells = [f"{record['n']:,}"]
        for cost in costs:
            grown = f" ({result['exponents'][cost][number - 1]:.2f})" if number else ""
            value = record[cost]
            cells.append((f"{value:,.0f}" if value >= 100 else f"{value:.3g}") + grown)
        rows.append([*cells, f"`{record['factory'].split(' ')[0]}`"])
    return results.table(["rows", *costs.values(), "index"], rows)
