"""An index is built in the fastest precision that is as good, and answers in any other."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from semsearch import Encoder, Index, StandardQuestion
from semsearch.cli import cli
from semsearch.encoder import fastest, openvino
from semsearch.errors import EncoderError, EncoderMismatchError

WORDS = ("card", "order", "refund", "parcel", "password", "invoice", "退款", "订单")
MANY = [
    StandardQuestion(f"k{n}", f"how do I change {WORDS[n % 8]} {n}", f"answer {n}")
    for n in range(fastest.MANY)
]
FEW = MANY[:50]


@pytest.fixture(scope="module")
def _installed():
    pytest.importorskip("openvino")


@pytest.fixture(scope="module")
def large(tmp_path_factory, tiny_encoder_dir, _installed) -> Path:
    path = tmp_path_factory.mktemp("large") / "faq"
    Index.build(MANY, path, encoder=tiny_encoder_dir).close()
    return path


def test_a_large_bank_is_encoded_in_the_fastest_precision_and_info_says_so(large):
    with Index.open(large) as index:
        info = index.info()
        assert (info["runtime"], info["precision"]) == ("openvino", openvino.native()[0])
        assert (index.encoder.runtime, index.encoder.precision) == ("onnx", "float32")
        found = index.search([question.question for question in FEW], 1)
    assert [result.hits[0].key for result in found] == [question.key for question in FEW]
    assert min(result.hits[0].score for result in found) > 0.99


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "int8"])
def test_queries_may_be_encoded_in_any_precision(large, precision):
    with Index.open(large, precision=precision) as index:
        assert index.search("how do I change card 0", 1)[0].hits[0].key == "k0"
        assert index.encoder.precision == precision


def test_what_is_added_later_fits_in(large, tiny_encoder_dir):
    more = [StandardQuestion("new", "where is the shop")]
    with Index.open(large) as index:
        index.add(more)
        assert index.search("where is the shop", 1)[0].hits[0].score > 0.999
        assert index.verify().ok
        index.remove(["new"])


def test_other_weights_are_refused_in_any_precision(large, other_tiny_encoder_dir):
    with pytest.raises(EncoderMismatchError):
        Index.open(large, encoder=other_tiny_encoder_dir, precision="int8")


def test_vectors_that_int8_did_change_are_noticed(large, monkeypatch):
    """The same fingerprint is no proof that what was stored is what it gives."""
    encode = Encoder.encode

    def turned(self, texts, **choices):
        return np.roll(encode(self, texts, **choices), 1, axis=1)

    monkeypatch.setattr(Encoder, "encode", turned)
    refused = pytest.raises(EncoderMismatchError, match="in float32; the index was encoded in int8")
    with Index.open(large) as index, refused:
        index.search("how do I change card 0")


def test_a_small_bank_is_encoded_as_ever(tmp_path, tiny_encoder_dir):
    with Index.build(FEW, tmp_path / "faq", encoder=tiny_encoder_dir) as index:
        assert (index.info()["runtime"], index.info()["precision"]) == ("onnx", "float32")


def test_an_asked_precision_is_taken_and_kept(tmp_path, tiny_encoder_dir, _installed):
    with Index.build(
        FEW, tmp_path / "faq", encoder=tiny_encoder_dir, precision="bfloat16"
    ) as index:
        assert (index.info()["runtime"], index.info()["precision"]) == ("openvino", "bfloat16")


def test_whitening_is_not_done_in_int8(tmp_path, tiny_encoder_dir, _installed):
    with pytest.raises(EncoderError, match="--precision bfloat16"):
        Index.build(FEW, tmp_path / "faq", encoder=tiny_encoder_dir, precision="int8", whiten=8)
    assert not (tmp_path / "faq").exists()
    with Index.build(MANY, tmp_path / "faq", encoder=tiny_encoder_dir, whiten=8) as index:
        assert index.info()["precision"] == "float32"


@pytest.fixture
def table(tmp_path) -> Path:
    file = tmp_path / "faq.csv"
    rows = [f"{q.key},{q.question},{q.answer}" for q in FEW]
    file.write_text("\n".join(["key,question,answer", *rows]) + "\n", encoding="utf-8")
    return file


def test_the_commands_take_a_precision(tmp_path, table, tiny_encoder_dir, _installed):
    run, index = CliRunner().invoke, str(tmp_path / "index")
    built = run(cli, ["build", str(table), index, "--encoder", str(tiny_encoder_dir),
                       "--precision", "int8", "--json"])  # fmt: skip
    assert built.exit_code == 0, built.output
    assert json.loads(built.stdout)["precision"] == "int8"
    asked = run(cli, ["query", index, "how do I change card 0", "--json"])
    assert json.loads(asked.stdout)["hits"][0]["key"] == "k0"
    shown = run(cli, ["encoder", str(tiny_encoder_dir), "--precision", "bfloat16", "--json"])
    assert json.loads(shown.stdout)["precision"] == "bfloat16"


@pytest.mark.parametrize("option", [("--precision", "int8"), ("--runtime", "openvino")])
def test_without_openvino_a_command_says_what_to_install(
    tmp_path, table, tiny_encoder_dir, monkeypatch, option
):
    monkeypatch.setattr(openvino, "is_installed", lambda: False)
    index = str(tmp_path / "index")
    command = ["build", str(table), index, "--encoder", str(tiny_encoder_dir), *option]
    found = CliRunner().invoke(cli, command)
    assert found.exit_code == 2
    assert found.stderr.strip().endswith("Run: pip install 'semsearch[openvino]'")
    assert len(found.stderr.strip().splitlines()) == 1
