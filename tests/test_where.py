"""An index answers from the standard questions that pass, and from all of those."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semsearch import Encoder, Index, StandardQuestion
from semsearch.errors import DataError
from semsearch.store import BankReader, Columns
from semsearch.types import Hit

WORDS = ["card", "refund", "parcel", "account", "delivery", "invoice", "卡", "退款", "快递"]


def _bank(n: int, seed: int = 0) -> list[StandardQuestion]:
    random = np.random.default_rng(seed)

    def text() -> str:
        return " ".join(random.choice(WORDS, 3)) + f" {random.integers(1000)}"

    return [
        StandardQuestion(
            f"k{i}",
            f"question {i} {text()}",
            phrasings=tuple(text() for _ in range(random.integers(0, 4))),
            fields={"shop": f"shop {i % 7}", "price": i, "rare": "yes" if i % 97 == 5 else None},
        )
        for i in range(n)
    ]


BANK = _bank(200)


@pytest.fixture
def path(tmp_path: Path, tiny_encoder: Encoder) -> Path:
    Index.build(BANK, tmp_path / "faq", encoder=tiny_encoder).close()
    return tmp_path / "faq"


def _hits(index: Index, text: str, k: int, **options: Any) -> tuple[Hit, ...]:
    (result,) = index.search(text, k, **options)
    return result.hits


def _scores(encoder: Encoder, bank: Sequence[StandardQuestion], text: str, top: int) -> list[float]:
    vector = encoder.encode([text])[0]
    means = [float(np.mean(np.sort(encoder.encode(q.texts) @ vector)[::-1][:top])) for q in bank]
    return sorted(means, reverse=True)


@pytest.mark.parametrize("score", ["best", "top3"])
@pytest.mark.parametrize(
    "where",
    ["rare = 'yes'", "shop = 'shop 3'", "price >= 10", ("shop = ? OR price = :n", ["shop 1", 7])],
)
def test_what_passes_is_ranked_as_if_nothing_else_were_there(
    path: Path, tiny_encoder: Encoder, score: Any, where: Any
) -> None:
    if isinstance(where, tuple):
        where = ("shop = :shop OR price = :n", {"shop": "shop 1", "n": 7})
    passes = {
        "rare = 'yes'": lambda fields: fields["rare"] == "yes",
        "shop = 'shop 3'": lambda fields: fields["shop"] == "shop 3",
        "price >= 10": lambda fields: fields["price"] >= 10,
    }.get(str(where), lambda fields: fields["shop"] == "shop 1" or fields["price"] == 7)
    bank = [question for question in BANK if passes(question.fields)]
    with Index.open(path, encoder=tiny_encoder) as index:
        for text in ("lost card refund", "快递 parcel 12"):
            hits = _hits(index, text, 6, where=where, score=score)
            assert all(passes(hit.fields) for hit in hits)
            expected = _scores(tiny_encoder, bank, text, 3 if score == "top3" else 1)[:6]
            np.testing.assert_allclose([hit.score for hit in hits], expected, atol=1e-5)


def test_each_search_filters_the_state_that_it_sees(path: Path, tiny_encoder: Encoder) -> None:
    with Index.open(path, encoder=tiny_encoder) as index, Index.open(path) as other:

        def keys() -> set[str]:
            return {hit.key for hit in _hits(index, "card", 300, where="price < 3")}

        assert keys() == {"k0", "k1", "k2"}
        index.add([StandardQuestion("new", "a new card", fields={"price": 2, "size": "L"})])
        assert keys() == {"k0", "k1", "k2", "new"}
        other.remove(["k1"])
        assert keys() == {"k0", "k2", "new"}
        other.sync([replace(BANK[0], fields={"price": 3}), *BANK[2:]])
        assert keys() == {"k2"}
        with pytest.raises(DataError, match="there is no column size"):
            index.search("card", where="size = 'L'")
        other.compact()
        assert keys() == {"k2"}


def test_another_index_in_its_place_is_not_filtered_by_what_was_there(
    path: Path, tmp_path: Path, tiny_encoder: Encoder
) -> None:
    """Same counts, same vectors, same generation: only the owner's columns differ."""
    moved = [replace(q, fields={**q.fields, "shop": "elsewhere"}) for q in BANK]
    Index.build(moved, tmp_path / "other", encoder=tiny_encoder).close()
    with Index.open(path, encoder=tiny_encoder) as index:
        assert len(_hits(index, "card", 300, where="shop = 'shop 3'")) == 29
        path.rename(tmp_path / "old")
        (tmp_path / "other").rename(path)
        assert _hits(index, "card", 300, where="shop = 'shop 3'") == ()
        assert len(_hits(index, "card", 300, where="shop = 'elsewhere'")) == 200


def test_threads_filter_one_index_each_in_its_own_way(path: Path, tiny_encoder: Encoder) -> None:
    def shops(number: int) -> list[set[str]]:
        where = f"shop = 'shop {number % 7}' AND price < {150 + number}"
        return [
            {hit.fields["shop"] for hit in _hits(index, "card", 5, where=where)} for _ in range(10)
        ]

    with Index.open(path, encoder=tiny_encoder) as index, ThreadPoolExecutor(4) as pool:
        found = pool.map(shops, range(28))
        for number in range(5):
            with Index.open(path, encoder=tiny_encoder) as writer:
                writer.add([replace(BANK[number], answer="another")])
        assert list(found) == [[{f"shop {number % 7}"}] * 10 for number in range(28)]


def test_the_columns_are_read_once_in_one_state(
    path: Path, tiny_encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, evaluated = [], []
    columns, passing = BankReader.columns, Columns.passing
    monkeypatch.setattr(BankReader, "columns", lambda *args: (read.append(args), columns(*args))[1])
    monkeypatch.setattr(
        Columns, "passing", lambda *args: (evaluated.append(args), passing(*args))[1]
    )
    with Index.open(path, encoder=tiny_encoder) as index:
        index.search("card")
        assert not read  # who filters nothing pays nothing
        for _ in range(3):
            index.search(["card", "refund"], where="shop = 'shop 3'")
            index.search("card", where=("price < ?", [3]))
        assert (len(read), len(evaluated)) == (1, 2)
        index.remove(["k1"])
        index.search("card", where="shop = 'shop 3'")
        assert (len(read), len(evaluated)) == (2, 3)


def test_nothing_passes_in_an_empty_bank(path: Path, tiny_encoder: Encoder) -> None:
    with Index.open(path, encoder=tiny_encoder) as index:
        index.remove([question.key for question in BANK])
        assert _hits(index, "card", 3, where="key = 'k1'") == ()


def test_that_nothing_passes_is_said_once_and_is_no_error(
    path: Path, tiny_encoder: Encoder, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "semsearch")
    with Index.open(path, encoder=tiny_encoder) as index:
        for _ in range(3):
            results = index.search(["card", "refund"], where="shop = 'shop 8'")
            assert [result.answered for result in results] == [False, False]
    (message,) = caplog.messages
    assert "\"shop = 'shop 8'\" (shop holds text)" in message


def test_that_text_is_compared_with_a_number_is_said(
    tmp_path: Path, tiny_encoder: Encoder, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [
        StandardQuestion(str(n), f"question {n}", fields={"zip": code, "price": price})
        for n, (code, price) in enumerate([("01067", "1.5"), ("80331", ""), ("80331", "20")])
    ]
    with Index.build(rows, tmp_path / "faq", encoder=tiny_encoder) as index:
        for where, text in (
            ("zip > 80000", True),
            ('price > 2 OR "ZIP" BETWEEN 80000 AND 90000', True),
            ("zip > '80000'", False),
            ("price < 20 OR zip = '01067'", False),
        ):
            caplog.clear()
            index.search("question", 3, where=where)
            said = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
            assert [message.startswith("column zip holds text") for message in said] == [
                True
            ] * text


def test_a_condition_that_cannot_be_used_leaves_the_index_as_it_was(
    path: Path, tiny_encoder: Encoder
) -> None:
    with Index.open(path, encoder=tiny_encoder) as index:
        before = index.search("card")
        for where in ("1); DELETE FROM questions; --", "(SELECT 1)", "shop = 'x", ""):
            with pytest.raises(DataError):
                index.search("card", where=where)
        with pytest.raises(ValueError, match="where"):
            index.search("card", where=7)  # type: ignore[arg-type]
        assert index.search("card") == before
        assert index.verify().ok
