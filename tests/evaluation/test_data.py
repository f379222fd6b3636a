"""Loading pairs: from a directory, from a stand-in for the hub, from a user's table."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from semsearch.errors import BadRowsError, DataError, MissingExtraError
from semsearch.evaluation import data
from semsearch.evaluation.tasks import TASKS
from semsearch.tables import write_table


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_a_task_is_read_from_its_directory_with_checksums(sts_dir: Path) -> None:
    pairs = data.load(TASKS["STS12"], sts_dir)
    assert len(pairs) == 48 and set(pairs.subsets) == {"a", "b", "c"}
    content = (sts_dir / "sts_en/sts12/test.csv").read_bytes()
    assert pairs.sources == (
        data.Source("sts_en/sts12/test.csv", 48, hashlib.sha256(content).hexdigest()),
    )


@pytest.mark.parametrize("suffix", [".parquet", ".tsv", ".csv", ".jsonl"])
def test_formats_give_the_same_pairs(tmp_path: Path, suffix: str) -> None:
    rows = [
        {"sentence1": "a card", "sentence2": "b", "score": 1.5},
        {"sentence1": "卡", "sentence2": "d", "score": 4.0},
    ]
    path = tmp_path / f"sts_en/stsbenchmark/test{suffix}"
    path.parent.mkdir(parents=True)
    write_table(path, rows)
    pairs = data.load(TASKS["STS-B"], tmp_path)
    assert (pairs.first, pairs.second) == (("a card", "卡"), ("b", "d"))
    assert pairs.gold.tolist() == [1.5, 4.0]


def test_a_task_of_several_splits_is_all_of_them(sts_dir: Path) -> None:
    assert len(data.load(TASKS["SICK-R"], sts_dir)) == 36
    assert len(data.load(TASKS["SICK-R-test"], sts_dir)) == 12


def test_rows_that_cannot_be_scored_are_counted_with_the_reason(tmp_path: Path) -> None:
    write(
        tmp_path / "sts_zh/pawsx/test.tsv",
        "sentence1\tsentence2\tscore\n甲\t乙\t1\nNS\t乙\t1\n甲\t NS \t0\n\t乙\t1\n甲\t乙\t\n"
        "甲\t乙\tnan\n乙\t丁\t0\n",
    )
    pairs = data.load(TASKS["PAWS-X-zh"], tmp_path)
    assert len(pairs) == 2
    assert pairs.dropped == {"literal NS": 2, "empty sentence": 1, "missing score": 2}


def test_ns_is_a_word_elsewhere(tmp_path: Path) -> None:
    write(tmp_path / "p.csv", "sentence1,sentence2,score\nNS,b,1\na,b,2\n")
    assert len(data.read_pairs(tmp_path / "p.csv")) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("sentence1,sentence2,score\na,b,much\n", r"test.csv:2: 'much' is no score"),
        ("sentence1,sentence2,score\na,b,7\n", r"test.csv:2: the score 7 is outside 0 to 5"),
        ("sentence1,sentence2,score\na,b,inf\n", r"infinite score"),
        ("sentence1,sentence2,score\na,b,\n", r"no pair to score: 1 with missing score"),
        ("sentence1,sentence2,score\n", r"no pair to score|no rows|empty"),
        ("", r"test.csv"),
        ("one,two,three\na,b,1\n", r"no column called sentence1.*'one', 'two', 'three'.*--first"),
    ],
)
def test_data_that_cannot_be_used_is_one_clear_error(
    tmp_path: Path, content: str, message: str
) -> None:
    write(tmp_path / "sts_en/stsbenchmark/test.csv", content)
    with pytest.raises(DataError, match=message) as caught:
        data.load(TASKS["STS-B"], tmp_path)
    assert not isinstance(caught.value, BadRowsError) and "\n" not in str(caught.value)


def test_a_missing_task_or_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(data.NoDataError, match=r"STS15: no sts_en/sts15/test.parquet") as caught:
        data.load(TASKS["STS15"], tmp_path)
    assert str(tmp_path) in str(caught.value) and str(tmp_path) not in caught.value.reason
    with pytest.raises(DataError, match="no such directory"):
        data.load(TASKS["STS15"], tmp_path / "nowhere")


@pytest.mark.parametrize(
    "header",
    [
        "sentence1,sentence2,score",
        "Text_A,Text_B,Label",
        "句子1,句子2,分数",
        "问题1,问题2,标签",
        "id,Sentence 1,Sentence 2,Gold Score",
        "question1,question2,similarity",
    ],
)
def test_columns_are_recognised_by_their_usual_names(tmp_path: Path, header: str) -> None:
    extra = "7," if header.startswith("id") else ""
    write(tmp_path / "my pairs.csv", f"{header}\n{extra}a,b,1\n{extra}c,d,0.5\n")
    pairs = data.read_pairs(tmp_path / "my pairs.csv")
    assert (pairs.first, pairs.second, pairs.gold.tolist()) == (("a", "c"), ("b", "d"), [1, 0.5])
    assert pairs.task.name == "my pairs" and pairs.task.score_range == (0.5, 1)


def test_columns_can_be_named(tmp_path: Path) -> None:
    path = write(tmp_path / "p.csv", "x,y,z,score\na,b,1,9\nc,d,2,9\n")
    pairs = data.read_pairs(path, first="x", second="Y", gold="z")
    assert pairs.first == ("a", "c") and pairs.gold.tolist() == [1, 2]
    with pytest.raises(DataError, match="no column 'w'"):
        data.read_pairs(path, first="w", second="y")
    with pytest.raises(DataError, match="two roles"):
        data.read_pairs(path, first="x", second="x")


def test_the_language_of_a_table_is_that_of_most_of_its_letters(tmp_path: Path) -> None:
    chinese = write(tmp_path / "zh.csv", "句子1,句子2,分数\n用VISA卡付款,付款,1\n退款,卡,0\n")
    english = write(tmp_path / "en.csv", "text1,text2,label\ncard 卡 stolen,card,1\nhi,ho,0\n")
    assert data.read_pairs(chinese).task.language == "zh"
    assert data.read_pairs(english).task.language == "en"


class Hub:
    """Stands in for the package `datasets`: notes what was asked for."""

    def __init__(self, rows: list[dict[str, Any]] | Exception) -> None:
        self.rows = rows
        self.asked: list[tuple[Any, ...]] = []

    def load_dataset(self, name: str, *, revision: str, split: str) -> list[dict[str, Any]]:
        self.asked.append((name, revision, split))
        if isinstance(self.rows, Exception):
            raise self.rows
        return self.rows


def test_without_a_directory_the_hub_is_asked_at_the_pinned_revision(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = [
        {"sentence1": "甲", "sentence2": "乙", "label": 1, "idx": 0},
        {"sentence1": "NS", "sentence2": "乙", "label": 1, "idx": 1},
        {"sentence1": "丙", "sentence2": "乙", "label": 0, "idx": 2},
    ]
    hub = Hub([{**row, "score": row.pop("label")} for row in rows])
    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=hub.load_dataset))
    pairs = data.load(TASKS["PAWS-X-zh"])
    revision = "bd129d4230ee0551b5469c566bced8da75abae0a"
    assert hub.asked == [("mteb/PAWSX", revision, "test")]
    assert len(pairs) == 2 and pairs.dropped == {"literal NS": 1}
    assert pairs.sources[0].revision == revision and len(pairs.sources[0].sha256) == 64


def test_other_column_names_on_the_hub_are_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub([{"text1": "a", "text2": "b", "label": n} for n in (0, 1)])
    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=hub.load_dataset))
    assert data.load(TASKS["BQ"]).gold.tolist() == [0, 1]


def test_a_hub_that_cannot_be_reached_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub(ConnectionError("no route\nto host"))
    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=hub.load_dataset))
    with pytest.raises(data.NoDataError, match=r"mteb/sts12-sts from the hub: no route to host\."):
        data.load(TASKS["STS12"])
    with pytest.raises(data.NoDataError, match="give --data"):
        data.load(TASKS["SICK-R-test"])
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r"semsearch\[benchmarks\]"):
        data.load(TASKS["STS12"])


def test_the_real_datasets_package_reads_a_dataset_in_the_hubs_layout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets")
    write(
        tmp_path / "hub" / "test.jsonl",
        '{"sentence1": "a", "sentence2": "b", "score": 1.0}\n'
        '{"sentence1": "c", "sentence2": "d", "score": 2.0}\n',
    )
    real = datasets.load_dataset

    def local(name: str, *, revision: str, split: str) -> Any:
        assert name == "mteb/sts12-sts" and len(revision) == 40
        return real(str(tmp_path / "hub"), split=split, cache_dir=str(tmp_path / "cache"))

    monkeypatch.setattr(datasets, "load_dataset", local)
    pairs = data.load(TASKS["STS12"])
    assert pairs.first == ("a", "c") and pairs.gold.tolist() == [1, 2]


@pytest.mark.data
def test_the_shared_data_has_the_published_number_of_pairs(data_dir: Path) -> None:
    sizes = {
        "STS12": 3108, "STS13": 1500, "STS14": 3750, "STS16": 1186, "STS-B": 1379,
        "STS-B-dev": 1500, "SICK-R": 9927, "SICK-R-test": 4927, "ATEC": 20000, "BQ": 10000,
        "LCQMC": 12500, "PAWS-X-zh": 1975, "STS-B-zh": 1361, "STS-B-zh-dev": 1458,
    }  # fmt: skip
    assert {name: len(data.load(TASKS[name], data_dir)) for name in sizes} == sizes
