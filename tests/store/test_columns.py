"""A condition passes the rows that it says, and can do nothing else."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semsearch.errors import CorruptIndexError, DataError
from semsearch.store import BankReader, BankWriter, Change, Columns, Condition, Where
from semsearch.store.rows import QuestionRow
from semsearch.types import StandardQuestion
from tests.store.test_store import META, _vectors

ROWS: list[dict[str, Any]] = [
    {"shop": "de", "price": "19.90", "分类": "物流", "valid until": "2126-12-31", "zip": "01067"},
    {"shop": "de", "price": "5", "分类": "退款", "valid until": "", "zip": "80331"},
    {"shop": "fr", "price": "100", "分类": "卡", "valid until": "2020-01-01", "zip": "75001"},
    {"shop": 'O\'Hara "x"', "price": " ", "分类": "卡", "valid until": "2130-01-01", "zip": "9"},
    {"shop": None},
]


def _columns(*fields: Mapping[str, Any]) -> Columns:
    return Columns(
        QuestionRow(n, f"k{n}", f"question {n}", f"Answer {n}.", json.dumps(row), "", 0)
        for n, row in enumerate(fields, 1)
    )


def _passing(where: Where, *fields: Mapping[str, Any]) -> list[int]:
    ids, _ = _columns(*(fields or ROWS)).passing(Condition.of(where))
    found: list[int] = ids.tolist()
    return found


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("shop = 'de'", [1, 2]),
        ("shop = 'de' AND price < 20", [1, 2]),
        ("shop = 'de' AND NOT price >= 10", [2]),
        ("shop <> 'de' OR price IN (5, 6)", [2, 3, 4]),
        ("SHOP LIKE 'D%'", [1, 2]),
        ("price BETWEEN 5 AND 19.9", [1, 2]),
        ("price = '5'", [2]),  # a number is found as text, too
        ("price > 1", [1, 2, 3]),  # nor is an empty cell more than any number
        ("price IS NULL", [4, 5]),
        ("zip = '01067'", [1]),  # where one cell is no number, all stay as they were written
        ("zip = 1067", []),
        ("分类 = '卡'", [3, 4]),
        ('"分类" IN (\'卡\', \'退款\') AND "shop" IS NOT NULL', [2, 3, 4]),
        ("[valid until] > '2100' AND `valid until` < '2128'", [1]),
        ('"valid until" = \'\'', [2]),
        ("\"valid until\" > date('now')", [1, 4]),
        ("\"valid until\" > CURRENT_DATE", [1, 4]),
        ("key = 'k3' OR question LIKE '% 4' OR answer = 'Answer 5.'", [3, 4, 5]),
        ("shop = 'O''Hara \"x\"'", [4]),
        ("(shop = 'de') = (price < 10)", [2, 3]),
        ("lower(shop) || length(shop) = 'de2'", [1, 2]),
        ("1", [1, 2, 3, 4, 5]),
        ("0", []),
        ("NULL", []),
        ("shop = 'fr'\n  OR\n  price = 5", [2, 3]),
        (("shop = ? AND price < ?", ["de", 10]), [2]),
        (("shop = :shop", {"shop": "O'Hara \"x\""}), [4]),
        (("shop = ?", ["' OR 1 --"]), []),
    ],
)  # fmt: skip
def test_rows_pass_as_sql_says(where: Where, expected: list[int]) -> None:
    assert _passing(where) == expected


def test_numbers_of_json_are_numbers_whatever_else_the_column_holds() -> None:
    rows = [{"n": 9}, {"n": 10.5}, {"n": "n/a"}, {"n": True}, {"n": None}, {}, {"n": 2**80}]
    assert _passing("n < 10", *rows) == [1, 4]
    assert _passing("n IS NULL", *rows) == [5, 6]
    assert _passing(f"n = '{2**80}'", *rows) == [7]
    assert _passing("typeof(n) = 'text'", *rows) == [3, 7]


@pytest.mark.parametrize("text", ["007", "+49", "1e5", "0x1F", "1,5", "1234567890123456", "１"])
def test_text_that_is_a_name_rather_than_a_number_stays_text(text: str) -> None:
    rows = [{"code": "5"}, {"code": text}]
    assert _passing(f"code = '{text}' AND typeof(code) = 'text'", *rows) == [2]
    assert _passing("code = '5'", *rows) == [1]


def test_an_owners_column_comes_before_one_of_every_bank() -> None:
    columns = _columns({"Answer": "mine", "id": 7}, {"Answer": "yours", "id": 8})
    assert columns.names == ("Answer", "id", "key", "question")
    assert columns.passing(Condition.of("answer = 'mine' AND id = 7 AND key = 'k1'"))[0] == [1]


def test_names_that_sql_cannot_tell_apart_are_refused_only_when_they_are_used() -> None:
    rows = [{"Price": 1, "price": 2, "": 3, "a\0b": 4, "shop": "de", "ß": 5, "É": 6, "é": 7}]
    assert _passing("shop = 'de' AND ß = 5 AND É = 6 AND é = 7", *rows) == [1]
    with pytest.raises(DataError, match="Price and price differ in case only"):
        _passing("PRICE = 1", *rows)


@pytest.mark.parametrize(
    "name",
    ["a b", 'a"b', "a`b", "a]b", "a'b", "a.b", "select", "1", "?", "x\ny", "bank", '") --', "\n"],
)
def test_a_column_of_any_name_can_be_asked_for(name: str) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    assert _passing(f"{quoted} = 'x' AND shop = 1", {name: "x", "shop": 1}, {name: "y"}) == [1]


@pytest.mark.parametrize(
    ("where", "why"),
    [
        ("", "it is empty"),
        (" \n", "it is empty"),
        ("shp = 'de'", "there is no column shp (did you mean shop?)"),
        ('shop = "de"', "there is no column de. Text stands in single quotes"),
        ("shop = de", "there is no column de. Text stands in single quotes"),
        ("shop = ‘de’", "there is no column ‘de’. Text stands"),
        ("valid until > 3", 'near "until": syntax error'),
        ("shop = 'de", "a quote is not closed: '"),
        ('"shop = 3', 'a quote is not closed: "'),
        ("[shop = 3", "a quote is not closed: ["),
        ("shop ==== 3", "syntax error"),
        ("group = 3", 'near "group": syntax error. Text stands in single quotes'),
        ("(shop = 'de'", "a parenthesis is not closed"),
        ("shop = ?", "Incorrect number of bindings"),
        (("shop = ?", [object()]), "support"),
        (("shop = ?", [2**64]), "it cannot be used"),
        (("shop = ?", []), "Incorrect number of bindings"),
        (("shop = :a", {"b": 1}), ":a"),
        ("shop = '\0'", "null character"),
        ("shop = '\udc80'", "it cannot be used"),
        ("max(price) = 3", "misuse of aggregate"),
        ("row_number() OVER () = 1", "row_number() has no place"),
        ("shop REGEXP 'd.*'", "REGEXP"),
        ("rowid = 1", "there is no column rowid"),
        ("bank.fields = 1", "there is no column bank.fields"),
        ("x" * 500 + " = 1", "x…. Text stands in"),
    ],
)
def test_what_is_no_condition_is_one_line_with_the_columns(where: Where, why: str) -> None:
    with pytest.raises(DataError) as caught:
        _passing(where)
    message = str(caught.value)
    assert why in message and "\n" not in message
    assert "Columns: shop, price, 分类, valid until, zip, key, question, answer." in message


@pytest.mark.parametrize(
    "where",
    [
        "1) UNION SELECT 5 --",
        "0) UNION SELECT 5 WHERE (1",
        "1)) UNION SELECT ((5",
        "1) ORDER BY (1",
        "1) LIMIT (1",
        "1; DROP TABLE bank",
        "1); DELETE FROM bank; --",
        "shop = 'de' -- price",
        "shop = 'de' /* price",
        "shop = 'de' /* */",
        "EXISTS (SELECT 1)",
        "shop IN (SELECT shop FROM bank)",
        "shop IN bank",
        "shop IN sqlite_master",
        "shop IN pragma_table_list",
        "(SELECT sql FROM sqlite_master) IS NOT NULL",
        "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n)",
        "(VALUES (1))",
        "(WITH a AS (VALUES (1)) SELECT * FROM a)",
        "ATTACH 'other.db' AS other",
        "PRAGMA writable_schema = 1",
        "(PRAGMA query_only)",
        "load_extension('evil')",
        "load_extension('evil') OR 1",
        "writefile('out', 'x')",
        "readfile('/etc/passwd')",
        "length(zeroblob(1000000000))",
        "length(printf('%1000000000d', 1))",
        "replace(shop, 'd', 'dd')",
        "hex(hex(hex(shop)))",
        "random() > 0",
        "sqlite_version() > 0",
        "fts3_tokenizer('x') IS NULL",
        "json_extract(shop, '$') IS NULL",
        "RAISE(ABORT, 'x')",
    ],
)
def test_nothing_but_looking_at_the_row_is_allowed(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    columns = _columns(*ROWS)
    with pytest.raises(DataError, match="Columns: "):
        columns.passing(Condition.of(where))
    assert columns.passing(Condition.of("1"))[0].tolist() == [1, 2, 3, 4, 5]
    assert list(tmp_path.iterdir()) == []


def test_a_condition_ends_after_some_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = _columns(*[{"text": "a" * 50}] * 200)
    assert len(columns.passing(Condition.of("text LIKE '%a%b%' OR 1"))[0]) == 200
    monkeypatch.setattr("semsearch.store.columns._SECONDS", -1.0)
    with pytest.raises(DataError, match="it takes more than"):
        columns.passing(Condition.of("text LIKE '%a%b%' OR 1"))


@pytest.mark.parametrize(
    "where", [3, ("shop = 'de'",), ("shop = ?", "de"), (1, []), ["shop = ?", ["de"]]]
)
def test_a_condition_is_a_text_or_a_text_with_values(where: Any) -> None:
    with pytest.raises(ValueError, match="where"):
        Condition.of(where)


def test_equal_values_of_different_types_are_different_conditions() -> None:
    conditions = [Condition.of(("n = ?", [value])) for value in (1, 1.0, "1", True, b"1")]
    assert len({condition.identity for condition in conditions}) == 5


def test_only_conditions_that_ask_for_the_time_can_change_their_mind() -> None:
    columns = _columns(*ROWS)
    for where in ("shop > date('now')", "shop < current_timestamp", "shop = strftime('%Y')"):
        assert columns.passing(Condition.of(where))[1] is False
    assert columns.passing(Condition.of("shop = 'now'"))[1] is True


def test_when_no_row_passes_it_is_said_what_the_columns_hold(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "semsearch")
    assert _passing("zip = 80331 AND price > 3") == []
    (message,) = caplog.messages
    assert "no standard question passes the condition 'zip = 80331 AND price > 3'" in message
    assert "price holds numbers, zip holds text" in message


def test_more_columns_than_sqlite_has_room_for_is_said() -> None:
    with pytest.raises(DataError, match="the bank has 40003 columns"):
        _columns({f"c{n}": n for n in range(40_000)})


def test_a_damaged_row_neither_passes_nor_fails(tmp_path: Path) -> None:
    bank = [StandardQuestion(f"k{n}", f"q{n}", fields={"shop": "de"}) for n in range(3)]
    writer = BankWriter(tmp_path)
    writer.apply([Change(None, q, texts=q.texts, vectors=_vectors(1)) for q in bank], META)
    writer.close()
    with sqlite3.connect(tmp_path / "questions.db") as connection:
        connection.execute('UPDATE questions SET fields = \'{"shop": "fr"}\' WHERE id = 2')
    connection.close()
    reader = BankReader(tmp_path)
    with reader.reading() as meta, pytest.raises(CorruptIndexError, match="standard question 2"):
        reader.columns(meta)
    with sqlite3.connect(tmp_path / "questions.db") as connection:
        connection.execute("DELETE FROM questions WHERE id = 2")
    connection.close()
    with reader.reading() as meta, pytest.raises(CorruptIndexError, match="3 questions expected"):
        reader.columns(meta)
    reader.close()


Predicate = Callable[[Any, Any], bool | None]


def _both(
    join: str, one: tuple[str, Predicate], two: tuple[str, Predicate]
) -> tuple[str, Predicate]:
    def holds(shop: Any, n: Any) -> bool | None:
        found = (one[1](shop, n), two[1](shop, n))
        sure = join == "OR"
        return sure if sure in found else None if None in found else not sure

    return f"({one[0]}) {join} ({two[0]})", holds


def _not(one: tuple[str, Predicate]) -> tuple[str, Predicate]:
    def holds(shop: Any, n: Any) -> bool | None:
        found = one[1](shop, n)
        return None if found is None else not found

    return f"NOT ({one[0]})", holds


def _text_is(text: str) -> tuple[str, Predicate]:
    quoted = text.replace("'", "''")
    return f"\"the shop\" = '{quoted}'", lambda shop, n: None if shop is None else shop == text


_TEXTS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=6)
_SHOPS = st.sampled_from(["de", "fr", "'", '"', ")", "--", "店"]) | _TEXTS
_LEAVES = (
    _SHOPS.map(_text_is)
    | st.integers(-5, 5).map(lambda m: (f"n < {m}", lambda _, n: None if n is None else n < m))
    | st.just(("n IS NULL", lambda _, n: n is None))
)
_TREES = st.recursive(
    _LEAVES,
    lambda trees: (
        trees.map(_not)
        | st.builds(_both, st.sampled_from(["AND", "OR"]), trees, trees)
    ),
    max_leaves=8,
)  # fmt: skip


@given(st.lists(st.tuples(st.none() | _SHOPS, st.none() | st.integers(-5, 5)), max_size=12), _TREES)
def test_any_condition_passes_what_the_same_words_in_python_pass(
    rows: list[tuple[Any, Any]], condition: tuple[str, Predicate]
) -> None:
    columns = _columns({"the shop": "x", "n": 0}, *({"the shop": s, "n": n} for s, n in rows))
    expected = [id_ for id_, row in enumerate([("x", 0), *rows], 1) if condition[1](*row) is True]
    assert columns.passing(Condition.of(condition[0]))[0].tolist() == expected


@given(st.text(max_size=30))
def test_no_text_does_more_than_pass_rows_or_be_refused(text: str) -> None:
    columns = _columns(*ROWS)
    try:
        ids, _ = columns.passing(Condition.of(text))
    except DataError as error:
        assert "\n" not in str(error)
    else:
        assert set(ids.tolist()) <= {1, 2, 3, 4, 5}
