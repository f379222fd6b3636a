"""Tables become examples, and whatever is wrong with them is one clear line before training."""

from __future__ import annotations

import hashlib
import math
import re
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semsearch.errors import BadRowsError, DataError
from semsearch.tables import write_table
from semsearch.training.cells import MAX_CHARACTERS
from semsearch.training.examples import Examples, Shape
from semsearch.training.reading import read_examples, require

PAIRS = "sentence1,sentence2,score\n"


def table(folder: Path, text: str, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def columns_of(examples: Examples) -> list[list[str]]:
    return [list(column) for column in examples.columns.values()]


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.jsonl", "t.parquet", "t.xlsx"])
def test_formats_give_the_same_examples(tmp_path: Path, name: str) -> None:
    rows = [
        {"sentence1": "a card", "sentence2": "银行卡", "score": 1.5},
        {"sentence1": "b", "sentence2": "d", "score": 5.0},
    ]
    write_table(tmp_path / name, rows)
    found = read_examples([tmp_path / name], "scored")
    assert columns_of(found) == [["a card", "b"], ["银行卡", "d"]]
    assert found.scores is not None and found.scores.tolist() == [0.3, 1.0]
    digest = hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
    (source,) = found.sources
    assert source["path"] == str(tmp_path / name)
    assert (source["sha256"], source["rows"]) == (digest, 2)


def test_a_table_of_a_database_is_known_by_its_file(tmp_path: Path) -> None:
    file = tmp_path / "t.db"
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("CREATE TABLE pairs (anchor, positive)")
        database.execute("INSERT INTO pairs VALUES ('a', 'b')")
    found = read_examples([f"{file}::pairs"], "pairs")
    assert columns_of(found) == [["a"], ["b"]]
    assert found.sources[0]["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()


def test_files_are_joined_in_their_order(tmp_path: Path) -> None:
    one = table(tmp_path, PAIRS + "a,b,1\n", "one.csv")
    two = table(tmp_path, "句子1\t句子2\t相似度\n甲\t乙\t0\n", "two.tsv")
    found = read_examples([one, two], "scored")
    assert columns_of(found) == [["a", "甲"], ["b", "乙"]]
    assert [source["rows"] for source in found.sources] == [1, 1]
    assert found.groups is None and found.labels is None


@pytest.mark.parametrize(
    ("scores", "given", "taken", "expected"),
    [
        ("0 0.25 1", None, [0, 1], [0, 0.25, 1]),
        ("0 1 2.5", None, [0, 5], [0, 0.2, 0.5]),
        ("5 3 1", None, [0, 5], [1, 0.6, 0.2]),
        ("5 3 1", (1, 5), [1, 5], [1, 0.5, 0]),
        ("-1 0 1", (-1, 1), [-1, 1], [0, 0.5, 1]),
    ],
)
def test_scores_are_brought_to_one_range_which_is_told(
    tmp_path: Path, scores: str, given: Any, taken: list[float], expected: list[float]
) -> None:
    rows = "".join(f"a{n},b{n},{score}\n" for n, score in enumerate(scores.split()))
    found = read_examples([table(tmp_path, PAIRS + rows)], "scored", score_range=given)
    assert found.scores is not None
    assert found.scores.tolist() == pytest.approx(expected)
    assert found.sources[0]["score_range"] == taken


def test_each_file_has_its_own_range_of_scores(tmp_path: Path) -> None:
    graded = table(tmp_path, PAIRS + "a,b,5\nc,d,2\n", "graded.csv")
    binary = table(tmp_path, PAIRS + "e,f,1\n", "binary.csv")
    found = read_examples([graded, binary], "scored")
    assert found.scores is not None and found.scores.tolist() == [1, 0.4, 1]


@pytest.mark.parametrize("scores", ["0 6", "-1 1", "1 100"])
def test_an_unusual_range_of_scores_must_be_given(tmp_path: Path, scores: str) -> None:
    rows = "".join(f"a,b,{score}\n" for score in scores.split())
    with pytest.raises(DataError, match=r"t\.csv: scores go from .* --score-range LOW,HIGH"):
        read_examples([table(tmp_path, PAIRS + rows)], "scored")


@pytest.mark.parametrize(
    ("labels", "names", "positions"),
    [
        (["b", "a", "b"], ("a", "b"), [1, 0, 1]),
        (["10", "9", "10"], ("9", "10"), [1, 0, 1]),
        (["1.0", "0", "1"], ("0", "1"), [1, 0, 1]),
        (["neutral", "Entailment", "中立"], ("entailment", "neutral"), [1, 0, 1]),
        (
            ["neutral", "contradiction", "entailment"],
            ("entailment", "neutral", "contradiction"),
            [1, 2, 0],
        ),
        (["neutral", "entailment", "off topic"], ("entailment", "neutral", "off topic"), [1, 0, 2]),
    ],
)
def test_labels_are_classes_by_name(
    tmp_path: Path, labels: list[str], names: tuple[str, ...], positions: list[int]
) -> None:
    rows = "".join(f"a,b,{label}\n" for label in labels)
    found = read_examples([table(tmp_path, "premise,hypothesis,label\n" + rows)], "labelled")
    assert found.label_names == names
    assert found.labels is not None and found.labels.tolist() == positions


def test_given_labels_fix_the_order_and_are_counted_by_numbers(tmp_path: Path) -> None:
    path = table(tmp_path, "premise,hypothesis,label\na,b,yes\nc,d,0\n")
    found = read_examples([path], "labelled", labels=["no", "yes", "perhaps"])
    assert found.label_names == ("no", "yes", "perhaps")
    assert found.labels is not None and found.labels.tolist() == [1, 0]


@pytest.mark.parametrize("labels", [2, ["0", "1"]])
def test_a_label_out_of_range_is_a_bad_row(tmp_path: Path, labels: Any) -> None:
    path = table(tmp_path, "premise,hypothesis,label\na,b,0\nc,d,1\ne,f,2\ng,h,-1\n")
    with pytest.raises(
        BadRowsError, match=r"^2 bad rows; the first is .*t\.csv:4: label '2' is none of 0, 1"
    ) as raised:
        read_examples([path], "labelled", labels=labels)
    assert [problem.line for problem in raised.value.problems] == [4, 5]
    found = read_examples([path], "labelled", labels=labels, skip_bad=True)
    assert columns_of(found) == [["a", "c"], ["b", "d"]]
    assert found.sources[0]["left_out"] == {"bad rows": 2}


@pytest.mark.parametrize("labels", [1, ["a"], ["a", "b", "a"]])
def test_given_labels_must_be_two_different_ones(tmp_path: Path, labels: Any) -> None:
    path = table(tmp_path, "premise,hypothesis,label\na,b,a\n")
    with pytest.raises(DataError, match="labels must be at least two different ones"):
        read_examples([path], "labelled", labels=labels)


@pytest.mark.parametrize("labels", [None, ["x", "y"]])
def test_one_label_only_is_refused(tmp_path: Path, labels: list[str] | None) -> None:
    path = table(tmp_path, "premise,hypothesis,label\na,b,x\nc,d,x\n")
    with pytest.raises(DataError, match=r"t\.csv: every label is 'x', which leaves nothing"):
        read_examples([path], "labelled", labels=labels)


def test_one_score_only_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="every score is the same"):
        read_examples([table(tmp_path, PAIRS + "a,b,3\nc,d,3\n")], "scored")


@pytest.mark.parametrize(
    ("shape", "text", "reason"),
    [
        ("scored", PAIRS + "a,b,1\nc,d,nan\n", "score nan is not finite (column 'score')"),
        ("scored", PAIRS + "a,b,1\nc,d,-inf\n", "score -inf is not finite (column 'score')"),
        ("scored", PAIRS + "a,b,1\nc,d,high\n", "score 'high' is no number (column 'score')"),
        ("scored", PAIRS + "a,b,1\nc,d,\n", "empty score (column 'score')"),
        ("scored", PAIRS + "a,b,1\nc, ,0\n", "empty sentence2 (column 'sentence2')"),
        ("scored", PAIRS + "a,b,1\nc,d\ne,f,0\ng,h,1\n", "2 fields where the header has 3"),
        ("pairs", "anchor,positive\na,b\nc,\n", "empty positive (column 'positive')"),
        ("pairs", "anchor,positive,group\na,b,1\nc,d,\n", "empty group (column 'group')"),
        ("pairs", PAIRS + "a,b,1\nc,d,\n", "empty score (column 'score')"),
        (
            "triplets",
            "anchor,positive,negative\na,b,c\nd,e,\n",
            "empty negative (column 'negative')",
        ),
        (
            "triplets",
            "anchor,positive,negative\na,b,c\nd,e,E\n",
            "the negative is the same text as the anchor or the positive",
        ),
        (
            "triplets",
            "premise,hypothesis,label\na,b,entailment\na,c,2.5\n",
            "label '2.5' is neither a name nor a whole number (column 'label')",
        ),
        (
            "triplets",
            "premise,hypothesis,label\na,b,entailment\na,c,maybe\n",
            "label 'maybe' is none of entailment, neutral, contradiction (column 'label')",
        ),
        (
            "labelled",
            "premise,hypothesis,gold label\na,b,x\nc,d,-\n",
            "no label (column 'gold label')",
        ),
    ],
)
def test_a_bad_row_is_one_line_with_its_place_and_the_remedy(
    tmp_path: Path, shape: Shape, text: str, reason: str
) -> None:
    path = table(tmp_path, text)
    with pytest.raises(BadRowsError) as raised:
        read_examples([path], shape)
    assert str(raised.value) == (
        f"1 bad row: {path}:3: {reason}. Fix what is bad, or leave it out with --skip-bad."
    )


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_scores_of_typed_tables_that_are_not_finite_are_bad_rows(
    tmp_path: Path, value: float
) -> None:
    rows = [{"sentence1": "a", "sentence2": "b", "score": score} for score in (0.5, value, 1.0)]
    write_table(tmp_path / "t.parquet", rows)
    with pytest.raises(BadRowsError, match=r"t\.parquet:2: .*score"):
        read_examples([tmp_path / "t.parquet"], "scored")


def test_a_score_out_of_the_given_range_is_a_bad_row(tmp_path: Path) -> None:
    path = table(tmp_path, PAIRS + "a,b,0\nc,d,7\ne,f,5\n")
    with pytest.raises(BadRowsError, match=r"t\.csv:3: score 7 is outside 0 to 5"):
        read_examples([path], "scored", score_range=(0, 5))
    found = read_examples([path], "scored", score_range=(0, 5), skip_bad=True)
    assert found.scores is not None and found.scores.tolist() == [0, 1]


@pytest.mark.parametrize("shape", ["pairs", "sentences"])
def test_an_endless_text_is_a_bad_row(tmp_path: Path, shape: Shape) -> None:
    path = table(tmp_path, f"anchor,positive\na,b\nc,{'d' * 100_000}\ne,{'f' * MAX_CHARACTERS}\n")
    with pytest.raises(
        BadRowsError,
        match=r"^1 bad row: .*t\.csv:3: .* of 100,000 characters, at most 20,000 are taken",
    ):
        read_examples([path], shape)
    assert len(read_examples([path], shape, skip_bad=True).texts) == 4


def test_bad_rows_of_all_files_are_found_at_once(tmp_path: Path) -> None:
    one = table(tmp_path, PAIRS + "a,,1\nb,c,x\n", "one.csv")
    two = table(tmp_path, PAIRS + "a,b,1\nd,e,nan\n", "two.csv")
    with pytest.raises(BadRowsError, match=r"^3 bad rows; the first is .*one\.csv:2: ") as raised:
        read_examples([one, two], "scored")
    assert [problem.line for problem in raised.value.problems] == [2, 3, 3]


def test_nothing_left_to_learn_from_is_an_error(tmp_path: Path) -> None:
    path = table(tmp_path, PAIRS + "a,,1\nb,c,0\n")
    with pytest.raises(
        DataError, match=r"no pairs to learn from: 1 rows not marked as the same, 1 bad rows\."
    ):
        read_examples([path], "pairs", skip_bad=True)


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ("pairs", {"labels": 2}, "labels belong to labelled pairs and to triplets, not to pairs"),
        ("pairs", {"score_range": (0, 1)}, "a score range belongs to scored pairs, not to pairs"),
        ("scored", {"score_range": (5, 0)}, "from a low to a high score, not 5 to 0"),
        ("scored", {"score_range": (0, math.inf)}, "from a low to a high score, not 0 to inf"),
        ("scored", {"columns": {"sentence1": "x"}}, "no column 'x'"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    tmp_path: Path, shape: Shape, options: Mapping[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read_examples([table(tmp_path, PAIRS + "a,b,1\nc,d,0\n")], shape, **options)


def test_no_file_is_an_error() -> None:
    with pytest.raises(DataError, match="a list of one or more"):
        read_examples([], "pairs")


@pytest.mark.parametrize(
    ("marks", "kept"),
    [
        ("1 0 1", "ac"),
        ("1.0 0.0 1.0", "ac"),
        ("true False TRUE", "ac"),
        ("entailment contradiction neutral", "a"),
    ],
)
def test_pairs_are_the_rows_marked_as_the_same(tmp_path: Path, marks: str, kept: str) -> None:
    rows = [f"{text},{text}2,{mark}\n" for text, mark in zip("abc", marks.split(), strict=True)]
    found = read_examples([table(tmp_path, PAIRS + "".join(rows))], "pairs")
    assert columns_of(found) == [list(kept), [f"{text}2" for text in kept]]
    assert found.sources[0]["left_out"] == {"rows not marked as the same": 3 - len(kept)}


@pytest.mark.parametrize("skip_bad", [False, True])
def test_graded_scores_make_no_pairs(tmp_path: Path, skip_bad: bool) -> None:
    # A 1 may be the lowest grade but one.
    path = table(tmp_path, PAIRS + "a,b,1\nc,d,4.5\n")
    with pytest.raises(DataError, match=r"t\.csv:3: score '4\.5' is neither 0 nor 1"):
        read_examples([path], "pairs", skip_bad=skip_bad)


def test_pairs_that_share_a_text_are_one_group(tmp_path: Path) -> None:
    rows = "anchor,positive\na,b\nx,y\nB,c\nd,e\nc,f\n"
    found = read_examples([table(tmp_path, rows)], "pairs")
    assert found.groups is not None and found.groups.tolist() == [0, 1, 0, 2, 0]


def test_a_group_column_gives_the_groups_of_all_files(tmp_path: Path) -> None:
    one = table(tmp_path, "anchor,positive,group\na,b,g\nc,d,h\n", "one.csv")
    two = table(tmp_path, "anchor,positive,group\ne,f,h\n", "two.csv")
    three = table(tmp_path, "en,zh\nx,y\ny,z\nv,w\n", "three.csv")
    found = read_examples([one, two, three], "pairs")
    assert found.groups is not None and found.groups.tolist() == [0, 1, 1, 2, 2, 3]


def test_negatives_make_no_groups(tmp_path: Path) -> None:
    rows = "anchor,positive,negative\na,b,n\nc,d,n\na,e,c\n"
    found = read_examples([table(tmp_path, rows)], "triplets")
    assert found.groups is not None and found.groups.tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("marks", "options"),
    [
        ("entailment contradiction neutral", {}),
        ("蕴含 矛盾 中立", {}),
        ("0 2 1", {}),
        ("1 0 2", {"labels": ["contradiction", "蕴含", "neutral"]}),
    ],
)
def test_triplets_are_made_of_nli_labels(
    tmp_path: Path, marks: str, options: Mapping[str, Any]
) -> None:
    texts = ["p,yes", "p,no", "q,perhaps"]
    rows = [f"{text},{mark}\n" for text, mark in zip(texts, marks.split(), strict=True)]
    path = table(tmp_path, "premise,hypothesis,label\n" + "".join(rows))
    found = read_examples([path], "triplets", **options)
    assert columns_of(found) == [["p"], ["yes"], ["no"]]
    assert found.sources[0]["left_out"] == {
        "premises without both an entailed and a contradicted hypothesis": 1
    }


def test_sentences_are_taken_once_from_both_columns(tmp_path: Path) -> None:
    found = read_examples([table(tmp_path, PAIRS + "a,b,1\nb,c,0\n")], "sentences")
    assert columns_of(found) == [["a", "b", "c"]]
    assert found.sources[0]["left_out"] == {"sentences seen before": 1}


def test_lines_of_a_text_file_are_sentences(tmp_path: Path) -> None:
    path = table(tmp_path, "one, two\n\n  three\r\n四\n", "t.txt")
    assert columns_of(read_examples([path], "sentences")) == [["one, two", "three", "四"]]


def test_a_bad_line_of_a_text_file_is_told_by_its_number(tmp_path: Path) -> None:
    path = table(tmp_path, f"one\n\n{'x' * 100_000}\nt\0o\n", "t.txt")
    with pytest.raises(BadRowsError, match=re.escape(f"{path}:3: sentence of 100,000")) as raised:
        read_examples([path], "sentences")
    assert [problem.line for problem in raised.value.problems] == [3, 4]
    assert columns_of(read_examples([path], "sentences", skip_bad=True)) == [["one"]]


def test_fewer_examples_than_a_batch_are_refused() -> None:
    examples = Examples("pairs", {"anchor": ["a", "c"], "positive": ["b", "d"]})
    require(examples, 2)
    with pytest.raises(DataError, match=r"^2 pairs do not fill a batch of 3\. .*--batch-size"):
        require(examples, 3)


def test_fewer_groups_than_a_batch_are_refused() -> None:
    groups = np.array([0, 0, 4])
    examples = Examples("pairs", {"anchor": list("abc"), "positive": list("def")}, groups=groups)
    require(examples, 2)
    with pytest.raises(DataError, match="3 pairs of 2 groups do not fill a batch of 3"):
        require(examples, 3)


@pytest.mark.data
@pytest.mark.parametrize(
    ("file", "shape", "rows"),
    [
        ("sts_en/stsbenchmark/train", "scored", 5749),
        ("sts_en/sick/train", "labelled", 4500),
        ("nli/snli_cad/train", "labelled", 8330),
        ("nli/ocnli/train", "labelled", 9985),
        ("sts_zh/atec/train", "scored", 43785),
        ("paraphrase/flickr8k_captions/dev", "pairs", 8610),
        ("parallel/captions_3am/train", "pairs", 23931),
        ("faq/banking77/train", "sentences", None),
    ],
)
def test_shared_data_is_read_whole(
    data_dir: Path, file: str, shape: Shape, rows: int | None
) -> None:
    found = read_examples([data_dir / f"{file}.parquet"], shape)
    assert len(found) == (rows or len(set(found.texts)))
    if shape == "labelled":
        assert found.label_names == ("entailment", "neutral", "contradiction")
    if found.scores is not None:
        assert (found.scores.min(), found.scores.max()) == (0, 1)


@pytest.mark.data
def test_triplets_of_shared_nli_data_follow_the_labels(data_dir: Path) -> None:
    path = data_dir / "nli/snli_cad/train.parquet"
    labelled = read_examples([path], "labelled")
    assert labelled.labels is not None
    known = set(zip(*labelled.columns.values(), labelled.labels.tolist(), strict=True))
    found = read_examples([path], "triplets")
    assert len(found) > 1500
    for anchor, positive, negative in zip(*found.columns.values(), strict=True):
        assert (anchor, positive, 0) in known and (anchor, negative, 2) in known
