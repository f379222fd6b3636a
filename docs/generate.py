"""Paste measured tables and help texts into the documentation.

    python docs/generate.py           write them
    python docs/generate.py --check   exit code 1 if any is stale

A block stands between `<!-- generated: NAME -->` and `<!-- end -->`.
"""

from __future__ import annotations

import re
import statistics
import sys
from collections.abc import Callable
from typing import Any

import click
import results
import speed
from results import ROOT

PAGES = (
    "README.md",
    "README.zh-CN.md",
    "docs/commands.md",
    "docs/encoding.md",
    "docs/filters.md",
    "docs/hybrid.md",
    "docs/review.md",
    "docs/improve.md",
    "docs/training.md",
    "docs/tuning.md",
    "docs/trust.md",
    "benchmarks/README.md",
)
BLOCK = re.compile(r"(<!-- generated: ([\w.-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def main() -> None:
    check = "--check" in sys.argv[1:]
    stale = []
    for page in PAGES:
        path = ROOT / page
        old = path.read_text(encoding="utf-8")
        new = BLOCK.sub(lambda found: f"{found[1]}\n{BLOCKS[found[2]]()}\n\n{found[3]}", old)
        if new != old:
            stale.append(page)
            if not check:
                path.write_text(new, encoding="utf-8")
    if check and stale:
        sys.exit(f"stale: {', '.join(stale)}. Run: python docs/generate.py")


def _quality(columns: list[str], every: str) -> str:
    rows = []
    for record in results.result("answer_quality")["accuracy_at_1"]:
        if record["phrasings_per_question"] in (None, 1, 5):
            number = record["phrasings_per_question"] or every
            rows.append(
                [
                    record["bank"],
                    f"{record['queries']:,}",
                    str(number),
                    f"{record['best']:.4f}",
                    f"{record['top3']:.4f}",
                    "{:+.4f} [{:+.4f}, {:+.4f}]".format(*record["difference"]),
                ]
            )
    return results.table(columns, rows)


def quality_en() -> str:
    return _quality(
        ["bank", "queries", "phrasings per question", "best", "top3", "difference [95%]"], "all"
    )


def quality_zh() -> str:
    return _quality(
        ["问库", "测试问句", "每个标准问的相似问数", "best", "top3", "差值 [95%]"], "全部"
    )


def _sts(language: str, labels: dict[str, str], average: str) -> str:
    """The rows that a reader must see: the baseline, the encoder, and it whitened in both ways."""
    result = results.result("sts/sts")
    names = [task["name"] for task in result["tasks"] if task["language"] == language]
    names = [name for name in names if name != "SICK-R-test"]
    rows = []
    for row in result["rows"]:
        if row["label"] in labels:
            cells = [row["scores"][name] for name in names]
            marks = {True: " +", False: " -", None: ""}
            shown = [f"{c['value']:.2f}{marks[c.get('better')]}" for c in cells]
            mean = sum(c["value"] for c in cells) / len(cells)
            rows.append([labels[row["label"]], *shown, f"{mean:.2f}"])
    return results.table(["", *names, average], rows)


def sts_en() -> str:
    """English tasks, for README.md."""
    return _sts(
        "en",
        {
            "tf-idf": "tf-idf, no encoder",
            "minilm": "minilm",
            "minilm, whitened 256 on target": "minilm, whitened to 256 on the task's sentences",
            "minilm, whitened 256 on nli": "minilm, whitened to 256 on NLI sentences",
        },
        "mean",
    )


def sts_zh() -> str:
    """Chinese tasks, for README.zh-CN.md."""
    return _sts(
        "zh",
        {
            "tf-idf": "tf-idf（不用编码器）",
            "minilm": "minilm",
            "minilm, whitened 256 on target": "minilm，用任务自身句子白化到 256 维",
            "minilm, whitened 256 on nli": "minilm，用 NLI 句子白化到 256 维",
        },
        "均值",
    )


def _embedded(labels: dict[str, str], columns: list[str], samples: dict[str, str]) -> str:
    """The embedded encoder beside its teacher and word counting: STS, then banks.

    Args:
        labels: what is shown, and how it is called.
        columns: of the banks.
        samples: how the sample banks are called.
    """
    result = results.result("embedded")
    scores = [
        [shown, *(f"{task[label]['value']:.2f}" for task in result["sts"].values())]
        for label, shown in labels.items()
    ]
    found = [
        [
            samples.get(bank["bank"], bank["bank"]),
            f"{bank['queries']:,}",
            f"{bank['embedded']:.4f}",
            f"{bank['minilm']:.4f}",
            "{:+.4f} [{:+.4f}, {:+.4f}]".format(*bank["difference"]),
        ]
        for bank in result["banks"]
    ]
    return f"{results.table(['', *result['sts']], scores)}\n\n{results.table(columns, found)}"


def embedded_en() -> str:
    return _embedded(
        {
            "tf-idf": "tf-idf, no encoder",
            "minilm": "minilm",
            "embedded": "embedded, 256 dimensions",
            "embedded, first 128": "its first 128",
            "embedded, first 64": "its first 64",
        },
        ["bank", "queries", "embedded", "minilm", "difference [95%]"],
        {"bank_zh": "sample bank, Chinese", "shop": "sample shop, English"},
    )


def embedded_zh() -> str:
    return _embedded(
        {
            "tf-idf": "tf-idf（不用编码器）",
            "minilm": "minilm",
            "embedded": "embedded，256 维",
            "embedded, first 128": "前 128 维",
            "embedded, first 64": "前 64 维",
        },
        ["问库", "测试问句", "embedded", "minilm", "差值 [95%]"],
        {"bank_zh": "示例银行（中文）", "shop": "示例网店（英文）"},
    )


def _objectives(language: str) -> str:
    """What each objective gives, and whether the order that the papers report holds."""
    result = results.result(f"objectives_{language}")
    tasks = list(result["rows"][0]["scores"])
    rows = []
    for row in result["rows"]:
        scores = row["scores"]
        spread = max(
            max(seed[task] for seed in row["seeds"]) - min(seed[task] for seed in row["seeds"])
            for task in tasks
        )
        rows.append(
            [
                row["name"],
                *(f"{scores[task]:.2f}" for task in tasks),
                f"{statistics.mean(scores.values()):.2f}",
                f"{spread:.2f}" if len(row["seeds"]) > 1 else "",
                f"{row['examples']:,}" if "examples" in row else "",
                f"{row['steps']} × {row['batch_size']}" if "steps" in row else "",
            ]
        )
    columns = ["", *tasks, "mean", "seeds differ by", "examples", "steps × batch"]
    order = "\n".join(f"- {remark}" for remark in result["order"])
    return f"{results.table(columns, rows)}\n\nThe order that the papers report:\n\n{order}"


def fine_tuning() -> str:
    """From MiniLM to one's own data, a line for each seed."""
    rows = []
    for run in results.result("fine_tuning")["rows"]:
        for number, seed in enumerate(run["seeds"]):
            gain = seed["after"] - seed["before"]
            rows.append(
                [
                    run["name"],
                    str(number),
                    f"{seed['before']:.2f}",
                    f"{seed['after']:.2f}",
                    f"{gain:+.2f} [{seed['low']:+.2f}, {seed['high']:+.2f}]",
                    f"{seed['steps']} × {seed['batch_size']}",
                    f"{seed['minutes']:.1f}",
                ]
            )
    columns = ["", "seed", "before", "after", "difference [95%]", "steps × batch", "minutes"]
    return results.table(columns, rows)


def filters() -> str:
    """One query in milliseconds with a filter and without, and what comes once."""
    rows, lines = [], []
    for record in results.result("filters")["banks"]:
        for found in record["filters"]:
            rows.append(
                [
                    f"{record['phrasings']:,}",
                    f"{found['share']:.1%}",
                    f"{record['unfiltered_ms']:.2f}",
                    f"{found['query_ms']['chosen']:.2f}",
                    f"{found['make_ms']['chosen']:.1f}",
                ]
            )
        lines.append(
            f"- {record['questions']:,} standard questions: columns read in "
            f"{record['columns_s']:.1f} s, a new condition in {record['condition_ms']:.0f} ms"
        )
    columns = ["phrasings", "pass", "no condition", "with it", "once a condition"]
    return f"{results.table(columns, rows)}\n\n{chr(10).join(lines)}"


def _trust(way: str) -> str:
    """What an index knows of what it does not know."""

    def cell(share: dict[str, Any]) -> str:
        return "–" if share["value"] is None else f"{share['value']:.3f}"

    rows = []
    for row in results.result("trust")["rows"]:
        if row["calibrated_on"] == way and not row["bank"].startswith("sample"):
            precision = row["precision"]
            rows.append(
                [
                    row["encoder"],
                    row["bank"],
                    f"{row['answerable']:,} + {row['unanswerable']:,}",
                    *(
                        f"{cell(row[f'{kind}in_scope_accuracy'])} / "
                        f"{cell(row[f'{kind}out_of_scope_recall'])}"
                        for kind in ("cosine_", "")
                    ),
                    f"{row['calibration_error']:.3f}",
                    f"{cell(precision)} [{precision['low']:.3f}, {precision['high']:.3f}]"
                    f"{'' if row['promised'] else ', not promised'}",
                    cell(row["coverage"]),
                ]
            )
    columns = [
        "encoder", "bank", "queries with + without answer", "bare cosine: right / refused",
        "confidence: right / refused", "calibration error", "precision when 0.95 is asked",
        "coverage then",
    ]  # fmt: skip
    return results.table(columns, rows)


def _trust_shares() -> str:
    """The calibration error of a bank that calibrated itself, at other shares than it assumed."""
    rows = []
    for row in results.result("trust")["rows"]:
        errors = row.get("calibration_error_at")
        if errors and row["calibrated_on"] == "the bank itself" and "sample" not in row["bank"]:
            assumed = f"{row['assumed_unanswerable']:.0%}"
            found = [f"{error:.3f}" for error in errors.values()]
            rows.append([row["encoder"], row["bank"], assumed, *found])
    columns = ["encoder", "bank", "assumed", *(f"{share} have none" for share in
               ("one in ten", "a third", "half", "two thirds"))]  # fmt: skip
    return results.table(columns, rows)


def review() -> str:
    """What was found of planted faults, and what besides."""
    kinds = ("duplicate", "contradiction", "misfiled")
    rows = []
    for row in results.result("review")["rows"]:
        seeds = row["seeds"]
        planted = {kind: sum(seed["planted"][kind] for seed in seeds) for kind in kinds}
        found = {kind: sum(seed["found"][kind] for seed in seeds) for kind in kinds}
        before = sum(len(seed["there_before"]) for seed in seeds)
        false = sum(len(seed["false"]) for seed in seeds)
        findings = sum(seed["findings"] for seed in seeds)
        baseline = sum(sum(seed["baseline"].values()) for seed in seeds)
        total = sum(planted.values())
        rows.append(
            [
                row["encoder"],
                row["bank"],
                *(f"{found[kind]} of {planted[kind]}" for kind in kinds),
                f"{sum(found.values())} of {total} ({sum(found.values()) / total:.0%})",
                str(before),
                f"{false} of {findings} ({false / max(findings, 1):.0%})",
                f"{baseline} of {total}",
            ]
        )
    columns = [
        "encoder", "bank", "duplicates", "contradictions", "misfiled", "all found",
        "there before", "false alarms", "baseline found",
    ]  # fmt: skip
    return results.table(columns, rows)


def review_clean() -> str:
    """What is named of banks as they come."""
    rows = [
        [
            bank["encoder"], bank["bank"], fault["kind"], f"{fault['sure']:.2f}",
            fault["phrasing"] or "", fault["filed"], fault["other"],
        ]
        for bank in results.result("review")["clean"] if bank["encoder"] == "embedded"
        for fault in bank["faults"][:5]
    ]  # fmt: skip
    columns = ["encoder", "bank", "it says", "sure", "phrasing", "filed as", "other"]
    return results.table(columns, [[cell.replace("|", "/") for cell in row] for row in rows])


def gaps() -> str:
    """What was taken out of banks and came back; means over seeds."""
    rows = []
    for row in results.result("gaps")["rows"]:
        seeds = row["seeds"]
        mean = {
            name: statistics.mean(seed[name] for seed in seeds)
            for name in (
                "refused_of_taken_out", "recovered", "purity", "agreement", "gaps", "gaps_after"
            )
        }  # fmt: skip
        names = list(seeds[0]["baselines"])
        rows.append(
            [
                row["encoder"],
                row["bank"],
                f"{mean['refused_of_taken_out']:.0%}",
                f"{mean['recovered']:.1f} of {seeds[0]['taken_out']}",
                f"{mean['purity']:.2f}",
                f"{mean['agreement']:.2f}",
                *(
                    f"{statistics.mean(seed['baselines'][name] for seed in seeds):.2f}"
                    for name in names
                ),
                f"{mean['gaps']:.0f}, {mean['gaps_after']:.0f}",
            ]
        )
    columns = [
        "encoder", "bank", "refused of what was taken out", "came back", "purity", "agreement",
        "k-means", "HDBSCAN", "fixed cosine 0.6", "gaps before, after",
    ]  # fmt: skip
    return results.table(columns, rows)


def _hybrid(wanted: Callable[[dict[str, Any]], bool], *more: str) -> str:
    """What words find beside vectors, and what calibration made of it."""
    rows = []
    for row in results.result("hybrid")["banks"]:
        if not wanted(row):
            continue
        weight = row["decision"]["weight"]
        errors = [row[f"confidence_{way}"]["calibration_error"] for way in ("vectors", "auto")]
        rows.append(
            [
                row["encoder"],
                row["bank"],
                *(row[name] for name in more),
                f"{row['queries']:,}",
                *(f"{row[name]:.3f}" for name in ("vectors", "words", "on")),
                f"on ({weight:g})" if weight else "off",
                "{:+.3f} [{:+.3f}, {:+.3f}]".format(*row["difference"]),
                " / ".join(f"{error:.3f}" for error in errors),
            ]
        )
    columns = [
        "encoder", "bank", *(name.replace("_", " ") for name in more), "queries", "vectors",
        "words", "both", "decision", "gain of the decision [95%]",
        "calibration error without / with",
    ]  # fmt: skip
    return results.table(columns, rows)


def hybrid_cost() -> str:
    """What words cost a query, and a file."""
    rows = [
        [
            f"{record['questions']:,}",
            f"{record['phrasings']:,}",
            *(
                f"{record[way]['p50_ms']:.2f} / {record[way]['p99_ms']:.2f}"
                for way in ("off", "on")
            ),
            f"{record['off']['first_ms']:.0f} / {record['on']['first_ms']:.0f}",
            f"{record['bytes_per_phrasing']:.0f} of {record['file_bytes_per_phrasing']:,.0f}",
        ]
        for record in results.result("hybrid")["speed"]
    ]
    columns = [
        "standard questions", "phrasings", "vectors: median / 99% ms",
        "with words: median / 99% ms",
        "first query, without / with words, ms", "bytes a phrasing in questions.db",
    ]  # fmt: skip
    return results.table(columns, rows)


def commands() -> str:
    sys.path.insert(0, str(ROOT))
    from semsearch.cli import SECTIONS, cli

    pages = []
    root = click.Context(cli, info_name="semsearch")
    for section, names in SECTIONS.items():
        pages.append(f"## {section}")
        for name in names:
            command = cli.get_command(root, name)
            assert command is not None
            context = click.Context(command, info_name=name, parent=root, max_content_width=100)
            context.terminal_width = 100
            pages.append(f"### semsearch {name}\n\n```\n{command.get_help(context)}\n```")
    return "\n\n".join(pages)


def improve() -> str:
    rows = []
    for row in results.result("improve")["rows"]:
        old, new = row["before"], row["after"]

        def both(side: dict[str, Any]) -> str:
            refused = side["out_of_scope_recall"]
            shown = "–" if refused is None else f"{refused:.3f}"
            return f"{side['in_scope_accuracy']:.3f} / {shown}"

        rows.append(
            [
                row["encoder"],
                row["bank"],
                row["mode"],
                "yes" if row["promoted"] else "no",
                f"{old['accuracy_at_1']:.4f}",
                f"{new['accuracy_at_1']:.4f}",
                "{:+.4f} [{:+.4f}, {:+.4f}]".format(*row["difference"]),
                both(old),
                both(new),
                f"{old['calibration_error']:.3f} → {new['calibration_error']:.3f}",
                f"{row['seconds']:.0f}",
            ]
        )
    columns = ["encoder", "bank", "mode", "promoted", "accuracy@1 before", "after",
               "difference [95%]", "right / refused before", "after", "calibration error",
               "seconds"]  # fmt: skip
    return results.table(columns, rows)


BLOCKS: dict[str, Callable[[], str]] = {
    "embedded.en": embedded_en,
    "embedded.zh": embedded_zh,
    "quality.en": quality_en,
    "quality.zh": quality_zh,
    "speed.en": speed.speed_en,
    "speed.zh": speed.speed_zh,
    "sts.en": sts_en,
    "sts.zh": sts_zh,
    "commands": commands,
    "objectives_en": lambda: _objectives("en"),
    "objectives_zh": lambda: _objectives("zh"),
    "fine_tuning": fine_tuning,
    "filters": filters,
    "end_to_end.en": lambda: speed.end_to_end(
        ["", "build, s", "1,000 queries, s", "both, times semsearch", "peak MiB", "accuracy@1"]
    ),
    "end_to_end.zh": lambda: speed.end_to_end(
        [
            "",
            "建库，秒",
            "1,000 次查询，秒",
            "合计，为 semsearch 的倍数",
            "内存峰值 MiB",
            "accuracy@1",
        ]
    ),
    "hybrid.all": lambda: _hybrid(lambda row: True, "calibrated_on"),
    "hybrid.codes": lambda: _hybrid(
        lambda row: "codes" in row["bank"] and row["calibrated_on"] == "the bank itself"
    ),
    "hybrid.bank": lambda: _hybrid(
        lambda row: "codes" not in row["bank"] and row["calibrated_on"] == "the bank itself"
    ),
    "hybrid.cost": hybrid_cost,
    "trust.bank": lambda: _trust("the bank itself"),
    "trust.shares": _trust_shares,
    "trust.log": lambda: _trust("the bank and a log"),
    "trust.labels": lambda: _trust("labels"),
    "review": review,
    "review.clean": review_clean,
    "gaps": gaps,
    "improve": improve,
    "encoding": speed.encoding,
    "neighbours": lambda: speed.neighbours("neighbours_minilm_100000", "hnswlib"),
    "neighbours.million": lambda: speed.neighbours("neighbours_embedded_1000000", "semsearch Flat"),
    "flat": speed.flat,
    "scaling": speed.scaling,
}

if __name__ == "__main__":
    main()
