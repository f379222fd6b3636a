"""Examples that the evaluation data holds are found, refused, or left out and counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from semsearch.errors import DataError
from semsearch.evaluation import data
from semsearch.evaluation.tasks import TASKS
from semsearch.training.examples import Examples
from semsearch.training.leaks import Evaluation, drop_leaks, find_leaks, refuse_leaks
from semsearch.training.reading import read_examples

TRAIN = Examples(
    "scored",
    {"sentence1": ["a b", "c", "e", "a B"], "sentence2": ["d", "f", "g", "Ｄ "]},
    scores=np.array([0, 0.1, 0.2, 0.3]),
)
TRIPLETS = Examples(
    "triplets", {"anchor": ["a", "b"], "positive": ["c", "d"], "negative": ["e", "f"]}
)


def scored(*pairs: tuple[str, str]) -> Examples:
    one, two = zip(*pairs, strict=True)
    return Examples("scored", {"sentence1": one, "sentence2": two}, scores=np.zeros(len(one)))


def task(*pairs: tuple[str, str]) -> data.Pairs:
    one, two = zip(*pairs, strict=True)
    return data.Pairs(TASKS["STS12"], one, two, np.zeros(len(one)), ("",) * len(one))


@pytest.mark.parametrize(
    "evaluation", [scored(("x", "y"), ("D", "A  b")), task(("x", "y"), ("D", "A  b"))]
)
def test_pairs_are_found_in_pairs_whatever_order_and_spelling(evaluation: Evaluation) -> None:
    leaks = find_leaks(TRAIN, evaluation)
    assert leaks.rows.tolist() == [0, 3] and len(leaks) == 2
    assert (leaks.what, leaks.first) == ("pair", ("a b", "d"))


def test_a_sentence_alone_is_no_leak_between_pairs() -> None:
    assert len(find_leaks(TRAIN, scored(("c", "g"), ("a b", "f")))) == 0


def test_the_negative_of_a_triplet_makes_a_pair_with_its_anchor() -> None:
    assert find_leaks(TRIPLETS, task(("e", "a"))).rows.tolist() == [0]
    assert find_leaks(TRIPLETS, task(("d", "b"))).rows.tolist() == [1]
    assert len(find_leaks(TRIPLETS, task(("c", "e")))) == 0
    assert find_leaks(TRAIN, TRIPLETS).rows.tolist() == []


@pytest.mark.parametrize(
    "evaluation",
    [["G", "z", "C"], Examples("sentences", {"sentence": ["G", "z", "C"]})],
)
def test_single_texts_are_found_in_any_column(evaluation: Evaluation) -> None:
    leaks = find_leaks(TRAIN, evaluation)
    assert leaks.rows.tolist() == [1, 2]
    assert (leaks.what, leaks.first) == ("sentence", ("c",))


def test_training_sentences_are_found_in_evaluation_pairs() -> None:
    train = Examples("sentences", {"sentence": ["a", "b", "c"]})
    assert find_leaks(train, task(("B", "x"), ("y", "c"))).rows.tolist() == [1, 2]
    assert find_leaks(train, TRIPLETS).rows.tolist() == [0, 1, 2]


def test_leaks_are_refused_with_their_number_and_the_remedy() -> None:
    refuse_leaks(TRAIN, ["nothing"])
    with pytest.raises(DataError) as raised:
        refuse_leaks(TRAIN, task(("d", "a b")), "STS12")
    assert str(raised.value) == (
        "2 of 4 scored have a pair that is in STS12; the first is 'a b' / 'd'. "
        "Leave them out with --drop-leaks."
    )
    with pytest.raises(DataError, match="1 of 4 scored have a sentence that is in the evaluation"):
        refuse_leaks(TRAIN, ["f"])


def test_leaks_are_dropped_and_counted() -> None:
    kept, dropped = drop_leaks(TRAIN, task(("d", "a b")))
    assert dropped == 2 and kept.columns["sentence1"] == ["c", "e"]
    assert kept.scores is not None and kept.scores.tolist() == [0.1, 0.2]
    same, none = drop_leaks(kept, task(("d", "a b")))
    assert (none, same.sha256) == (0, kept.sha256)


def test_dropping_everything_is_an_error() -> None:
    with pytest.raises(DataError, match="all 2 triplets are in the evaluation data"):
        drop_leaks(TRIPLETS, ["a", "b"])


@pytest.mark.data
def test_known_overlaps_of_the_shared_data_are_found(data_dir: Path) -> None:
    train = read_examples([data_dir / "sts_en/stsbenchmark/train.parquet"], "scored")
    test = read_examples([data_dir / "sts_en/stsbenchmark/test.parquet"], "scored")
    assert len(find_leaks(test, train)) == 12
    assert len(find_leaks(test, data.load(TASKS["STS-B"], data_dir))) == len(test)
    kept, dropped = drop_leaks(train, data.load(TASKS["STS-B"], data_dir))
    assert dropped >= 12 and not len(find_leaks(kept, test))


@pytest.mark.data
def test_test_queries_among_the_phrasings_of_banking77_are_found(data_dir: Path) -> None:
    train = read_examples([data_dir / "faq/banking77/train.parquet"], "sentences")
    test = read_examples([data_dir / "faq/banking77/test.parquet"], "sentences")
    assert len(find_leaks(test, train.texts)) == 7
