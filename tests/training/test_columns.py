"""The columns of training tables are recognised by their usual names, or are what the user says."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from semsearch.errors import DataError
from semsearch.training.columns import choose
from semsearch.training.examples import Shape


@pytest.mark.parametrize(
    ("shape", "columns", "roles"),
    [
        ("scored", "sentence1 sentence2 score", "sentence1 sentence2 score"),
        ("scored", "id 句子1 句子2 相似度", "句子1 句子2 相似度"),
        ("scored", "en zh score", "en zh score"),
        ("labelled", "premise hypothesis label", "premise hypothesis label"),
        ("labelled", "text_a text_b 标签", "text_a text_b 标签"),
        ("labelled", "sentence1 sentence2 score entailment", "sentence1 sentence2 entailment"),
        ("labelled", "sentence1 sentence2 score", "sentence1 sentence2 score"),
        ("pairs", "anchor positive", "anchor positive"),
        ("pairs", "sentence1 sentence2 score group", "sentence1 sentence2 score group"),
        ("pairs", "src trg", "src trg"),
        ("pairs", "中文 英文", "英文 中文"),
        ("triplets", "anchor positive negative", "anchor positive negative"),
        ("triplets", "句子1 正例 负例 组", "句子1 正例 负例 组"),
        ("triplets", "query negative positive", "query positive negative"),
        ("triplets", "premise hypothesis label", "premise hypothesis label"),
        ("triplets", "句子1 句子2 标签", "句子1 句子2 标签"),
        ("sentences", "id text", "text"),
        ("sentences", "whatever", "whatever"),
        ("sentences", "sentence1 sentence2 score", "sentence1 sentence2"),
        ("sentences", "en zh", "en zh"),
    ],
)
def test_usual_names_are_recognised(shape: Shape, columns: str, roles: str) -> None:
    assert list(choose(columns.split(), shape, {}, "t.csv").values()) == roles.split()


def test_named_columns_come_before_usual_ones() -> None:
    columns = ["q", "sentence1", "sentence2", "gold", "score"]
    named = {"sentence2": "q", "score": "Gold"}
    assert choose(columns, "scored", named, "t.csv") == {
        "sentence1": "sentence1",
        "sentence2": "q",
        "score": "gold",
    }


def test_a_column_called_positive_needs_no_score() -> None:
    columns = ["anchor", "positive", "score"]
    assert "score" not in choose(columns, "pairs", {}, "t.csv")
    assert choose(columns, "pairs", {"score": "score"}, "t.csv")["score"] == "score"


def test_a_table_with_negatives_is_not_read_as_nli() -> None:
    columns = ["premise", "hypothesis", "negative", "label"]
    assert choose(columns, "triplets", {}, "t.csv") == {
        "anchor": "premise",
        "positive": "hypothesis",
        "negative": "negative",
    }


@pytest.mark.parametrize(
    ("shape", "columns", "named", "message"),
    [
        ("scored", "sentence1 sentence2 group", {}, "t.csv: no column called score, or the like"),
        ("triplets", "anchor positive", {}, r"no column called negative.*--column negative=COLUMN"),
        ("pairs", "anchor", {}, "no column called positive"),
        ("sentences", "a b", {}, r"no column called sentence.*among 'a', 'b'"),
        ("sentences", "question 问题", {}, "several of the columns .* may hold the sentences"),
        ("pairs", "a b", {"negative": "b"}, r"no column for the role 'negative'.*anchor, positive"),
        ("pairs", "ask reply", {"anchor": "asks"}, "no column 'asks' .* Did you mean 'ask'"),
        ("pairs", "a b", {"anchor": "a", "positive": "a"}, "one column is named for two roles"),
    ],
)
def test_what_is_unclear_is_an_error(
    shape: Shape, columns: str, named: Mapping[str, str], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        choose(columns.split(), shape, named, "t.csv")
