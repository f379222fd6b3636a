"""Columns are recognised by their usual names, or are what the user says."""

from __future__ import annotations

import pytest

from semsearch.errors import DataError
from semsearch.tables.roles import Roles, recognise


@pytest.mark.parametrize(
    "columns",
    [
        ("id", "question", "answer", "phrasings"),
        ("Key", "Standard Question", "Response", "Similar_Questions"),
        ("QID", "ＱＵＥＳＴＩＯＮ", " reply ", "variants"),
        ("question_id", "title", "standard answer", "paraphrases"),
        ("编号", "问题", "答案", "相似问"),
        ("編號", "標準問題", "回覆", "相似問法"),
        ("问题编号", "标准问（必填）", "回答", "扩展问"),
        ("知识ID", "标准问法", "答复", "同义问法"),
        ("序号", "Q", "A", "別名"),
    ],
)
def test_usual_names_are_recognised(columns: tuple[str, str, str, str]) -> None:
    key, question, answer, phrasing = columns
    expected = Roles(question, answer, key, (phrasing,))
    assert recognise(columns, "bank.csv") == expected
    assert recognise(columns[::-1], "bank.csv") == expected


def test_numbered_phrasings_are_recognised() -> None:
    columns = (
        "问题",
        "相似问1",
        "相似问 2",
        "相似问③",
        "Phrasing_1",
        "similar 12",
        "相似问二",
        "top 3",
    )
    roles = recognise(columns, "bank.csv")
    assert roles.numbered == columns[1:7]
    assert roles.phrasings == ()


def test_the_more_telling_name_wins() -> None:
    columns = ("no", "id", "key", "title", "question", "standard question", "content", "answer")
    roles = recognise(columns, "bank.csv")
    assert (roles.question, roles.answer, roles.key) == ("standard question", "answer", "key")
    assert recognise(("id", "question_id", "question"), "bank.csv").key == "question_id"


@pytest.mark.parametrize(
    ("columns", "role"),
    [
        (("question", "问题"), "question"),
        (("question", "answer", "reply"), "answer"),
        (("question", "id", "编号"), "key"),
    ],
)
def test_two_equal_names_are_for_the_user_to_choose(columns: tuple[str, ...], role: str) -> None:
    with pytest.raises(DataError, match=f"may each hold the {role}.*--{role} NAME"):
        recognise(columns, "bank.csv")
    explicit = {role: columns[-1]}
    assert getattr(recognise(columns, "bank.csv", **explicit), role) == columns[-1]  # type: ignore[arg-type]


def test_explicit_names_come_first() -> None:
    columns = ("id", "question", "answer", "Wording", "More", "similar")
    roles = recognise(columns, "b", question="wording", key="question", phrasing=("More",))
    assert roles == Roles("Wording", "answer", "question", ("More",))


def test_no_question_column_lists_the_columns() -> None:
    with pytest.raises(
        DataError, match=r"b\.csv: no question column among 'foo', 'bar'.*--question"
    ):
        recognise(("foo", "bar"), "b.csv")


def test_a_name_that_is_not_there_gets_a_suggestion() -> None:
    with pytest.raises(DataError, match=r"no column 'querstion' among .*Did you mean 'question'"):
        recognise(("id", "question"), "b.csv", question="querstion")
    with pytest.raises(DataError, match="no column 'x' among 'id', 'question'"):
        recognise(("id", "question"), "b.csv", phrasing=("x",))


def test_one_column_cannot_have_two_roles() -> None:
    with pytest.raises(DataError, match="'text' is named for two roles"):
        recognise(("text", "id"), "b.csv", question="text", answer="text")
    with pytest.raises(DataError, match="'text' is named for two roles"):
        recognise(("text", "id"), "b.csv", question="text", phrasing=("text",))
