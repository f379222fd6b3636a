"""The encoder that comes with the package."""

from __future__ import annotations

import csv
import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from semsearch.encoder import Encoder
from semsearch.encoder.source import resolve
from semsearch.errors import EncoderError
from semsearch.files import folder_size
from semsearch.tables import read_bank

DEMO = Path(__file__).parents[2] / "index" / "demo"
FOLDER = resolve("embedded")


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder.load("embedded")


def test_every_file_is_what_was_shipped() -> None:
    lines = (FOLDER / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    kept = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    found = {
        path.relative_to(FOLDER).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in FOLDER.rglob("*")
        if path.is_file() and path.name != "SHA256SUMS"
    }
    assert found == kept


def test_it_is_small_and_says_what_it_is() -> None:
    assert folder_size(FOLDER) <= 20 << 20
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert "license: apache-2.0" in card and "CC BY-SA" in card and "all-MiniLM-L6-v2" in card


def test_it_loads_without_torch_and_without_a_network() -> None:
    code = (
        "import socket, sys\n"
        "def refuse(*a, **k): raise OSError('no network')\n"
        "socket.socket.connect = refuse\n"
        "from semsearch import Encoder\n"
        "vectors = Encoder.load('embedded').encode(['hello', '你好'])\n"
        "assert vectors.shape == (2, 256), vectors.shape\n"
        "heavy = {'torch', 'transformers', 'sentence_transformers'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_vectors_have_unit_length_whatever_the_text(encoder: Encoder) -> None:
    texts = ["", " ", "?", "🙂", "refund", "退款", "重" * 3000, "Hello " * 900, "ⅷ\x00\ufeff"]
    vectors = encoder.encode(texts)
    assert vectors.dtype == np.float32 and vectors.shape == (len(texts), 256)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_simplified_and_traditional_are_one(encoder: Encoder) -> None:
    simplified = ["银行卡丢了怎么挂失？", "这个商品可以退货吗？"]
    traditional = ["銀行卡丟了怎麼掛失？", "這個商品可以退貨嗎？"]
    a, b = encoder.encode(simplified), encoder.encode(traditional)
    assert (a * b).sum(axis=1).min() > 0.98


@pytest.mark.parametrize("dim", [256, 128, 64])
def test_a_question_is_found_in_the_other_language(encoder: Encoder, dim: int) -> None:
    english = ["Where can I buy a ticket?", "It is raining today.", "I lost my bank card.",
               "How old are you?", "The cat is sleeping on the sofa."]  # fmt: skip
    chinese = [
        "我在哪里可以买票？",
        "今天下雨。",
        "我的银行卡丢了。",
        "你多大了？",
        "猫在沙发上睡觉。",
    ]
    a, b = (vectors[:, :dim] for vectors in (encoder.encode(english), encoder.encode(chinese)))
    cosines = a @ b.T / np.outer(np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1))
    assert cosines.argmax(axis=1).tolist() == list(range(5))
    assert cosines.argmax(axis=0).tolist() == list(range(5))


@pytest.mark.parametrize(("bank", "least"), [("bank_zh", 0.75), ("shop", 0.5)])
def test_the_sample_banks_are_answered(encoder: Encoder, bank: str, least: float) -> None:
    questions = read_bank(DEMO / f"{bank}.csv").questions
    phrasings = [(text, q.key) for q in questions for text in q.texts]
    with (DEMO / f"{bank}_queries.csv").open(encoding="utf-8", newline="") as file:
        queries = [(row["text"], row["key"]) for row in csv.DictReader(file) if row["key"]]
    texts, keys = zip(*phrasings, strict=True)
    asked, wanted = zip(*queries, strict=True)
    nearest = (encoder.encode(asked) @ encoder.encode(texts).T).argmax(axis=1)
    right = [keys[n] == key for n, key in zip(nearest, wanted, strict=True)]
    assert np.mean(right) >= least


def test_it_cannot_be_trained_or_moved_to_torch() -> None:
    with pytest.raises(EncoderError, match="ONNX"):
        Encoder.load("embedded", runtime="torch")
