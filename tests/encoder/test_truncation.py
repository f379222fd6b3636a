"""What is read of long texts: which tokens, the same in both runtimes, saved, and in an index."""

import json

import numpy as np
import pytest

from semsearch.encoder import Encoder
from semsearch.encoder.config import read_layout
from semsearch.encoder.fingerprint import Fingerprint, fingerprint
from semsearch.encoder.truncation import Truncation, averaged
from semsearch.errors import EncoderError, EncoderMismatchError
from semsearch.index import Index
from semsearch.types import TRUNCATIONS
from semsearch.whitening import fit
from tests.encoder.changes import add_module, copy_of, edit
from tests.encoder.test_parity import TEXTS as PARITY_TEXTS
from tests.encoder.test_parity import assert_same

EVERY = (*TRUNCATIONS, "256+254")
CUT_TWICE = ("head+tail", "256+254", "windows")


def _words(words, n):
    return np.random.default_rng(0).choice(words, n)


LONG_EN = " ".join(_words(["how", "to", "pay", "my", "order", "refund", "card", "why"], 2600))
LONG_ZH = "".join(_words(list("这是一个很长的问题怎么申请退款我们的订单"), 10_000))
TEXTS = [*PARITY_TEXTS, LONG_EN[:10_000], LONG_ZH, "pay " * 62, "pay " * 63, "refund order " * 40]
SHORT = [text for text in TEXTS if len(text) < 60]


def encoded(path, texts=TEXTS, runtime="onnx", kind="document", **choices):
    return Encoder.load(path, runtime=runtime, **choices).encode(texts, kind=kind)


@pytest.fixture(scope="module")
def prompted_dir(tiny_encoder_dir, tmp_path_factory):
    """With a prompt for queries whose tokens are not pooled."""
    prompts = {"query": "find an answer: "}
    path = copy_of(
        tiny_encoder_dir,
        tmp_path_factory.mktemp("prompted") / "e",
        config_sentence_transformers__json={"prompts": prompts},
    )
    edit(path / "1_Pooling" / "config.json", include_prompt=False)
    return path


# Which tokens


def test_the_texts_are_long_enough():
    assert len(LONG_EN[:10_000]) == len(LONG_ZH) == 10_000


def test_head_and_tail_of_a_bert_are_those_of_the_paper():
    """Sun et al. 2019: the first 128 and the last 382 of 510 tokens."""
    (row,) = Truncation.named("head+tail").rows(1000, 512, first=1, last=1)
    assert row.tolist() == [*range(129), *range(999 - 382, 1000)]
    (row,) = Truncation.named("256+254").rows(1000, 512, first=1, last=1)
    assert row.tolist() == [*range(257), *range(999 - 254, 1000)]


def test_another_length_keeps_the_ratio():
    (row,) = Truncation.named("head+tail").rows(100, 10, first=1, last=1)
    assert row.tolist() == [0, 1, 2, 93, 94, 95, 96, 97, 98, 99]  # 2 + 6 of 8
    (row,) = Truncation.named("1+1").rows(100, 10, first=1, last=1)
    assert row.tolist() == [0, 1, 2, 3, 4, 95, 96, 97, 98, 99]
    assert Truncation.named("128+382") == Truncation.named("head+tail")


@pytest.mark.parametrize("max_length", [3, 4, 5, 16, 64, 512])
@pytest.mark.parametrize("longer", [1, 2, 7, 100, 5000])
def test_windows_are_full_cover_every_token_and_share_a_quarter(max_length, longer):
    n, room = max_length + longer, max_length - 2
    rows = Truncation.named("windows").rows(n, max_length, first=1, last=1)
    assert rows.shape[1] == max_length
    assert set(rows.ravel()) == set(range(n))
    assert (rows[:, 0] == 0).all() and (rows[:, -1] == n - 1).all()
    begins = rows[:, 1]
    assert (np.diff(rows[:, 1:-1], axis=1) == 1).all()
    assert np.diff(begins).min() >= 1
    assert np.diff(begins).max() <= room - room // 4
    assert np.ptp(np.diff(begins)) <= 1
    fewer = -(-(n - 2 - room) // (room - room // 4))
    assert len(rows) == fewer + 1


def test_every_window_has_the_prompt():
    rows = Truncation.named("windows").rows(40, 16, first=5, last=1)
    assert (rows[:, :5] == np.arange(5)).all()
    assert set(rows.ravel()) == set(range(40))


@pytest.mark.parametrize("name", ["", "middle", "0+510", "128+0", "+", "1+2+3", "-1+5", "½+1"])
def test_what_is_no_truncation_is_refused(tiny_encoder_dir, name):
    with pytest.raises(EncoderError, match=r"head, tail, head\+tail, windows, or tokens"):
        read_layout(tiny_encoder_dir, truncate=name)


def test_embeddings_are_averaged_by_text():
    def embed(rows):
        assert sum(map(len, rows)) <= 8
        return np.array([[len(row), row[0]] for row in rows], np.float32)

    texts = [["aaa", "b", "cc"], ["dd"], ["eeee", "ffff"]]
    texts = [[[ord(c) for c in row] for row in text] for text in texts]
    found = averaged(embed, texts, budget=8)
    expected = [[2, (97 + 98 + 99) / 3], [2, 100], [4, 101.5]]
    np.testing.assert_allclose(found, expected)
    assert found.dtype == np.float32


# What comes of it


@pytest.mark.parametrize("name", EVERY)
def test_short_texts_do_not_change(tiny_encoder_dir, tiny_encoder, name):
    for runtime in ("onnx", "torch"):
        found = encoded(tiny_encoder_dir, SHORT, runtime, truncate=name)
        np.testing.assert_allclose(found, tiny_encoder.encode(SHORT), atol=2e-6)


@pytest.mark.parametrize("max_length", [None, 16, 5])
@pytest.mark.parametrize("name", EVERY)
def test_onnx_equals_torch(tiny_encoder_dir, name, max_length):
    choices = {"truncate": name, "max_length": max_length}
    onnx = encoded(tiny_encoder_dir, **choices)
    assert_same(onnx, encoded(tiny_encoder_dir, runtime="torch", **choices))


def test_a_long_text_has_another_vector_with_each(tiny_encoder_dir):
    text = "how to pay " * 10 + LONG_ZH[:300] + "my parcel is late " * 11
    found = np.concatenate([encoded(tiny_encoder_dir, [text], truncate=name) for name in EVERY])
    assert (found @ found.T - np.eye(len(EVERY))).max() < 0.999


@pytest.mark.parametrize("name", CUT_TWICE)
@pytest.mark.parametrize("pooling", ["cls", "max", "first-last-avg"])
def test_other_poolings_of_cut_texts_are_the_same_in_both(tiny_encoder_dir, name, pooling):
    choices = {"truncate": name, "pooling": pooling}
    onnx = encoded(tiny_encoder_dir, **choices)
    assert_same(onnx, encoded(tiny_encoder_dir, runtime="torch", **choices))


@pytest.mark.parametrize("name", EVERY)
def test_prompts(prompted_dir, name):
    choices = {"truncate": name, "max_length": 16, "kind": "query"}
    onnx = encoded(prompted_dir, **choices)
    assert_same(onnx, encoded(prompted_dir, runtime="torch", **choices))


def test_a_prompt_that_leaves_no_room_for_windows_is_named(prompted_dir):
    encoder = Encoder.load(prompted_dir, runtime="onnx", truncate="windows", max_length=5)
    with pytest.raises(EncoderError, match="no room beside a prompt"):
        encoder.encode([LONG_EN], kind="query")


def test_head_and_tail_read_what_stands_there(tiny_encoder_dir):
    begin, end = "how to pay " * 40, "the refund of my order " * 40
    middle = "the weather " * 40
    long, other = begin + end, begin + middle + end
    for name in ("head", "tail", "head+tail", "256+254"):
        one, two = encoded(tiny_encoder_dir, [long, other], truncate=name)
        assert one @ two == pytest.approx(1, abs=1e-5)
    one, two = encoded(tiny_encoder_dir, [long, other], truncate="windows")
    assert one @ two < 0.999
    head, both, tail = (
        encoded(tiny_encoder_dir, [long], truncate=name)[0]
        for name in ("head", "head+tail", "tail")
    )
    assert both @ tail > head @ tail


def test_the_tail_is_what_sentence_transformers_reads_from_the_left(tiny_encoder_dir, tmp_path):
    from sentence_transformers import SentenceTransformer

    Encoder.load(tiny_encoder_dir, truncate="tail").save(tmp_path / "e")
    plain = SentenceTransformer(str(tmp_path / "e"), device="cpu")
    assert_same(plain.encode(TEXTS), encoded(tiny_encoder_dir, truncate="tail"))


def test_windows_are_the_mean_of_what_each_window_gives(tiny_encoder_dir):
    """By hand: the windows as texts of their own, in words that are one token each."""
    encoder = Encoder.load(tiny_encoder_dir, runtime="onnx", truncate="windows", max_length=10)
    words = LONG_EN.split()[:21]
    pieces = [words[begin : begin + 8] for begin in (0, 4, 8, 13)]
    embeddings = encoder.embed([" ".join(piece) for piece in pieces])
    np.testing.assert_allclose(
        encoder.embed([" ".join(words)])[0], embeddings.mean(axis=0), atol=1e-5
    )


def test_windows_in_a_batch_are_as_alone(tiny_encoder_dir):
    for runtime in ("onnx", "torch"):
        encoder = Encoder.load(tiny_encoder_dir, runtime=runtime, truncate="windows")
        alone = np.concatenate([encoder.encode([text]) for text in TEXTS])
        np.testing.assert_allclose(encoder.encode(TEXTS), alone, atol=2e-6)


def test_measuring_counts_all_tokens_however_they_are_cut(tiny_encoder_dir, tiny_encoder):
    expected = tiny_encoder.measure(TEXTS)
    for name in EVERY:
        stats = Encoder.load(tiny_encoder_dir, runtime="onnx", truncate=name).measure(TEXTS)
        np.testing.assert_array_equal(stats.n_tokens, expected.n_tokens)
        np.testing.assert_array_equal(stats.too_long, expected.too_long)


def test_a_body_that_is_fed_in_its_own_way_is_cut_on_one_side_only(tiny_encoder_dir, tmp_path):
    path = copy_of(tiny_encoder_dir, tmp_path / "e", sentence_bert_config__json={"query_length": 8})
    assert read_layout(path, truncate="tail").truncation.name == "tail"
    with pytest.raises(EncoderError, match=r"query_length.*Choose head or tail"):
        read_layout(path, truncate="windows")


# Saved, and known again


@pytest.mark.parametrize("whitened", [False, True])
@pytest.mark.parametrize("name", EVERY)
def test_it_stays_chosen_when_saved(tiny_encoder_dir, tiny_encoder, tmp_path, name, whitened):
    encoder = Encoder.load(tiny_encoder_dir, runtime="onnx", truncate=name, max_length=16)
    if whitened:
        words = LONG_EN.split()
        texts = [" ".join(words[i : i + 3 + i % 5]) for i in range(400)]
        encoder = encoder.whitened(fit(tiny_encoder.embed(texts), 8))
    encoder.save(tmp_path / "saved")
    for runtime in ("onnx", "torch"):
        loaded = Encoder.load(tmp_path / "saved", runtime=runtime)
        assert (loaded.truncate, loaded.max_length) == (name, 16)
        assert loaded.fingerprint == encoder.fingerprint
        assert_same(loaded.encode(TEXTS), encoder.encode(TEXTS))


@pytest.mark.parametrize("name", CUT_TWICE)
def test_plain_sentence_transformers_loads_it_and_reads_the_head(tiny_encoder_dir, tmp_path, name):
    from sentence_transformers import SentenceTransformer

    Encoder.load(tiny_encoder_dir, truncate=name).save(tmp_path / "saved")
    plain = SentenceTransformer(str(tmp_path / "saved"), device="cpu").encode(TEXTS)
    assert_same(plain, encoded(tiny_encoder_dir))
    assert_same(plain[:1], encoded(tiny_encoder_dir, TEXTS[:1], truncate=name))


def test_a_saved_choice_can_be_taken_back(tiny_encoder_dir, tiny_encoder, tmp_path):
    path = tiny_encoder_dir
    for step, name in enumerate(["windows", "tail", "head+tail", "head"]):
        saved = tmp_path / str(step)
        Encoder.load(path, runtime="onnx", truncate=name).save(saved)
        assert Encoder.load(saved).truncate == name
        path = saved
    assert Encoder.load(path).fingerprint == tiny_encoder.fingerprint
    assert_same(encoded(path, runtime="torch"), tiny_encoder.encode(TEXTS))
    assert "semsearch" not in json.loads((path / "config_sentence_transformers.json").read_text())


def test_a_plain_transformers_directory(tiny_encoder_dir, tmp_path):
    path = copy_of(tiny_encoder_dir, tmp_path / "e", modules__json=None)
    encoder = Encoder.load(path, runtime="onnx", truncate="windows")
    encoder.save(tmp_path / "saved")
    loaded = Encoder.load(tmp_path / "saved", runtime="torch")
    assert loaded.fingerprint == encoder.fingerprint
    assert_same(loaded.encode(TEXTS), encoder.encode(TEXTS))


def test_a_truncation_in_the_file_that_makes_no_sense_is_named(tiny_encoder_dir, tmp_path):
    path = copy_of(
        tiny_encoder_dir,
        tmp_path / "e",
        config_sentence_transformers__json={"semsearch": {"truncate": "sideways"}},
    )
    with pytest.raises(EncoderError, match=r"config_sentence_transformers\.json.*'sideways'"):
        read_layout(path)


def test_each_has_a_fingerprint_of_its_own_and_the_head_the_one_it_always_had(tiny_encoder_dir):
    def of(**choices):
        layout = read_layout(tiny_encoder_dir, **choices)
        return fingerprint(layout, layout.tail)

    prints = [of(truncate=name) for name in EVERY]
    assert len({found.digest for found in prints}) == len(EVERY)
    assert of() == prints[0]
    before = {"weights", "dtype", "tokenizer", "modules", "max_length", "prompts"}
    assert set(of().to_dict()) == before  # the digest is one over these
    for found in prints[1:]:
        assert found.differs_in(of()) == ("truncation",)
        assert Fingerprint.from_dict(found.to_dict()) == found
    assert of(truncate="128+382") == of(truncate="head+tail")


def test_a_dense_layer_behind_pooling_is_part_of_a_window(tiny_encoder_dir, tmp_path):
    path = copy_of(tiny_encoder_dir, tmp_path / "e")
    weight = np.random.default_rng(0).normal(size=(8, 32)).astype(np.float32)
    kind = "sentence_transformers.models.Dense"
    config = {"in_features": 32, "out_features": 8, "bias": False}
    config["activation_function"] = "torch.nn.Tanh"
    add_module(path, "3_Dense", kind, config, linear__weight=weight)
    onnx = encoded(path, truncate="windows")
    assert_same(onnx, encoded(path, runtime="torch", truncate="windows"))


# In an index

BANK = [
    {"question": "how to pay", "answer": "a"},
    {"question": LONG_EN[:10_000], "answer": "b"},
    {"question": LONG_ZH, "answer": "c"},
]


@pytest.mark.parametrize("whiten", [None, 2])
@pytest.mark.parametrize("name", EVERY)
def test_an_index_reads_texts_as_it_was_built_to(tiny_encoder_dir, tmp_path, name, whiten):
    path = tmp_path / "index"
    samples = LONG_EN.split()[:100] + [LONG_EN[i : i + 30] for i in range(100)]
    options = {"whiten": whiten, "whiten_on": samples} if whiten else {}
    Index.build(BANK, path, encoder=tiny_encoder_dir, truncate=name, **options).close()
    with Index.open(path) as index:
        assert index.encoder.truncate == name
        for answer, row in zip("abc", BANK, strict=True):
            best = index.search(row["question"], 1)[0].hits[0]
            assert (best.answer, best.score) == (answer, pytest.approx(1, abs=1e-4))
    Index.build(BANK, path).close()  # keeps it
    other = "tail" if name == "head" else "head"
    with pytest.raises(EncoderMismatchError, match="differ in truncation"):
        Index.build(BANK, path, truncate=other)


def test_texts_that_are_not_read_whole_are_warned_of(tiny_encoder_dir, tmp_path):
    for name in ("head", "windows"):
        path = tmp_path / name
        with Index.build(BANK, path, encoder=tiny_encoder_dir, truncate=name) as index:
            codes = [warning.kind for warning in index.report.warnings]
        assert ("too_long" in codes) == (name == "head")


def test_an_index_of_before_there_was_a_choice_reads_heads(tiny_encoder_dir, tmp_path):
    import sqlite3

    from semsearch.store import meta

    Index.build(BANK, tmp_path / "index", encoder=tiny_encoder_dir).close()
    with sqlite3.connect(tmp_path / "index" / "questions.db") as connection:
        rows = dict(connection.execute("SELECT name, value FROM meta").fetchall())
        del rows["checksum"]
        record = json.loads(rows["encoder"])
        assert record.pop("truncate") is None
        rows["encoder"] = json.dumps(record)
        rows["checksum"] = str(meta._checksum(rows))
        connection.executemany("UPDATE meta SET value = ?2 WHERE name = ?1", list(rows.items()))
    connection.close()
    with Index.open(tmp_path / "index") as index:
        assert index.search("how to pay", 1)[0].hits[0].answer == "a"
        assert index.encoder.truncate == "head"


def test_an_index_finds_the_encoder_again_that_was_handed_to_it(tiny_encoder_dir, tmp_path):
    encoder = Encoder.load(tiny_encoder_dir, truncate="windows", pooling="max", max_length=16)
    Index.build(BANK, tmp_path / "index", encoder=encoder).close()
    with Index.open(tmp_path / "index") as index:
        assert index.encoder.fingerprint == encoder.fingerprint
    with pytest.raises(EncoderError, match="loaded already"):
        Index.build(BANK, tmp_path / "other", encoder=encoder, truncate="head")
    assert not (tmp_path / "other").exists()
