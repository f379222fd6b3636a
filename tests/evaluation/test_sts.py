"""Whole runs: tables of scores for several encoders and variants."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semsearch.encoder import Encoder
from semsearch.errors import DataError, EncoderError
from semsearch.evaluation import data, sts
from semsearch.evaluation.outcome import StsReport

DRAWS = 100


def run(encoders: Sequence[Any], tasks: Any = "STS12,STS-B", **options: Any) -> StsReport:
    return sts.evaluate(encoders, tasks, **{"draws": DRAWS, **options})


def test_a_run_scores_the_baseline_first_and_each_encoder(
    sts_dir: Path, tiny_encoder_dir: Path, other_tiny_encoder_dir: Path
) -> None:
    report = run([tiny_encoder_dir, other_tiny_encoder_dir], data_dir=sts_dir)
    # Both directories are called `encoder`: their whole paths tell them apart.
    labels = [row.label for row in report.rows]
    assert labels == ["tf-idf", str(tiny_encoder_dir), str(other_tiny_encoder_dir)]
    assert report.rows[0].encoder is None and report.compared_with == labels[1]
    for row in report.rows:
        assert list(row.scores) == ["STS12", "STS-B"]
        for score in row.scores.values():
            assert -100 <= score.low <= score.value <= score.high <= 100
        mean = np.mean([score.value for score in row.scores.values()])
        assert row.averages["en"].value == pytest.approx(mean)
    assert report.rows[0].scores["STS12"].value > 80  # gold scores are shared words


def test_the_score_is_the_correlation_of_what_the_encoder_gives(
    sts_dir: Path, tiny_encoder: Encoder
) -> None:
    stats = pytest.importorskip("scipy.stats")
    pairs = data.load(sts.tasks.TASKS["STS12"], sts_dir)
    a, b = tiny_encoder.encode(pairs.first), tiny_encoder.encode(pairs.second)
    cosine = (a * b).sum(axis=1).round(6)  # equal sentences tie
    for metric, expected in (
        ("spearman", stats.spearmanr(cosine, pairs.gold)),
        ("pearson", stats.pearsonr(cosine, pairs.gold)),
    ):
        report = run([tiny_encoder], "STS12", data_dir=sts_dir, metric=metric)
        found = report.rows[1].scores["STS12"].value
        assert found == pytest.approx(100 * expected.statistic, abs=0.02)
    manhattan = run([tiny_encoder], "STS12", data_dir=sts_dir, similarity="manhattan")
    expected = stats.spearmanr(-np.abs(a - b).sum(axis=1), pairs.gold)
    assert manhattan.rows[1].scores["STS12"].value == pytest.approx(
        100 * expected.statistic, abs=0.02
    )


def test_only_a_difference_beyond_chance_is_marked(
    sts_dir: Path, tiny_encoder_dir: Path, tiny_encoder: Encoder
) -> None:
    twin = Encoder.load(tiny_encoder_dir)
    twin.source = "twin"
    report = run([tiny_encoder, twin], data_dir=sts_dir, dims=[2])
    first, same = report.rows[1], report.row("twin")
    assert all(score.difference is None and score.mark == "" for score in first.scores.values())
    for score in same.scores.values():
        assert score.difference is not None and score.mark == ""
        assert (score.difference.low, score.difference.high) == (0, 0)
    cut = next(row for row in report.rows if row.variant.kind == "truncated")
    lexical = report.rows[0]
    for row in (cut, lexical):
        for name, score in row.scores.items():
            assert score.difference is not None
            gap = score.value - first.scores[name].value
            assert score.difference.value == pytest.approx(gap)
            beyond = not score.difference.low <= 0 <= score.difference.high
            assert bool(score.mark) == beyond


def test_every_sentence_is_encoded_once_for_all_tasks_and_variants(
    sts_dir: Path, tiny_encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []
    real = Encoder.embed

    def embed(self: Encoder, texts: Sequence[str], **options: Any) -> Any:
        asked.append(list(texts))
        return real(self, texts, **options)

    monkeypatch.setattr(Encoder, "embed", embed)
    report = run(
        [tiny_encoder], "en,bq,SICK-R-test,STS-B-dev", data_dir=sts_dir, whiten=[8], dims=[4, 8]
    )
    assert len(asked) == 1 and len(asked[0]) == len(set(asked[0]))
    assert set(asked[0]) == {text for pairs in report.tasks for text in pairs.sentences}


def test_a_group_leaves_out_what_has_no_data_and_a_name_does_not(
    sts_dir: Path, tiny_encoder: Encoder
) -> None:
    report = run([tiny_encoder], "en", data_dir=sts_dir)
    assert [pairs.task.name for pairs in report.tasks] == ["STS12", "STS-B", "SICK-R"]
    assert list(report.skipped) == ["STS13", "STS14", "STS15", "STS16"]
    assert str(sts_dir) not in json.dumps(report.to_dict())
    with pytest.raises(DataError, match="STS15: no sts_en/sts15"):
        run([tiny_encoder], "en,STS15", data_dir=sts_dir)
    with pytest.raises(DataError, match="no task has data"):
        run([tiny_encoder], "en", data_dir=sts_dir.parent)


def test_whitening_is_fitted_on_what_the_row_says(sts_dir: Path, tiny_encoder: Encoder) -> None:
    texts = sts_dir.parent / "own.txt"
    texts.write_text("\n".join(f"card {n} refund {n * 7}" for n in range(80)), encoding="utf-8")
    report = run(
        [tiny_encoder], "STS12,STS-B", data_dir=sts_dir, whiten=[8],
        whiten_on=["target", "nli", texts],
    )  # fmt: skip
    label = report.compared_with
    assert [row.label for row in report.rows[2:]] == [
        f"{label}, whitened 8 on target",
        f"{label}, whitened 8 on nli",
        f"{label}, whitened 8 on {texts}",
    ]
    target, nli, own = report.rows[2:]
    assert target.fitted_texts == {"STS12": 96, "STS-B": 96}
    assert own.fitted_texts == {"STS12": 80, "STS-B": 80}
    assert len({row.scores["STS12"].value for row in report.rows[1:]}) == 4
    assert nli.fitted_texts["STS12"] > 60


def test_nli_sentences_that_are_not_there_are_an_error(
    sts_dir: Path, tiny_encoder: Encoder
) -> None:
    with pytest.raises(DataError, match="none of nli/csnli, nli/cmnli, nli/ocnli"):
        run([tiny_encoder], "BQ", data_dir=sts_dir, whiten=[8], whiten_on=["nli"])
    own = data.read_pairs(sts_dir / "sts_en/sts12/test.csv")
    with pytest.raises(DataError, match="Give --data"):
        run([tiny_encoder], None, pairs=[own], whiten=[8], whiten_on=["nli"])
    run([tiny_encoder], "BQ", data_dir=sts_dir, whiten_on=["nli"])  # nothing is to be fitted


def test_poolings_are_rows_and_the_first_is_compared_with(
    sts_dir: Path, tiny_encoder_dir: Path, tiny_encoder: Encoder
) -> None:
    report = run([tiny_encoder_dir], "STS12", data_dir=sts_dir, pooling=["cls", "mean", "max"])
    assert [row.label for row in report.rows[1:]] == [
        "encoder, cls",
        "encoder, mean",
        "encoder, max",
    ]
    assert [row.encoder["pooling"] for row in report.rows[1:] if row.encoder] == [
        "cls",
        "mean",
        "max",
    ]
    assert report.compared_with == "encoder, cls"
    with pytest.raises(EncoderError, match="loaded already"):
        run([tiny_encoder], "STS12", data_dir=sts_dir, pooling=["cls"])


def test_a_sweep_ends_at_the_encoders_own_dimensions(sts_dir: Path, tiny_encoder: Encoder) -> None:
    report = run([tiny_encoder], "STS12", data_dir=sts_dir, dims=[8, 32])
    scores = {row.variant.label: row.scores["STS12"].value for row in report.rows[1:]}
    assert len(scores) == 7
    assert scores["first 32"] == scores[""] != scores["first 8"]
    with pytest.raises(EncoderError, match="32 dimensions; 64 were asked for"):
        run([tiny_encoder], "STS12", data_dir=sts_dir, dims=[64])


def test_own_pairs_are_a_task(sts_dir: Path, tiny_encoder: Encoder) -> None:
    path = sts_dir / "sts_zh/bq/test.csv"
    report = run([tiny_encoder], None, pairs=[path])
    assert [pairs.task.name for pairs in report.tasks] == ["test"]
    assert report.languages == ["zh"]
    same = run([tiny_encoder], "BQ", data_dir=sts_dir).rows[1].scores["BQ"].value
    assert report.rows[1].scores["test"].value == same


def test_pairs_that_were_trained_on_are_left_out(sts_dir: Path, tiny_encoder: Encoder) -> None:
    rows = (sts_dir / "sts_en/sts12/test.csv").read_text(encoding="utf-8").splitlines()
    train = sts_dir.parent / "train.csv"
    train.write_text("\n".join(rows[:11]), encoding="utf-8")
    report = run([tiny_encoder], data_dir=sts_dir, trained_on=[train])
    assert len(report.tasks[0]) == 38
    assert report.tasks[0].dropped == {"in the training files": 10}
    assert report.to_dict()["trained_on"] == ["train.csv"]


def test_aggregation_over_subsets_needs_them(sts_dir: Path, tiny_encoder: Encoder) -> None:
    scores = {
        name: run([tiny_encoder], data_dir=sts_dir, aggregation=name).rows[1].scores
        for name in ("all", "mean", "wmean")
    }
    assert scores["all"]["STS12"].value != scores["mean"]["STS12"].value
    assert scores["all"]["STS-B"].value == pytest.approx(scores["mean"]["STS-B"].value)
    table = sts_dir / "sts_en/sts12/test.csv"
    lines = table.read_text(encoding="utf-8").splitlines()
    table.write_text("\n".join(line.rpartition(",")[0] for line in lines), encoding="utf-8")
    with pytest.raises(DataError, match=r"STS12: .*--aggregation all"):
        run([tiny_encoder], data_dir=sts_dir, aggregation="mean")


def test_the_seed_decides_the_intervals_and_nothing_else(
    sts_dir: Path, tiny_encoder: Encoder
) -> None:
    def scores(**options: Any) -> Any:
        return run([tiny_encoder], data_dir=sts_dir, **options).rows[1].scores["STS12"]

    assert scores() == scores(tasks="STS12")  # other tasks have no influence either
    assert scores(seed=1).value == scores().value and scores(seed=1).low != scores().low


def test_what_has_no_correlation_names_row_and_task(tmp_path: Path, tiny_encoder: Encoder) -> None:
    path = tmp_path / "own.csv"
    path.write_text("sentence1,sentence2,score\ncard,card,1\nbank,bank,2\n", encoding="utf-8")
    with pytest.raises(DataError, match="tf-idf on own: all 2 predictions are 1"):
        run([tiny_encoder], None, pairs=[path])
    path.write_text("sentence1,sentence2,score\ncard,bank,1\n", encoding="utf-8")
    with pytest.raises(DataError, match="one pair has no correlation"):
        run([tiny_encoder], None, pairs=[path])


def test_twins_and_nothing_are_refused(sts_dir: Path, tiny_encoder: Encoder) -> None:
    with pytest.raises(DataError, match="is there twice"):
        run([tiny_encoder, tiny_encoder], data_dir=sts_dir)
    with pytest.raises(DataError, match="'test' is there twice"):
        run([tiny_encoder], None, pairs=[sts_dir / "sts_zh/bq/test.csv"] * 2)
    with pytest.raises(DataError, match="no encoder"):
        run([], data_dir=sts_dir)


def test_the_record_says_how_to_have_the_figures_again(
    sts_dir: Path, tiny_encoder: Encoder
) -> None:
    record = json.loads(json.dumps(run([tiny_encoder], data_dir=sts_dir, whiten=[8]).to_dict()))
    assert record["bootstrap"] == {"draws": DRAWS, "seed": 0, "level": 0.95}
    assert record["rows"][1]["encoder"]["fingerprint"] == tiny_encoder.fingerprint.digest
    assert record["rows"][2]["variant"] == {
        "kind": "whitened", "dim": 8, "fitted_on": "target",
        "fitted_texts": {"STS12": 96, "STS-B": 96},
    }  # fmt: skip
    assert len(record["tasks"][0]["data"][0]["sha256"]) == 64
    provenance = record["provenance"]
    assert {"commit", "cpu", "versions", "python", "time"} <= provenance.keys()
    assert "numpy" in provenance["versions"]


@pytest.mark.minilm
@pytest.mark.data
def test_minilm_reproduces_published_figures(data_dir: Path) -> None:
    published = {"STS13": 80.60, "STS16": 78.99, "STS-B": 82.03}
    report = run(["minilm"], list(published), data_dir=data_dir)
    found = {name: score.value for name, score in report.rows[1].scores.items()}
    assert found == pytest.approx(published, abs=0.01)


@pytest.mark.minilm
@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["onnx", "torch"])
def test_minilm_reproduces_every_published_figure_on_either_runtime(
    data_dir: Path, runtime: Any
) -> None:
    if runtime == "torch":
        pytest.importorskip("torch")
    published = {
        "STS12": 72.37, "STS13": 80.60, "STS16": 78.99, "STS-B": 82.03, "SICK-R": 77.58,
        "SICK-R-test": 77.15,
    }  # fmt: skip
    report = run(["minilm"], list(published), data_dir=data_dir, runtime=runtime)
    found = {name: score.value for name, score in report.rows[1].scores.items()}
    assert found == pytest.approx(published, abs=0.01)
