"""Every backbone learns by every objective, and gives the same vectors wherever it is loaded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from semsearch.encoder import Encoder
from semsearch.training.objectives import OBJECTIVES, RECORDS
from semsearch.training.run import train
from semsearch.training.settings import Settings
from semsearch.training.teacher import Targets
from tests.training.backbones import BACKBONES, build_backbone
from tests.training.made import made_examples

pytest.importorskip("torch")
pytest.importorskip("sentence_transformers")

TEXTS = ["my card is lost", "refund", "how do i reset the password of my phone", "我的卡丢了"]


@pytest.mark.parametrize("kind", BACKBONES)
def test_a_backbone_learns_by_every_objective(
    kind: str, tmp_path: Path, tiny_encoder_dir: Path
) -> None:
    from sentence_transformers import SentenceTransformer

    base = build_backbone(kind, tmp_path / "base", tiny_encoder_dir)
    before = Encoder.load(base, runtime="torch").encode(TEXTS)
    for objective in OBJECTIVES:
        examples = made_examples(RECORDS[objective].shapes[0], 12)
        vectors = np.random.default_rng(0).normal(size=(12, 32)).astype(np.float32)
        targets = Targets(vectors, np.arange(12))
        settings = Settings(objective, str(base), steps=3, batch_size=4, learning_rate=1e-3)
        out = tmp_path / objective
        report = train(
            settings, examples, out, targets=targets if objective == "distil" else None,
            device="cpu",
        )  # fmt: skip
        assert report.steps == 3
        after = Encoder.load(out, runtime="torch").encode(TEXTS)
        assert np.isfinite(after).all()
        assert np.abs(after - before).max() > 1e-4, f"{objective} changed nothing"
    plain = SentenceTransformer(str(out), device="cpu").encode(TEXTS, normalize_embeddings=True)
    np.testing.assert_allclose(plain, after, atol=1e-5)
    on_onnx = Encoder.load(out, runtime="onnx").encode(TEXTS)
    np.testing.assert_allclose(on_onnx, after, atol=1e-4)
    assert on_onnx.shape == (4, 32)
