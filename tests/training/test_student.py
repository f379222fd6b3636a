from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semsearch.encoder import Encoder
from semsearch.errors import DataError, EncoderError
from semsearch.training.examples import Examples
from semsearch.training.student import make_student
from semsearch.training.wordpieces import new_rows, read_vocabulary, with_vocabulary
from tests.conftest import build_tiny_encoder
from tests.training.backbones import build_backbone

pytest.importorskip("torch")
pytest.importorskip("sentence_transformers")

TEXTS = ["my card is lost", "refund of the order", "我的卡丢了", "what is the weather"]
PARALLEL = Examples(
    "pairs",
    {
        "anchor": ["the card is lost", "my card", "card lost", "the fee", "pay the fee", "a fee"],
        "positive": ["卡丢了", "我的卡", "丢卡", "费用", "付费", "一笔费"],
    },
)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_encoder(tmp_path_factory.mktemp("teacher") / "encoder", seed=1, layers=4)


def pieces(encoder: Path) -> list[str]:
    vocabulary = json.loads((encoder / "tokenizer.json").read_text(encoding="utf-8"))
    return list(vocabulary["model"]["vocab"])


def test_all_layers_and_pieces_make_the_teacher_again(teacher: Path, tmp_path: Path) -> None:
    make_student(teacher, tmp_path / "s", layers=(0, 1, 2, 3), vocabulary=pieces(teacher))
    np.testing.assert_allclose(
        Encoder.load(tmp_path / "s").encode(TEXTS), Encoder.load(teacher).encode(TEXTS), atol=1e-5
    )


def test_layers_are_taken_in_the_order_given(teacher: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    make_student(teacher, tmp_path / "s", layers=(3, 0))
    own, theirs = (load_file(path / "model.safetensors") for path in (tmp_path / "s", teacher))
    name = "encoder.layer.{}.output.dense.weight"
    np.testing.assert_array_equal(own[name.format(0)], theirs[name.format(3)])
    np.testing.assert_array_equal(own[name.format(1)], theirs[name.format(0)])
    config = json.loads((tmp_path / "s" / "config.json").read_text(encoding="utf-8"))
    assert config["num_hidden_layers"] == 2
    both = [Encoder.load(tmp_path / "s", runtime=runtime) for runtime in ("onnx", "torch")]  # type: ignore[arg-type]
    np.testing.assert_allclose(both[0].encode(TEXTS), both[1].encode(TEXTS), atol=1e-4)


@pytest.mark.parametrize("others", [{}, {"layers": (3, 0)}, {"vocabulary": ["card", "卡"]}])
def test_a_map_comes_between_the_pooling_and_the_length(
    others: dict[str, Any], teacher: Path, tmp_path: Path
) -> None:
    from sentence_transformers import SentenceTransformer

    reduction = np.linalg.qr(np.random.default_rng(0).normal(size=(32, 32)))[0][:16]
    make_student(teacher, tmp_path / "s", reduction=reduction.astype(np.float32), **others)
    make_student(teacher, tmp_path / "whole", **others)
    kinds = json.loads((tmp_path / "s" / "modules.json").read_text(encoding="utf-8"))
    assert [kind["type"].rsplit(".", 1)[-1] for kind in kinds] == [
        "Transformer", "Pooling", "Dense", "Normalize",
    ]  # fmt: skip
    wanted = Encoder.load(tmp_path / "whole").encode(TEXTS) @ reduction.T
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    for runtime in ("onnx", "torch"):
        found = Encoder.load(tmp_path / "s", runtime=runtime).encode(TEXTS)  # type: ignore[arg-type]
        np.testing.assert_allclose(found, wanted, atol=1e-4)
    plain = SentenceTransformer(str(tmp_path / "s"), device="cpu").encode(TEXTS)
    np.testing.assert_allclose(plain, wanted, atol=1e-4)


def test_the_map_of_a_teacher_of_other_dimensions_is_refused(teacher: Path, tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match=r"its 32 dimensions cannot start .* a teacher's 48"):
        make_student(teacher, tmp_path / "s", reduction=np.zeros((16, 48), np.float32))


@pytest.mark.parametrize("layers", [(0, 4), (-1,), (1, 1)])
def test_layers_that_are_not_there_are_refused(
    layers: tuple[int, ...], teacher: Path, tmp_path: Path
) -> None:
    with pytest.raises(EncoderError, match="has the layers 0 to 3"):
        make_student(teacher, tmp_path / "s", layers=layers)
    assert not (tmp_path / "s").exists()


def test_layers_that_share_their_weights_cannot_be_taken_apart(
    tiny_encoder_dir: Path, tmp_path: Path
) -> None:
    albert = build_backbone("albert", tmp_path / "albert", tiny_encoder_dir)
    with pytest.raises(EncoderError, match="Leave out --layers"):
        make_student(albert, tmp_path / "s", layers=(0, 1))


def test_kept_pieces_keep_their_embedding_and_special_tokens_their_part(
    teacher: Path, tmp_path: Path
) -> None:
    kept = [piece for piece in pieces(teacher) if piece.isascii()]
    make_student(teacher, tmp_path / "s", vocabulary=[*kept[::-1], "龘"])
    student, before = Encoder.load(tmp_path / "s"), Encoder.load(teacher)
    english = [text for text in TEXTS if text.isascii()]
    np.testing.assert_allclose(student.encode(english), before.encode(english), atol=1e-5)
    assert student.measure(["我"]).n_unknown.tolist() == [1]
    assert student.measure(["龘"]).n_unknown.tolist() == [0]
    assert pieces(tmp_path / "s")[:5] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def test_a_new_piece_starts_from_what_stands_opposite_it(teacher: Path) -> None:
    from tokenizers import Tokenizer

    words = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        "the",
        "my",
        "card",
        "lost",
        "fee",
        "pay",
    ]
    vocabulary = [*words, "a", "is", "卡", "费", "丢", "猫"]
    content = json.loads((teacher / "tokenizer.json").read_text(encoding="utf-8"))
    tokenizer = Tokenizer.from_str(json.dumps(with_vocabulary(content, vocabulary, teacher)))
    random = np.random.default_rng(0)
    rows = random.normal(size=(len(vocabulary), 64)).astype(np.float32)
    known = np.array([piece.isascii() for piece in vocabulary])
    made = new_rows(rows, known, tokenizer, PARALLEL)
    np.testing.assert_array_equal(made[known], rows[known])

    def cosine(new: str, old: str) -> float:
        a, b = made[vocabulary.index(new)], rows[vocabulary.index(old)]
        return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))

    assert cosine("卡", "card") > 0.7
    assert cosine("费", "fee") > 0.7
    assert cosine("卡", "card") > cosine("卡", "fee") + 0.5
    lengths = np.linalg.norm(rows[known], axis=1).mean()
    assert np.linalg.norm(made[vocabulary.index("卡")]) > 0.7 * lengths
    # Nothing is known of a cat: it starts near the middle, and no other piece is the same.
    cat = made[vocabulary.index("猫")]
    assert np.linalg.norm(cat - rows[known].mean(axis=0)) < 0.3 * lengths
    assert len(np.unique(made.round(5), axis=0)) == len(vocabulary)


def test_a_chinese_word_is_a_token_of_its_own(teacher: Path, tmp_path: Path) -> None:
    from tokenizers import Tokenizer

    own = pieces(teacher)
    chosen = [*own, "丢了", "我的卡", "我的", "卡丢", "my card"]
    make_student(teacher, tmp_path / "s", vocabulary=chosen, parallel=PARALLEL)
    tokenizer = Tokenizer.from_file(str(tmp_path / "s" / "tokenizer.json"))
    number = tokenizer.get_vocab()
    first, last = number["[CLS]"], number["[SEP]"]
    cards = tokenizer.encode("cards", add_special_tokens=False).tokens
    for text, wanted in {
        "我的卡丢了": ["我的卡", "丢了"],  # the leftmost, and of those the longest
        "MY卡 丢了!": ["my", "卡", "丢了", "!"],
        "丢 了": ["丢", "了"],
        "我的 卡": ["我的", "卡"],
        "My card 丢了": ["my card", "丢了"],
        "my card, my cards": ["my card", ",", "my", *cards],
    }.items():
        ids = tokenizer.encode(text).ids
        assert ids == [first, *(number[piece] for piece in wanted), last], text
    both = [Encoder.load(tmp_path / "s", runtime=runtime) for runtime in ("onnx", "torch")]  # type: ignore[arg-type]
    np.testing.assert_allclose(both[0].encode(TEXTS), both[1].encode(TEXTS), atol=1e-4)
    # What has no words reads as before; a student of the student has the words still.
    english = [text for text in TEXTS if text.isascii() and "my card" not in text]
    before = Encoder.load(teacher).encode(english)
    np.testing.assert_allclose(both[0].encode(english), before, atol=1e-5)
    make_student(tmp_path / "s", tmp_path / "again", layers=(0, 1, 2, 3), vocabulary=chosen)
    np.testing.assert_allclose(
        Encoder.load(tmp_path / "again").encode(TEXTS), both[0].encode(TEXTS), atol=1e-5
    )


def test_pieces_that_the_teacher_never_reads_stay_so(teacher: Path) -> None:
    content = json.loads((teacher / "tokenizer.json").read_text(encoding="utf-8"))
    content["model"]["vocab"]["没读过"] = len(content["model"]["vocab"])
    vocabulary = [*content["model"]["vocab"], "一个词"]
    added = with_vocabulary(content, vocabulary, teacher)["added_tokens"]
    assert [token["content"] for token in added if not token["special"]] == ["一个词"]


def test_a_word_starts_from_its_translation_and_its_characters() -> None:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    vocabulary = ["card", "fee", "卡", "费", "银行卡", "行李"]
    tokenizer = Tokenizer(WordLevel(dict(zip(vocabulary, range(6), strict=True)), unk_token="fee"))
    tokenizer.pre_tokenizer = Whitespace()
    parallel = Examples(
        "pairs", {"anchor": ["card", "card", "fee", "fee"], "positive": ["银行卡"] * 2 + ["费"] * 2}
    )
    rows = np.zeros((6, 2), np.float32)
    rows[0], rows[1] = (1, 0), (0, 1)
    words = {4: [2, 3], 5: [3]}
    made = new_rows(rows, np.arange(6) < 2, tokenizer, parallel, words=words)
    np.testing.assert_allclose(made[3], [0, 1])
    np.testing.assert_allclose(made[4], 0.7 * made[0] + 0.3 * (made[2] + made[3]) / 2, atol=1e-6)
    np.testing.assert_allclose(made[5], made[3])  # one that occurs nowhere


def test_the_same_seed_makes_the_same_student(teacher: Path, tmp_path: Path) -> None:
    chosen = [*pieces(teacher)[:200], "龘", "靐"]
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        make_student(teacher, tmp_path / name, vocabulary=chosen, parallel=PARALLEL, seed=seed)
    a, b, c = ((tmp_path / name / "model.safetensors").read_bytes() for name in "abc")
    assert a == b
    assert a != c


@pytest.mark.parametrize(
    "processor",
    [
        {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]},
        {
            "type": "TemplateProcessing",
            "special_tokens": {
                "[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]},
                "[SEP]": {"id": "[SEP]", "ids": [3], "tokens": ["[SEP]"]},
            },
        },
    ],
)
def test_special_tokens_get_their_new_numbers(processor: dict[str, Any]) -> None:
    content = {
        "model": {"type": "WordPiece", "vocab": {"[CLS]": 2, "[SEP]": 3, "a": 4}},
        "added_tokens": [{"content": "[CLS]", "id": 2}, {"content": "[SEP]", "id": 3}],
        "post_processor": processor,
        "truncation": {"max_length": 16},
        "padding": None,
    }
    changed = with_vocabulary(content, ["[SEP]", "[CLS]", "b"], Path("x"))
    assert [token["id"] for token in changed["added_tokens"]] == [1, 0]
    assert changed["truncation"] is None
    made = changed["post_processor"]
    if processor["type"] == "BertProcessing":
        assert (made["sep"], made["cls"]) == (["[SEP]", 0], ["[CLS]", 1])
    else:
        assert made["special_tokens"]["[CLS]"]["ids"] == [1]
    assert content["model"]["vocab"] == {"[CLS]": 2, "[SEP]": 3, "a": 4}, "the original changed"


def test_a_tokenizer_of_another_kind_keeps_its_vocabulary() -> None:
    with pytest.raises(EncoderError, match="is BPE, not WordPiece"):
        with_vocabulary({"model": {"type": "BPE"}}, ["a"], Path("x"))


def test_a_vocabulary_is_read_without_its_special_tokens(tmp_path: Path) -> None:
    file = tmp_path / "vocab.txt"
    file.write_text("[PAD]\n[UNK]\ncard\n##s\n卡\n[\n]\ncard\n", encoding="utf-8")
    assert read_vocabulary(file) == ["card", "##s", "卡", "[", "]"]
    file.write_text("[PAD]\n[UNK]\n", encoding="utf-8")
    with pytest.raises(DataError, match="no word pieces"):
        read_vocabulary(file)
