"""A classifier beside the cosines: what it adds, what it leaves alone, what it does not know."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from semsearch.classifier import FLOOR, Classifier, Opinion
from semsearch.errors import CorruptIndexError
from semsearch.hybrid import Beside, fuse, opinions_of
from semsearch.ranking import Ranked
from semsearch.spelling import Spelling, Vocabulary
from semsearch.store.rows import label_of
from semsearch.types import Ids

_TEXTS = ("one", "two", "three")


def _classifier(weight: float = 0.1) -> Classifier:
    """Of three standard questions, each a direction of its own."""
    return Classifier(
        np.array([3, 5, 8]), 4 * np.eye(3, dtype=np.float32), np.zeros(3, np.float32), weight
    )


def _near(scores: list[float], questions: list[int]) -> Ranked:
    labels = np.array([label_of(question, 1) for question in questions])
    return Ranked(np.array(scores, np.float32), labels)


def _found(ranked: Ranked) -> list[int]:
    return (ranked.labels >> 32).tolist()


def _nothing(_: Ids) -> Ranked:
    raise AssertionError("nothing is to be read")


def test_opinions_are_log_probabilities_times_the_weight() -> None:
    queries = np.eye(3, dtype=np.float32)
    for n, opinion in enumerate(_classifier(0.5).opinions(_TEXTS, queries)):
        said = opinion.of(np.array([3, 5, 8])) / 0.5
        assert np.exp(said).sum() == pytest.approx(1, abs=1e-6) and said.argmax() == n
        assert said[n] == pytest.approx(4 - np.log(np.exp(4) + 2), abs=1e-5)


def test_what_is_very_unlikely_is_all_alike() -> None:
    far = Classifier(np.array([1, 2]), np.array([[99.0], [0.0]], np.float32), np.zeros(2), 1.0)
    (opinion,) = far.opinions([""], np.ones((1, 1), np.float32))
    assert opinion.of(np.array([2])).tolist() == [FLOOR]
    assert opinion.best(5, np.array([1])).tolist() == []


def test_a_standard_question_that_came_later_counts_as_the_likeliest_it_is_compared_with() -> None:
    (opinion,) = _classifier().opinions([""], np.array([[1.0, 0, 0]], np.float32))
    known, new = opinion.of(np.array([5, 7]))
    assert known == new < 0
    with_likeliest = opinion.of(np.array([3, 5, 7]))
    assert with_likeliest[0] == with_likeliest[2] > with_likeliest[1]
    assert opinion.of(np.array([7, 9])).tolist() == [0, 0]
    assert opinion.signals(7)[1] == 0
    assert opinion.signals(3)[1] == pytest.approx(4) == -opinion.signals(5)[1]


def test_an_opinion_turns_what_cosines_leave_close() -> None:
    (opinion,) = _classifier().opinions([""], np.array([[0.0, 1, 0]], np.float32))
    close, clear = _near([0.8, 0.75], [3, 5]), _near([0.8, 0.3], [3, 5])
    assert _found(fuse(close, None, _empty, 1, 0.0, opinion=opinion)) == [5]
    assert _found(fuse(clear, None, _empty, 1, 0.0, opinion=opinion)) == [3]
    shown = fuse(close, None, _empty, 2, 0.0, opinion=opinion)
    assert shown.scores.tolist() == pytest.approx([0.75, 0.8]) and shown.lexical is None


def _empty(_: Ids) -> Ranked:
    return Ranked(np.zeros(0, np.float32), np.zeros(0, np.int64))


def test_who_asks_in_the_words_of_a_phrasing_gets_its_answer() -> None:
    (opinion,) = _classifier(5.0).opinions([""], np.array([[0.0, 1, 0]], np.float32))
    assert _found(fuse(_near([1.0, 0.9], [3, 5]), None, _empty, 1, 0.0, opinion=opinion)) == [3]


def test_a_likely_standard_question_is_found_that_no_near_phrasing_names() -> None:
    (opinion,) = _classifier().opinions([""], np.array([[0.0, 1, 0]], np.float32))
    read: list[list[int]] = []

    def exact(questions: Ids) -> Ranked:
        read.append(questions.tolist())
        return _near([0.7] * len(questions), questions.tolist())

    found = fuse(_near([0.8, 0.79], [3, 8]), None, exact, 1, 0.0, opinion=opinion)
    assert _found(found) == [5] and read == [[5]]
    among = np.array([3, 8])
    assert _found(fuse(_near([0.8], [3]), None, _nothing, 1, 0.0, among, opinion)) == [3]


def test_nothing_counts_where_there_is_neither_a_lexicon_nor_a_classifier() -> None:
    assert Beside.of(None, 0.3, None) is None
    beside = Beside.of(None, 0.3, _classifier())
    assert beside is not None and beside.weight == 0 and beside.shares("a word") is None
    queries = np.eye(3, dtype=np.float32)
    assert isinstance(opinions_of(beside, _TEXTS, queries)[0], Opinion)
    assert opinions_of(None, _TEXTS, queries) == [None, None, None]


def test_a_classifier_is_read_as_it_was_written(tmp_path: Path) -> None:
    made, path = _classifier(0.05), tmp_path / "classifier.npz"
    made.save(path)
    again = Classifier.load(path)
    assert again.weight == 0.05 and again.questions.tolist() == [3, 5, 8]
    query = np.array([[0.2, 0.5, 0.1]], np.float32)
    ids = np.array([3, 5, 8])
    said, before = (known.opinions(["a"], query)[0].of(ids) for known in (again, made))
    assert said.tolist() == before.tolist()


def _spelling() -> Spelling:
    """The word "up" speaks for the second of three standard questions."""
    known = Vocabulary(("up",), np.ones(1, np.float32))
    return Spelling(known, np.array([[0, 6, 0]], np.float16))


def test_words_speak_beside_the_vector() -> None:
    made = replace(_classifier(), spelling=_spelling())
    query, ids = np.array([[1.0, 0, 0]] * 2, np.float32), np.array([3, 5, 8])
    without, with_word = made.opinions(["down", "up"], query)
    assert without.of(ids).argmax() == 0 and with_word.of(ids).argmax() == 1
    assert np.exp(with_word.of(ids) / 0.1).sum() == pytest.approx(1, abs=1e-5)


def test_words_are_read_as_they_were_written(tmp_path: Path) -> None:
    made, path = replace(_classifier(), spelling=_spelling()), tmp_path / "classifier.npz"
    made.save(path)
    again = Classifier.load(path)
    assert again.spelling is not None and again.spelling.vocabulary.pieces == ("up",)
    query, ids = np.array([[0.2, 0.5, 0.1]], np.float32), np.array([3, 5, 8])
    said, before = (known.opinions(["up"], query)[0].of(ids) for known in (again, made))
    assert said.tolist() == before.tolist()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 torn", b"no archive"])
def test_a_damaged_file_says_what_to_do(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "classifier.npz"
    path.write_bytes(content)
    with pytest.raises(CorruptIndexError, match=r"classifier.npz: .*semsearch rollback INDEX"):
        Classifier.load(path)
