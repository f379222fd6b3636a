"""Hostile content survives every dialect, encoding and format."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from semsearch.tables import join_phrasings, read_bank, read_table, write_table

HOSTILE = [
    'say "hello", then "bye"',
    "line\nfeed\r\nand\rreturn",
    "=SUM(A1:A9)",
    "#N/A",
    "2024-05-01",
    "007",
    "+1|-2;\t3,4",
    "👩‍👩‍👧 emoji 🇹🇼",
    "שלום עולם",
    "e\u0301 combining \u202e override",
    "长" * 10_000,
    "  spaces  ",
    '"',
    "''",
    "_x000D_ _x0041_",
    "\x0b\x1f\x7f\u2028\ufeff",
    "sep=;",
    "\\n \\",
]
ANY = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
PLAIN = {
    "gbk": "问题答案怎么办银行卡，。？abc \"',;|\t\n",
    "big5": "問題答案怎麼辦銀行卡，。？abc \"',;|\t\n",
}
COLUMNS = ("id", "question", "answer", "topic")


def tables(alphabet: st.SearchStrategy[str] = ANY) -> st.SearchStrategy[list[dict[str, Any]]]:
    cell = st.text(alphabet, max_size=30)
    if alphabet is ANY:
        cell |= st.sampled_from(HOSTILE)
    return st.lists(
        # A row of blanks alone is skipped as a blank line, so the first cell never is.
        st.fixed_dictionaries(
            {"id": st.integers(0, 99).map(str), **dict.fromkeys(COLUMNS[1:], cell)}
        ),
        min_size=1,
        max_size=6,
    )


ALL_HOSTILE = [dict(zip(COLUMNS, ("1", text, text, text), strict=True)) for text in HOSTILE]


def written(rows: list[dict[str, Any]], name: str, reading: str | None, **options: Any) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        write_table(path, rows, **options)
        table = read_table(path, encoding=reading)
    assert table.problems == ()
    return [row.values for row in table.rows]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
@settings(deadline=None, max_examples=40)
@given(rows=tables())
@example(rows=ALL_HOSTILE)
def test_every_dialect_reads_back(encoding: str, delimiter: str, rows: Any) -> None:
    reading = encoding if encoding == "gb18030" else None
    assert written(rows, "x.csv", reading, encoding=encoding, delimiter=delimiter) == rows


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["gbk", "big5"])
@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_legacy_encodings_read_back(encoding: str, delimiter: str, data: Any) -> None:
    rows = data.draw(tables(st.sampled_from(PLAIN[encoding])))
    assert written(rows, "x.csv", encoding, encoding=encoding, delimiter=delimiter) == rows


@pytest.mark.parametrize("name", ["x.tsv", "x.jsonl", "x.parquet"])
@settings(deadline=None, max_examples=40)
@given(rows=tables())
@example(rows=ALL_HOSTILE)
def test_every_format_reads_back(name: str, rows: Any) -> None:
    assert written(rows, name, None) == rows


@settings(deadline=None, max_examples=40)
@given(rows=tables())
@example(rows=ALL_HOSTILE)
def test_excel_reads_back(rows: Any) -> None:
    """Excel knows no difference between an empty cell and an empty text."""
    found = [
        {name: cell or "" for name, cell in row.items()} for row in written(rows, "x.xlsx", None)
    ]
    assert found == rows


@settings(deadline=None, max_examples=40)
@given(texts=st.lists(st.text(ANY, max_size=20).filter(str.strip), min_size=1, max_size=5))
@example(texts=[text for text in HOSTILE if text.strip()])
def test_one_column_reads_back(texts: list[str]) -> None:
    rows = [{"question": text} for text in texts]
    assert written(rows, "x.csv", None) == rows


@settings(deadline=None, max_examples=60)
@given(
    banks=st.dictionaries(
        st.text(ANY, min_size=1, max_size=8).map(str.strip).filter(bool),
        st.tuples(
            st.text(ANY, min_size=1, max_size=20).map(str.strip).filter(bool),
            st.text(ANY, max_size=20).map(str.strip),
            st.lists(st.text(ANY, min_size=1, max_size=9).map(str.strip).filter(bool), max_size=3),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_a_bank_reads_back(banks: dict[str, tuple[str, str, list[str]]]) -> None:
    rows = [
        {"key": key, "question": question, "answer": answer, "phrasings": join_phrasings(others)}
        for key, (question, answer, others) in banks.items()
    ]
    with tempfile.TemporaryDirectory() as folder:
        write_table(Path(folder) / "x.csv", rows)
        found = read_bank(Path(folder) / "x.csv").questions
    for question, (key, (text, answer, others)) in zip(found, banks.items(), strict=True):
        assert (question.key, question.question, question.answer) == (key, text, answer)
        assert question.texts == tuple(dict.fromkeys((text, *others)))
