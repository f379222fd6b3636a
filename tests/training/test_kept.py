"""What a teacher said is not asked for again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semsearch.encoder import Encoder
from semsearch.training import kept
from semsearch.training.kept import KeptVectors

TEXTS = ["my card", "lost", "我的卡", "fee", "pay", "bank", "cash"]


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setattr(kept, "_PART", 3)
    monkeypatch.setenv("SEMSEARCH_CACHE", str(tmp_path))
    yield


class Asked:
    """A teacher that counts, and is killed when it has had enough."""

    def __init__(self, encoder: Encoder, most: int = 100) -> None:
        self.fingerprint, self.dim = encoder.fingerprint, encoder.dim
        self.n, self._encoder, self._most = 0, encoder, most

    def encode(self, texts: Sequence[str], **options: Any) -> Any:
        if self.n + len(texts) > self._most:
            raise KeyboardInterrupt
        self.n += len(texts)
        return self._encoder.encode(texts, **options)


def test_a_run_that_was_killed_finds_what_was_said(tiny_encoder: Encoder) -> None:
    vectors = KeptVectors.of(TEXTS, tiny_encoder)
    with pytest.raises(KeyboardInterrupt):
        vectors.encode(TEXTS, Asked(tiny_encoder, most=6))  # type: ignore[arg-type]
    again, done = Asked(tiny_encoder), []
    found = KeptVectors.of(TEXTS, tiny_encoder).encode(TEXTS, again, done.append)  # type: ignore[arg-type]
    assert again.n == 1 and sum(done) == 7
    np.testing.assert_allclose(found, tiny_encoder.encode(TEXTS), atol=1e-6)
    vectors.remove()
    assert not vectors.folder.exists()


def test_other_sentences_or_another_teacher_are_kept_apart(
    tiny_encoder: Encoder, other_tiny_encoder_dir: Path
) -> None:
    other = Encoder.load(other_tiny_encoder_dir)
    folders = {
        KeptVectors.of(texts, teacher).folder
        for texts in (TEXTS, TEXTS[1:], TEXTS[::-1])
        for teacher in (tiny_encoder, other)
    }
    assert len(folders) == 6


def test_a_damaged_part_is_computed_again(tiny_encoder: Encoder) -> None:
    vectors = KeptVectors.of(TEXTS, tiny_encoder)
    first = vectors.encode(TEXTS, tiny_encoder)
    (vectors.folder / "3.npy").write_bytes(b"nonsense")
    np.save(vectors.folder / "6.npy", np.zeros((1, 2), np.float32))
    np.testing.assert_allclose(vectors.encode(TEXTS, tiny_encoder), first, atol=1e-6)
