"""The command line keeps what is the owner's, and takes no for an answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from semsearch import Index
from semsearch.cli import cli, demo, options
from semsearch.tables import write_table

Run = Callable[..., Result]

_TWICE = ["--out", "new.csv", "--phrasings-out", "./new.csv"]

BANK = [
    {"key": "parcel", "question": "where is my parcel", "answer": "Soon.", "shop": "de"},
    {"key": "refund", "question": "how do I get money back", "answer": "Ask.", "shop": "fr"},
]


@pytest.fixture
def run(tmp_path: Path, tiny_encoder_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in a folder with a table and an index of it."""
    monkeypatch.chdir(tmp_path)
    write_table(tmp_path / "faq.csv", BANK)
    Index.build(tmp_path / "faq.csv", tmp_path / "faq", encoder=tiny_encoder_dir).close()

    def invoke(*arguments: str) -> Result:
        result = CliRunner().invoke(cli, arguments)
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result

    return invoke


def test_files_beside_an_index_that_it_did_not_make_stay(run: Run, tmp_path: Path) -> None:
    index = tmp_path / "faq"
    folders = [index / "encoder-mine", index / "vectors-old"]
    files = [index / "vectors-2024.npy", index / "vectors-1.faiss.bak"]
    for folder in folders:
        folder.mkdir()
        files.append(folder / "model.bin")
    for file in files:
        file.write_text("precious")
    left_over = [index / "vectors-1.faiss", index / ".vectors-7.faiss.0123abcd.tmp"]
    for file in left_over:
        file.write_text("of a build that was killed")
    for command in (["compact", "faq"], ["build", "faq.csv", "faq", "--rebuild"]):
        assert run(*command).exit_code == 0
    assert [file.read_text() for file in files] == ["precious"] * 4
    assert not any(file.exists() for file in left_over)


def test_no_name_is_not_the_working_directory(run: Run, tmp_path: Path) -> None:
    for command in (["build", "faq.csv", ""], ["query", "", "parcel"], ["compact", ""]):
        result = run(*command)
        assert result.exit_code == 2 and "the name of the index is empty" in result.stderr
    assert not (tmp_path / "questions.db").exists()


def test_the_demo_leaves_an_index_alone_that_holds_more(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "BANKS", {"faq": ("parcel",)})
    monkeypatch.setattr(demo, "_sample", lambda name: tmp_path / "faq.csv")
    assert run("demo", "--into", ".").exit_code == 0
    write_table(tmp_path / "more.csv", [{"key": "mine", "question": "my own", "answer": "!"}])
    assert run("add", "faq", "more.csv").exit_code == 0
    result = run("demo", "--into", ".")
    assert result.exit_code == 2 and "1 standard questions that are not of the sample" in (
        result.stderr
    )
    with Index.open("faq") as index:
        assert "mine" in {question.key for question in index.questions()}


def test_info_and_encoder_call_one_encoder_by_one_name(run: Run, tiny_encoder_dir: Path) -> None:
    known = json.loads(run("encoder", str(tiny_encoder_dir), "--json").stdout)["fingerprint"]
    (line,) = [n for n in run("info", "faq").stdout.splitlines() if n.startswith("fingerprint")]
    assert line.split() == ["fingerprint", known]


def test_add_says_what_it_left_out(run: Run, tmp_path: Path) -> None:
    write_table(tmp_path / "more.csv", [{"key": "a", "question": "a?"}, {"key": "b"}])
    result = run("add", "faq", "more.csv", "--skip-bad", "--json")
    assert json.loads(result.stdout)["skipped"] == 1 and "line 3: empty question" in result.stderr


def test_a_row_that_has_become_bad_does_not_remove_its_question(run: Run, tmp_path: Path) -> None:
    write_table(tmp_path / "faq.csv", [BANK[0], {**BANK[1], "question": ""}])
    result = run("build", "faq.csv", "faq", "--skip-bad")
    assert result.exit_code == 2 and "1 standard questions of faq stand in no other" in (
        result.stderr
    )
    with Index.open("faq") as index:
        assert len(index) == 2
    assert run("build", "faq.csv", "faq", "--skip-bad", "--yes").exit_code == 0
    with Index.open("faq") as index:
        assert len(index) == 1


def test_what_a_further_row_says_otherwise_is_not_dropped_in_silence(
    run: Run, tmp_path: Path
) -> None:
    rows = [*BANK, {"key": "parcel", "question": "my parcel?", "shop": "it"}]
    write_table(tmp_path / "faq.csv", rows)
    result = run("build", "faq.csv", "faq")
    assert result.exit_code == 0
    assert "line 4: 'shop' is 'it', where 'de' stands in the first row of 'parcel'" in result.stderr
    rows[-1]["shop"] = ""  # says nothing
    write_table(tmp_path / "faq.csv", rows)
    assert "otherwise" not in run("build", "faq.csv", "faq").stderr


@pytest.mark.parametrize(
    ("command", "lost"),
    [
        (["evaluate", "faq", "asked.csv", "--errors", "asked.csv"], "what is read"),
        (["gaps", "faq", "asked.csv", "--min-score", "0.5", "--out", "asked.csv"], "what is read"),
        (
            [
                "gaps",
                "faq",
                "asked.csv",
                "--min-score",
                "1",
                "--out",
                "new.csv",
                "--phrasings-out",
                "./new.csv",
            ],
            "--out",
        ),
    ],
)
def test_nothing_is_written_over_what_is_needed(
    run: Run, tmp_path: Path, command: list[str], lost: str
) -> None:
    asked = tmp_path / "asked.csv"
    write_table(asked, [{"text": "my parcel", "key": "refund"}])
    before = asked.read_bytes()
    result = run(*command)
    assert result.exit_code == 2 and f"would replace {lost}" in result.stderr
    assert asked.read_bytes() == before and not (tmp_path / "new.csv").exists()


@pytest.mark.parametrize(
    "command",
    [
        ["compact", "faq", "--wait", "nan"],
        ["query", "faq", "parcel", "--min-score", "nan"],
        ["calibrate", "faq", "--precision", "nan"],
        ["calibrate", "faq", "--seed", "-1"],
        ["build", "faq.csv", "new", "--factory", "IVF1,Flat nprobe=0"],
        ["build", "faq.csv", "new", "--factory", "IVF1,Flat nprobe=1e99"],
        ["build", "faq.csv", "new", "--factory", "IDMap,Flat"],
        ["build", "faq.csv", "new", "--factory", "HNSW0"],
        ["build", "faq.csv", "new", "--factory", "平"],
    ],
)
def test_a_value_that_is_none_is_refused_before_anything_is_done(
    run: Run, tmp_path: Path, command: list[str]
) -> None:
    result = run(*command)
    assert result.exit_code == 2 and result.stderr
    assert not (tmp_path / "new" / "questions.db").exists()


@pytest.mark.parametrize(
    "command",
    [
        ["query", "faq", "parcel", "--column", "text"],
        ["calibrate", "faq", "--key", "key"],
        ["calibrate", "faq", "--column", "text"],
        ["calibrate", "faq", "--log", "log.txt", "--skip-bad"],
        ["calibrate", "faq", "--remove", "--precision", "0.9"],
        ["improve", "faq", "--light", "--device", "cpu"],
        ["improve", "faq", "--light", "--none", "x"],
    ],
)
def test_an_option_that_would_do_nothing_is_refused(run: Run, command: list[str]) -> None:
    option = next(word for word in reversed(command) if word.startswith("--"))
    result = run(*command)
    assert result.exit_code == 2 and f"Error: {option} " in result.stderr


def test_a_log_has_a_column_of_its_own_name(run: Run, tmp_path: Path) -> None:
    rows = [{"Kundenfrage": f"my parcel {n}", "n": n} for n in range(100)]
    write_table(tmp_path / "asked.csv", rows)
    result = run("calibrate", "faq", "--log", "asked.csv", "--column", "nope")
    assert result.exit_code == 2 and "no column 'nope'" in result.stderr
    assert (
        "column"
        not in run("calibrate", "faq", "--log", "asked.csv", "--column", "Kundenfrage").stderr
    )


def test_a_query_log_is_no_table_of_labels(run: Run, tmp_path: Path) -> None:
    (tmp_path / "asked.txt").write_text("my parcel\nmoney back\nnonsense\n")
    log = tmp_path / "log.jsonl"
    assert run("query", "faq", "--file", "asked.txt", "--log", "log.jsonl").exit_code == 0
    for command in ("evaluate", "calibrate"):
        result = run(command, "faq", "log.jsonl")
        assert result.exit_code == 2 and "is a query log" in result.stderr
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    lines[0]["expected"] = "parcel"
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    report = json.loads(run("evaluate", "faq", "log.jsonl", "--json").stdout)
    assert report["queries"] == 1, "nobody has judged the others"


def test_json_stays_json_where_a_stream_knows_few_characters() -> None:
    code = (
        "import sys; sys.stdout.reconfigure(errors='backslashreplace');"
        "from semsearch.cli.output import echo_json; echo_json({'a': 'é 😀 中'})"
    )
    for encoding in ("gbk", "ascii", "utf-8"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONIOENCODING": encoding},
            capture_output=True,
            check=True,
        )
        assert json.loads(done.stdout.decode(encoding)) == {"a": "é 😀 中"}


def test_a_service_may_have_no_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert not options.asks_a_person()
