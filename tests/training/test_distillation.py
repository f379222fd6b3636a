"""The parts of the distillation loss against their formulas, in NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from semsearch.training.objectives import LossOptions, build_loss

torch = pytest.importorskip("torch")
pytest.importorskip("sentence_transformers")

A = ["my card is lost", "when is the parcel here", "how do i pay"]
B = ["the card was stolen", "track my order", "what is the fee"]
NEAR = 0.95

Array = NDArray[np.float64]


@pytest.fixture(scope="module")
def model(tiny_encoder_dir: Path) -> Any:
    from sentence_transformers import SentenceTransformer

    # Without the last Normalize: that lengths matter or do not is a part of the formulas.
    modules = list(SentenceTransformer(str(tiny_encoder_dir), device="cpu").children())[:2]
    return SentenceTransformer(modules=modules, device="cpu").eval()


@pytest.fixture(scope="module")
def targets() -> NDArray[np.float32]:
    """Of three rows; those of the first two are nearly the same."""
    rows = np.random.default_rng(0).normal(size=(3, 32))
    one, two = rows[0] / np.linalg.norm(rows[0]), rows[1]
    aside = two - (two @ one) * one
    aside /= np.linalg.norm(aside)
    rows[1] = 3 * (NEAR * one + np.sqrt(1 - NEAR**2) * aside)
    return rows.astype(np.float32)


def embed(model: Any, texts: list[str]) -> Array:
    return np.asarray(model.encode(texts, show_progress_bar=False), np.float64)


def value(model: Any, options: LossOptions, targets: Any, *columns: list[str]) -> float:
    features = [model.preprocess(column) for column in columns]
    with torch.no_grad():
        return float(build_loss("distil", model, options)(features, torch.as_tensor(targets)))


def unit(rows: Array) -> Array:
    rows = np.asarray(rows, np.float64)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def cosine_distance(student: Array, teacher: Array) -> float:
    return float((1 - (unit(student) * unit(teacher)).sum(axis=1)).mean())


def similarity_error(student: Array, teacher: Array) -> float:
    student, teacher = unit(student), unit(teacher)
    return float(((student @ student.T - teacher @ teacher.T) ** 2).mean())


def ranking(student: Array, teacher: Array, temperature: float) -> float:
    student, teacher = unit(student), unit(teacher)
    terms = []
    for row in range(len(student)):
        logits = teacher @ student[row] / temperature
        near = teacher @ teacher[row] > 0.9
        others = [logits[other] for other in range(len(logits)) if other == row or not near[other]]
        terms.append(np.log(np.exp(others).sum()) - logits[row])
    return float(np.mean(terms))


def test_cosine_is_the_mean_distance_of_both_sides_to_the_target(model: Any, targets: Any) -> None:
    expected = np.mean([cosine_distance(embed(model, texts), targets) for texts in (A, B)])
    found = value(model, LossOptions(distance="cosine"), targets, A, B)
    assert found == pytest.approx(expected, rel=1e-5)


def test_similarities_are_those_of_all_sentences_of_the_batch(model: Any, targets: Any) -> None:
    student = np.vstack([embed(model, A), embed(model, B)])
    both = np.vstack([targets, targets])
    squares = ((student - both) ** 2).mean()
    found = value(model, LossOptions(similarities=2), targets, A, B)
    assert found == pytest.approx(squares + 2 * similarity_error(student, both), rel=1e-5)


def test_ranking_has_no_negatives_that_mean_the_same(model: Any, targets: Any) -> None:
    student = embed(model, A)
    for temperature in (0.05, 0.5):
        options = LossOptions(temperature, distance="cosine", ranking=0.1)
        expected = cosine_distance(student, targets) + 0.1 * ranking(student, targets, temperature)
        assert value(model, options, targets, A) == pytest.approx(expected, rel=1e-4)
    # With two sentences of one meaning and no other, there is nothing to be told from.
    two = value(model, LossOptions(distance="cosine", ranking=1), targets[:2], A[:2])
    assert two == pytest.approx(cosine_distance(student[:2], targets[:2]), rel=1e-5)


def test_both_sides_of_a_pair_look_for_one_target(model: Any, targets: Any) -> None:
    student = np.vstack([embed(model, A), embed(model, B)])
    both = np.vstack([targets, targets])
    expected = cosine_distance(student, both) + ranking(student, both, 0.05)
    found = value(model, LossOptions(distance="cosine", ranking=1), targets, A, B)
    assert found == pytest.approx(expected, rel=1e-4)


def test_the_first_dimensions_count_half(model: Any, targets: Any) -> None:
    student = embed(model, A)

    def error(dim: int) -> float:
        near, far = student[:, :dim], targets[:, :dim]
        return cosine_distance(near, far) + 2 * similarity_error(near, far)

    options = LossOptions(distance="cosine", similarities=2, dims=(16, 8))
    assert value(model, options, targets, A) == pytest.approx(
        error(32) + error(16) / 2 + error(8) / 2, rel=1e-4
    )


def test_it_is_computed_in_full_precision_where_the_model_is_not(model: Any, targets: Any) -> None:
    from semsearch.training.distillation import DistillationLoss

    loss = DistillationLoss(model, "cosine", similarities=2, ranking=1)
    student = torch.as_tensor(embed(model, A)).to(torch.bfloat16)
    expected = loss.compute_loss_from_embeddings([student.float()], [torch.as_tensor(targets)])
    with torch.autocast("cpu", torch.bfloat16):
        found = loss.compute_loss_from_embeddings([student], [torch.as_tensor(targets)])
    assert found.dtype == torch.float32
    assert float(found) == float(expected)


def test_targets_can_be_named_by_number(model: Any, targets: Any) -> None:
    from semsearch.training.distillation import NumberedTargets

    options = LossOptions(distance="cosine", similarities=2, ranking=0.1, dims=(8,))
    loss = NumberedTargets(build_loss("distil", model, options), targets)
    numbers = torch.tensor([2, 0, 0])
    with torch.no_grad():
        found = float(loss([model.preprocess(A)], numbers))
    assert found == value(model, options, targets[[2, 0, 0]], A)
    ours = dict(loss.named_parameters())
    assert {id(weight) for weight in ours.values()} == {id(w) for w in model.parameters()}
    assert not list(loss.buffers())[len(list(model.buffers())) :], "targets would be saved"


def test_what_is_learnt_by_default_is_the_papers_error(model: Any) -> None:
    from sentence_transformers.sentence_transformer.losses import MSELoss

    assert type(build_loss("distil", model)) is MSELoss
