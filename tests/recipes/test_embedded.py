"""The recipe of the embedded encoder: its parts, and a slice of its tables by checksum."""

from __future__ import annotations

import importlib
import json
import random
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

RECIPE = Path(__file__).parents[2] / "recipes" / "embedded"


@pytest.fixture
def part(monkeypatch: pytest.MonkeyPatch):
    """Import a module of the recipe, which is a folder of scripts."""
    pytest.importorskip("opencc")
    pytest.importorskip("pyarrow")
    monkeypatch.syspath_prepend(str(RECIPE))

    def load(name: str) -> ModuleType:
        return importlib.import_module(name)

    return load


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


def test_traditional_characters_get_the_embedding_of_the_simplified(part, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    tie = part("tie")
    numbers = {"[PAD]": 0, "门": 1, "門": 2, "a": 3}
    content = json.dumps({"model": {"vocab": numbers}})
    (tmp_path / "tokenizer.json").write_text(content, encoding="utf-8")
    table = np.arange(8, dtype=np.float32).reshape(4, 2)
    save_file({tie.TABLE: table, "other": table}, tmp_path / "model.safetensors", {"format": "pt"})
    assert tie.tie(tmp_path) == 1
    tied = load_file(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(tied[tie.TABLE], table[[0, 1, 1, 3]])
    np.testing.assert_array_equal(tied["other"], table)


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


@pytest.mark.data
@pytest.mark.minilm
def test_a_slice_of_the_recipe_gives_what_it_gave(part, data_dir: Path, tmp_path: Path) -> None:
    kept = json.loads((RECIPE / "slice.json").read_text(encoding="utf-8"))
    tables = tmp_path / "tables"
    share = part("slice").SHARE
    assert part("prepare").prepare(data_dir, tables, share=share) == kept["tables"]
    part("start").make(tables, tmp_path / "start")
    report = part("slice").train(tables, tmp_path / "start", tmp_path / "float")
    # Sums are rounded in another order on another CPU: the figures move a little.
    assert report["before"] == pytest.approx(kept["training"]["before"], abs=0.5)
    assert report["after"] == pytest.approx(kept["training"]["after"], abs=1.5)
    assert report["losses"] == pytest.approx(kept["training"]["losses"], rel=0.02)
