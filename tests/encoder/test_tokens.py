import json

import numpy as np
import pytest

from semsearch.encoder.config import read_layout
from semsearch.encoder.tokens import TextTokenizer, find_bad_text
from semsearch.errors import EncoderError
from tests.encoder.changes import copy_of

TEXTS = [
    "",
    "   ",
    "How do I reset my PASSWORD?",
    "怎么申请退款？",
    "Café 🙂 中文 mixed",
    "[MASK] [SEP] special",
    "nul \0 and \u200b and \ufeff",
    "word " * 300,
    "x" * 200,
]


def ids_of(layout):
    return [encoding.ids for encoding in TextTokenizer.load(layout).encode(TEXTS)]


def reference_ids(path, max_length):
    """As sentence-transformers splits texts."""
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    return tokenizer(TEXTS, truncation=True, max_length=max_length)["input_ids"]


def test_truncation_and_padding_baked_into_the_file_are_not_used(tiny_encoder_dir):
    layout = read_layout(tiny_encoder_dir)
    baked = json.loads((tiny_encoder_dir / "tokenizer.json").read_text())
    assert baked["truncation"]["max_length"] == 16
    found = ids_of(layout)
    assert [len(ids) for ids in found[:2]] == [2, 2]
    assert max(map(len, found)) == 64
    assert found == reference_ids(tiny_encoder_dir, 64)


@pytest.mark.parametrize(
    "options",
    [
        {"do_lower_case": False},
        {"do_lower_case": False, "strip_accents": True},
        {"strip_accents": False},
        {"tokenize_chinese_chars": False},
        {"tokenizer_class": "BertTokenizerFast", "do_lower_case": False},
    ],
)
@pytest.mark.parametrize("file", ["tokenizer.json", "vocab.txt"])
def test_options_of_a_bert_are_honoured(tiny_encoder_dir, tmp_path, options, file):
    path = copy_of(tiny_encoder_dir, tmp_path / "e", tokenizer_config__json=options)
    if file == "vocab.txt":
        (path / "tokenizer.json").unlink()
    assert ids_of(read_layout(path)) == reference_ids(path, 64)


def test_lower_casing_that_the_encoder_asks_for(tiny_encoder_dir, tmp_path):
    path = copy_of(
        tiny_encoder_dir,
        tmp_path / "e",
        tokenizer_config__json={"do_lower_case": False},
        sentence_bert_config__json={"do_lower_case": True},
    )
    lower = [text.lower() for text in TEXTS]
    tokenizer = TextTokenizer.load(read_layout(path))
    assert [e.ids for e in tokenizer.encode(["HELLO"])] == [
        e.ids for e in tokenizer.encode(["hello"])
    ]
    assert len(lower) == len(TEXTS)


def test_the_vocabulary_alone_gives_the_same_ids(tiny_encoder_dir, tmp_path):
    path = copy_of(tiny_encoder_dir, tmp_path / "e", tokenizer__json=None)
    assert ids_of(read_layout(path)) == ids_of(read_layout(tiny_encoder_dir))


def test_without_a_tokenizer_the_error_points_to_torch(tiny_encoder_dir, tmp_path):
    path = copy_of(tiny_encoder_dir, tmp_path / "e", tokenizer__json=None, vocab__txt=None)
    with pytest.raises(EncoderError, match="Use the torch runtime"):
        TextTokenizer.load(read_layout(path))


def test_a_damaged_tokenizer_is_named(tiny_encoder_dir, tmp_path):
    path = copy_of(tiny_encoder_dir, tmp_path / "e")
    (path / "tokenizer.json").write_text("{}")
    with pytest.raises(EncoderError, match=r"tokenizer\.json"):
        TextTokenizer.load(read_layout(path))


def test_measuring_counts_what_is_cut_off_and_what_is_unknown(tiny_encoder_dir):
    tokenizer = TextTokenizer.load(read_layout(tiny_encoder_dir))
    stats = tokenizer.measure(["", "how to pay", "how 🙂", "pay " * 100])
    assert stats.n_tokens.tolist() == [2, 5, 4, 102]
    assert stats.n_unknown.tolist() == [0, 0, 1, 0]
    assert stats.too_long.tolist() == [False, False, False, True]
    np.testing.assert_allclose(stats.unknown_share, [0, 0, 0.5, 0])
    assert stats.n_tokens.dtype == stats.n_unknown.dtype == np.int64


def test_exactly_as_many_tokens_as_fit_are_not_too_long(tiny_encoder_dir):
    tokenizer = TextTokenizer.load(read_layout(tiny_encoder_dir))
    assert tokenizer.measure(["pay " * 62, "pay " * 63]).too_long.tolist() == [False, True]


@pytest.mark.parametrize("texts", [["ok", "\ud83d"], ["ok", 3], ["ok", None], ["ok", b"bytes"]])
def test_what_is_no_text_is_found(texts):
    bad = find_bad_text(texts)
    assert bad is not None and bad[0] == 1


def test_texts_of_every_kind_are_fine():
    assert find_bad_text(TEXTS) is None
