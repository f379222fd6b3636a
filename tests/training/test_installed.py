from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from semsearch.errors import MissingExtraError
from semsearch.training.pretraining import pretrain
from semsearch.training.run import train
from semsearch.training.settings import Settings
from tests.training.made import made_examples


@pytest.mark.parametrize("package", ["torch", "sentence_transformers", "accelerate", "datasets"])
def test_a_missing_package_is_named_before_anything_is_written(
    package: str, tiny_encoder_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec

    def without(name: str, *others: Any) -> Any:
        return None if name == package else find(name, *others)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    message = rf"{package.replace('_', '-')} .*pip install 'semsearch\[train\]'"
    with pytest.raises(MissingExtraError, match=message):
        train(
            Settings("cosent", str(tiny_encoder_dir)), made_examples("scored", 40), tmp_path / "o"
        )
    with pytest.raises(MissingExtraError, match=message):
        pretrain(["one text", "another text"], tmp_path / "p")
    assert list(tmp_path.iterdir()) == []
