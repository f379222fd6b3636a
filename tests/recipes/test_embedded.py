"""The recipe of the embedded encoder: its parts, and a slice of its tables by checksum."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from semsearch.encoder import Encoder
from semsearch.identity import files_of
from tests.conftest import build_tiny_encoder
from tests.recipes.conftest import RECIPE


@pytest.fixture
def part(recipe: Callable[[str], ModuleType]) -> Callable[[str], ModuleType]:
    """Import a module of the recipe that needs what the recipe is installed with."""
    pytest.importorskip("opencc")
    pytest.importorskip("pyarrow")
    return recipe


PAIRS = [
    ("my card is lost", "我的卡丢了"),
    ("the card is here", "卡在这里"),
    ("my money is lost", "我的钱丢了"),
    ("the money is here", "钱在这里"),
    ("a cat", "一只猫"),
    ("the cat is here", "猫在这里"),
    ("my cat", "我的猫"),
] * 3


def test_words_are_translated_by_what_stands_opposite_them(part) -> None:
    learnt = part("lexicon").learn(PAIRS)
    assert learnt["card"][0][0] == "卡"
    assert learnt["money"][0][0] == "钱"
    assert learnt["cat"][0][0] == "猫"
    for words in learnt.values():
        probabilities = [probability for _, probability in words]
        assert probabilities == sorted(probabilities, reverse=True)
        assert sum(probabilities) <= 1 + 1e-9


def test_a_share_of_the_words_is_switched(part) -> None:
    lexicon = part("lexicon")
    words = {"card": [("卡", 1.0)], "lost": [("丢", 1.0)], "the": [("的", 1.0)]}
    rng = random.Random(0)
    assert lexicon.switched("The card was lost!", words, 1.0, rng) == "卡 was 丢 !"
    assert lexicon.switched("The card was lost!", words, 0.0, rng) == "the card was lost !"
    mixed = {lexicon.switched("card lost", words, 0.5, rng) for _ in range(50)}
    assert mixed == {"卡丢", "卡 lost", "card 丢", "card lost"}
    assert lexicon.coverage(["card was lost 5"], words) == pytest.approx(2 / 3)


def test_an_edit_is_scored_by_what_it_keeps(part) -> None:
    overlap = part("overlap")
    assert overlap.overlap("天气很好", "天气很好") == 1
    assert overlap.overlap("天气", "手机") == 0
    assert overlap.overlap("天气很好", "天气不好") == pytest.approx(3 / 4)
    texts = ["今天的天气很好", "我的手机在哪里", "请问怎么退款", "北京是中国的首都"]
    rows = overlap.edited(texts * 50, random.Random(0))
    assert rows == overlap.edited(texts * 50, random.Random(0))
    scores = np.array([score for _, _, score in rows])
    assert scores.min() >= 0
    assert scores.max() <= 1
    assert scores.std() > 0.1
    assert all(other for _, other, _ in rows)


def test_word_pieces_are_those_that_occur(part) -> None:
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece
    from tokenizers.pre_tokenizers import Whitespace

    known = ["[PAD]", "[UNK]", "card", "lost", "zebra", "a", "##b", "错", "##s"]
    tokenizer = Tokenizer(WordPiece({piece: n for n, piece in enumerate(known)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    vocabulary = part("vocabulary")
    english = ["card lost"] * vocabulary.LEAST_ENGLISH
    chinese = ["门卡"] * vocabulary.LEAST_CHINESE + ["鑫"]
    pieces = vocabulary.pieces(tokenizer, english, chinese, {"門": "门", "貓": "猫"})
    assert pieces == ["card", "lost", "a", "##b", "##s", "门", "卡", "門"]


def test_words_are_those_that_are_used_most(part) -> None:
    vocabulary = part("vocabulary")
    n = vocabulary.LEAST_TRANSLATED
    spoken = ["我的手机在哪里"] * n + ["天气很好"] * (n - 1)
    written = ["手机和天气", "银行的手机", "手机", "天气"]
    weights = {"spoken": 1.0, "written": 0.5}
    found = vocabulary.words({"spoken": spoken}, {"written": written}, weights)
    # 天气 is in too few translations, 银行 in none; 我的 is two words, 我 is no word of two.
    assert found == ["手机", "哪里"]
    assert vocabulary.words({"spoken": spoken + written}, {}, {"spoken": 1.0}) == [
        "手机", "天气", "哪里",
    ]  # fmt: skip


def test_words_are_now_and_then_taken_apart(part) -> None:
    words = {"手机", "手机号", "天气"}
    texts = ["my 手机号码 is lost", "天气手机", "没有"] * 100
    made = part("apart").taken_apart(texts, words, random.Random(0))
    assert made == part("apart").taken_apart(texts, words, random.Random(0))
    assert set(made[::3]) == {texts[0], "my 手 机 号码 is lost"}, "the longest word"
    assert set(made[1::3]) == {texts[1], "天 气手机", "天气手 机", "天 气手 机"}
    assert set(made[2::3]) == {"没有"}
    assert 10 < sum(a != b for a, b in zip(texts, made, strict=True)) < 120


@pytest.fixture
def worded(part, tmp_path: Path) -> Path:
    """A tiny encoder with a traditional character, the simplified one, and words of both."""
    pytest.importorskip("sentence_transformers")
    from semsearch.training.student import make_student

    body = build_tiny_encoder(tmp_path / "body", seed=1)
    content = json.loads((body / "tokenizer.json").read_text(encoding="utf-8"))
    pieces = dict.fromkeys([*content["model"]["vocab"], *"门开卡門貓", "开门", "開門"])
    make_student(body, tmp_path / "worded", vocabulary=list(pieces))
    return tmp_path / "worded"


def test_traditional_characters_are_read_as_the_simplified_ones(part, worded: Path) -> None:
    pytest.importorskip("sentencepiece")
    texts = ["开门", "请开门, my card!", "門 卡", "貓", "Crème brûlée"]
    variants = {"門": "门", "開": "开", "貓": "龘", "ö": "门"}
    before = Encoder.load(worded).encode(texts)
    assert part("fold").fold(worded, variants) == 2, "門 and 開門; 龘 has no piece"
    both = [Encoder.load(worded, runtime=runtime) for runtime in ("onnx", "torch")]  # type: ignore[arg-type]
    for encoder in both:
        after = encoder.encode([*texts, "開門", "门 卡", "请开门, ｍｙ　Ｃａｒｄ!"])
        np.testing.assert_allclose(after[[0, 1, 3, 4]], before[[0, 1, 3, 4]], atol=1e-5)
        np.testing.assert_allclose(after[[5, 6, 7]], after[[0, 2, 1]], atol=1e-6)
        assert not np.allclose(after[2], before[2], atol=1e-3)


def test_words_are_grafted_on_an_encoder_that_has_none(part, worded: Path, tmp_path: Path) -> None:
    from semsearch.encoder import safetensors

    graft, table = part("graft"), part("fold").TABLE
    learnt = safetensors.read(worded / "model.safetensors")
    content = json.loads((worded / "tokenizer.json").read_text(encoding="utf-8"))
    numbers = content["model"]["vocab"]
    n = numbers["开门"]
    plain = tmp_path / "plain"
    shutil.copytree(worded, plain)
    content["model"]["vocab"] = {piece: at for piece, at in numbers.items() if at < n}
    (plain / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    weights = {**learnt, table: learnt[table][:n] + 1}
    safetensors.write(plain / "model.safetensors", weights)
    assert graft.graft(tmp_path / "out", plain, worded) == 2
    made = safetensors.read(tmp_path / "out" / "model.safetensors")
    np.testing.assert_array_equal(made[table][:n], weights[table])
    # A word moves as its characters did; 開 has no piece, and 門 has.
    np.testing.assert_allclose(made[table][n:], learnt[table][n:] + 1, rtol=1e-5)
    assert Encoder.load(tmp_path / "out").measure(["开门"]).n_tokens.tolist() == [3]
    with pytest.raises(ValueError, match="have other pieces"):
        graft.graft(tmp_path / "no", worded, build_tiny_encoder(tmp_path / "other", seed=2))


def test_dimensions_in_which_texts_differ_count_for_more(part, tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers")
    from semsearch.training.student import make_student

    body = build_tiny_encoder(tmp_path / "body", seed=1)
    reduction = np.linalg.qr(np.random.default_rng(0).normal(size=(32, 32)))[0][:16]
    make_student(body, tmp_path / "out", reduction=reduction.astype(np.float32))
    texts = ["my card", "the card is lost", "a cat", "my cat is here", "开门"]
    before = Encoder.load(tmp_path / "out").encode(texts)
    weights = part("weigh").weigh(tmp_path / "out", texts)
    assert np.argsort(weights).tolist() == np.argsort(before.std(axis=0)).tolist()
    assert weights.mean() == pytest.approx(1)
    wanted = before * weights
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    for runtime in ("onnx", "torch"):
        found = Encoder.load(tmp_path / "out", runtime=runtime).encode(texts)  # type: ignore[arg-type]
        np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_encoders_are_averaged_weight_by_weight(part, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    folders = [tmp_path / name for name in ("a", "b")]
    for value, folder in zip((1, 4), folders, strict=True):
        (folder / "2_Dense").mkdir(parents=True)
        (folder / "training.json").write_text("{}", encoding="utf-8")
        (folder / "config.json").write_text("{}", encoding="utf-8")
        for path in (folder / "model.safetensors", folder / "2_Dense" / "model.safetensors"):
            save_file({"x": np.full((2, 3), value, np.float32)}, path)
    part("average").average(tmp_path / "out", folders, [2, 1])
    files = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*")
             if path.is_file()}  # fmt: skip
    assert files == {"config.json", "model.safetensors", "2_Dense/model.safetensors"}
    for name in ("model.safetensors", "2_Dense/model.safetensors"):
        found = load_file(tmp_path / "out" / name)["x"]
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, 2)
    save_file({"x": np.zeros((1, 3), np.float32)}, folders[1] / "model.safetensors")
    with pytest.raises(ValueError, match="not of one shape"):
        part("average").average(tmp_path / "again", folders, [1, 1])


def test_what_is_shipped_has_its_checksums_and_is_not_too_large(
    part, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ship, package = part("ship"), tmp_path / "embedded"
    encoder = build_tiny_encoder(tmp_path / "encoder", seed=1)
    assert ship.ship(encoder, package) == sum(p.stat().st_size for p in files_of(package))
    sums = dict(line.split("  ")[::-1] for line in (package / ship.SUMS).read_text().splitlines())
    assert sums.keys() == {
        path.relative_to(package).as_posix() for path in files_of(package)
    } - {ship.SUMS}  # fmt: skip
    for name, digest in sums.items():
        assert hashlib.sha256((package / name).read_bytes()).hexdigest() == digest
    before = {path: path.read_bytes() for path in files_of(package)}
    monkeypatch.setattr(ship, "LARGEST", 1000)
    with pytest.raises(ValueError, match="more than 1,000"):
        ship.ship(encoder, package)
    assert {path: path.read_bytes() for path in files_of(package)} == before
    assert [path.name for path in tmp_path.iterdir() if "embedded" in path.name] == ["embedded"]


@pytest.mark.data
@pytest.mark.minilm
def test_a_slice_of_the_recipe_gives_what_it_gave(part, data_dir: Path, tmp_path: Path) -> None:
    kept = json.loads((RECIPE / "slice.json").read_text(encoding="utf-8"))
    tables = tmp_path / "tables"
    share = part("slice").SHARE
    assert part("prepare").prepare(data_dir, tables, share=share) == kept["tables"]
    part("start").make(tables, tmp_path / "start", words=True)
    report = part("slice").train(tables, tmp_path / "start", tmp_path / "float")
    # Sums are rounded in another order on another CPU: the figures move a little.
    assert report["before"] == pytest.approx(kept["training"]["before"], abs=0.5)
    assert report["after"] == pytest.approx(kept["training"]["after"], abs=1.5)
    assert report["losses"] == pytest.approx(kept["training"]["losses"], rel=0.02)
