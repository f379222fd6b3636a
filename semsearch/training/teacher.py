"""What a student is to learn: its teacher's vectors."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import numpy as np

from semsearch.encoder import Encoder
from semsearch.errors import DataError
from semsearch.training.dev import ScoredPairs
from semsearch.training.examples import Examples
from semsearch.types import Embeddings

logger = logging.getLogger(__name__)


def targets_of(
    examples: Examples,
    teacher: Encoder,
    dim: int,
    *,
    progress: Callable[[int], None] | None = None,
) -> Embeddings:
    """The teacher's vector of each example, for the objective distil.

    Of pairs it is that of the anchor, which is in the teacher's language, and both sides are to
    match it (Reimers and Gurevych 2020, arXiv:2004.09813). A teacher with more dimensions than
    the student is reduced to the student's by PCA, which keeps cosines best.

    Args:
        examples: sentences, or pairs of a sentence and its translation.
        dim: of the student.

    Returns:
        (n, dim) float32.

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
    vectors = teacher.encode(list(texts), progress=progress)
    if teacher.dim == dim:
        return vectors
    if len(vectors) <= dim:
        raise DataError(f"{len(vectors):,} examples are too few to reduce the teacher to {dim}.")
    from sklearn.decomposition import PCA

    reduction = PCA(dim, svd_solver="full").fit(vectors)
    kept = float(reduction.explained_variance_ratio_.sum())
    logger.info("the teacher's %d dimensions reduced to %d: %.1f%% of their variance",
                teacher.dim, dim, 100 * kept)  # fmt: skip
    # Without centring: it would change the cosines.
    return np.asarray(vectors @ reduction.components_.T, np.float32)


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
