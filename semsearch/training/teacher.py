"""What a student is to learn: its teacher's vectors."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from semsearch.encoder import Encoder
from semsearch.errors import DataError
from semsearch.training.dev import ScoredPairs, unit
from semsearch.training.examples import Examples
from semsearch.training.kept import KeptVectors
from semsearch.types import Embeddings, Ids

logger = logging.getLogger(__name__)

SAMPLE = 8_192
"""Sentences that a student and its teacher are compared by."""
FOLLOWS = 0.6
"""The least mean cosine of a student that has learnt from its teacher before."""

_BLOCK = 65_536


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """The vectors that a student is to match, each distinct one once.

    Attributes:
        vectors: (m, dim) float32.
        rows: (n,) int64: which of them each example has.
        positives: (n,) int64: which of them the positive of each pair has, where that is another
            than its anchor has; see `literal`.
        reduction: (dim, d) float32, the map that took the teacher's d dimensions to dim; None
            where they are as the teacher gave them.
        kept: the teacher's vectors in the user's cache, which a resumed run finds there.
    """

    vectors: Embeddings
    rows: Ids
    reduction: Embeddings | None = None
    kept: KeptVectors | None = None
    positives: Ids | None = None

    def __len__(self) -> int:
        return len(self.rows)


def targets_of(
    examples: Examples,
    teacher: Encoder,
    dim: int,
    *,
    reduce: bool = False,
    student: Encoder | None = None,
    progress: Callable[[int], None] | None = None,
) -> Targets:
    """The teacher's vector of each example, for the objective distil.

    Of pairs it is that of the anchor, which is in the teacher's language, and both sides are to
    match it (Reimers and Gurevych 2020, arXiv:2004.09813). A teacher with more dimensions than
    the student is reduced to the student's by `principal_axes`, which keeps cosines best.

    Args:
        examples: sentences, or pairs of a sentence and its translation.
        dim: of the student.
        reduce: also a teacher of as many dimensions, whose first ones then say most.
        student: that goes on learning; see `turned_towards`. None for one that begins.

    Raises:
        DataError: the teacher has fewer dimensions than the student, or there are too few
            examples to reduce it on.
    """
    texts = examples.columns["sentence" if examples.shape == "sentences" else "anchor"]
    if teacher.dim < dim:
        raise DataError(
            f"the teacher {teacher.source} has {teacher.dim} dimensions, the student {dim}: it "
            "cannot teach so many."
        )
    sentences = list(dict.fromkeys(texts))
    numbers = {text: number for number, text in enumerate(sentences)}
    rows = np.array([numbers[text] for text in texts], np.int64)
    reduce = reduce or teacher.dim > dim
    if reduce and len(numbers) <= dim:
        raise DataError(f"{len(numbers):,} examples are too few to reduce the teacher to {dim}.")
    logger.info("the teacher reads %s sentences", f"{len(numbers):,}")
    kept = KeptVectors.of(sentences, teacher)
    vectors = kept.encode(sentences, teacher, progress)
    if not reduce:
        return Targets(vectors, rows, kept=kept)
    axes, share = principal_axes(vectors, dim)
    logger.info("the teacher's %d dimensions reduced to %d: %.1f%% of their squared length",
                teacher.dim, dim, 100 * share)  # fmt: skip
    reduced = np.asarray(vectors @ axes.T, np.float32)
    if student is not None:
        turn, cosine = turned_towards(reduced, sentences, student)
        if cosine >= FOLLOWS:
            logger.info("the student follows its teacher already: a mean cosine of %.2f", cosine)
            axes, reduced = turn @ axes, reduced @ turn.T
    return Targets(reduced, rows, axes, kept)


def turned_towards(
    vectors: Embeddings, sentences: Sequence[str], student: Encoder
) -> tuple[Embeddings, float]:
    """The rotation that takes a teacher's vectors nearest to those of a student.

    Which directions principal axes have hangs on the sentences that they are of, and turning
    all vectors changes no cosine. A student that has learnt to follow its teacher on others
    would first have to learn the new directions, and forget what it knows over it.

    Args:
        vectors: (n, d) float32, the teacher's of the sentences.

    Returns:
        (d, d) float32, orthogonal (Schoenemann 1966: the orthogonal Procrustes problem); and the
        mean cosine of both, turned, over a sample of `SAMPLE` sentences.
    """
    from scipy.linalg import orthogonal_procrustes  # type: ignore[import-untyped]

    places = np.unique(np.linspace(0, len(sentences) - 1, SAMPLE).astype(np.int64))
    wanted = student.encode([sentences[place] for place in places])
    taught = unit(vectors[places])
    turn = orthogonal_procrustes(taught, wanted)[0].T.astype(np.float32)
    return turn, float((taught @ turn.T * wanted).sum(axis=1).mean())


def principal_axes(vectors: Embeddings, dim: int) -> tuple[Embeddings, float]:
    """The directions in which vectors are longest: PCA without centring, which changes cosines.

    Args:
        vectors: (n, d) float32.
        dim: directions, at most d.

    Returns:
        (dim, d) float32, orthonormal rows: the first right singular vectors, each with the sign
        that makes its largest entry positive; and the share of the squared length that lies in
        them.
    """
    d = vectors.shape[1]
    gram = np.zeros((d, d))
    for start in range(0, len(vectors), _BLOCK):
        block = vectors[start : start + _BLOCK].astype(np.float64)
        gram += block.T @ block
    squares, columns = np.linalg.eigh(gram)
    axes = columns[:, ::-1][:, :dim].T
    largest = axes[np.arange(dim), np.abs(axes).argmax(axis=1)]
    kept = float(squares[::-1][:dim].sum() / squares.sum())
    return np.ascontiguousarray(axes * np.sign(largest)[:, None], np.float32), kept


def dev_by_teacher(sentences: Sequence[str], teacher: Encoder) -> ScoredPairs:
    """How well the cosines of a student follow those of its teacher, on held-out sentences.

    Neighbours in the list are paired, so it should be in no order.
    """
    one, two = list(sentences[:-1]), list(sentences[1:])
    vectors = teacher.encode(list(sentences))
    scores = np.einsum("ij,ij->i", vectors[:-1], vectors[1:]).astype(np.float64)
    return ScoredPairs(
        Examples("scored", {"sentence1": one, "sentence2": two}, scores),
        "Spearman's correlation of cosines with the teacher's",
    )
