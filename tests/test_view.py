"""What passes a condition is searched as if nothing else were there, in every state of an index."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from semsearch import selection, snapshots
from semsearch.ann import Neighbours, Setting
from semsearch.ranking import rank
from semsearch.store import BankReader, BankWriter, Change, Condition, Meta
from semsearch.types import StandardQuestion, Vectors
from semsearch.view import View
from tests.store.test_store import DIM, META

Known = dict[int, tuple[str, int, dict[int, Vectors]]]
"""Question id → shop, n, vectors by phrasing id: what must be in the index."""


class Bank:
    """An index that is changed at random, and what a plain list says should be in it."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.directory, self.random = directory, np.random.default_rng(seed)
        self.writer = BankWriter(directory)
        self.meta: Meta = META
        self.known: Known = {}
        self._questions = self._phrasings = 0

    def add(self, n: int) -> None:
        changes = []
        for _ in range(n):
            self._questions += 1
            name = f"q{self._questions}"
            fields = {
                "shop": str(self.random.choice(["de", "fr", "cn"])),
                "n": int(self.random.integers(50)),
            }
            others = tuple(f"{name} {i}" for i in range(self.random.integers(0, 5)))
            question = StandardQuestion(name, name, phrasings=others, fields=fields)
            vectors = self.unit(1 + len(others))
            self.known[self._questions] = (fields["shop"], fields["n"], {})
            for vector in vectors:
                self._phrasings += 1
                self.known[self._questions][2][self._phrasings] = vector
            changes.append(Change(None, question, texts=question.texts, vectors=vectors))
        self.meta = self.writer.apply(changes, self.meta)

    def remove(self, n: int) -> None:
        ids = self.random.choice(sorted(self.known), n, replace=False).tolist()
        gone = [Change(id_, None, dropped=tuple(self.known.pop(id_)[2])) for id_ in ids]
        self.meta = self.writer.apply(gone, self.meta)

    def drop_phrasings(self, n: int) -> None:
        """Of questions that stay, keeping the first phrasing of each."""
        changes = []
        for id_ in self.random.choice(sorted(self.known), n, replace=False).tolist():
            shop, number, vectors = self.known[id_]
            dropped = tuple(sorted(vectors)[1:3])
            for phrasing in dropped:
                del vectors[phrasing]
            question = StandardQuestion(f"q{id_}", f"q{id_}", fields={"shop": shop, "n": number})
            changes.append(Change(id_, question, dropped=dropped))
        self.meta = self.writer.apply(changes, self.meta)

    def snapshot(self) -> None:
        reader = BankReader(self.directory)
        self.meta = snapshots.make(self.directory, reader, self.writer)
        reader.close()

    def unit(self, n: int) -> Vectors:
        vectors = self.random.normal(size=(n, DIM)).astype(np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def best(self, query: Vectors, k: int, top: int, shop: str, below: int) -> list[float]:
        """Scores of the k best by the plainest code there is."""
        means = [
            float(np.mean(sorted((float(v @ query) for v in vectors.values()), reverse=True)[:top]))
            for s, n, vectors in self.known.values()
            if s == shop and n < below
        ]
        return sorted(means, reverse=True)[:k]


@pytest.fixture
def bank(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Bank]:
    made = Bank(tmp_path, seed=getattr(request, "param", 0))
    yield made
    made.writer.close()


@pytest.mark.parametrize("bank", range(6), indirect=True)
@pytest.mark.parametrize("exact_up_to", [0, 20, 4096])
def test_a_filtered_search_is_a_brute_force_search_over_what_passes(
    bank: Bank, exact_up_to: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through adding, removing and snapshots, with an index that stays open all the time."""
    monkeypatch.setattr(selection, "EXACT_UP_TO", exact_up_to)
    view: View | None = None
    bank.add(60)
    reader = BankReader(bank.directory)
    steps = (
        lambda: None, bank.snapshot, lambda: bank.add(20), lambda: bank.remove(15),
        lambda: bank.drop_phrasings(20), bank.snapshot, lambda: bank.remove(30),
        lambda: bank.add(3),
    )  # fmt: skip
    for step in steps:
        step()
        queries = bank.unit(5)
        with reader.reading() as meta:
            view = View.load(bank.directory, reader, meta, view)
            for shop, below in (("de", 50), ("fr", 10), ("cn", 2), ("de", 0)):
                passing = view.passing(reader, Condition(f"shop = '{shop}' AND n < {below}"))
                assert len(passing) == sum(
                    len(vectors) for s, n, vectors in bank.known.values() if s == shop and n < below
                )
                for k, top, counts in ((1, 1, None), (4, 1, None), (4, 3, passing.counts)):
                    ranked = rank(passing.search, queries, k, len(passing), counts)
                    for query, found in zip(queries, ranked, strict=True):
                        expected = bank.best(query, k, top, shop, below)
                        np.testing.assert_allclose(found.scores, expected, atol=1e-5)
                        ids = [label >> 32 for label in found.labels.tolist()]
                        assert len(set(ids)) == len(ids)
                        assert all(bank.known[id_][0] == shop for id_ in ids)
    reader.close()


@pytest.mark.parametrize("factory", ["HNSW4", "SQ4"])
def test_few_rows_are_searched_exactly_whatever_the_factory(bank: Bank, factory: str) -> None:
    """One phrasing in hundreds passes: a graph would not pass by it, nor 4 bits say its score."""
    bank.add(300)
    bank.snapshot()
    bank.add(2)
    reader = BankReader(bank.directory)
    with reader.reading() as meta:
        view = View.load(bank.directory, reader, meta, None)
        assert view.snapshot is not None and meta.snapshot is not None
        rough = Neighbours.build(view.snapshot.labels, view.snapshot.vectors(), Setting(factory))
        other = replace(meta, snapshot=replace(meta.snapshot, factory=factory))
        view = replace(view, snapshot=rough, meta=other)
        for number in range(50):
            passing = view.passing(reader, Condition(f"n = {number} AND shop = 'cn'"))
            if not len(passing):
                continue
            (query,) = bank.unit(1)
            scores, _ = passing.search(query[None], len(passing))
            expected = [
                float(vector @ query)
                for shop, n, vectors in bank.known.values()
                for vector in vectors.values()
                if (shop, n) == ("cn", number)
            ]
            np.testing.assert_allclose(scores[0], sorted(expected, reverse=True), atol=1e-5)
    reader.close()


def test_a_condition_is_evaluated_once_in_one_state(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank.add(40)
    bank.snapshot()
    reader = BankReader(bank.directory)
    view: View | None = None

    def passing(where: str) -> selection.Selection:
        nonlocal view
        with reader.reading() as meta:
            view = View.load(bank.directory, reader, meta, view)
            return view.passing(reader, Condition(where))

    first = passing("shop = 'de'")
    assert passing("shop = 'de'") is first
    assert passing("shop = 'fr'") is not first
    assert passing("shop = 'de'") is first
    for number in range(40):  # more than are kept
        passing(f"n = {number}")
    again = passing("shop = 'de'")
    assert again is not first and len(again) == len(first)
    assert passing("n < 99 OR shop > date('now')") is not passing("n < 99 OR shop > date('now')")
    bank.add(40)
    assert len(passing("shop = 'de'")) > len(first)
    reader.close()


def test_a_view_is_kept_as_long_as_nothing_is_committed(bank: Bank) -> None:
    bank.add(10)
    reader = BankReader(bank.directory)

    def load(last: View | None) -> View:
        with reader.reading() as meta:
            return View.load(bank.directory, reader, meta, last)

    first = load(None)
    assert load(first) is first
    bank.remove(1)
    second = load(first)
    assert second is not first and len(second) == bank.meta.phrasings
    assert load(second) is second
    reader.close()
