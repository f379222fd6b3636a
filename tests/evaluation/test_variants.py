"""Whitened, reduced and cut-off embeddings, made of the same embeddings."""

from __future__ import annotations

import numpy as np
import pytest

from semsearch import whitening
from semsearch.encoder import Encoder
from semsearch.evaluation import variants
from semsearch.evaluation.variants import Reduction, Variant


@pytest.fixture
def embeddings() -> np.ndarray:
    random = np.random.default_rng(0)
    return (random.normal(size=(300, 8)) @ random.normal(size=(8, 8)) + 2).astype(np.float32)


def test_a_plan_holds_raw_first_and_every_variant_once() -> None:
    plan = variants.plan((4,), (2, 4), ("target", "nli"))
    assert plan[0] == Variant()
    assert len(plan) == len(set(plan)) == 1 + 2 * (2 + 2) + 2
    assert variants.plan((), (), ("target",)) == [Variant()]
    assert [variant.label for variant in variants.plan((3,), (2,), ("nli",))] == [
        "", "whitened 3 on nli", "whitened 2 on nli", "PCA 2 on nli", "first 2",
    ]  # fmt: skip


@pytest.mark.parametrize("dim", [1, 3, 8])
def test_whitening_to_fewer_dimensions_is_what_fitting_them_gives(
    embeddings: np.ndarray, dim: int
) -> None:
    reduction = Reduction(embeddings, largest=8)
    found = reduction.apply(Variant("whitened", dim, "target"), embeddings)
    assert np.allclose(found, whitening.fit(embeddings, dim)(embeddings), atol=1e-5)


def test_whitening_on_few_texts_is_shrunk_for_each_dimension(embeddings: np.ndarray) -> None:
    few = embeddings[:6]
    found = Reduction(few, largest=8).apply(Variant("whitened", 3, "target"), embeddings)
    assert np.allclose(found, whitening.fit(few, 3)(embeddings), atol=1e-5)


def test_pca_keeps_distances_where_all_dimensions_are_kept(embeddings: np.ndarray) -> None:
    reduction = Reduction(embeddings, largest=8)
    whole = reduction.apply(Variant("pca", 8, "target"), embeddings)
    expected = np.linalg.norm(embeddings[0] - embeddings[1])
    assert np.linalg.norm(whole[0] - whole[1]) == pytest.approx(expected, rel=1e-4)
    two = reduction.apply(Variant("pca", 2, "target"), embeddings)
    assert two.shape == (300, 2) and np.allclose(two, whole[:, :2], atol=1e-5)
    assert (np.diff(whole.var(axis=0)) <= 0).all()  # by variance, and not made equal


def test_truncation_takes_the_first_dimensions(embeddings: np.ndarray) -> None:
    cut = variants.derive(Variant("truncated", 3), embeddings, None, unit=False)
    assert (cut == embeddings[:, :3]).all()


def test_whitened_rows_have_unit_length_and_raw_ones_where_the_encoder_makes_them_so(
    embeddings: np.ndarray,
) -> None:
    reduction = Reduction(embeddings, largest=4)
    white = variants.derive(Variant("whitened", 4, "x"), embeddings, reduction, unit=False)
    assert np.allclose(np.linalg.norm(white, axis=1), 1, atol=1e-6)
    assert variants.derive(Variant(), embeddings, None, unit=False) is embeddings
    unit = variants.derive(Variant(), embeddings, None, unit=True)
    assert np.allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-6)


def test_a_whitened_variant_is_the_whitened_encoder(tiny_encoder: Encoder) -> None:
    words = ("card", "refund", "parcel", "bank", "cash")
    texts = [f"{one} {other}" for one in words for other in words]
    raw = tiny_encoder.embed(texts)
    found = variants.derive(Variant("whitened", 4, "target"), raw, Reduction(raw, 4), unit=True)
    encoder = tiny_encoder.whitened(whitening.fit(raw, 4))
    assert np.allclose(found, encoder.encode(texts), atol=1e-5)
