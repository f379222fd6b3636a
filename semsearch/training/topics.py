"""Which sentences are alike, as their vectors say."""

from __future__ import annotations

import numpy as np

from semsearch.errors import DataError
from semsearch.types import Embeddings, Ids

_SAMPLE = 100
"""Vectors of each topic that its centre is found from."""


def topics_of(vectors: Embeddings, n_topics: int) -> Ids:
    """(n,) int64: the topic of each vector, numbered from 0, by k-means.

    Args:
        vectors: (n, d) float32.

    Raises:
        DataError: there are fewer vectors than topics.
    """
    from sklearn.cluster import MiniBatchKMeans

    if len(vectors) < n_topics:
        raise DataError(f"--topics {n_topics:,} is more than the {len(vectors):,} sentences.")
    rng = np.random.default_rng(0)
    n = min(len(vectors), _SAMPLE * n_topics)
    sample = vectors[np.sort(rng.choice(len(vectors), n, replace=False))]
    means = MiniBatchKMeans(n_topics, random_state=0, batch_size=4096, n_init=1, max_iter=20)
    return np.asarray(means.fit(sample).predict(vectors), np.int64)
