"""Shares: how many of a query's words a standard question has, the rarer the more."""

from __future__ import annotations

import numpy as np
import pytest

from semsearch import lexical
from semsearch.errors import CorruptIndexError
from semsearch.lexical import Lexicon
from semsearch.store.lexical import in_memory
from semsearch.store.rows import label_of

BANK = {
    10: ["what does error E4021 mean", "error E4021"],
    11: ["what does error E5001 mean", "error E5001"],
    12: ["where is my order", "track my orders"],
}
NOBODY = np.zeros(0, np.int64)


def _lexicon(bank: dict[int, list[str]]) -> Lexicon:
    texts = [text for found in bank.values() for text in found]
    owners = [question for question, found in bank.items() for _ in found]
    labels = np.array([label_of(q, n) for n, q in enumerate(owners, 1)])
    return Lexicon(in_memory(list(enumerate(texts, 1))), labels)


def _shares(query: str) -> list[float]:
    return _lexicon(BANK).shares(query).of(np.array([10, 11, 12])).tolist()


def test_who_has_every_word_has_all_and_who_has_none_nothing() -> None:
    whole, part, nothing = _shares("E4021 error")
    assert whole == pytest.approx(1) and 0 < part < 1 and nothing == 0
    assert _shares("hello there") == _shares("?!") == [0, 0, 0]


def test_a_rare_word_counts_more_than_a_common_one() -> None:
    lexicon = _lexicon(BANK)
    of_10, of_11, of_12 = lexicon.shares("4021 error order").of(np.array([10, 11, 12]))
    assert of_10 > of_12 > of_11, "4021 and error, order, error alone"


def test_a_word_that_nobody_has_lowers_every_share() -> None:
    assert _shares("E4021 zebra")[0] < _shares("E4021")[0] == pytest.approx(1)


def test_english_endings_are_cut() -> None:
    assert _shares("ordered") == _shares("order") and _shares("order")[2] > 0


def test_the_best_of_a_question_counts_once() -> None:
    bank = BANK | {13: ["order", "my"]}
    shares = _lexicon(bank).shares("my order").of(np.array([12, 13]))
    assert shares[0] == pytest.approx(1) and shares[1] < 1


def test_words_of_very_many_phrasings_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lexical, "_ALWAYS", 3)
    assert _shares("error E4021")[1] == 0, "error stands in 4 of 6"


def test_phrasings_that_are_gone_have_no_words() -> None:
    lexicon = _lexicon(BANK)
    gone = np.array([label_of(10, 1), label_of(10, 2)])
    assert lexicon.shares("E4021", gone).of(np.array([10])).tolist() == [0]
    assert lexicon.shares("E4021").of(np.array([10])).tolist() == [1], "only that time"


def test_the_best_come_first_without_those_that_are_known() -> None:
    shares = _lexicon(BANK).shares("error E4021")
    found, values = shares.best(5, NOBODY)
    assert found.tolist() == [10, 11] and values[0] > values[1] > 0
    assert shares.best(1, NOBODY)[0].tolist() == [10]
    assert shares.best(5, np.array([10, 12]))[0].tolist() == [11]
    assert shares.best(5, NOBODY, np.array([11, 12]))[0].tolist() == [11]


def test_words_of_phrasings_that_there_are_not_are_an_error() -> None:
    lexicon = Lexicon(in_memory([(1, "parcel"), (9, "parcel")]), np.array([label_of(1, 1)]))
    with pytest.raises(CorruptIndexError, match="names phrasings that there are not"):
        lexicon.shares("parcel")


def test_what_is_remembered_is_bounded_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lexical, "_KEPT", 2)
    lexicon = _lexicon(BANK)
    queries = ["error E4021", "where is my order", "error E4021"]
    found = [lexicon.shares(query).best(3, NOBODY)[1].tolist() for query in queries]
    assert found[0] == found[2] and len(lexicon._places) <= 2
