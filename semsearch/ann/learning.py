"""What a FAISS index learns before it is filled: rotations, clusters, codes and their ranges."""

from __future__ import annotations

from typing import Any

import numpy as np

from semsearch.ann import twofold
from semsearch.ann.library import faiss, parts
from semsearch.ann.parameters import clusters_of
from semsearch.ann.setting import Setting, said
from semsearch.errors import FactoryError
from semsearch.types import Vectors


def train(index: Any, vectors: Vectors, setting: Setting) -> None:
    """Learn what the setting learns from the vectors (n, dim) themselves.

    Raises:
        FactoryError: there are too few.
    """
    try:
        learn(index, vectors)
    except RuntimeError as error:
        raise FactoryError(
            f"{len(vectors):,} vectors are too few for {setting.factory}: {said(error)}."
        ) from error


def learn(index: Any, vectors: Vectors) -> None:
    """The same, as FAISS says it.

    Clusters are learnt from as many as FAISS takes; of more, it would transform all.

    Raises:
        RuntimeError: there are too few.
    """
    library, index = faiss(), faiss().downcast_index(index)
    if twofold.is_twofold(index):
        _train(twofold.base_of(index), _sample(index, vectors))
        twofold.learn_ranges(index, vectors)
    elif isinstance(index, library.IndexRefine):
        _train(library.downcast_index(index.base_index), _sample(index, vectors))
        index.refine_index.train(vectors)
        index.is_trained = True
    else:
        _train(index, _sample(index, vectors))


def _sample(index: Any, vectors: Vectors) -> Vectors:
    ivf = clusters_of(index)
    most = len(vectors) if ivf is None else ivf.nlist * ivf.cp.max_points_per_centroid
    if len(vectors) <= most:
        return vectors
    rows = np.random.default_rng(0).choice(len(vectors), most, replace=False, shuffle=False)
    return np.asarray(vectors[np.sort(rows)], np.float32)


def _train(index: Any, vectors: Vectors) -> None:
    library = faiss()
    if isinstance(index, library.IndexPreTransform):
        for number in range(index.chain.size()):
            step = library.downcast_VectorTransform(index.chain.at(number))
            if not step.is_trained:
                step.train(vectors)
            vectors = np.concatenate([step.apply(vectors[part]) for part in parts(len(vectors))])
        _train(library.downcast_index(index.index), vectors)
        index.is_trained = True
    else:
        index.train(vectors)
