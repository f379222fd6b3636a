"""Rows become standard questions: one per key, with its phrasings; bad rows are named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from semsearch.errors import BadRowsError, DataError, Problem
from semsearch.tables import Bank, derived_key, read_bank, write_table
from semsearch.types import StandardQuestion


def bank(tmp_path: Path, content: str, **options: Any) -> Bank:
    path = tmp_path / "bank.csv"
    path.write_bytes(content.encode())
    return read_bank(path, **options)


def problems(tmp_path: Path, content: str, **options: Any) -> list[tuple[int, str]]:
    with pytest.raises(BadRowsError) as caught:
        bank(tmp_path, content, **options)
    return [(problem.line, problem.reason) for problem in caught.value.problems]


def test_a_row_is_a_standard_question_with_its_fields(tmp_path: Path) -> None:
    found = bank(tmp_path, 'id,question,answer,topic\n 7 , How? ," a\n\nb ",pay\n')
    assert found.questions == (StandardQuestion("7", "How?", "a\n\nb", fields={"topic": "pay"}),)


def test_further_rows_of_a_key_are_phrasings(tmp_path: Path) -> None:
    content = "id,question,answer,topic\n1,a,x,t\n2,b,y,u\n1,a2,,v\n1,a3,x,\n1,a,x,\n"
    first, second = bank(tmp_path, content).questions
    assert (first.question, first.answer, first.phrasings) == ("a", "x", ("a2", "a3"))
    assert first.fields == {"topic": "t"}
    assert (second.key, second.phrasings) == ("2", ())
    (row,) = bank(tmp_path, content).differing
    assert row == Problem(4, "'topic' is 'v', where 't' stands in the first row of '1'")


def test_a_row_of_key_and_phrasing_alone_is_a_phrasing(tmp_path: Path) -> None:
    """Even when it stands above the row of its question."""
    content = "id,question,similar\n1,,early\n1,a,\n1,,late\n1,,a\n"
    assert bank(tmp_path, content).questions[0].phrasings == ("late", "early")


def test_an_answer_may_come_in_a_later_row(tmp_path: Path) -> None:
    assert bank(tmp_path, "id,question,answer\n1,a,\n1,b,x\n").questions[0].answer == "x"


def test_phrasings_come_from_cells_and_numbered_columns(tmp_path: Path) -> None:
    content = "question,相似问,相似问1,相似问2\na,b|c;d,e; f|g,\n"
    found = bank(tmp_path, content)
    assert found.questions[0].phrasings == ("b", "c;d", "e; f|g")
    assert found.questions[0].fields == {}


def test_several_phrasing_columns_can_be_named(tmp_path: Path) -> None:
    content = "question,one,two,similar\na,b,c|d,field\n"
    question = bank(tmp_path, content, phrasing=["one", "two"]).questions[0]
    assert question.phrasings == ("b", "c", "d")
    assert question.fields == {"similar": "field"}


def test_phrasings_come_from_a_second_table(tmp_path: Path) -> None:
    write_table(
        tmp_path / "more.csv",
        [{"question_id": 1, "text": "b; c"}, {"question_id": "1", "text": "a"}],
    )
    found = bank(tmp_path, "id,question\n1,a\n", phrasings=tmp_path / "more.csv")
    assert found.questions[0].phrasings == ("b; c",)


def test_phrasings_of_unknown_keys_are_bad_rows(tmp_path: Path) -> None:
    more = tmp_path / "more.csv"
    more.write_text("key,text\n1,b\n9,c\n,d\n1,\n1\n")
    with pytest.raises(BadRowsError, match=rf"4 bad rows; the first is {more}:3: unknown key '9'"):
        bank(tmp_path, "id,question\n1,a\n", phrasings=more)
    found = bank(tmp_path, "id,question\n1,a\n", phrasings=more, skip_bad=True)
    assert [problem.line for problem in found.problems] == [3, 4, 5, 6]
    assert found.questions[0].phrasings == ("b",)


def test_a_table_of_phrasings_needs_a_key_and_a_text(tmp_path: Path) -> None:
    for header, missing in (("text,foo", "key"), ("key,foo", "text")):
        (tmp_path / "more.csv").write_text(f"{header}\n1,b\n")
        with pytest.raises(DataError, match=f"no {missing} column among"):
            bank(tmp_path, "id,question\n1,a\n", phrasings=tmp_path / "more.csv")


def test_derived_keys_depend_on_the_question_alone(tmp_path: Path) -> None:
    one = bank(tmp_path, "question,answer\nHow do I pay?,x\nWhy?,y\n").questions
    two = bank(tmp_path, "question,answer\nNew,n\nWhy?,y\nＨow  do i PAY?,z\n").questions
    assert [question.key for question in two[1:]] == [question.key for question in one[::-1]]
    assert one[0].key == derived_key("how do i pay?")
    assert len(one[0].key) == 16


def test_one_question_with_two_answers_is_bad_without_keys_too(tmp_path: Path) -> None:
    ((line, reason),) = problems(tmp_path, "question,answer\nHow?,x\nhow?,x\nHow?,y\n")
    assert line == 4
    assert reason.endswith("has two answers (the other is on line 2)")


def test_keys_are_text() -> None:
    rows = [
        {"id": 5, "question": "a"},
        {"id": 5.0, "question": "b"},
        {"id": " 5 ", "question": "c"},
    ]
    (question,) = read_bank(rows).questions
    assert (question.key, question.phrasings) == ("5", ("b", "c"))


def test_fields_are_json_scalars() -> None:
    row = {"question": 12.0, "tags": ["x", "é"], "n": float("nan"), "deep": {"a": [1]}, "ok": True}
    (question,) = read_bank([row]).questions
    assert question.question == "12"
    assert question.fields == {"tags": '["x", "é"]', "n": None, "deep": '{"a": [1]}', "ok": True}


def test_lists_are_phrasings() -> None:
    (question,) = read_bank(
        [{"question": "a", "phrasings": ["b;c", "d"], "相似问1": ["e"]}]
    ).questions
    assert question.phrasings == ("b;c", "d", "e")


def test_every_bad_row_is_named(tmp_path: Path) -> None:
    content = (
        'id,question,answer\n1,a,x\n2,,y\n,b,z\n1,c,other\n3,"two\nlines",x\n4,d\n5,e\0,x\n'
        '6,f,"open\n'
    )
    assert problems(tmp_path, content) == [
        (3, "empty question"),
        (4, "empty key (column 'id')"),
        (5, "key '1' has two answers (the other is on line 2)"),
        (8, "2 fields where the header has 3"),
        (9, "contains a NUL byte"),
        (10, "a quoted cell is never closed"),
    ]
    found = bank(tmp_path, content, skip_bad=True)
    assert [question.key for question in found.questions] == ["1", "3"]
    assert found.questions[0].phrasings == ()
    assert len(found.problems) == 6


def test_the_message_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BadRowsError) as caught:
        bank(tmp_path, "id,question\n1,\n2,\n")
    message = str(caught.value)
    assert message.startswith(f"2 bad rows; the first is {tmp_path}/bank.csv:2: empty question.")
    assert "--skip-bad" in message
    assert "\n" not in message
    with pytest.raises(BadRowsError, match=r"1 bad row: .*:3: empty question"):
        bank(tmp_path, "id,question\n1,a\n2,\n")


def test_a_phrasing_without_its_question_is_a_bad_row(tmp_path: Path) -> None:
    assert problems(tmp_path, "id,question,similar\n1,a,\n2,,b\n") == [(3, "empty question")]
    assert problems(tmp_path, "question,similar\na,\n,b\n") == [(3, "empty question")]


def test_nothing_but_bad_rows_is_an_error_even_when_skipped(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="all of its 2 rows are bad"):
        bank(tmp_path, "id,question\n1,\n2,\n", skip_bad=True)


def test_questions_shared_by_keys_are_reported(tmp_path: Path) -> None:
    found = bank(tmp_path, "id,question\n1,a\n2,b\n3,a\n")
    assert found.duplicates == (("a", ("1", "3")),)
    assert found.problems == ()


def test_problems_are_plain_records() -> None:
    with pytest.raises(BadRowsError) as caught:
        read_bank([{"question": "a"}, {"question": None}, {}, {"question": "\ud800"}])
    assert caught.value.problems == (
        Problem(2, "empty question"),
        Problem(3, "empty question"),
        Problem(4, "contains text that is not valid Unicode (a lone surrogate)"),
    )


def test_order_is_that_of_the_table(tmp_path: Path) -> None:
    found = bank(tmp_path, "id,question\n9,a\n10,b\n1,c\n9,d\n")
    assert [question.key for question in found.questions] == ["9", "10", "1"]


def test_a_file_of_nothing_but_bad_lines_says_where_the_first_is(tmp_path: Path) -> None:
    path = tmp_path / "bank.jsonl"
    for line, why in (
        ("{'question': 'a'}", "is not valid JSON"),
        ('["question"]', "is not a JSON object"),
        ('{"question": "a", "answer": "b", "answer": "c"}', "has 'answer' twice"),
        ('{"question": "a", "answer": "b", " answer": "c"}', "has a name twice"),
    ):
        path.write_text(f"{line}\n")
        for skip_bad in (False, True):
            with pytest.raises(BadRowsError) as caught:
                read_bank(path, skip_bad=skip_bad)
            (problem,) = caught.value.problems
            assert problem.line == 1 and problem.reason.startswith(why)
