"""A tuned index is proved on queries that it does not hold, and keeps its proof."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from semsearch import Index, StandardQuestion
from semsearch.ann import Neighbours, check
from semsearch.cli import cli
from semsearch.errors import DataError, FactoryError
from semsearch.tuning import Trial, candidates, tune
from semsearch.tuning.measure import Truth, measure
from semsearch.tuning.outcome import TuneReport

WORDS = ["refund", "parcel", "card", "track", "money", "lost", "hours", "open", "close", "time"]
FAST = ["Flat", "HNSW8_SQ8,RFlat efSearch=64,k_factor_rf=4", "IVF8,SQ8 nprobe=1"]


def _bank(n: int) -> list[StandardQuestion]:
    return [
        StandardQuestion(f"q{i}", f"{WORDS[i % 10]} {WORDS[i // 10 % 10]} {WORDS[i // 100]} {i}")
        for i in range(n)
    ]


@pytest.fixture
def path(tmp_path: Path, tiny_encoder_dir: Path) -> Path:
    Index.build(_bank(800), tmp_path / "faq", encoder=tiny_encoder_dir).close()
    return tmp_path / "faq"


def _unit(n: int, d: int = 16, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_the_best_setting_is_put_into_the_index_with_its_proof(path: Path) -> None:
    with Index.open(path) as index:
        before = index.search("lost card 33", 5)
    report = tune(path, recall=0.9, factories=FAST)
    assert report.applied and report.chosen is not None
    assert [trial.setting for trial in report.trials] == FAST
    assert report.chosen.recall >= 0.9 and report.queries == 80
    with Index.open(path) as index:
        info = index.info()
        assert f"{info['factory']} {info['parameters']}".strip() == report.chosen.setting
        assert info["tuned"]["recall"] == report.chosen.recall
        assert info["tuned"]["queries"] == 40  # those that proved
        assert info["in_snapshot"] == 800  # what was held out is back
        assert index.verify().ok
        assert index.search("lost card 33", 5)[0].hits[0].key == before[0].hits[0].key


def test_a_tuned_setting_stays_through_a_sync_and_its_proof_goes_with_another_factory(
    path: Path,
) -> None:
    tune(path, recall=0.9, factories=["HNSW8_SQ8,RFlat efSearch=64,k_factor_rf=4"])
    with Index.build(_bank(900), path) as index:
        assert index.info()["factory"] == "HNSW8_SQ8,RFlat"
        assert index.info()["tuned"]["phrasings"] == 800
    with Index.build(_bank(900), path, factory="auto") as index:
        assert (index.info()["factory"], index.info()["tuned"]) == ("Flat", None)


def test_a_dry_run_measures_and_changes_nothing(path: Path) -> None:
    with Index.open(path) as index:
        before = index.info()
    report = tune(path, recall=0.5, factories=["SQ8"], dry_run=True)
    assert report.chosen is not None and not report.applied
    with Index.open(path) as index:
        assert index.info() == before


def test_what_finds_too_little_is_not_chosen(path: Path) -> None:
    report = tune(path, recall=0.999, factories=["IVF64,SQ4 nprobe=1"])
    assert report.chosen is None and not report.applied
    assert report.trials[0].recall < 0.99
    with Index.open(path) as index:
        assert index.info()["factory"] == "Flat"


def test_latency_and_memory_rule_settings_out(path: Path) -> None:
    assert tune(path, recall=0.5, factories=["Flat"], latency_ms=1e-9).chosen is None
    few = tune(path, recall=0.5, memory_bytes=800 * 30, factories=["Flat", "SQ8"])
    assert few.chosen is None
    some = tune(path, recall=0.5, memory_bytes=800 * 80, factories=["Flat", "SQ8"])
    assert some.chosen is not None and some.chosen.setting == "SQ8"


def test_queries_that_the_bank_holds_are_no_proof(path: Path) -> None:
    own = [question.question for question in _bank(100)]
    with pytest.raises(DataError, match="0 queries that are not in the bank"):
        tune(path, queries=own, factories=["Flat"])
    asked = [f"{one} {two} please" for one in WORDS for two in WORDS]
    report = tune(path, queries=[*own, *asked, *asked], factories=["Flat"], recall=0.9)
    assert (report.queries, report.phrasings) == (100, 800)
    assert report.source == "queries that are not in the bank"


def test_a_small_bank_proves_nothing(tmp_path: Path, tiny_encoder_dir: Path) -> None:
    Index.build(_bank(50), tmp_path / "faq", encoder=tiny_encoder_dir).close()
    with pytest.raises(DataError, match=r"fewer than 40 prove nothing\. Give some with --queries"):
        tune(tmp_path / "faq")


def test_an_unknown_factory_is_refused(path: Path) -> None:
    with pytest.raises(FactoryError, match="could not parse"):
        tune(path, factories=["Nonsense"])


def test_two_runs_find_the_same_recalls(path: Path) -> None:
    one, two = (tune(path, factories=["Flat", "IVF8,SQ8 nprobe=2"], dry_run=True) for _ in "ab")
    assert [t.recall for t in one.trials] == [t.recall for t in two.trials]


def test_recall_counts_equal_scores_as_found_and_padding_as_missed() -> None:
    vectors = np.repeat(_unit(30), 2, axis=0)  # everything is there twice
    exact = Neighbours.build(np.arange(60), vectors)
    truth = Truth.of(exact, _unit(5, seed=1), 3)
    order = np.argsort(-(truth.queries @ vectors.T), axis=1, kind="stable")
    twins = order[:, :3] ^ 1  # the other one of each two
    assert truth.recalls(twins, vectors).tolist() == [1.0] * 5
    missed = np.concatenate([order[:, :2], np.full((5, 1), -1)], axis=1)
    assert truth.recalls(missed, vectors) == pytest.approx(2 / 3)
    assert truth.recalls(order[:, [0, 1, 40]], vectors) == pytest.approx(2 / 3)


def test_a_measured_exact_search_finds_all() -> None:
    vectors = _unit(500)
    exact = Neighbours.build(np.arange(500), vectors)
    trial = measure(exact, Truth.of(exact, _unit(50, seed=1), 10), vectors, "Flat", 0.1, seed=0)
    assert (trial.recall, trial.recall_low, trial.recall_high) == (1, 1, 1)
    assert 0 < trial.p50_ms <= trial.p99_ms and trial.qps_1 > 0 and trial.qps_all > 0
    assert 16 * 4 + 8 <= trial.bytes_per_vector < 16 * 4 + 8 + 2


@pytest.mark.parametrize(("n", "dim"), [(3_000, 32), (100_000, 384), (1_000_000, 256), (9_000, 30)])
def test_every_candidate_can_be_made_and_fits(n: int, dim: int) -> None:
    for most in (float("inf"), 4 * dim, 2 * dim, dim):
        for candidate in candidates.candidates(n, dim, most):
            for setting in candidate.settings:
                check(setting, dim)


@pytest.mark.parametrize("most", [300, 170, 100, 50])
def test_candidates_keep_to_the_memory_there_is(most: float) -> None:
    n, dim = 3_000, 32
    vectors = _unit(n, dim)
    found = list(candidates.candidates(n, dim, most))
    assert found
    for candidate in found:
        made = Neighbours.build(np.arange(n), vectors, candidate.settings[0])
        # Centroids and the like are beside what there is for each vector.
        assert made.size_bytes / n < most + 40, candidate.factory


def test_a_front_holds_what_no_other_beats() -> None:
    def trial(recall: float, p50_ms: float) -> Trial:
        return Trial("x", recall, recall, recall, p50_ms, p50_ms, 1.0, 1.0, 1.0, 1.0)

    slow, beaten, fast = trial(1, 5), trial(0.9, 3), trial(0.95, 2)
    report = TuneReport("i", 1, 1, 10, 0.9, None, None, 80, "s", 1, 0, (slow, beaten, fast), None)
    assert report.front == [fast, slow]


def test_the_command_prints_the_proof_and_writes_a_report(path: Path) -> None:
    arguments = ["tune", str(path), "--recall", "0.9", "--factory", FAST[1]]
    out = path.parent / "report"
    result = CliRunner().invoke(cli, [*arguments, "--report", str(out)])
    assert result.exit_code == 0, result.output
    assert "in use now:" in result.stdout and FAST[1] in result.stdout
    assert "40 queries that had no part in the choice" in result.stdout
    assert {file.name for file in out.iterdir()} == {"tune.md", "tune.json", "tune.png"}
    assert (out / "tune.png").read_bytes().startswith(b"\x89PNG")
    assert len(json.loads((out / "tune.json").read_text())["trials"]) == 1
    info = CliRunner().invoke(cli, ["info", str(path)])
    assert "recall@10" in info.stdout and "phrasings, held out of the index" in info.stdout
    found = CliRunner().invoke(cli, [*arguments, "--dry-run", "--json"])
    assert json.loads(found.stdout)["applied"] is False


@pytest.mark.parametrize(
    ("option", "says"),
    [
        (["--memory", "much"], "'much' is no size"),
        (["--memory", "0GB"], "no size"),
        (["--recall", "1.5"], "1.5"),
        (["--factory", "Nonsense"], "FAISS cannot make Nonsense"),
    ],
)
def test_bad_options_are_one_line(path: Path, option: list[str], says: str) -> None:
    result = CliRunner().invoke(cli, ["tune", str(path), *option])
    assert result.exit_code == 2
    assert says in result.stderr and "Traceback" not in result.stderr


def test_when_nothing_holds_the_exit_code_says_so(path: Path) -> None:
    command = ["tune", str(path), "--factory", "Flat", "--latency-ms", "0.000001"]
    result = CliRunner().invoke(cli, command)
    assert result.exit_code == 1
    assert "No setting that was tried holds all" in result.stderr


def test_sizes_are_read_in_their_units(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def fake(*_: object, memory_bytes: int, **__: object) -> TuneReport:
        seen.append(memory_bytes)
        raise DataError("enough")

    monkeypatch.setattr("semsearch.tuning.tune", fake)
    for size in ("1.5 GB", "2MiB", "800kb", "77"):
        CliRunner().invoke(cli, ["tune", str(path), "--memory", size])
    assert seen == [1_500_000_000, 2 << 20, 800_000, 77]
