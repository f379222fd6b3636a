"""The losses against the formulas of their papers, in NumPy, on hand-made batches."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from semsearch.errors import DataError
from semsearch.training.objectives import (
    CONCATENATIONS,
    OBJECTIVES,
    RECORDS,
    LossOptions,
    ObjectiveName,
    build_loss,
)

torch = pytest.importorskip("torch")
pytest.importorskip("sentence_transformers")

A = ["my card is lost", "when is the parcel here", "how do i pay"]
B = ["the card was stolen", "track my order", "what is the fee"]
C = ["what is the weather", "cancel the trip", "hello"]

Array = NDArray[np.float64]


@pytest.fixture(scope="module")
def model(tiny_encoder_dir: Path) -> Any:
    from sentence_transformers import SentenceTransformer

    # Without the last Normalize: that lengths matter or do not is a part of the formulas.
    modules = list(SentenceTransformer(str(tiny_encoder_dir), device="cpu").children())[:2]
    return SentenceTransformer(modules=modules, device="cpu").eval()


def _embed(model: Any, texts: Sequence[str]) -> Array:
    return np.asarray(model.encode(list(texts), show_progress_bar=False), np.float64)


def _value(model: Any, loss: Any, *columns: Sequence[str], labels: Any = None) -> float:
    features = [model.preprocess(list(column)) for column in columns]
    with torch.no_grad():
        return float(loss(features, None if labels is None else torch.tensor(labels)))


def _cosines(u: Array, v: Array) -> Array:
    return (u / np.linalg.norm(u, axis=1, keepdims=True)) @ (
        v / np.linalg.norm(v, axis=1, keepdims=True)
    ).T


def _cross_entropy(logits: Array, labels: Sequence[int]) -> float:
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_share = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return float(-log_share[np.arange(len(labels)), labels].mean())


@pytest.mark.parametrize("concatenation", CONCATENATIONS)
def test_classification_is_a_softmax_over_the_concatenation(model: Any, concatenation: str) -> None:
    loss = build_loss("classification", model, LossOptions(concatenation=concatenation), 3)
    u, v = _embed(model, A), _embed(model, B)
    parts = {"u": u, "v": v, "|u-v|": np.abs(u - v), "u*v": u * v}
    seen = np.hstack([parts[name] for name in concatenation.split(",")])
    weight = loss.classifier.weight.detach().numpy().astype(np.float64)
    assert weight.shape == (3, seen.shape[1])
    logits = seen @ weight.T + loss.classifier.bias.detach().numpy()
    assert _value(model, loss, A, B, labels=[0, 2, 1]) == pytest.approx(
        _cross_entropy(logits, [0, 2, 1]), rel=1e-5
    )


def test_regression_is_the_mean_squared_error_of_the_cosine(model: Any) -> None:
    gold = np.array([0.9, 0.2, 0.5])
    cosines = np.diag(_cosines(_embed(model, A), _embed(model, B)))
    expected = ((cosines - gold) ** 2).mean()
    loss = build_loss("regression", model)
    assert _value(model, loss, A, B, labels=gold.tolist()) == pytest.approx(expected, rel=1e-5)


def test_cosent_ranks_the_cosines_as_the_scores_rank_the_pairs(model: Any) -> None:
    gold = [0.9, 0.2, 0.5]
    cosines = np.diag(_cosines(_embed(model, A), _embed(model, B)))
    terms = [
        np.exp((cosines[low] - cosines[high]) / 0.1)
        for high in range(3)
        for low in range(3)
        if gold[high] > gold[low]
    ]
    loss = build_loss("cosent", model, LossOptions(temperature=0.1))
    assert _value(model, loss, A, B, labels=gold) == pytest.approx(np.log(1 + sum(terms)), rel=1e-4)


def test_angle_ranks_the_angles_in_complex_space(model: Any) -> None:
    gold = [0.9, 0.2, 0.5]
    a, b = np.split(_embed(model, A), 2, axis=1)
    c, d = np.split(_embed(model, B), 2, axis=1)
    length = np.linalg.norm(np.hstack([c, d]), axis=1, keepdims=True) ** 2
    ratio = np.hstack([(a * c + b * d) / length, (b * c - a * d) / length])
    scale = np.linalg.norm(np.hstack([a, b]), axis=1) / np.linalg.norm(np.hstack([c, d]), axis=1)
    angles = np.abs(ratio.sum(axis=1) / scale)
    terms = [
        np.exp((angles[low] - angles[high]) / 0.05)
        for high in range(3)
        for low in range(3)
        if gold[high] > gold[low]
    ]
    loss = build_loss("angle", model)
    assert _value(model, loss, A, B, labels=gold) == pytest.approx(np.log(1 + sum(terms)), rel=1e-4)


def test_triplet_is_the_euclidean_margin_of_one(model: Any) -> None:
    a, p, n = (_embed(model, texts) for texts in (A, B, C))
    margins = np.linalg.norm(a - p, axis=1) - np.linalg.norm(a - n, axis=1) + 1
    loss = build_loss("triplet", model)
    assert (margins > 0).any()
    # torch adds 1e-6 to every difference before it takes the length.
    assert _value(model, loss, A, B, C) == pytest.approx(np.maximum(margins, 0).mean(), rel=1e-4)


def test_simcse_finds_each_sentence_again_at_a_temperature_of_one_twentieth(model: Any) -> None:
    loss = build_loss("simcse", model)
    expected = _cross_entropy(_cosines(_embed(model, A), _embed(model, A)) / 0.05, [0, 1, 2])
    assert _value(model, loss, A, A) == pytest.approx(expected, rel=1e-3, abs=1e-6)
    other = build_loss("simcse", model, LossOptions(temperature=1.0))
    warm = _cross_entropy(_cosines(_embed(model, A), _embed(model, A)), [0, 1, 2])
    assert _value(model, other, A, A) == pytest.approx(warm, rel=1e-4)


def test_supervised_simcse_has_the_contradictions_among_its_negatives(model: Any) -> None:
    a, p, n = (_embed(model, texts) for texts in (A, B, C))
    logits = np.hstack([_cosines(a, p), _cosines(a, n)]) / 0.05
    loss = build_loss("supervised-simcse", model)
    assert _value(model, loss, A, B, C) == pytest.approx(
        _cross_entropy(logits, [0, 1, 2]), rel=1e-4
    )


def test_contrastive_finds_the_positive_among_those_of_the_batch(model: Any) -> None:
    logits = _cosines(_embed(model, A), _embed(model, B)) / 0.05
    expected = _cross_entropy(logits, [0, 1, 2])
    assert _value(model, build_loss("contrastive", model), A, B) == pytest.approx(
        expected, rel=1e-4
    )


def test_a_batch_in_parts_gives_the_loss_and_the_gradient_of_the_whole(model: Any) -> None:
    def gradient(mini_batch: int | None) -> tuple[float, Any]:
        loss = build_loss("contrastive", model, LossOptions(mini_batch=mini_batch))
        model.zero_grad()
        value = loss([model.preprocess(column) for column in (A, B)], None)
        value.backward()
        return float(value.detach()), model[0].auto_model.embeddings.word_embeddings.weight.grad

    whole, wanted = gradient(None)
    parts, found = gradient(1)
    assert parts == pytest.approx(whole, rel=1e-5)
    assert torch.allclose(wanted, found, atol=1e-6)


def test_distil_is_the_mean_squared_error_to_the_teacher_on_both_sides(model: Any) -> None:
    targets = np.random.default_rng(0).normal(size=(3, 32)).astype(np.float32)
    expected = np.mean([((_embed(model, texts) - targets) ** 2).mean() for texts in (A, B)])
    loss = build_loss("distil", model)
    assert _value(model, loss, A, B, labels=targets) == pytest.approx(expected, rel=1e-4)


def test_matryoshka_adds_the_loss_of_the_first_dimensions(model: Any) -> None:
    gold = np.array([0.9, 0.2, 0.5])

    def error(dim: int) -> float:
        cosines = np.diag(_cosines(_embed(model, A)[:, :dim], _embed(model, B)[:, :dim]))
        return float(((cosines - gold) ** 2).mean())

    loss = build_loss("regression", model, LossOptions(dims=(8, 16)))
    assert _value(model, loss, A, B, labels=gold.tolist()) == pytest.approx(
        error(32) + error(16) + error(8), rel=1e-4
    )


def test_a_classifier_sees_whole_vectors(model: Any) -> None:
    loss = build_loss("classification", model, LossOptions(dims=(8,)), 3)
    assert loss.classifier.in_features == 3 * 32
    with torch.no_grad():
        features = [model.preprocess(column) for column in (A, B)]
        assert torch.isfinite(loss(features, torch.tensor([0, 1, 2])))


@pytest.mark.parametrize("dims", [(0,), (64,)])
def test_matryoshka_dimensions_have_to_fit(model: Any, dims: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="32 dimensions"):
        build_loss("regression", model, LossOptions(dims=dims))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_names_its_source_and_can_be_built(name: ObjectiveName, model: Any) -> None:
    record = RECORDS[name]
    assert "arXiv" in record.source or "kexue" in record.source
    assert record.shapes and record.summary
    assert isinstance(build_loss(name, model, n_labels=2), torch.nn.Module)


def test_options_that_make_no_sense_are_refused() -> None:
    with pytest.raises(DataError, match="concatenation"):
        LossOptions(concatenation="u+v")
    with pytest.raises(DataError, match="above 0"):
        LossOptions(temperature=0)
    with pytest.raises(DataError, match="unknown distance 'euclid'"):
        LossOptions(distance="euclid")  # type: ignore[arg-type]
    for name in ("similarities", "ranking"):
        with pytest.raises(DataError, match="at least 0"):
            LossOptions(**{name: -1.0})
