"""Vectors that lie together are one topic."""

from __future__ import annotations

import numpy as np
import pytest

from semsearch.errors import DataError
from semsearch.training.topics import topics_of


def test_what_lies_together_is_a_topic() -> None:
    rng = np.random.default_rng(0)
    centres = np.eye(4, 16)[rng.permutation(np.repeat(np.arange(4), 50))]
    vectors = (centres + 0.01 * rng.normal(size=centres.shape)).astype(np.float32)
    topics = topics_of(vectors, 4)
    assert topics.dtype == np.int64
    pairs = {
        (int(topic), int(centre)) for topic, centre in zip(topics, centres.argmax(1), strict=True)
    }
    assert len(pairs) == 4
    np.testing.assert_array_equal(topics, topics_of(vectors, 4))


def test_more_topics_than_sentences_are_refused() -> None:
    with pytest.raises(DataError, match="--topics 5 is more than the 3 sentences"):
        topics_of(np.eye(3, dtype=np.float32), 5)
