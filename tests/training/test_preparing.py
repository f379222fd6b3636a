from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semsearch.encoder import Encoder
from semsearch.errors import DataError
from semsearch.tables import write_table
from semsearch.training.dev import ScoredPairs, Search
from semsearch.training.objectives import ObjectiveName
from semsearch.training.preparing import Sources, prepare, with_hard_negatives

WORDS = ["card", "lost", "money", "refund", "order", "track", "parcel", "phone", "fee", "late"]


def pairs(n: int, first: int = 0) -> list[dict[str, Any]]:
    return [
        {"sentence1": f"{WORDS[i % 10]} one {i}", "sentence2": f"two {i}", "score": i % 6}
        for i in range(first, first + n)
    ]


@pytest.fixture
def scored(tmp_path: Path) -> str:
    write_table(tmp_path / "scored.csv", pairs(60))
    return str(tmp_path / "scored.csv")


@pytest.fixture
def bank(tmp_path: Path) -> str:
    rows = [
        {
            "key": f"k{i}",
            "question": f"How about the {word}?",
            "answer": "So.",
            "相似问": "\n".join(f"{word} {other}" for other in WORDS[:4]),
        }
        for i, word in enumerate(WORDS)
    ]
    write_table(tmp_path / "faq.csv", rows)
    return str(tmp_path / "faq.csv")


def test_a_share_is_held_out_and_no_sentence_is_on_both_sides(scored: str) -> None:
    prepared = prepare("regression", Sources((scored,), dev_share=0.2))
    assert isinstance(prepared.dev, ScoredPairs) and len(prepared.dev) == 12
    assert len(prepared.examples) == 48
    assert not set(prepared.examples.texts) & set(prepared.dev.examples.texts)


def test_nothing_is_held_out_when_nothing_is_to_be(scored: str) -> None:
    prepared = prepare("regression", Sources((scored,), dev_share=0))
    assert prepared.dev is None and len(prepared.examples) == 60


def test_what_is_judged_by_may_not_be_learnt(scored: str, tmp_path: Path) -> None:
    write_table(tmp_path / "test.csv", pairs(10, first=55))
    test = str(tmp_path / "test.csv")
    for sources in (Sources((scored,), tests=(test,)), Sources((scored,), dev=(test,))):
        with pytest.raises(DataError, match=r"5 of 60 scored have a pair that is in .*test.csv"):
            prepare("regression", sources)
    prepared = prepare("regression", Sources((scored,), tests=(test,), drop_leaks=True))
    learnt = set(zip(*prepared.examples.columns.values(), strict=True))
    assert not learnt & {(row["sentence1"], row["sentence2"]) for row in pairs(10, first=55)}
    assert len(prepared.tests["test.csv"]) == 10


def test_two_tests_of_one_name_are_both_scored(scored: str, tmp_path: Path) -> None:
    files = []
    for folder, first in (("a", 100), ("b", 200)):
        (tmp_path / folder).mkdir()
        write_table(tmp_path / folder / "test.csv", pairs(10 + first // 100, first=first))
        files.append(str(tmp_path / folder / "test.csv"))
    prepared = prepare("regression", Sources((scored,), tests=tuple(files)))
    assert {name: len(test) for name, test in prepared.tests.items()} == {
        files[0]: 11,
        files[1]: 12,
    }


@pytest.mark.parametrize("objective", ["simcse", "contrastive", "triplet", "classification"])
def test_any_objective_is_judged_by_scored_pairs(
    objective: ObjectiveName, scored: str, tmp_path: Path
) -> None:
    rows: list[dict[str, Any]] = [
        {"anchor": f"a {i}", "positive": f"b {i}", "negative": f"c {i}"} for i in range(40)
    ]
    if objective == "classification":
        rows = [
            {"premise": f"a {i}", "hypothesis": f"b {i}", "label": "xy"[i % 2]} for i in range(40)
        ]
    if objective == "simcse":
        rows = [{"text": f"a {i}"} for i in range(40)]
    write_table(tmp_path / "train.csv", rows)
    prepared = prepare(objective, Sources((str(tmp_path / "train.csv"),), dev=(scored,)))
    assert isinstance(prepared.dev, ScoredPairs)
    assert len(prepared.examples) == 40


def test_a_bank_is_learnt_from_in_pairs_and_judged_by_its_own_phrasings(bank: str) -> None:
    prepared = prepare("contrastive", Sources(bank=bank), rounds=2)
    assert prepared.rounds == 2
    assert isinstance(prepared.dev, Search)
    assert prepared.dev.measure == "accuracy@1"
    held_out = set(prepared.dev.queries)
    assert held_out and not held_out & set(prepared.examples.texts)
    assert not held_out & set(prepared.dev.candidates)
    groups = dict(zip(prepared.dev.candidates, prepared.dev.candidate_groups, strict=True))
    columns = prepared.examples.columns
    for one, two in zip(columns["anchor"], columns["positive"], strict=True):
        assert one != two and groups[one] == groups[two]


def test_a_bank_is_judged_by_labelled_queries(bank: str, tmp_path: Path) -> None:
    queries = [{"text": "where is it", "key": "k3"}, {"text": "hello", "key": ""}]
    write_table(tmp_path / "test.csv", queries)
    test = str(tmp_path / "test.csv")
    prepared = prepare("contrastive", Sources(bank=bank, tests=(test,)))
    search = prepared.tests["test.csv"]
    assert isinstance(search, Search)
    assert list(search.queries) == ["where is it"], "hello expects no answer"
    assert search.query_groups.tolist() == [3]
    held = prepare("contrastive", Sources(bank=bank, dev=(test,)))
    assert isinstance(held.dev, Search) and list(held.dev.queries) == ["where is it"]


def test_a_query_that_is_a_phrasing_is_a_leak(bank: str, tmp_path: Path) -> None:
    write_table(tmp_path / "test.csv", [{"text": "PARCEL card ", "key": "k6"}])
    with pytest.raises(DataError, match=r"have a sentence that is in .*test.csv"):
        prepare("contrastive", Sources(bank=bank, tests=(str(tmp_path / "test.csv"),)))


def test_an_index_is_a_bank(bank: str, tmp_path: Path, tiny_encoder: Encoder) -> None:
    from semsearch import Index

    with Index.build(bank, tmp_path / "index", encoder=tiny_encoder):
        pass
    from_table = prepare("contrastive", Sources(bank=bank, dev_share=0))
    from_index = prepare("contrastive", Sources(bank=str(tmp_path / "index"), dev_share=0))
    assert sorted(from_index.examples.texts) == sorted(from_table.examples.texts)


def test_hard_negatives_are_those_of_other_questions_that_are_near(bank: str) -> None:
    prepared = prepare("contrastive", Sources(bank=bank, dev_share=0))
    texts = prepared.examples.texts
    group = dict(
        zip(prepared.examples.columns["anchor"], prepared.examples.groups.tolist(), strict=True)  # type: ignore[union-attr]
    )

    class Fake:
        def encode(self, batch: Sequence[str]) -> Any:
            random = np.random.default_rng(0)
            known = {text: random.normal(size=8) for text in texts}
            rows = np.array([known[text] for text in batch], np.float32)
            return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    triplets = with_hard_negatives(prepared, Fake(), 2)  # type: ignore[arg-type]
    assert triplets.shape == "triplets"
    assert triplets.groups is not None and triplets.negative_groups is not None
    for own, theirs, negative in zip(
        triplets.groups, triplets.negative_groups, triplets.columns["negative"], strict=True
    ):
        assert group[negative] == theirs != own


@pytest.mark.parametrize(
    ("objective", "sources", "message"),
    [
        ("regression", Sources(), "give tables to learn from, or a bank"),
        ("regression", Sources(("x.csv",), bank="y.csv"), "give tables to learn from, or a bank"),
        ("simcse", Sources(bank="y.csv"), "a bank gives pairs, and simcse learns from sentences"),
        ("distil", Sources(("x.csv",), shape="triplets"), "distil learns from sentences or pairs"),
    ],
)
def test_what_does_not_go_together_is_refused(
    objective: ObjectiveName, sources: Sources, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        prepare(objective, sources)


def test_a_table_that_fits_nothing_is_named(scored: str, tmp_path: Path) -> None:
    write_table(tmp_path / "odd.csv", [{"colour": "red", "size": "3"}])
    with pytest.raises(DataError, match=r"odd\.csv: no column called sentence1"):
        prepare("regression", Sources((scored,), tests=(str(tmp_path / "odd.csv"),)))
