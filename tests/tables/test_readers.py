"""Every format becomes rows with the line they start on; what cannot be read is said clearly."""

from __future__ import annotations

import datetime
import io
import sqlite3
import sys
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from semsearch.errors import DataError, MissingExtraError, Problem
from semsearch.tables import read_table, table_from_rows, write_table

ROWS = [
    {"id": "1", "question": "How do I pay?", "answer": "By card,\nor cash"},
    {"id": "2", "question": "怎么付款？", "answer": 'Say "hello"'},
]


def save(tmp_path: Path, content: str, name: str = "bank.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode())
    return path


def lines(content: str, tmp_path: Path, name: str = "bank.csv") -> list[tuple[int, dict[str, Any]]]:
    return [(row.line, row.values) for row in read_table(save(tmp_path, content, name)).rows]


@pytest.mark.parametrize("name", ["x.csv", "x.tsv", "x.jsonl", "x.parquet", "x.xlsx"])
def test_every_format_gives_the_same_rows(tmp_path: Path, name: str) -> None:
    write_table(tmp_path / name, ROWS)
    table = read_table(tmp_path / name)
    assert [row.values for row in table.rows] == ROWS
    assert table.columns == ("id", "question", "answer")
    assert table.format == name[2:]


def make_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE faq (id INTEGER, question TEXT)")
        connection.execute("INSERT INTO faq VALUES (5, 'How?'), (6, NULL)")
        connection.execute("CREATE VIEW recent AS SELECT * FROM faq WHERE id = 5")
        connection.commit()


def test_a_table_or_view_of_sqlite_is_read(tmp_path: Path) -> None:
    make_database(tmp_path / "my bank.db")
    table = read_table(f"{tmp_path}/my bank.db::faq")
    assert [row.values for row in table.rows] == [
        {"id": 5, "question": "How?"},
        {"id": 6, "question": None},
    ]
    assert table.describe() == "SQLite"
    assert len(read_table(f"{tmp_path}/my bank.db::recent").rows) == 1


def test_reading_sqlite_leaves_the_database_alone(tmp_path: Path) -> None:
    make_database(tmp_path / "bank.db")
    before = (tmp_path / "bank.db").read_bytes()
    read_table(f"{tmp_path}/bank.db::faq")
    assert (tmp_path / "bank.db").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["bank.db"]


def test_a_database_without_a_table_name_lists_its_tables(tmp_path: Path) -> None:
    make_database(tmp_path / "bank.db")
    with pytest.raises(DataError, match=r"bank\.db::TABLE\. It has 'faq'"):
        read_table(tmp_path / "bank.db")
    with pytest.raises(DataError, match="no table 'faqs' among 'faq', 'recent'"):
        read_table(f"{tmp_path}/bank.db::faqs")


def test_sqlite_text_that_is_not_utf8_makes_its_row_bad(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "x.db")) as connection:
        connection.execute("CREATE TABLE faq (question TEXT)")
        connection.execute("INSERT INTO faq VALUES (CAST(X'61FF' AS TEXT)), ('fine')")
        connection.commit()
    table = read_table(f"{tmp_path}/x.db::faq")
    assert [row.values for row in table.rows] == [{"question": "fine"}]
    assert [problem.line for problem in table.problems] == [1]


def test_standard_input_is_csv(monkeypatch: pytest.MonkeyPatch) -> None:
    data = "question;answer\n怎么办;这样办\n".encode("gbk")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    table = read_table("-")
    assert table.rows[0].values == {"question": "怎么办", "answer": "这样办"}
    assert (table.source, table.describe()) == ("<stdin>", "CSV, GB18030, semicolon")


@pytest.mark.parametrize("sign", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(tmp_path: Path, sign: str) -> None:
    content = f"id{sign}question{sign}answer\n1{sign}a, b; c{sign}x\n2{sign}d{sign}\n".replace(
        "a, b; c", '"a, b; c"'
    )
    table = read_table(save(tmp_path, content))
    assert table.delimiter == sign
    assert table.rows[0].values == {"id": "1", "question": "a, b; c", "answer": "x"}


def test_a_delimiter_inside_the_header_does_not_mislead(tmp_path: Path) -> None:
    content = "id;question;answer, short\n" + "1;Why, how, when;Because\n" * 3
    table = read_table(save(tmp_path, content))
    assert table.columns == ("id", "question", "answer, short")


@pytest.mark.parametrize("header", ["question", '"question"', "Question, as asked"])
def test_one_column_is_a_table(tmp_path: Path, header: str) -> None:
    table = read_table(save(tmp_path, f"{header}\nHello, where is it?\nBye; now|then\n"))
    assert [list(row.values.values()) for row in table.rows] == [
        ["Hello, where is it?"],
        ["Bye; now|then"],
    ]
    assert table.delimiter is None


def test_a_tsv_is_split_at_tabs_alone(tmp_path: Path) -> None:
    rows = lines("question\nyes, no; maybe\n", tmp_path, "bank.tsv")
    assert rows == [(2, {"question": "yes, no; maybe"})]


def test_the_separator_line_of_excel_is_understood(tmp_path: Path) -> None:
    assert lines("sep=;\r\nid;question\r\n1;How?\r\n", tmp_path) == [
        (3, {"id": "1", "question": "How?"})
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_are_those_of_an_editor(tmp_path: Path, end: str) -> None:
    """Quoted newlines, blank lines and the header all count."""
    content = '\n"ques\ntion",answer\n1,"two\nlines\n\n"\n\n , \n2,x\n'.replace("\n", end)
    assert [line for line, _ in lines(content, tmp_path)] == [4, 10]


def test_rows_with_a_wrong_number_of_fields_are_bad(tmp_path: Path) -> None:
    table = read_table(save(tmp_path, 'id,question\n1,"a\nb"\n2\n3,x,y\n4,d\n'))
    assert table.problems == (
        Problem(4, "1 field where the header has 2"),
        Problem(5, "3 fields where the header has 2"),
    )
    assert [row.line for row in table.rows] == [2, 6]


def test_a_quote_that_is_never_closed_costs_one_row(tmp_path: Path) -> None:
    table = read_table(save(tmp_path, 'id,question\n1,a\n2,"b\n3,c\n4,d\n'))
    assert table.problems == (Problem(3, "a quoted cell is never closed"),)
    assert [row.line for row in table.rows] == [2, 4, 5]


def test_a_stray_quote_costs_one_row(tmp_path: Path) -> None:
    table = read_table(save(tmp_path, 'id,question\n1,"a" b\n2,"c\n3,"d"\n4,5" screen\n'))
    assert [problem.line for problem in table.problems] == [2, 3]
    assert [row.line for row in table.rows] == [4, 5]


def test_many_broken_quotes_do_not_take_for_ever(tmp_path: Path) -> None:
    table = read_table(save(tmp_path, "id,question\n" + '1,"""a""\n' * 20_000))
    assert table.problems[0].line == 2


@pytest.mark.parametrize("text", ["a\0b", '"a\0b"'])
def test_nul_bytes_make_their_row_bad(tmp_path: Path, text: str) -> None:
    table = read_table(save(tmp_path, f"id,question\n1,{text}\n2,c\n"))
    assert table.problems == (Problem(2, "contains a NUL byte"),)
    assert [row.line for row in table.rows] == [3]


def test_cells_may_be_long(tmp_path: Path) -> None:
    cell = "长" * 1_000_000
    assert lines(f"id,question\n1,{cell}\n", tmp_path)[0][1]["question"] == cell


def test_columns_without_a_name_and_a_cell_are_left_out(tmp_path: Path) -> None:
    table = read_table(save(tmp_path, "question,answer,,\na,b,,\nc,d\n"))
    assert table.columns == ("question", "answer")
    assert [row.values for row in table.rows] == [
        {"question": "a", "answer": "b"},
        {"question": "c", "answer": "d"},
    ]


def test_columns_without_a_name_are_numbered(tmp_path: Path) -> None:
    table = read_table(save(tmp_path, ",question,\n0,a,\n1,b,note\n"))
    assert table.columns == ("column 1", "question", "column 3")


@pytest.mark.parametrize("name", ["bank.csv", "bank.tsv"])
def test_two_columns_of_one_name_are_refused(tmp_path: Path, name: str) -> None:
    sign = "," if name.endswith("csv") else "\t"
    path = save(tmp_path, f"question{sign} question\na{sign}b\n", name)
    with pytest.raises(DataError, match="two columns are called 'question'"):
        read_table(path)


def test_json_lines_keep_types_and_line_numbers(tmp_path: Path) -> None:
    content = '{"question": "a", "n": 1, "ok": true}\n\n{"question": "b", "tags": ["x"]}\n'
    table = read_table(save(tmp_path, content, "bank.jsonl"))
    assert [(row.line, row.values) for row in table.rows] == [
        (1, {"question": "a", "n": 1, "ok": True}),
        (3, {"question": "b", "tags": ["x"]}),
    ]
    assert table.columns == ("question", "n", "ok", "tags")
    assert table.describe() == "JSON Lines, UTF-8"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"question": ', "not valid JSON"),
        ("[1, 2]", "not a JSON object"),
        ('"text"', "not a JSON object"),
        ('{"question": "\\ud83d"}', "lone surrogate"),
        ('{"\\udc00": "x"}', "lone surrogate"),
        ('{"question": "\\u0000"}', "NUL byte"),
        ('{"question": "\0"}', "NUL byte"),
        ('{"n": ' + "9" * 5000 + "}", "not valid JSON"),
        ('{"n": ' + "[" * 100_000 + "}", "not valid JSON"),
    ],
)
def test_a_bad_json_line_is_one_bad_row(tmp_path: Path, line: str, reason: str) -> None:
    content = f'{{"question": "a"}}\n{line}\n{{"question": "b"}}\n'
    table = read_table(save(tmp_path, content, "bank.jsonl"))
    assert [row.line for row in table.rows] == [1, 3]
    assert [problem.line for problem in table.problems] == [2]
    assert reason in table.problems[0].reason


def test_a_json_array_is_explained(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="one object on each line"):
        read_table(save(tmp_path, '[\n {"question": "a"}\n]', "bank.jsonl"))


def test_excel_rows_have_the_numbers_of_the_sheet(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet["B3"], sheet["C3"] = "编号", "问题"
    sheet["B4"], sheet["C4"] = 5.0, "怎么办"
    sheet["B7"], sheet["C7"] = datetime.date(2024, 5, 1), "x_x000D_y"
    sheet["E7"] = "a note"
    other = book.create_sheet("Other")
    other.append(["question"])
    other.append(["here"])
    book.save(tmp_path / "bank.xlsx")
    table = read_table(tmp_path / "bank.xlsx")
    assert table.columns == ("编号", "问题", "column 5")
    assert [row.line for row in table.rows] == [4, 7]
    assert table.rows[1].values == {
        "编号": "2024-05-01T00:00:00",
        "问题": "x\ry",
        "column 5": "a note",
    }
    assert read_table(f"{tmp_path}/bank.xlsx::Other").rows[0].values == {"question": "here"}
    with pytest.raises(DataError, match="no sheet 'Third' among 'Sheet', 'Other'"):
        read_table(f"{tmp_path}/bank.xlsx::Third")


def test_parquet_types_become_simple_ones(tmp_path: Path) -> None:
    table = pa.table(
        {
            "question": ["a"],
            "when": [datetime.datetime(2024, 5, 1, 12)],
            "price": [Decimal("1.50")],
            "many": [["x", "y"]],
            "raw": [b"\xff\x00"],
            "gone": pa.array([float("nan")]),
        }
    )
    pq.write_table(table, tmp_path / "bank.parquet")
    assert read_table(tmp_path / "bank.parquet").rows[0].values == {
        "question": "a",
        "when": "2024-05-01T12:00:00",
        "price": 1.5,
        "many": ["x", "y"],
        "raw": "ff00",
        "gone": None,
    }


def test_data_frames_are_tables() -> None:
    frame = {"question": ["a", None], "n": [1.5, float("nan")], "many": [["x"], []]}
    expected = [
        {"question": "a", "n": 1.5, "many": ["x"]},
        {"question": None, "n": None, "many": []},
    ]
    for table in (
        table_from_rows(pd.DataFrame(frame)),
        table_from_rows(pl.DataFrame(frame)),
        table_from_rows(pd.DataFrame(frame).to_dict("records")),
    ):
        assert [row.values for row in table.rows] == expected
        assert [row.line for row in table.rows] == [1, 2]
        assert table.columns == ("question", "n", "many")


def test_values_of_numpy_and_pandas_become_simple() -> None:
    row = {
        "question": np.str_("a"),
        "i": np.int64(3),
        "f": np.float32(0.5),
        "b": np.bool_(True),
        "list": np.array(["x", "y"]),
        "na": pd.NA,
        "nat": pd.NaT,
        "day": pd.Timestamp("2024-05-01"),
        "inf": float("inf"),
        "huge": Decimal("1E+30"),
    }
    values = table_from_rows([row]).rows[0].values
    assert values == {
        "question": "a",
        "i": 3,
        "f": 0.5,
        "b": True,
        "list": ["x", "y"],
        "na": None,
        "nat": None,
        "day": "2024-05-01T00:00:00",
        "inf": None,
        "huge": "1E+30",
    }
    assert [type(value) for value in values.values()][:4] == [str, int, float, bool]


@pytest.mark.parametrize("rows", [None, 5, "text", {"question": "a"}, [["a"]], ["a"], []])
def test_rows_that_are_no_rows_are_refused(rows: Any) -> None:
    with pytest.raises(DataError, match="<rows>"):
        table_from_rows(rows)


@pytest.mark.parametrize("content", ["", "  \n\n", "question,answer\n", "\ufeff"])
@pytest.mark.parametrize("name", ["bank.csv", "bank.tsv", "bank.txt"])
def test_an_empty_file_is_refused(tmp_path: Path, name: str, content: str) -> None:
    with pytest.raises(DataError, match=r"is empty|has no rows"):
        read_table(save(tmp_path, content, name))


def test_a_missing_file_and_a_directory_are_refused(tmp_path: Path) -> None:
    for name in ("x.csv", "x.jsonl", "x.parquet", "x.xlsx", "x.db::faq"):
        with pytest.raises(DataError, match="no such file"):
            read_table(tmp_path / name)
    for suffix in (".csv", ".jsonl", ".parquet", ".xlsx", ".db::t"):
        (tmp_path / f"dir{suffix.partition(':')[0]}").mkdir()
        with pytest.raises(DataError, match="is a directory"):
            read_table(f"{tmp_path}/dir{suffix}")


@pytest.mark.parametrize("name", ["bank.xls", "bank.pdf", "bank.docx", "bank.csv.gz"])
def test_an_unknown_format_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"It reads \.csv, \.tsv"):
        read_table(tmp_path / name)


def test_a_workbook_called_csv_is_explained(tmp_path: Path) -> None:
    write_table(tmp_path / "bank.xlsx", ROWS)
    (tmp_path / "bank.xlsx").rename(tmp_path / "bank.csv")
    with pytest.raises(DataError, match=r"should end in \.xlsx"):
        read_table(tmp_path / "bank.csv")


@pytest.mark.parametrize(
    ("name", "module"), [("x.parquet", "pyarrow.parquet"), ("x.xlsx", "openpyxl")]
)
def test_a_missing_extra_names_the_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, module: str
) -> None:
    write_table(tmp_path / name, ROWS)
    monkeypatch.setitem(sys.modules, module, None)
    for use in (lambda: read_table(tmp_path / name), lambda: write_table(tmp_path / name, ROWS)):
        with pytest.raises(MissingExtraError, match=r"pip install 'semsearch\[tables\]'"):
            use()
