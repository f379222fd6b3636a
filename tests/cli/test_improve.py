"""`semsearch improve` and `semsearch rollback`: what people type, and what they see then."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from semsearch import Index
from tests.cli.conftest import invoke
from tests.improvement.conftest import make_bank, shuffled

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, tiny_encoder_dir: Path) -> Path:
    path = tmp_path_factory.mktemp("built")
    Index.build(make_bank(), path / "faq", encoder=tiny_encoder_dir).close()
    Index.build(shuffled(make_bank(noise=2)), path / "mixed", encoder=tiny_encoder_dir).close()
    return path


@pytest.fixture
def run(tmp_path: Path, built: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in a folder with a good index and one with shuffled labels."""
    shutil.copytree(built, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")

    return invoke


def test_it_prints_before_and_after_and_how_to_undo_it(run: Run) -> None:
    result = run("improve", "faq", "--light")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].startswith("faq: light, ") and lines[0].endswith("held out")
    assert lines[2].split() == [
        "queries",
        "before",
        "after",
        "95%",
        "interval",
        "of",
        "the",
        "gain",
    ]
    assert lines[3].startswith("accuracy@1, phrasings") and "[+0." in lines[3]
    assert any(line.startswith("precision at 90%, all") for line in lines)
    assert any(line.startswith("promoted: accuracy@1 of phrasings gets better") for line in lines)
    assert lines[-1] == "undo it with: semsearch rollback faq"
    shown = run("info", "faq").stdout
    assert "light, held out: accuracy_at_1 of phrasings" in shown


def test_json_says_the_same(run: Run) -> None:
    report = json.loads(run("improve", "faq", "--light", "--json").stdout)
    assert report["promoted"] is True and report["mode"] == "light"
    assert {"of", "measure", "n", "before", "after", "difference", "low", "high"} == set(
        report["figures"][0]
    )
    assert (
        json.loads(run("info", "faq", "--json").stdout)["improved"]["figures"]
        == (report["figures"])
    )
    assert json.loads(run("rollback", "faq", "--json").stdout) == {
        "index": "faq", "restored": 360, "encoded": 0, "calibrated": False,
    }  # fmt: skip


def test_what_is_not_better_is_refused_with_exit_code_1(run: Run) -> None:
    before = run("query", "mixed", "my parcel", "--json").stdout
    result = run("improve", "mixed", "--light")
    assert result.exit_code == 1
    assert "not promoted: " in result.stdout and "mixed is as it was" in result.stdout
    assert run("query", "mixed", "my parcel", "--json").stdout == before


def test_rollback_says_what_it_did_and_has_nothing_to_undo_then(run: Run) -> None:
    before = run("query", "faq", "my parcel", "--json").stdout
    run("improve", "faq", "--light")
    assert run("query", "faq", "my parcel", "--json").stdout != before
    result = run("rollback", "faq")
    assert result.exit_code == 0 and "the encoder from before is back" in result.stdout
    assert run("query", "faq", "my parcel", "--json").stdout == before
    again = run("rollback", "faq")
    assert again.exit_code == 2
    assert again.stderr == "semsearch: faq: was not improved; there is nothing to undo.\n"


def test_bad_labels_are_one_line_before_anything_is_learnt(run: Run) -> None:
    Path("labelled.csv").write_text("text,key\nwhere is it,nowhere\n", encoding="utf-8")
    result = run("improve", "faq", "--light", "--labelled", "labelled.csv")
    assert result.exit_code == 2 and "key 'nowhere' is not in the index" in result.stderr
    skipped = run("improve", "faq", "--light", "--labelled", "labelled.csv", "--skip-bad")
    assert skipped.exit_code == 2 and "all of its 1 rows are bad" in skipped.stderr
    Path("labelled.csv").write_text("text,key\nwhere is it,nowhere\nparcel,parcel\n", "utf-8")
    skipped = run("improve", "faq", "--light", "--labelled", "labelled.csv", "--skip-bad")
    assert skipped.exit_code == 0 and "1 bad rows" in skipped.stderr
    missing = run("improve", "faq", "--light", "--log", "gone.jsonl")
    assert missing.exit_code == 2 and "gone.jsonl" in missing.stderr


def test_without_torch_it_names_the_light_mode(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "torch" else find_spec(name, *rest),
    )
    result = run("improve", "faq")
    assert result.exit_code == 2 and "--light" in result.stderr
    assert "semsearch[train]" in result.stderr and result.stderr.count("\n") == 1
    assert run("improve", "faq", "--light").exit_code == 0


def test_steps_are_of_training(run: Run) -> None:
    result = run("improve", "faq", "--light", "--steps", "3")
    assert result.exit_code == 2 and "--steps" in result.stderr
