"""What a record says about how it was measured."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import semsearch
from semsearch.encoder import Encoder
from semsearch.evaluation import provenance


def test_a_record_names_commit_versions_and_processor_but_no_machine() -> None:
    found = provenance.collect()
    assert found["semsearch"] == semsearch.__version__ and found["cpu"]
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?", found["commit"] or "0" * 40)
    assert found["versions"]["numpy"] and "no-such-package" not in found["versions"]
    assert provenance.collect(["no-such-package"])["versions"] == {}
    assert str(Path.home()) not in json.dumps(found)


def test_outside_a_checkout_there_is_no_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(semsearch, "__file__", str(tmp_path / "semsearch" / "__init__.py"))
    assert provenance.commit() is None
    (tmp_path / ".git").mkdir()  # not really one
    assert provenance.commit() is None


def test_an_encoder_is_described_by_its_fingerprint(tiny_encoder: Encoder) -> None:
    found = provenance.describe(tiny_encoder)
    assert found["fingerprint"] == tiny_encoder.fingerprint.digest
    assert (found["dim"], found["pooling"], found["runtime"]) == (32, "mean", "onnx")
