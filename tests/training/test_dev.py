from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from semsearch.errors import DataError
from semsearch.training import dev
from semsearch.training.dev import Search, dev_of
from semsearch.training.examples import Examples
from semsearch.types import Embeddings


def encoder(vectors: dict[str, Sequence[float]]) -> Callable[[Sequence[str]], Embeddings]:
    """An encoder that knows the vector of each text, and refuses to encode one twice."""

    def encode(texts: Sequence[str]) -> Embeddings:
        assert len(set(texts)) == len(texts), "each distinct text is to be encoded once"
        return np.array([vectors[text] for text in texts], np.float32)

    return encode


def angles(**degrees: float) -> dict[str, Sequence[float]]:
    return {
        name: (3 * np.cos(np.radians(angle)), 3 * np.sin(np.radians(angle)))
        for name, angle in degrees.items()
    }


def test_scored_pairs_are_judged_by_the_rank_of_their_cosines() -> None:
    examples = Examples(
        "scored",
        {"sentence1": ["a", "a", "a"], "sentence2": ["b", "c", "d"]},
        np.array([0.9, 0.5, 0.1]),
    )
    measure = dev_of(examples)
    right = measure.predict(encoder(angles(a=0, b=5, c=40, d=80)))
    wrong = measure.predict(encoder(angles(a=0, b=80, c=40, d=5)))
    assert measure.score(right) == pytest.approx(100)
    assert measure.score(wrong) == pytest.approx(-100)
    low, high = measure.difference(wrong, right)
    assert 0 < low <= high <= 200 + 1e-9


def test_pairs_of_one_score_measure_nothing() -> None:
    examples = Examples(
        "scored", {"sentence1": ["a", "b"], "sentence2": ["c", "d"]}, np.array([1.0, 1.0])
    )
    with pytest.raises(DataError, match="one score"):
        dev_of(examples)


def test_triplets_count_anchors_nearer_to_their_positive() -> None:
    examples = Examples(
        "triplets",
        {"anchor": ["a", "a"], "positive": ["b", "d"], "negative": ["c", "b"]},
    )
    measure = dev_of(examples)
    predicted = measure.predict(encoder(angles(a=0, b=10, c=50, d=90)))
    assert predicted.tolist() == [1.0, 0.0]
    assert measure.score(predicted) == 50


def test_pairs_look_for_any_positive_of_their_group() -> None:
    examples = Examples(
        "pairs",
        {"anchor": ["a", "b", "c"], "positive": ["d", "e", "f"]},
        groups=np.array([7, 7, 8]),
    )
    measure = dev_of(examples)
    # a is nearest to e, which is of its group; c is nearest to d, which is not.
    predicted = measure.predict(encoder(angles(a=0, b=60, c=30, d=31, e=1, f=90)))
    assert predicted.tolist() == [1.0, 1.0, 0.0]


def test_search_goes_through_the_queries_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dev, "_BLOCK", 2)
    names = [f"q{i}" for i in range(5)]
    known = {name: (np.cos(i), np.sin(i)) for i, name in enumerate(names)}
    groups = np.arange(5)
    measure = Search(names, groups, names[::-1], groups[::-1])
    assert measure.predict(encoder(known)).tolist() == [1.0] * 5


def test_a_sentence_is_to_find_its_other_half() -> None:
    examples = Examples("sentences", {"sentence": ["one two three four", "你好世界", "no"]})
    measure = dev_of(examples)
    assert len(measure) == 2
    known = {"one two": (1.0, 0.0), "three four": (0.9, 0.1), "你好": (0.0, 1.0)}
    assert measure.score(measure.predict(encoder({**known, "世界": (0.1, 1.0)}))) == 100
    assert measure.score(measure.predict(encoder({**known, "世界": (0.7, 0.6)}))) == 100
    assert measure.score(measure.predict(encoder({**known, "世界": (0.3, -0.9)}))) == 50


def test_sentences_without_halves_measure_nothing() -> None:
    with pytest.raises(DataError, match="too short"):
        dev_of(Examples("sentences", {"sentence": ["no", "yes", "so"]}))


def test_labels_are_read_off_frozen_embeddings() -> None:
    random = np.random.default_rng(0)
    one = [f"one {i}" for i in range(60)]
    same = [f"same {i}" for i in range(30)] + [f"other {i}" for i in range(30)]
    labels = np.repeat([0, 1], 30)
    examples = Examples(
        "labelled", {"sentence1": one, "sentence2": same}, labels=labels, label_names=("x", "y")
    )
    measure = dev_of(examples)
    apart = {text: random.normal(size=4) for text in one}
    for number, text in enumerate(same):
        apart[text] = apart[one[number]] * (1 if labels[number] == 0 else -1)
    noise = {text: random.normal(size=4) for text in [*one, *same]}
    good, bad = (measure.predict(encoder(vectors)) for vectors in (apart, noise))  # type: ignore[arg-type]
    assert measure.score(good) > 95
    assert measure.score(bad) < 70
    low, _ = measure.difference(bad, good)
    assert low > 10


def test_a_rare_label_is_left_out_of_the_measure() -> None:
    examples = Examples(
        "labelled",
        {"sentence1": ["a"] * 13, "sentence2": [f"b{i}" for i in range(13)]},
        labels=np.array([0] * 6 + [1] * 6 + [2]),
        label_names=("x", "y", "z"),
    )
    assert len(dev_of(examples)) == 12
    with pytest.raises(DataError, match="fewer than two labels"):
        dev_of(examples.take(range(7)))


def test_only_so_many_examples_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dev, "MOST", 10)
    texts = [f"text {i}" for i in range(100)]
    examples = Examples("pairs", {"anchor": texts, "positive": texts})
    assert len(dev_of(examples)) == 10


def test_one_example_measures_nothing() -> None:
    with pytest.raises(DataError, match="Hold out more"):
        dev_of(Examples("pairs", {"anchor": ["a"], "positive": ["b"]}))
