"""NLI labels have one order, and premises with both kinds of hypotheses make triplets."""

from __future__ import annotations

import pytest

from semsearch.training import nli


@pytest.mark.parametrize(
    ("written", "label"),
    [
        ("entailment", "entailment"),
        (" Contradiction ", "contradiction"),
        ("NEUTRAL", "neutral"),
        ("蕴含", "entailment"),
        ("矛盾", "contradiction"),
        ("1", None),
        ("e", None),
    ],
)
def test_labels_are_known_by_their_names(written: str, label: str | None) -> None:
    assert nli.canonical(written) == label


def test_an_entailed_hypothesis_meets_a_contradicted_one_of_its_premise() -> None:
    rows = [
        ("p", "yes", "entailment"),
        ("q", "other", "contradiction"),
        ("p", "maybe", "neutral"),
        ("p", "no", "contradiction"),
        ("q", "so", "neutral"),
    ]
    assert nli.triplets(rows) == ([("p", "yes", "no")], 1)


def test_contradicted_hypotheses_are_taken_in_turn() -> None:
    rows = [("p", text, "entailment") for text in "abc"]
    rows += [("P ", text, "contradiction") for text in "xy"]
    assert nli.triplets(rows) == ([("p", "a", "x"), ("p", "b", "y"), ("p", "c", "x")], 0)


def test_a_hypothesis_with_both_labels_and_a_repeated_premise_are_no_examples() -> None:
    rows = [
        ("p", "both", "entailment"),
        ("p", "Both", "contradiction"),
        ("p", "no", "contradiction"),
        ("q", "Q", "entailment"),
        ("q", "no", "contradiction"),
    ]
    assert nli.triplets(rows) == ([], 2)
