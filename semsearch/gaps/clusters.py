"""Group queries that ask the same, at a fineness that the bank itself teaches.

Average linkage by cosine (Sokal and Michener 1958), cut where the same cut would best have told
the bank's own standard questions apart, by adjusted mutual information (Vinh et al. 2010). So a
cluster is about as wide as a standard question of this bank is under this encoder.
"""

from __future__ import annotations

import numpy as np

from semsearch.review.bank import Filed, Floats, blocks
from semsearch.types import Ids, Vectors

AT_ONCE = 6000
"""Texts that are linked at a time: their distances are 150 MB."""

_QUESTIONS = 80
_PHRASINGS = 20  # of each, about as many as a gap has
_CUTS = 100


def cut_of(bank: Filed, seed: int = 0) -> float:
    """The cosine distance at which the bank's own standard questions come apart best.

    A bank without two phrasings of anything says only how near two different ones are: the cut is
    then what 19 in 20 do not fall below.
    """
    from sklearn.metrics import adjusted_mutual_info_score

    random = np.random.default_rng(seed)
    several = np.flatnonzero(bank.sizes > 1)
    if len(several) < 2:
        return _nearest_of_all(bank)
    rows = np.concatenate(
        [
            bank.starts[question] + random.permutation(int(bank.sizes[question]))[:_PHRASINGS]
            for question in random.permutation(several)[:_QUESTIONS]
        ]
    )
    tree = _tree(bank.vectors[rows])
    heights = np.unique(np.quantile(tree[:, 2], np.linspace(0, 1, _CUTS)))
    scores = [
        adjusted_mutual_info_score(bank.question[rows], _cut(tree, height)) for height in heights
    ]
    return float(heights[int(np.argmax(scores))])


def _nearest_of_all(bank: Filed) -> float:
    nearest = np.empty(len(bank))
    for block in blocks(len(bank), len(bank)):
        similar = bank.vectors[block] @ bank.vectors.T
        similar[np.arange(len(similar)), np.arange(block.start, block.stop)] = -1
        nearest[block] = similar.max(axis=1)
    return float(1 - np.quantile(nearest, 0.95))


def cluster(vectors: Vectors, cut: float) -> Ids:
    """A number (n,) for each text, the same for those that ask the same; 0 is the first text's.

    Args:
        vectors: (n, d), those asked most often first. Beyond `AT_ONCE`, a text joins the centre
            nearest to it if that is within the cut; what is left is linked on its own.
    """
    labels = np.full(len(vectors), -1, np.int64)
    while (open_ := np.flatnonzero(labels < 0)).size:
        taken, rest = open_[:AT_ONCE], open_[AT_ONCE:]
        found = _cut(_tree(vectors[taken]), cut) if len(taken) > 1 else np.zeros(1, np.int64)
        first = labels.max() + 1
        labels[taken] = first + found
        if len(rest):
            centres = np.zeros((int(found.max()) + 1, vectors.shape[1]), np.float32)
            np.add.at(centres, found, vectors[taken])
            # The mean cosine to all members, which is what average linkage goes by.
            centres /= np.bincount(found)[:, None]
            for block in blocks(len(rest), len(centres)):
                similar = vectors[rest[block]] @ centres.T
                best = similar.argmax(axis=1)
                near = 1 - similar[np.arange(len(best)), best] <= cut
                labels[rest[block][near]] = first + best[near]
    _, place, numbers = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(place))[numbers].astype(np.int64)


def _tree(vectors: Vectors) -> Floats:
    from scipy.cluster.hierarchy import linkage  # type: ignore[import-untyped]
    from scipy.spatial.distance import squareform  # type: ignore[import-untyped]

    distances = np.maximum(1 - vectors @ vectors.T, 0).astype(np.float64)
    np.fill_diagonal(distances, 0)
    return np.asarray(linkage(squareform(distances, checks=False), "average"))


def _cut(tree: Floats, height: float) -> Ids:
    from scipy.cluster.hierarchy import fcluster

    return np.asarray(fcluster(tree, height, "distance"), np.int64) - 1
