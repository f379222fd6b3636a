"""The command line: what people type, and what they see when it goes wrong."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from semsearch import Index, StandardQuestion
from semsearch.cli import SECTIONS, cli
from semsearch.encoder.source import is_short_name
from semsearch.tables import write_table
from tests.calibration.conftest import BANK
from tests.improvement.conftest import make_bank

Run = Callable[..., Result]

FAQ = [
    {"key": "refund-status", "标准问": "How to get a refund?", "答案": "Soon.", "相似问1": "money",
     "shop": "de", "price": "30"},
    {"key": "K017", "标准问": "Where is my parcel?", "答案": "App.", "相似问1": "track package",
     "shop": "de", "price": "19.90"},
    {"key": "card", "标准问": "My card was stolen", "答案": "Call us.", "相似问1": "lost card",
     "shop": "fr", "price": "5"},
    {"key": "hours", "标准问": "营业时间", "答案": "九点。", "相似问1": "几点开门",
     "shop": "cn", "price": "8"},
]  # fmt: skip

_PAIRS = [
    ("lost card", "late parcel"), ("my refund", "my card"), ("pay now", "pay later"),
    ("track a parcel", "track my parcel"), ("card stolen", "stolen card"),
]  # fmt: skip


@pytest.fixture
def run(tmp_path: Path, tiny_encoder_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in a folder with a table; short names stand for the tiny encoder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "semsearch.encoder.encoder.resolve",
        lambda source, **_: tiny_encoder_dir if is_short_name(source) else Path(source),
    )
    write_table(tmp_path / "faq.csv", FAQ)
    runner = CliRunner()

    def invoke(*arguments: str, input: str | None = None) -> Result:
        result = runner.invoke(cli, arguments, input=input)
        assert result.exception is None or isinstance(result.exception, SystemExit), (
            result.exception
        )
        return result

    return invoke


def test_build_says_what_it_made_and_what_changed(run: Run, tmp_path: Path) -> None:
    result = run("build", "faq.csv")
    assert result.exit_code == 0, result.output
    assert "index/faq: 4 standard questions, 8 phrasings (CSV, UTF-8, comma)" in result.stdout
    assert "4 added, 0 changed, 0 removed, 0 unchanged in" in result.stdout
    write_table(tmp_path / "faq.csv", [*FAQ[:2], {**FAQ[2], "答案": "Now."}, *FAQ[3:]][:3])
    assert "0 added, 1 changed, 1 removed, 2 unchanged" in run("build", "faq.csv").stdout


def test_query_prints_the_answer_and_the_phrasing_that_matched(run: Run) -> None:
    run("build", "faq.csv")
    result = run("query", "index/faq", "lost card", "-k", "1")
    assert result.exit_code == 0
    assert "My card was stolen" in result.stdout and "Call us." in result.stdout
    assert "matched: lost card" in result.stdout


def test_what_is_read_of_long_texts_is_chosen_shown_and_kept(run: Run) -> None:
    result = run("encoder", "minilm", "--truncate", "256+254", "--max-length", "16", "--json")
    facts = json.loads(result.stdout)
    assert (facts["truncate"], facts["max_length"]) == ("256+254", 16)
    windows = ("build", "faq.csv", "--max-length", "5", "--truncate")
    assert run(*windows, "windows").exit_code == 0
    assert run("query", "index/faq", "my card was stolen on the way to the bank").exit_code == 0
    assert "0 added, 0 changed" in run(*windows, "windows").stdout
    other = run(*windows, "tail")
    assert other.exit_code == 2 and "they differ in truncation" in other.stderr
    assert run(*windows, "tail", "--rebuild").exit_code == 0


def test_query_as_json_has_stable_names(run: Run) -> None:
    run("build", "faq.csv")
    result = run("query", "index/faq", "--json", "-k", "2", "几点开门", "lost card")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [list(line) for line in lines] == [["query", "answered", "confidence", "hits"]] * 2
    assert list(lines[0]["hits"][0]) == [
        "rank", "key", "question", "answer", "score", "phrasing", "fields"
    ]  # fmt: skip
    assert [line["hits"][0]["key"] for line in lines] == ["hours", "card"]
    assert "几点开门" in result.stdout  # readable, not escaped


def test_a_single_query_without_a_hit_ends_with_1(run: Run) -> None:
    run("build", "faq.csv")
    assert run("query", "index/faq", "zzz", "--min-score", "0.99").exit_code == 1
    assert run("query", "index/faq", "zzz", "lost card", "--min-score", "0.99").exit_code == 0
    none = run("query", "index/faq", "zzz", "--min-score", "0.99", "--json")
    assert json.loads(none.stdout) == {
        "query": "zzz", "answered": False, "confidence": None, "hits": []
    }  # fmt: skip


def test_where_answers_from_the_rows_that_pass(run: Run) -> None:
    run("build", "faq.csv")

    def keys(where: str, *options: str) -> list[str]:
        result = run("query", "index/faq", "lost card", "--json", "--where", where, *options)
        assert result.exit_code == 0, result.stderr
        return sorted(hit["key"] for hit in json.loads(result.stdout)["hits"])

    assert keys("shop = 'de'") == ["K017", "refund-status"]
    assert keys("shop = 'de' AND price < 20") == ["K017"]
    assert keys("shop <> 'de'", "--score", "best", "-k", "1") == ["card"]
    assert keys("key LIKE 'k%' OR question = '营业时间'") == ["K017", "hours"]
    plain = run("query", "index/faq", "lost card", "--where", "shop = 'cn'")
    assert "营业时间" in plain.stdout and "stolen" not in plain.stdout


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("price <", 'near ")" or the end: syntax error'),
        ("shp = 'de'", "there is no column shp (did you mean shop?)"),
        ("1) OR (1", "a parenthesis is closed that was not opened"),
        ("price = (SELECT 5)", "it may only look at the columns of its row"),
        ("", "it is empty"),
    ],
)
def test_a_bad_condition_is_one_line_with_the_columns(run: Run, where: str, message: str) -> None:
    run("build", "faq.csv")
    result = run("query", "index/faq", "lost card", "--json", "--where", where)
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("semsearch: condition ") and message in line
    assert line.endswith("Columns: shop, price, key, question, answer.")


def test_where_that_nothing_passes_is_no_answer_and_says_so(
    run: Run, tmp_path: Path, tiny_encoder_dir: Path
) -> None:
    run("build", "faq.csv", "--encoder", str(tiny_encoder_dir))
    query = ("query", "index/faq", "lost card", "--where", "price < 5 AND shop = 'cn'")
    done = subprocess.run(
        [sys.executable, "-c", "from semsearch.cli import main; main()", *query, "--json"],
        cwd=tmp_path, capture_output=True, text=True, check=False, encoding="utf-8",
    )  # fmt: skip
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert (found["query"], found["answered"], found["hits"]) == ("lost card", False, [])
    (line,) = done.stderr.splitlines()
    assert line.startswith('no standard question passes the condition "price < 5 AND')
    assert run(*query).stdout == "no answer\n"


def test_queries_come_from_a_file_or_standard_input(run: Run, tmp_path: Path) -> None:
    run("build", "faq.csv")
    (tmp_path / "queries.txt").write_text("lost card\n\n几点开门\n", encoding="utf-8")
    from_file = run("query", "index/faq", "--file", "queries.txt", "--json")
    piped = run("query", "index/faq", "--json", input="lost card\n几点开门\n")
    assert from_file.stdout == piped.stdout and len(piped.stdout.splitlines()) == 2


def test_a_table_on_standard_input_needs_a_name(run: Run, tmp_path: Path) -> None:
    text = (tmp_path / "faq.csv").read_text(encoding="utf-8")
    result = run("build", "-", input=text)
    assert result.exit_code == 2 and "say which INDEX" in result.stderr
    assert run("build", "-", "index/x", input=text).exit_code == 0


def test_bad_rows_are_listed_and_nothing_is_written(run: Run, tmp_path: Path) -> None:
    bad = "key,question,answer\na,Where?,There.\nb,,Nowhere.\na,Where?,Here.\n"
    (tmp_path / "bad.csv").write_text(bad, encoding="utf-8")
    result = run("build", "bad.csv")
    assert result.exit_code == 2
    assert "line 3: empty question" in result.stderr
    assert "line 4: key 'a' has two answers" in result.stderr
    assert "--skip-bad" in result.stderr
    assert not (tmp_path / "index").exists()
    skipped = run("build", "bad.csv", "--skip-bad")
    assert skipped.exit_code == 0 and "skipped 2 bad rows" in skipped.stderr
    assert "1 standard questions" in skipped.stdout


def test_removing_most_of_a_bank_wants_yes(run: Run, tmp_path: Path) -> None:
    run("build", "faq.csv")
    write_table(tmp_path / "faq.csv", FAQ[:1])
    refused = run("build", "faq.csv")
    assert (
        refused.exit_code == 2 and "remove 3 of 4" in refused.stderr and "--yes" in refused.stderr
    )
    assert "3 removed" in run("build", "faq.csv", "--yes").stdout


def test_json_reports_what_a_build_did(run: Run) -> None:
    report = json.loads(run("build", "faq.csv", "--json").stdout)
    assert (report["added"], report["questions"], report["phrasings"]) == (4, 4, 8)
    assert report["source"] == "CSV, UTF-8, comma" and report["encoded"] == 8


def test_export_and_build_come_full_circle(run: Run) -> None:
    run("build", "faq.csv")
    for name in ("out.csv", "out.jsonl", "out.xlsx"):
        assert run("export", "index/faq", name).exit_code == 0
        assert (
            "0 added, 0 changed, 0 removed, 4 unchanged" in run("build", name, "index/faq").stdout
        )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("build nothing.csv", "nothing.csv"),
        ("build faq.csv --question nope", "nope"),
        ("build faq.csv --encoding klingon", "klingon"),
        ("build faq.csv --encoder ./no-such-encoder", "no-such-encoder"),
        ("build faq.csv --whiten 9999", "9999"),
        ("build faq.csv --truncate middle", "head, tail, head+tail, windows"),
        ("encoder minilm --truncate 0+510", "'0+510'"),
        ("encoder minilm --pooling weighted-last-4", "averages 4 layers"),
        ("query index/none hello", "there is no index"),
        ("query faq.csv hello", "faq.csv"),
        ("verify index/none", "there is no index"),
        ("compact index/none", "there is no index"),
        ("remove index/none x", "there is no index"),
        ("add index/none faq.csv", "there is no index"),
        ("export index/none x.csv", "there is no index"),
        ("info index/none", "there is no index"),
        ("whiten minilm out --on none.txt", "none.txt"),
        ("build faq.csv index/f --runtime onnx --device cuda", "GPU"),
    ],
)
def test_what_goes_wrong_is_one_line_and_exit_code_2(
    run: Run, tmp_path: Path, arguments: str, message: str
) -> None:
    result = run(*arguments.split())
    assert result.exit_code == 2, result.output
    assert message in result.stderr and "Traceback" not in result.stderr
    lines = [line for line in result.stderr.splitlines() if line.startswith("semsearch: ")]
    assert len(lines) == 1 or result.stderr.startswith("Usage:")
    assert not (tmp_path / "index" / "none").exists()


def test_verify_ends_with_1_when_something_is_wrong(run: Run, tmp_path: Path) -> None:
    run("build", "faq.csv")
    assert run("verify", "index/faq").exit_code == 0
    (snapshot,) = (tmp_path / "index" / "faq").glob("vectors-*")
    snapshot.unlink()
    result = run("verify", "index/faq")
    assert result.exit_code == 1 and "semsearch compact" in result.stdout
    assert run("compact", "index/faq").exit_code == 0
    assert json.loads(run("verify", "index/faq", "--json").stdout)["ok"] is True


def test_help_groups_the_commands_and_each_has_an_example() -> None:
    output = CliRunner().invoke(cli, ["--help"]).output
    for section, commands in SECTIONS.items():
        assert f"{section}:" in output
        for name in commands:
            command = cli.get_command(click.Context(cli), name)
            assert command is not None and command.help
            assert re.search(r"Examples?:\n\s+semsearch " + name, command.help), name
            for parameter in command.params:
                if isinstance(parameter, click.Option):
                    assert parameter.help or parameter.name in ("dim",), f"{name}: {parameter.name}"


def _examples() -> list[str]:
    found = []
    for names in SECTIONS.values():
        for name in names:
            command = cli.get_command(click.Context(cli), name)
            assert command is not None
            found += re.findall(r"^\s*(semsearch .+)$", command.help or "", re.MULTILINE)
    return found


@pytest.mark.parametrize("example", _examples())
def test_the_examples_in_the_help_run(run: Run, tmp_path: Path, example: str) -> None:
    import sqlite_utils

    write_table(tmp_path / "faq.xlsx", FAQ)
    for name in ("new-questions.csv", "new.csv"):
        write_table(tmp_path / name, [{"question": "New?", "answer": "Yes."}])
    write_table(tmp_path / "queries.jsonl", [{"query": "lost card"}, {"query": "can i fly"}])
    if "calibrate" in example:
        many = [{"query": f"lost card {n}"} for n in range(120)]
        write_table(tmp_path / "queries.jsonl", many)
    texts = [f"{word} number {n}" for n in range(40) for word in ("card", "refund", "parcel")]
    (tmp_path / "queries.txt").write_text("lost card\n几点开门\n", encoding="utf-8")
    write_table(tmp_path / "test.csv", [{"text": "lost card", "key": "card"}])
    for name in ("sentences.txt", "manuals.txt", "语料.txt", "log.txt"):
        (tmp_path / name).write_text("\n".join(texts), encoding="utf-8")
    write_table(tmp_path / "wiki.parquet", [{"text": text} for text in texts])
    pairs = [{"sentence1": a, "sentence2": b, "score": n} for n, (a, b) in enumerate(_PAIRS)]
    (tmp_path / "data" / "sts_en" / "stsbenchmark").mkdir(parents=True)
    for name in ("pairs.csv", "data/sts_en/stsbenchmark/test.csv"):
        write_table(tmp_path / name, pairs)
    write_table(tmp_path / "train.csv", pairs[:1])
    scored = [
        {"sentence1": a, "sentence2": b, "score": n % 6} for n, (a, b) in enumerate(pairwise(texts))
    ]
    write_table(tmp_path / "scored.csv", scored)
    kinds = ("entailment", "neutral", "contradiction")
    write_table(
        tmp_path / "nli.csv",
        [
            {"premise": row["sentence1"], "hypothesis": row["sentence2"], "label": kinds[n % 3]}
            for n, row in enumerate(scored * 2)
        ],
    )
    asked = [{"text": f"{n} {text}", "key": "card"} for n, text in enumerate(texts[:30])]
    write_table(tmp_path / "labelled.csv", asked)
    database = sqlite_utils.Database(tmp_path / "bank.db")
    database["faq"].insert_all(FAQ)
    database.close()
    run("build", "faq.csv")
    if re.search("calibrate|gaps", example):  # which wants more than four standard questions
        bank = [StandardQuestion("card", "My card was stolen", "Call us."), *BANK[2:]]
        Index.build(bank, "index/faq", allow_removal=True).close()
    if "gaps" in example:
        run("calibrate", "index/faq")
    if re.search("improve|rollback", example):  # which wants phrasings to learn from
        Index.build(make_bank(), "index/faq", allow_removal=True).close()
    if "rollback" in example:
        assert run("improve", "index/faq", "--light").exit_code == 0
    # The tiny encoder has 32 dimensions.
    words = ["16" if word == "256" else word for word in shlex.split(example)[1:]]
    if words[0] == "build" and "--whiten" in words:
        words.append("--rebuild")
    if words[0] == "tune":  # on a bank that can do without some of its phrasings
        many = [{"question": f"card {n} of {n % 7}", "answer": ""} for n in range(500)]
        write_table(tmp_path / "many.csv", many)
        run("add", "index/faq", "many.csv")
    if words[0] == "diff":  # between an index and its copy, where nothing changes
        shutil.copytree(tmp_path / "index" / "faq", tmp_path / "index" / "new")
        write_table(tmp_path / "queries.csv", [{"text": "lost card"}])
    if words[0] == "pretrain":
        for option in ("--minutes", "--epochs"):  # as long as two steps take
            if option in words:
                del words[words.index(option) : words.index(option) + 2]
        words += ["--steps", "2", "--batch-tokens", "256"]
    if words[0] == "improve" and "--light" not in words:
        words += ["--steps", "2"]
    result = run(*words)
    refused = words[-2:] == ["--steps", "2"] and "not promoted" in result.output
    assert result.exit_code == (1 if refused else 0), result.output


def test_an_interrupt_says_that_nothing_is_lost(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("semsearch.cli.output.ProgressBar.__call__", interrupt)
    result = run("build", "faq.csv")
    assert result.exit_code == 130 and "Interrupted" in result.stderr


def test_the_command_starts_without_heavy_imports() -> None:
    code = (
        "import sys\nfrom semsearch.cli import cli\n"
        "try: cli(['--version'])\nexcept SystemExit: pass\n"
        "heavy = {'numpy', 'faiss', 'onnxruntime', 'torch', 'sqlite_utils'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=dict(os.environ))


def test_writing_does_not_import_pandas_and_leaves_it_to_others(tmp_path: Path) -> None:
    (tmp_path / "pandas.py").write_text("Timestamp = str\n")
    code = (
        "import sys\nfrom semsearch.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "import sqlite_utils\nassert 'pandas' not in sys.modules\nimport pandas\n"
    )
    write_table(tmp_path / "faq.csv", FAQ)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", code, "build", "faq.csv"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True,
        check=True, encoding="utf-8",
    )  # fmt: skip
    assert "4 added" in done.stdout


def test_the_demo_answers_in_both_languages(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from semsearch.cli import main; main()", "demo"],
        cwd=tmp_path, capture_output=True, text=True, check=True, encoding="utf-8",
    )  # fmt: skip
    assert done.stdout.count("$ semsearch query") == 6
    english = ("change the delivery address", "charged twice", "I received the wrong item")
    for answer in (*english, "卡被ATM机吞了", "怎么申请临时额度", "怎么往国外汇款"):
        assert answer in done.stdout
