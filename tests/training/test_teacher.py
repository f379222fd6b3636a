from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from semsearch.encoder import Encoder
from semsearch.errors import DataError
from semsearch.training.dev import dev_of
from semsearch.training.examples import Examples
from semsearch.training.run import train
from semsearch.training.settings import Settings
from semsearch.training.teacher import Targets, dev_by_teacher, principal_axes, targets_of
from tests.training.made import made_examples


def test_the_target_is_the_teachers_vector_of_the_sentence(tiny_encoder: Encoder) -> None:
    examples = made_examples("sentences", 5)
    targets = targets_of(examples, tiny_encoder, 32)
    assert targets.reduction is None
    np.testing.assert_array_equal(
        targets.vectors[targets.rows], tiny_encoder.encode(examples.columns["sentence"])
    )


def test_the_target_of_a_pair_is_that_of_the_side_the_teacher_reads(tiny_encoder: Encoder) -> None:
    examples = Examples("pairs", {"anchor": ["my card"], "positive": ["我的卡"]})
    targets = targets_of(examples, tiny_encoder, 32)
    np.testing.assert_array_equal(targets.vectors, tiny_encoder.encode(["my card"]))


def test_a_text_that_comes_often_is_encoded_and_kept_once(tiny_encoder: Encoder) -> None:
    anchors = ["my card", "the fee", "my card"]
    examples = Examples("pairs", {"anchor": anchors, "positive": ["我的卡", "费用", "卡"]})
    targets = targets_of(examples, tiny_encoder, 32)
    assert targets.vectors.shape == (2, 32) and len(targets) == 3
    assert targets.rows.tolist() == [0, 1, 0]


def test_a_wider_teacher_is_reduced_so_that_cosines_stay(tiny_encoder: Encoder) -> None:
    examples = made_examples("sentences", 200)
    whole = tiny_encoder.encode(list(dict.fromkeys(examples.columns["sentence"])))
    targets = targets_of(examples, tiny_encoder, 16)
    reduced = targets.vectors
    assert reduced.shape == (len(whole), 16) and len(targets) == 200
    lengths = np.linalg.norm(reduced, axis=1)
    cosines = (reduced @ reduced.T) / np.outer(lengths, lengths)
    assert np.corrcoef(cosines.ravel(), (whole @ whole.T).ravel())[0, 1] > 0.99
    assert targets.reduction is not None
    np.testing.assert_allclose(whole @ targets.reduction.T, reduced, atol=1e-6)


def test_a_teacher_of_as_many_dimensions_can_be_turned(tiny_encoder: Encoder) -> None:
    examples = made_examples("sentences", 200)
    whole = targets_of(examples, tiny_encoder, 32).vectors
    turned = targets_of(examples, tiny_encoder, 32, reduce=True).vectors
    np.testing.assert_allclose(turned @ turned.T, whole @ whole.T, atol=1e-4)
    squares = (turned**2).sum(axis=0)
    assert (np.diff(squares) <= 1e-4).all(), "the first dimensions are to say most"


def test_principal_axes_are_the_right_singular_vectors() -> None:
    vectors = np.random.default_rng(0).normal(1, 1, size=(50, 8)).astype(np.float32)
    axes, kept = principal_axes(vectors, 3)
    _, values, rows = np.linalg.svd(vectors.astype(np.float64), full_matrices=False)
    np.testing.assert_allclose(np.abs(axes @ rows[:3].T), np.eye(3), atol=1e-5)
    assert (axes[np.arange(3), np.abs(axes).argmax(axis=1)] > 0).all()
    assert kept == pytest.approx((values[:3] ** 2).sum() / (values**2).sum())


class Student:
    """Gives vectors that are made for it."""

    def __init__(self, vectors: dict[str, np.ndarray]) -> None:
        self._vectors = vectors

    def encode(self, texts: list[str]) -> np.ndarray:
        return np.stack([self._vectors[text] for text in texts])


def _unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_a_student_that_goes_on_keeps_its_directions(tiny_encoder: Encoder) -> None:
    examples = made_examples("sentences", 200)
    texts = list(dict.fromkeys(examples.columns["sentence"]))
    others = made_examples("sentences", 200, seed=1)  # what it has learnt on
    learnt = targets_of(others, tiny_encoder, 16)
    assert learnt.reduction is not None
    known = _unit(tiny_encoder.encode(texts) @ learnt.reduction.T)
    student = Student(dict(zip(texts, known, strict=True)))

    plain = targets_of(examples, tiny_encoder, 16)
    assert (_unit(plain.vectors) * known).sum(axis=1).mean() < 0.9, "other texts, other axes"
    turned = targets_of(examples, tiny_encoder, 16, student=student)  # type: ignore[arg-type]
    assert (_unit(turned.vectors) * known).sum(axis=1).mean() > 0.97
    np.testing.assert_allclose(
        turned.vectors @ turned.vectors.T, plain.vectors @ plain.vectors.T, atol=1e-4
    )
    assert turned.reduction is not None
    np.testing.assert_allclose(
        tiny_encoder.encode(texts) @ turned.reduction.T, turned.vectors, atol=1e-5
    )


def test_a_student_that_knows_nothing_yet_learns_the_principal_axes(tiny_encoder: Encoder) -> None:
    examples = made_examples("sentences", 200)
    texts = list(dict.fromkeys(examples.columns["sentence"]))
    noise = np.random.default_rng(0).normal(size=(len(texts), 16))
    student = Student(dict(zip(texts, _unit(noise), strict=True)))
    turned = targets_of(examples, tiny_encoder, 16, student=student)  # type: ignore[arg-type]
    np.testing.assert_array_equal(turned.vectors, targets_of(examples, tiny_encoder, 16).vectors)


def test_a_narrower_teacher_cannot_teach(tiny_encoder: Encoder) -> None:
    with pytest.raises(DataError, match="32 dimensions, the student 64"):
        targets_of(made_examples("sentences", 5), tiny_encoder, 64)


def test_too_few_examples_cannot_reduce_a_teacher(tiny_encoder: Encoder) -> None:
    with pytest.raises(DataError, match="too few to reduce"):
        targets_of(made_examples("sentences", 5), tiny_encoder, 16)


def test_a_student_comes_nearer_to_its_teacher(
    tiny_encoder: Encoder, other_tiny_encoder_dir: Path, tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    examples = made_examples("sentences", 500)
    learnt = examples.take(range(300))
    dev = dev_by_teacher([*examples.columns["sentence"][300:]], tiny_encoder)
    assert len(dev) == 199
    chosen = Settings("distil", str(other_tiny_encoder_dir), epochs=6, batch_size=16,
                      learning_rate=3e-3)  # fmt: skip
    targets = targets_of(learnt, tiny_encoder, 32)
    report = train(chosen, learnt, tmp_path / "s", dev=dev, targets=targets, device="cpu")
    assert report.gain is not None
    assert report.gain.low > 0, str(report.gain)
    student = Encoder.load(tmp_path / "s")
    texts = list(examples.columns["sentence"][300:])
    near = np.einsum("ij,ij->i", student.encode(texts), tiny_encoder.encode(texts)).mean()
    far = np.einsum(
        "ij,ij->i", Encoder.load(other_tiny_encoder_dir).encode(texts), tiny_encoder.encode(texts)
    ).mean()
    assert near > far + 0.3


def test_vectors_and_examples_have_to_go_together(tiny_encoder_dir: Path, tmp_path: Path) -> None:
    examples = made_examples("sentences", 80)
    with pytest.raises(DataError, match="go with the objective distil"):
        train(Settings("distil", str(tiny_encoder_dir)), examples, tmp_path / "s")
    with pytest.raises(DataError, match="10 vectors do not go with 80"):
        train(
            Settings("distil", str(tiny_encoder_dir)), examples, tmp_path / "s",
            targets=Targets(np.zeros((10, 32), np.float32), np.arange(10)),
        )  # fmt: skip
    assert len(dev_of(examples)) > 0
